"""LayerMeter: the latency of one layer as a network would feel it, and of a whole network for comparison.

    latency_ms = low(context) - low(border)

`context` is the layer between lead and tail, `border` lead and tail alone (see `layer_graph`); both are run in turn, so
that whatever disturbs the machine disturbs them alike. Other programs only ever add time, so `low` is the least of the
repeats, and repeats go on until several of the lowest agree: a quiet machine is done soon, a busy one gets more.
"""

from __future__ import annotations

import statistics
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gpunet import runtime as runtimes
from gpunet.core.arguments import checked_choice, checked_integer
from gpunet.core.machine import fingerprint
from gpunet.errors import InvalidArgumentError
from gpunet.latency.layers.convolutional import ConvLayerKey
from gpunet.latency.layers.graphs import border_graph, border_of, context_graph, lone_graph, network_graph
from gpunet.latency.layers.keys import LayerKey
from gpunet.latency.records import LEAST_MS, LayerLatency, NetworkLatency, TableConditions
from gpunet.latency.reference import reference_networks
from gpunet.runtime.base import check_threads, not_computed_in
from gpunet.runtime.reference import Look
from gpunet.runtime.sidecar import now_utc
from gpunet.runtime.timing import Measurement, measure, no_garbage_collection, noise

if TYPE_CHECKING:
    import numpy as np
    import onnx

    from gpunet.runtime import Runtime, Session

_BORDERS_KEPT = 64
_GPU_TURNS = 2
_REFERENCE_REPEATS = (40, 3)  # of the small network and of the large one
_NETWORK_TIMES: dict[str, Any] = {"min_time_s": 0.1, "max_time_s": 0.5}  # of what all layers are compared with
MOVED = 0.2  # from the least to the median of the reference's runs beside a figure
_BURST_MS = 0.3  # of runs of a small graph in its turn, so that they find their own code and weights in the caches
_GPU_WARMUP_S, _GPU_REPEATS, _GPU_TIME_S = 0.05, 50, 0.05
_WEIGHTED = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class MeterSettings:
    """How long to repeat.

    Args:
        min_repeats: least timed runs of each graph.
        min_time_s: least timed seconds of all its graphs together: to load a graph takes 5 to 60 ms, so that many
            repeats of a layer of microseconds cost little.
        agreeing: how many of the lowest repeats must agree before they are trusted.
        within_percent: by how much they may differ.
        max_time_s: timed seconds after which they are taken as they are.
    """

    min_repeats: int = 5
    min_time_s: float = 0.03
    agreeing: int = 3
    within_percent: float = 2.0
    max_time_s: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.agreeing <= self.min_repeats:
            raise InvalidArgumentError(
                f"1 <= agreeing <= min_repeats must hold, but got agreeing={self.agreeing}, "
                f"min_repeats={self.min_repeats}."
            )
        if not (self.within_percent >= 0 and self.max_time_s > 0 and self.min_time_s >= 0):
            raise InvalidArgumentError(
                f"within_percent and min_time_s must be 0 or more and max_time_s above 0, but got "
                f"{self.within_percent!r}, {self.min_time_s!r} and {self.max_time_s!r}."
            )

    def times(self, effort: float) -> MeterSettings:
        """These with times and repeats multiplied by `effort`; never fewer repeats than must agree."""
        return replace(
            self, min_repeats=max(self.agreeing, round(effort * self.min_repeats)),
            min_time_s=effort * self.min_time_s, max_time_s=effort * self.max_time_s,
        )  # fmt: skip


_PROBE = ConvLayerKey("conv", 16, 8, 16)


