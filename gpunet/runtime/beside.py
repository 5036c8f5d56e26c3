"""Figures beside the machine's own speed: measured with the reference around them, and compared by it."""

from __future__ import annotations

import dataclasses
import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpunet.core.gpu import GpuClocks, gpu_clocks
from gpunet.runtime.measurement import MOVED_PERCENT, Measurement
from gpunet.runtime.reference import VERSION, Look, Reference, median_look
from gpunet.runtime.timing import NoisyMachineWarning, measure, warn_of_noise

if TYPE_CHECKING:
    import numpy as np

    from gpunet.runtime.base import Session

__all__ = ["Change", "change", "look_of", "measure_beside"]

_TRIES = 2
_WAKING_S = 0.05  # of runs before a GPU is asked for its clocks, which fall while it idles

_log = logging.getLogger(__name__)


def measure_beside(
    session: Session,
    images: np.ndarray,
    reference: Reference | None,
    *,
    noise_too: bool = False,
    clock: Callable[[], float] = time.perf_counter,
    warn: bool = True,
    **how: Any,
) -> Measurement:
    """`measure`, with the machine's speed before and after it; once more where that changed meanwhile.

    Args:
        session, images, clock, warn: as `measure` takes them; so is `how`.
        reference: of the session's runtime and threads; None for none. On a GPU its clocks are asked for instead.
        noise_too: measure once more for any other noise as well.

    Returns:
        The measurement; of two that both lie where the machine moved, or was noisy, the lower. Its conditions say the
        reference or the clocks, and `moved_percent`.
    """
    found: list[Measurement] = []
    for _ in range(_TRIES):
        found.append(_once(session, images, reference, clock, how))
        if not (found[-1].noisy if noise_too else found[-1].moved):
            break
        _log.info("the machine was not quiet: %s", found[-1])
    result = min(found, key=lambda each: (each.moved, each.noisy, each.latency_ms))
    if warn and result.noisy:
        warn_of_noise(result, stacklevel=3)
    return result


def _once(
    session: Session, images: np.ndarray, reference: Reference | None, clock: Callable[[], float], how: dict[str, Any]
) -> Measurement:
    if session.device == "gpu":
        before = _waking_clocks(session, images, clock)
        with warnings.catch_warnings():  # a session that times itself warns itself, and this may be the first try
            warnings.simplefilter("ignore", NoisyMachineWarning)
            found = measure(session, images, clock=clock, warn=False, **how)
        return _with(found, _clocks_said(before, gpu_clocks()))
    if reference is None:
        return measure(session, images, clock=clock, warn=False, **how)
    first = reference.look()
    found = measure(session, images, clock=clock, warn=False, **how)
    return beside_looks(found, [first, reference.look()])


def _waking_clocks(session: Session, images: np.ndarray, clock: Callable[[], float]) -> GpuClocks | None:
    start = clock()
    while clock() - start < _WAKING_S:
        session.run(images)
    return gpu_clocks()


def _clocks_said(before: GpuClocks | None, after: GpuClocks | None) -> dict[str, Any]:
    if before is None or after is None:
        return {}
    moved = max(before.sm_mhz, after.sm_mhz) / max(1, min(before.sm_mhz, after.sm_mhz)) - 1.0
    slowed_by = tuple(dict.fromkeys((*before.slowed_by, *after.slowed_by)))
    said = dataclasses.replace(after, slowed_by=slowed_by).to_dict()
    return {"gpu_clocks": said, "moved_percent": round(100.0 * moved, 1)}


def beside_looks(measurement: Measurement, looks: Sequence[Look]) -> Measurement:
    """A measurement with the reference around it among its conditions: the median of the looks, and how they moved."""
    middle = median_look(looks)
    felt = sorted(each.slowed(middle, measurement.latency_ms) for each in looks)
    tenth = len(felt) // 10  # of many looks, those that a neighbour disturbed are not the machine's speed
    return _with(measurement, {
        "reference": {"version": VERSION, "small_ms": middle.small_ms, "large_ms": middle.large_ms},
        "moved_percent": round(100.0 * (felt[-1 - tenth] / felt[tenth] - 1.0), 1),
    })  # fmt: skip


def _with(measurement: Measurement, said: dict[str, Any]) -> Measurement:
    return dataclasses.replace(measurement, conditions={**measurement.conditions, **said})


def look_of(measurement: Measurement) -> Look | None:
    """The reference that a measurement carries; None where it carries none, or one of other networks."""
    said = measurement.conditions.get("reference")
    if not isinstance(said, Mapping) or said.get("version") != VERSION:
        return None
    figures: list[Any] = [said.get(name) for name in ("small_ms", "large_ms")]
    if not all(isinstance(each, (int, float)) and 0 < each < float("inf") for each in figures):
        return None
    return Look(*figures)


def speed_of(measurement: Measurement) -> str | None:
    """The machine's speed beside a measurement, in words; None where nothing says it."""
    look, mhz = look_of(measurement), _sm_mhz(measurement)
    if look is None and mhz is None:
        return None
    text = f"{mhz:g} MHz" if look is None else f"{look.small_ms:.3g} and {look.large_ms:.3g} ms"
    return f"{text}, moved by {measurement.moved_percent:.0f} %" if measurement.moved else text


@dataclass(frozen=True)
class Change:
    """How one figure differs from an earlier one of the same network: above 0 is slower, in percent.

    Args:
        total_percent: of the lower quartiles.
        machine_percent: what of it is the machine's, by the reference that both carry, or by a GPU's clocks; None
            where one of them carries none.
        uncertain_percent: below this nothing can be told of what is left: 5, or by how much the machine moved while the
            one or the other was measured.
    """

    total_percent: float
    machine_percent: float | None
    uncertain_percent: float = MOVED_PERCENT

    @property
    def left_percent(self) -> float | None:
        """What the machine does not explain: the network's, its file's or its runtime's."""
        if self.machine_percent is None:
            return None
        return 100.0 * ((100.0 + self.total_percent) / (100.0 + self.machine_percent) - 1.0)

    def to_dict(self) -> dict[str, float | None]:
        """Plain JSON types."""
        return {**dataclasses.asdict(self), "left_percent": self.left_percent}


def change(now: Measurement, then: Measurement) -> Change:
    """By how much a figure changed, and how much of that is the machine's.

    Args:
        now, then: of one network, both above 0 ms.
    """
    look, before = look_of(now), look_of(then)
    machine_percent = None
    if look is not None and before is not None:
        machine_percent = 100.0 * (look.slowed(before, then.p25_ms) - 1.0)
    else:
        mhz, mhz_before = _sm_mhz(now), _sm_mhz(then)
        if mhz is not None and mhz_before is not None:
            machine_percent = 100.0 * (mhz_before / mhz - 1.0)
    uncertain_percent = max(MOVED_PERCENT, now.moved_percent, then.moved_percent)
    return Change(100.0 * (now.p25_ms / then.p25_ms - 1.0), machine_percent, uncertain_percent)


def _sm_mhz(measurement: Measurement) -> float | None:
    said = measurement.conditions.get("gpu_clocks")
    found = said.get("sm_mhz") if isinstance(said, Mapping) else None
    return found if isinstance(found, (int, float)) and found > 0 else None
