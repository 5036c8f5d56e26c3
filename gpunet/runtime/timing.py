"""Time a session: warm-up, repeats, robust statistics, and the conditions beside the figure.

Quantiles are linearly interpolated between the ordered times. A figure alone is its median; two that are to be compared
are measured in turn (`interleave`) and compared by their lower quartile: whatever else runs on the machine only ever
adds time, so the low end is what the network itself takes.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from gpunet.core.arguments import checked_integer, checked_number
from gpunet.core.machine import fingerprint, seconds_waited
from gpunet.errors import InvalidArgumentError
from gpunet.runtime.measurement import Measurement

if TYPE_CHECKING:
    import numpy as np

    from gpunet.runtime.base import Session

WARMUP_S, WARMUP_RUNS = 0.2, 3
MIN_REPEATS, MIN_TIME_S = 20, 1.0
MAX_TIME_S, LEAST_REPEATS = 10.0, 5
SEED = 0  # of the images that are run

__all__ = ["Measurement", "NoisyMachineWarning", "interleave", "measure", "noise"]

_log = logging.getLogger(__name__)


class NoisyMachineWarning(UserWarning):
    """The repeats of a measurement lie too far apart: something else ran on the machine."""


def measure(
    session: Session,
    images: np.ndarray,
    *,
    warmup_s: float = WARMUP_S,
    min_repeats: int = MIN_REPEATS,
    min_time_s: float = MIN_TIME_S,
    max_time_s: float = MAX_TIME_S,
    clock: Callable[[], float] = time.perf_counter,
    conditions: Mapping[str, Any] | None = None,
    warn: bool = True,
) -> Measurement:
    """Time `session.run(images)`; a session with a `measure` of its own (a GPU's, by CUDA events) is timed by that.

    Warms up for `warmup_s` and at least three runs, then repeats until both minima are reached; a network so slow that
    this would take more than `max_time_s` is content with fewer repeats, but five at least. Python's garbage collector
    rests meanwhile.

    Args:
        session: a loaded network.
        images: `N x C x H x W` float32.
        warmup_s: least seconds of untimed runs (the default is trtexec's).
        min_repeats: least timed runs.
        min_time_s: least seconds of timed runs.
        max_time_s: seconds of timed runs after which `min_repeats` is given up.
        clock: seconds, monotonic; tests pass their own.
        conditions: more to record, beside the session's own.
        warn: False leaves out the warning below; `noisy` on the result says the same.

    Warns:
        NoisyMachineWarning: the repeats say that the machine was not quiet; see `Measurement.noisy` for the rule.

    Raises:
        InvalidArgumentError: (a ValueError) a minimum is out of range, or the session refuses the images.
    """
    _check_minima(warmup_s=warmup_s, min_time_s=min_time_s, max_time_s=max_time_s, min_repeats=min_repeats)
    on_device = getattr(session, "measure", None)
    if on_device is not None:
        repeats = {"min_iterations": min_repeats, "min_duration_s": min_time_s}
        own: Measurement = on_device(images, warm_up_ms=1000.0 * warmup_s, **repeats, conditions=conditions)
        return own
    times_s: list[float] = []
    with no_garbage_collection():
        warmup = _warm_up(session, images, warmup_s, clock)
        total_s, waited_s = 0.0, seconds_waited()
        least = min(min_repeats, LEAST_REPEATS)
        while len(times_s) < least or ((len(times_s) < min_repeats or total_s < min_time_s) and total_s < max_time_s):
            times_s.append(_timed(session, images, clock))
            total_s += times_s[-1]
        waited = _waited_percent(waited_s, total_s, session) if clock is time.perf_counter else None
    return measurement_from_times(
        session, images, times_s, warmup, {"waited_percent": waited, **(conditions or {})}, warn=warn
    )


def interleave(
    sessions: Mapping[str, Session],
    images: np.ndarray | Mapping[str, np.ndarray],
    *,
    rounds: int = 20,
    runs_per_round: int = 3,
    warmup_s: float = WARMUP_S,
    clock: Callable[[], float] = time.perf_counter,
    conditions: Mapping[str, Any] | None = None,
    on_turn: Callable[[str, Sequence[float]], None] | None = None,
) -> dict[str, Measurement]:
    """Time several sessions in turn, so that whatever disturbs the machine disturbs all of them alike.

    In each round every session runs once untimed, which brings its weights back into the caches and lets the
    neighbour's threads come to rest, then `runs_per_round` times timed. The order moves on by one each round. Compare
    by `p25_ms` (or `min_ms`), not by the median: `a.p25_ms / b.p25_ms`.

    Args:
        sessions: by name.
        images: for all, or by name.
        rounds: how often all have their turn.
        runs_per_round: timed runs in a turn; times `rounds` it is the number of repeats.
        warmup_s: see `measure`; so are the next two.
        clock: seconds, monotonic.
        conditions: more to record.
        on_turn: called after each turn with the name and its times in seconds; what it does meanwhile is not timed.

    Returns:
        A Measurement by name, in the order given. It does not warn: comparing by a low quantile is the answer to noise.

    Raises:
        InvalidArgumentError: (a ValueError) no session, a name without images, or a number below 1.
    """
    _check_minima(warmup_s=warmup_s, rounds=rounds, runs_per_round=runs_per_round)
    names = list(sessions)
    if not names:
        raise InvalidArgumentError("interleave needs at least one session, but got none.")
    batches = dict(images) if isinstance(images, Mapping) else dict.fromkeys(names, images)
    missing = [name for name in names if name not in batches]
    if missing:
        raise InvalidArgumentError(f"images must be given for every session, but there are none for {missing[0]!r}.")
    times_s: dict[str, list[float]] = {name: [] for name in names}
    warmups: dict[str, int] = {}
    with no_garbage_collection():
        for name in names:
            warmups[name] = rounds + _warm_up(sessions[name], batches[name], warmup_s, clock)
        for number in range(rounds):
            start = number % len(names)
            for name in names[start:] + names[:start]:
                sessions[name].run(batches[name])
                turn_s = [_timed(sessions[name], batches[name], clock) for _ in range(runs_per_round)]
                times_s[name] += turn_s
                if on_turn is not None:
                    on_turn(name, turn_s)
    said = {"interleaved_with": names, **(conditions or {})}
    return {
        name: measurement_from_times(sessions[name], batches[name], times_s[name], warmups[name], said, warn=False)
        for name in names
    }


def noise(shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal float32 images, the same for every call of one shape: what a normalised image looks like."""
    import numpy as np

    return np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)


def _check_minima(**minima: float) -> None:
    for name, value in minima.items():
        if name.endswith("_s"):
            checked_number(name, value, 0)
        else:
            checked_integer(name, value, 1)


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Let Python's garbage collector rest during the block."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _timed(session: Session, images: np.ndarray, clock: Callable[[], float]) -> float:
    start = clock()
    session.run(images)
    return clock() - start


def _waited_percent(before_s: float | None, total_s: float, session: Session) -> float | None:
    """Share of the time in which the session's threads waited for a processor; None where it is not known."""
    after_s = seconds_waited()
    if before_s is None or after_s is None or total_s <= 0:
        return None
    return round(100 * max(0.0, after_s - before_s) / (total_s * (session.threads or 1)), 1)


def _warm_up(session: Session, images: np.ndarray, warmup_s: float, clock: Callable[[], float]) -> int:
    """Run until `warmup_s` have passed, three times at least; returns the number of runs."""
    runs, start = 0, clock()
    while runs < WARMUP_RUNS or clock() - start < warmup_s:
        session.run(images)
        runs += 1
    return runs


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def measurement_from_times(
    session: Session,
    images: np.ndarray,
    times_s: Sequence[float],
    warmup: int,
    conditions: Mapping[str, Any] | None,
    *,
    warn: bool,
) -> Measurement:
    """The statistics of times in seconds, with the session's conditions; see `measure`."""
    ordered = sorted(1000.0 * seconds for seconds in times_s)
    median, low, high = (_quantile(ordered, share) for share in (0.5, 0.25, 0.75))
    result = Measurement(
        latency_ms=median,
        mean_ms=math.fsum(ordered) / len(ordered),
        min_ms=ordered[0],
        p25_ms=low,
        p90_ms=_quantile(ordered, 0.9),
        p99_ms=_quantile(ordered, 0.99),
        spread_percent=100.0 * (high - low) / median if median else 0.0,
        repeats=len(ordered),
        warmup=warmup,
        conditions={**_conditions_of(session, images), **(conditions or {})},
    )
    _log.info("measured %s", result)
    if warn and result.noisy:
        warn_of_noise(result, stacklevel=4)
    return result


def warn_of_noise(result: Measurement, *, stacklevel: int) -> None:
    """Give a NoisyMachineWarning that says what was not quiet."""
    said = result.conditions
    high_ms = result.p25_ms + result.latency_ms * result.spread_percent / 100.0
    moved = f", and the machine's speed moved by {result.moved_percent:.0f} %" if result.moved else ""
    warnings.warn(
        f"the machine was not quiet: the middle half of {result.repeats} repeats lies between {result.p25_ms:.3g} and "
        f"{high_ms:.3g} ms, {result.spread_percent:.0f} % of the median of {result.latency_ms:.3g} ms, the least is "
        f"{result.min_ms:.3g} ms, and threads waited for a processor {said.get('waited_percent') or 0:.0f} % of the "
        f"time{moved}. The figure is uncertain: stop what else is running and measure again.",
        NoisyMachineWarning,
        stacklevel=stacklevel,
    )


def _conditions_of(session: Session, images: np.ndarray) -> dict[str, Any]:
    try:
        version = importlib.metadata.version("gpunet")
    except importlib.metadata.PackageNotFoundError:
        version = "unknown"
    return {
        **fingerprint(
            runtime=session.runtime,
            runtime_version=session.runtime_version,
            precision=session.precision,
            threads=session.threads,
            on_gpu=session.device == "gpu",
        ).to_dict(),
        "batch_size": int(images.shape[0]),
        "input_shape": [int(size) for size in images.shape],
        **session.conditions,
        "gpunet_version": version,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