class LayerMeter:
    """Measures layers on one runtime under one set of conditions.

    Args:
        runtime: loads ONNX; on a GPU its own timing by CUDA events is used.
        precision: 'fp32', 'fp16', 'bf16' or 'int8', brought into every graph as `gpunet-export` does.
        batch_size: images a run.
        threads: threads that compute; None for all available.
        settings: how long to repeat.
        clock: 'wall' or 'cpu'.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is not valid, or the clock does not suit the threads.
        RuntimeUnavailableError: (a RuntimeError) the runtime cannot run here, or not at this precision.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        precision: str = "fp32",
        batch_size: int = 1,
        threads: int | None = None,
        settings: MeterSettings | None = None,
        clock: str = "wall",
    ) -> None:
        checked_integer("batch_size", batch_size, 1)
        on_gpu = runtime.device == "gpu"
        used = None if on_gpu else check_threads(threads)
        checked_choice("clock", clock, CLOCKS)
        if clock == "cpu" and used != 1:
            what = f"{runtime.name} computes on a GPU" if on_gpu else f"there are {used}"
            raise InvalidArgumentError(
                f"clock 'cpu' counts the time of all threads together, but {what}.", "Pass threads=1, or clock='wall'."
            )
        self.settings = settings or MeterSettings()
        identity = fingerprint(
            runtime=runtime.name, runtime_version=runtime.version(), precision=precision, threads=used, on_gpu=on_gpu
        )
        self.conditions = TableConditions(identity, batch_size, clock=clock)
        self._runtime, self._threads, self._clock = runtime, threads, CLOCKS[clock]
        self._borders: OrderedDict[Any, _Loaded] = OrderedDict()
        self._reference: list[_Loaded] = []
        self._load(border_graph(_PROBE, batch_size=batch_size))  # what cannot run at all is refused here

    def layer(self, key: LayerKey, *, lone: bool = False, effort: float = 1.0) -> LayerLatency:
        """Measure one layer.

        Args:
            key: the layer.
            lone: measure it by itself too.
            effort: multiplies repeats and timed seconds; see `MeterSettings.times`.

        Raises:
            GpunetError: the runtime refuses its graph.
        """
        batch = self.conditions.batch_size
        context = self._load(context_graph(key, batch_size=batch))
        border = self._border(key)
        graphs = [context] if border is None else [context, border]
        if lone:
            graphs.append(self._load(lone_graph(key, batch_size=batch)))
        if self._runtime.device == "gpu":
            beside_ms, found = None, self._on_gpu(graphs, effort)
        else:
            beside, *found = self._steady([self._small(), *graphs], self.settings.times(effort))
            beside_ms = beside.low_ms
        context_ms = found[0].low_ms
        border_ms = 0.0 if border is None else found[1].low_ms
        return LayerLatency(
            latency_ms=max(LEAST_MS, context_ms - border_ms),
            context_ms=context_ms,
            border_ms=border_ms,
            lone_ms=found[-1].low_ms if lone else None,
            spread_percent=100.0 * found[0].spread,
            repeats=found[0].repeats,
            measured_at=now_utc(),
            beside_ms=beside_ms,
        )

    def reference(self) -> Look:
        """Measure the two networks of the reference (`gpunet.latency.reference`)."""
        self._small()
        if self._runtime.device == "gpu":
            small, large = self._on_gpu(self._reference)
            return Look(small.low_ms, large.low_ms)
        lows_ms = []
        with no_garbage_collection():
            for each, repeats in zip(self._reference, _REFERENCE_REPEATS, strict=True):
                each.run()
                lows_ms.append(min(self._timed(each) for _ in range(repeats)))
        return Look(*lows_ms)

    def _small(self) -> _Loaded:
        """The reference's small network; both are loaded when one is first asked for."""
        if not self._reference:
            batch = self.conditions.batch_size
            self._reference = [self._load(network_graph(keys, batch_size=batch)) for keys in reference_networks()]
        return self._reference[0]

    def networks(self, networks: Sequence[Sequence[LayerKey]], *, rounds: int = 10) -> list[NetworkLatency]:
        """Measure networks whole, each in turn with the reference's small network.

        Args:
            networks: each as its keys, in network order.
            rounds: least timed runs of each; of quick networks there are more, for 100 ms. On a GPU each has two turns
                of many runs in place of them.
        """
        loaded = [self._load(network_graph(keys, batch_size=self.conditions.batch_size)) for keys in networks]
        if self._runtime.device == "gpu":
            return [NetworkLatency(t.low_ms, t.median_ms, t.repeats, now_utc()) for t in self._on_gpu(loaded)]
        rule = replace(self.settings, min_repeats=max(rounds, self.settings.agreeing), **_NETWORK_TIMES)
        found = []
        for each in loaded:
            beside, own = self._steady([self._small(), each], rule)
            figures = NetworkLatency(own.low_ms, own.median_ms, own.repeats, now_utc(), beside_ms=beside.low_ms)
            found.append(figures)
        return found

    # ------------------------------------------------------------------ timing

    def _steady(self, graphs: Sequence[_Loaded], rule: MeterSettings) -> list[_Timing]:
        """As `_in_turn`, once more where the machine's speed moved meanwhile; of both the steadier."""
        first = self._in_turn(graphs, rule)
        if first[0].spread <= MOVED:
            return first
        return min(first, self._in_turn(graphs, rule), key=lambda each: each[0].spread)

    def _in_turn(self, graphs: Sequence[_Loaded], rule: MeterSettings) -> list[_Timing]:
        """The graphs run in turn until the lowest repeats of each agree; the first is the reference."""
        times: list[list[float]] = [[] for _ in graphs]
        lowest: list[list[float]] = [[] for _ in graphs]  # of each, those that must agree; a tiny layer has 100,000
        for each in graphs:
            each.run()
        spent_ms = 0.0
        with no_garbage_collection():
            while (
                len(times[1]) < rule.min_repeats
                or spent_ms < 1000.0 * rule.min_time_s
                or (spent_ms < 1000.0 * rule.max_time_s and not self._agree(lowest))
            ):
                graphs[0].run()  # its weights back into the caches: cold, it would tell of the graphs before it
                for own, least, each in zip(times, lowest, graphs, strict=True):
                    new = self._burst(each, own)
                    least[:] = sorted([*least, *new])[: rule.agreeing]
                    spent_ms += sum(new)
                if spent_ms > 4000.0 * rule.max_time_s and len(times[1]) >= rule.agreeing:
                    break  # a layer of seconds: min_repeats would take minutes
        return [_timing(own) for own in times]

    def _agree(self, lowest: Sequence[Sequence[float]]) -> bool:
        """Whether the lowest repeats of each graph lie together; in milliseconds of the slowest, not in percent of
        each: a border of microseconds need not be known better than its layer.
        """
        allowed = self.settings.within_percent / 100.0 * max(own[0] for own in lowest)
        return all(own[-1] - own[0] <= allowed for own in lowest)

    def _burst(self, loaded: _Loaded, times: list[float], burst_ms: float = _BURST_MS) -> list[float]:
        """Run it until `burst_ms` have passed, once at least; the times, which are appended to `times` too."""
        new: list[float] = []
        while not new or sum(new) < burst_ms:
            new.append(self._timed(loaded))
        times += new
        return new

    def _timed(self, loaded: _Loaded) -> float:
        start = self._clock()
        loaded.run()
        return 1000.0 * (self._clock() - start)

    def _on_gpu(self, graphs: Sequence[_Loaded], effort: float = 1.0) -> list[_Timing]:
        """The graphs in two turns each, by CUDA events."""
        minima: dict[str, Any] = {
            "min_repeats": max(1, round(effort * _GPU_REPEATS)),
            "min_time_s": effort * _GPU_TIME_S,
        }
        turns: list[list[Measurement]] = [[] for _ in graphs]
        for _ in range(_GPU_TURNS):
            for own, each in zip(turns, graphs, strict=True):
                own.append(measure(each.session, each.images, warmup_s=_GPU_WARMUP_S, warn=False, **minima))
        return [
            _Timing(min(m.min_ms for m in own), min(m.latency_ms for m in own), sum(m.repeats for m in own))
            for own in turns
        ]

    # ----------------------------------------------------------------- loading

    def _border(self, key: LayerKey) -> _Loaded | None:
        """Lead and tail of a layer, kept for the next of the same border; None for the run itself."""
        if key.kind == "input":
            return None
        name = border_of(key)
        if name not in self._borders:
            self._borders[name] = self._load(border_graph(key, batch_size=self.conditions.batch_size))
            if len(self._borders) > _BORDERS_KEPT:
                self._borders.popitem(last=False)
        self._borders.move_to_end(name)
        return self._borders[name]

    def _load(self, graph: onnx.ModelProto) -> _Loaded:
        precision = self.conditions.fingerprint.precision
        if precision == "int8" and not any(node.op_type in _WEIGHTED for node in graph.graph.node):
            precision = "fp32"  # the run itself, or the tail alone: nothing that could be quantised
        graph = at_precision(graph, precision, self._runtime.name)
        session = self._runtime.load(graph, precision=precision, threads=self._threads)
        if session.precision != precision:
            raise not_computed_in(self._runtime, session.precision, precision)
        shape = tuple(size or self.conditions.batch_size for size in session.input_shape)
        return _Loaded(session, noise(shape))


