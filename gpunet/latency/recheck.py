"""Measure again what looks wrong: layers far from what all the others of a table say.

On a shared machine some layers are measured in a bad moment, and repeats within that moment agree. A completion fitted
to the table finds them: the layers that it would not have predicted. Each is measured again, and of both measurements
that of the lesser context counts, since other programs only ever add time. A layer that is honestly odd
keeps its figure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gpunet.latency.build import BuildProgress, Meter, builder_name
from gpunet.latency.completion import FEWEST, complete_from
from gpunet.latency.estimate import latencies
from gpunet.latency.records import lesser
from gpunet.latency.watch import Watch

if TYPE_CHECKING:
    from gpunet.latency.layers.keys import LayerKey
    from gpunet.latency.table import LatencyTable

SUSPECT_PERCENT = 10.0
USUAL_ERRORS = 5.0  # times the median error of all layers


def recheck(
    table: LatencyTable,
    meter: Meter,
    keys: Iterable[LayerKey] | None = None,
    *,
    percent: float | None = None,
    on_progress: Callable[[BuildProgress], None] | None = None,
) -> int:
    """Measure the suspect layers of a table again; returns how many there were.

    Args:
        table: open for writing, under the meter's conditions.
        meter: measures them.
        keys: those to look at; None for all that the table holds.
        percent: how far from the others' prediction is suspect; None for 10, or more where most layers are farther off
            than usual: a table that is hard to predict is not measured twice as a whole.
        on_progress: called after each; its rate and time left are not filled in.

    Raises:
        MissingDependencyError: (an ImportError) scikit-learn is not installed.
        GpunetError: the runtime refuses a graph that it took before.
    """
    figures = table.layers()
    if len(figures) < FEWEST:
        return 0
    completion = complete_from(latencies(table, "context"))
    if percent is None:
        percent = max(SUSPECT_PERCENT, USUAL_ERRORS * completion.error.median_percent)
    suspects = completion.suspects(percent)
    wanted = None if keys is None else set(keys)
    chosen = [key for key in suspects if wanted is None or key in wanted]
    watch = Watch(table, meter, builder_name())
    for number, key in enumerate(chosen, start=1):
        old = figures[key]
        lone = old.lone_ms is not None
        table.add(key, lesser(old, watch.timed(lambda key=key, lone=lone: meter.layer(key, lone=lone))))  # type: ignore[misc]
        watch.note(key)
        if on_progress is not None:
            on_progress(BuildProgress(number, len(chosen), 0, 0, 0.0))
    watch.end()
    return len(chosen)
