"""Estimates: the latency of any layer, and by it of any network, without measuring the network.

`LayerCosts` knows layers one by one: measured, or completed by what the measured ones teach; corrected by a
calibration. `Estimator` turns a search space's vectors into latencies by array look-ups, millions in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gpunet.core.arguments import checked_choice
from gpunet.errors import MissingLatencyError
from gpunet.latency.calibrate import NONE, Calibration, Network, calibrate
from gpunet.latency.layers.keys import LayerKey
from gpunet.latency.lookup import Lookup
from gpunet.latency.records import LEAST_MS, LayerLatency
from gpunet.latency.reference import Course

if TYPE_CHECKING:
    from gpunet.latency.completion import Completion
    from gpunet.latency.table import LatencyTable
    from gpunet.latency.terms import LookupPlan

METHODS = ("context", "lone")


@dataclass(frozen=True)
class NetworkEstimate:
    """What one network is held to take.

    Args:
        latency_ms: the estimate.
        completed_ms: the part of it that rests on layers that were not measured.
        completed_layers: how many those are.
        layers: how many there are in all.
    """

    latency_ms: float
    completed_ms: float
    completed_layers: int
    layers: int

    @property
    def leans_on_completion(self) -> bool:
        """Whether any layer of it was not measured."""
        return self.completed_layers > 0


class LayerCosts:
    """Latency of layers, in ms.

    Args:
        measured: by key.
        completion: for layers that are not measured, or what makes it when the first is asked for; None refuses them.
        calibration: a factor for every layer.
    """

    def __init__(
        self,
        measured: Mapping[LayerKey, float],
        *,
        completion: Completion | Callable[[], Completion] | None = None,
        calibration: Calibration = NONE,
    ) -> None:
        self.measured = dict(measured)
        self._completion = completion
        self.calibration = calibration
        self._completed: dict[LayerKey, float] = {}

    @classmethod
    def from_table(
        cls, table: LatencyTable, *, method: str = "context", complete: bool = True, correct: bool = True
    ) -> LayerCosts:
        """The costs that a table holds.

        Args:
            table: a latency table.
            method: 'context': what a layer adds to a network; 'lone': the layer by itself, as in the paper.
            complete: complete layers that the table lacks, from the first that is asked for (needs scikit-learn). A
                table with too few layers to learn from has no completion.
            correct: calibrate on the networks that the table holds.

        Raises:
            InvalidArgumentError: (a ValueError) no such method.
            MissingLatencyError: (a LookupError) the table's layers were not measured by this method.
            MissingDependencyError: (an ImportError) a layer is missing, and scikit-learn is not installed.
        """
        from gpunet.latency.completion import FEWEST, complete_from

        measured = latencies(table, method)
        teaching = {key: ms for key, ms in measured.items() if ms > 0}
        completion = (lambda: complete_from(teaching)) if complete and len(teaching) >= FEWEST else None
        costs = cls(measured, completion=completion)
        if correct:
            networks = measured_networks(table)
            if completion is None:
                networks = [pair for pair in networks if all(key in measured for key in pair[0])]
            costs.prepare(key for keys, _ in networks for key in keys)
            calibration = calibrate(networks, costs.raw_ms)
            costs = costs.corrected_by(calibration)
        return costs

    def corrected_by(self, calibration: Calibration) -> LayerCosts:
        """The same costs under another calibration."""
        return LayerCosts(self.measured, completion=self._completion, calibration=calibration)

    @property
    def completes(self) -> bool:
        """Whether layers that are not measured are completed."""
        return self._completion is not None

    @property
    def completion(self) -> Completion | None:
        """What completes layers that are not measured; it is fitted when it is first asked for."""
        if callable(self._completion):
            self._completion = self._completion()
        return self._completion

    def is_measured(self, key: LayerKey) -> bool:
        """Whether a layer's latency is its own, not a completion."""
        return key in self.measured

    def prepare(self, keys: Iterable[LayerKey]) -> None:
        """Complete these layers at once, which is far quicker than one by one."""
        if self.completes:
            wanted = [k for k in dict.fromkeys(keys) if k not in self.measured and k not in self._completed]
            if wanted and self.completion is not None:
                self._completed.update(zip(wanted, self.completion.predict(wanted).tolist(), strict=True))

    def raw_ms(self, key: LayerKey) -> float:
        """A layer's latency before correction.

        Raises:
            MissingLatencyError: (a LookupError) it is not measured, and there is no completion.
        """
        known = self.measured.get(key)
        if known is not None:
            return known
        if not self.completes:
            raise MissingLatencyError(
                f"no latency is known of the layer {key.text!r}, and too few others are measured to complete it.",
                "Measure it: gpunet table build; from 30 layers on, those that are missing are learned.",
            )
        self.prepare([key])
        return self._completed[key]

    def latency_ms(self, key: LayerKey) -> float:
        """A layer's latency as it counts in a sum; for errors see `raw_ms`."""
        return self.raw_ms(key) * self.calibration.factor(key)

    def network(self, keys: Sequence[LayerKey]) -> NetworkEstimate:
        """The estimate for a network, from its keys in any order; for errors see `raw_ms`."""
        self.prepare(keys)
        costs = [self.latency_ms(key) for key in keys]
        completed = [ms for key, ms in zip(keys, costs, strict=True) if not self.is_measured(key)]
        return NetworkEstimate(sum(costs), sum(completed), len(completed), len(keys))


