"""The one progress bar: on standard error, drawn only when it is told something, at most twice a second.

Nothing draws by itself in between: a redraw in the midst of a timed run would be in its figure.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO, TypeVar

_REDRAW_S = 0.5
_Bar = TypeVar("_Bar", bound="ProgressBar")


class ProgressBar:
    """How much is done, of how much, the time left, and what else there is to say.

    Args:
        description: what is done.
        total: of what is counted; None where that is not known.
        shown: False shows nothing.
        in_bytes: what is counted is bytes.
        line_every_s: where the stream is no terminal, a line so often; None for nothing there.
        stream: None for standard error.
        clock: seconds, monotonic.
    """

    def __init__(
        self, description: str, total: float | None = None, *, shown: bool = True, in_bytes: bool = False,
        line_every_s: float | None = None, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._description, self._total, self._clock = description, total, clock
        self._stream = sys.stderr if stream is None else stream
        self._bar: Any = None
        self._task: Any = None
        self._line_every_s: float | None = None
        self._drawn_s = -_REDRAW_S + clock()
        if not shown:
            return
        if not self._stream.isatty():
            self._line_every_s = line_every_s
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(),
            DownloadColumn() if in_bytes else MofNCompleteColumn(), TextColumn("{task.fields[said]}", markup=False),
            TimeRemainingColumn(), console=Console(file=self._stream), auto_refresh=False,
        )  # fmt: skip
        self._task = self._bar.add_task(description, total=total, said="")

    def __enter__(self: _Bar) -> _Bar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(
        self, done: float, *, total: float | None = None, description: str | None = None, said: str | None = None
    ) -> None:
        """Say how far it is; what is None stays as it was."""
        new = description is not None and description != self._description
        self._description = self._description if description is None else description
        self._total = self._total if total is None else total
        every_s = _REDRAW_S if self._bar is not None else self._line_every_s
        if every_s is None:
            return
        now_s = self._clock()
        if self._bar is None:
            if now_s - self._drawn_s >= every_s:
                self._drawn_s = now_s
                counted = f" {done:g}/{self._total:g}" if self._total else ""
                print(f"{self._description}{counted}" + (f", {said}" if said else ""), file=self._stream, flush=True)
            return
        # Another description, and the end, are shown at once: what comes next may take long.
        refresh = new or done == self._total or now_s - self._drawn_s >= every_s
        if refresh:
            self._drawn_s = now_s
        more = {} if said is None else {"said": said}
        self._bar.update(
            self._task, completed=done, total=self._total, description=self._description, refresh=refresh, **more
        )