class _Loaded:
    """A session with images for it."""

    def __init__(self, session: Session, images: np.ndarray) -> None:
        self.session, self.images = session, images

    def run(self) -> None:
        self.session.run(self.images)


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def at_precision(graph: onnx.ModelProto, precision: str, runtime: str) -> onnx.ModelProto:
    """A float32 graph at a precision, as `gpunet-export` brings a network to it."""
    if precision == "fp16":
        from gpunet.exporters.graph.half import half_from_float

        return half_from_float(graph)
    if precision == "int8":
        from gpunet.exporters.int8.calibration import CalibrationImages
        from gpunet.exporters.int8.quantize import int8_from_float

        sizes = graph.graph.input[0].type.tensor_type.shape.dim
        image = noise(tuple(int(size.dim_value) for size in sizes)[1:])
        layout = runtimes.layout_for(runtime).name
        return int8_from_float(graph, CalibrationImages("noise", None, (lambda: image,)), layout=layout)[0]
    return graph


@dataclass(frozen=True)
class _Timing:
    """Repeats of one graph: the least, the median, and how many."""

    low_ms: float
    median_ms: float
    repeats: int

    @property
    def spread(self) -> float:
        """From the least to the median, as a part of the least."""
        return self.median_ms / self.low_ms - 1.0


def _timing(times_ms: Sequence[float]) -> _Timing:
    return _Timing(min(times_ms), statistics.median(times_ms), len(times_ms))