def measured_networks(table: LatencyTable) -> list[Network]:
    """The networks that a table holds, with their latencies in ms at the machine's median speed."""
    course = table.course()
    return [
        (keys, each.latency_ms / course.factor(each.at_s, each.builder, each.latency_ms, each.beside_ms))
        for keys, each in table.networks()
    ]


def latencies(table: LatencyTable, method: str) -> dict[LayerKey, float]:
    """A table's latencies by key at the machine's median speed (`gpunet.latency.reference`), as measured by 'context'
    or 'lone'; see `LayerCosts.from_table` for the errors.
    """
    checked_choice("method", method, METHODS)
    layers, course = table.layers(), table.course()
    if method == "context":
        return {key: _in_context_ms(each, course) for key, each in layers.items()}
    lone = {
        key: each.lone_ms / course.factor(each.at_s, each.builder, each.lone_ms, each.beside_ms)
        for key, each in layers.items() if each.lone_ms is not None
    }  # fmt: skip
    if len(lone) < len(layers):
        raise MissingLatencyError(
            f"{table.path}: {len(layers) - len(lone)} of {len(layers)} layers were not measured by themselves.",
            "gpunet table build --lone measures them so too.",
        )
    # The run itself is part of every lone layer; the paper's sum has no entry for it.
    return {key: 0.0 if key.kind == "input" else value for key, value in lone.items()}


def _in_context_ms(figures: LayerLatency, course: Course) -> float:
    """What a layer adds at the machine's median speed: its context may be slowed less than its lesser border."""
    at = (figures.at_s, figures.builder)
    context = course.factor(*at, figures.context_ms, figures.beside_ms)
    border = course.factor(*at, figures.border_ms, figures.beside_ms)
    return max(LEAST_MS, figures.latency_ms / context + figures.border_ms * (1.0 / context - 1.0 / border))


class Estimator:
    """Latency of a search space's vectors.

    Args:
        plan: the space's.
        costs: of its layers.

    Attributes:
        plan, costs: as given.
        arrays: for each term of the plan its latencies in ms, float64, flat in C order.

    Raises:
        MissingLatencyError: (a LookupError) a layer of the space is not measured, and there is no completion.
    """

    def __init__(self, plan: LookupPlan, costs: LayerCosts) -> None:
        self.plan = plan
        self.costs = costs
        costs.prepare(plan.keys())
        self.arrays = plan.fill(costs.latency_ms)
        self.lookup = Lookup(plan, self.arrays)

    @cached_property
    def _completed(self) -> Lookup:
        return Lookup(self.plan, self.plan.fill(lambda key: float(not self.costs.is_measured(key))))

    def latency_ms(self, vectors: np.ndarray) -> np.ndarray:
        """`n x d` vectors of choice indices -> n latencies, float64.

        Raises:
            InvalidArgumentError: (a ValueError) a vector lies outside the space.
        """
        return self.lookup.sum_from_vectors(vectors)

    def leans_on_completion(self, vectors: np.ndarray) -> np.ndarray:
        """Which of the networks have a layer that was not measured, n bools."""
        return self._completed.sum_from_vectors(vectors) > 0
