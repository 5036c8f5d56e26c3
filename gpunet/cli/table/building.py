"""How the commands that build and judge latency tables say how far they are and what they found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from gpunet.core import console
from gpunet.core.text import duration

if TYPE_CHECKING:
    from gpunet.latency.build import BuildProgress
    from gpunet.latency.report import ErrorSummary


@contextlib.contextmanager
def show_progress(description: str) -> Iterator[Callable[[BuildProgress], None]]:
    """A bar with the rate and the time left; the callable is for `build(on_progress=...)`.

    It is drawn between layers only, at most twice a second: a redraw in mid-run would be in the figures.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as bar:
        task = bar.add_task(description, said="")
        shown_s = [-1.0]

        def on_progress(state: BuildProgress) -> None:
            if state.elapsed_s - shown_s[0] >= 0.5 or state.done == state.total:
                shown_s[0] = state.elapsed_s
                said = said_of(state)
                bar.update(task, completed=state.done, total=state.total, said=said, refresh=True)

        yield on_progress


def said_of(state: BuildProgress) -> str:
    """'4.2 layers/s, 12 min left, 1 failed'."""
    parts = []
    if state.measured:
        parts.append(f"{state.layers_per_s:.1f} layers/s")
    if state.remaining_s:
        parts.append(f"{duration(state.remaining_s)} left")
    if state.failed:
        parts.append(f"{state.failed} failed")
    return ", ".join(parts)


def error_table(summaries: Sequence[ErrorSummary]) -> str:
    """Errors of estimates, a line a way of estimating."""
    columns = ["estimate", "MAPE %>", "bias %>", "bias us>", "worst %>", "Kendall tau>", "completed %>"]
    rows = [
        (each.name, f"{each.mape_percent:.2f}", f"{each.bias_percent:+.2f}", f"{each.bias_us:+.0f}",
         f"{each.worst_percent:.1f}", f"{each.kendall_tau:.3f}", f"{each.completed_percent:.0f}") for each in summaries
    ]  # fmt: skip
    return console.table(columns, rows)
