"""Progress of a build and its cancellation, through the builder's own progress monitor."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType, ModuleType
from typing import Any

from gpunet.core.signals import PLAIN


@dataclass(frozen=True)
class Progress:
    """Where a build stands.

    Args:
        phase: what the builder does now, in its own words, e.g. 'Timing graph nodes'.
        step, steps: of that phase.
        fraction: of the whole build, 0 to 1, as the builder counts; its steps take very different times.
        elapsed_s: since the build began.
    """

    phase: str
    step: int
    steps: int
    fraction: float
    elapsed_s: float


@dataclass
class _Phase:
    name: str
    parent: str | None
    steps: int
    done: int = 0


@dataclass
class Tracker:
    """Follows the nested phases of one build; thread-safe, since a builder may call from its own threads.

    Args:
        on_progress: called at every step; what it raises cancels the build and is raised when the builder has stopped.
        clock: seconds, monotonic.

    Attributes:
        cancelled: once true, the builder is told to stop at its next step.
        error: what `on_progress` raised.
    """

    on_progress: Callable[[Progress], None] | None = None
    clock: Callable[[], float] = time.monotonic
    cancelled: bool = False
    error: BaseException | None = None
    _phases: dict[str, _Phase] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._began = self.clock()

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins, inside `parent` or at the top."""
        with self._lock:
            self._phases[name] = _Phase(name, parent, max(1, steps))
            self._tell(name)

    def step(self, name: str, index: int) -> bool:
        """Step `index` (from 0) of a phase is done; whether to go on."""
        with self._lock:
            if name in self._phases:
                self._phases[name].done = index + 1
                self._tell(name)
            return not self.cancelled

    def finish(self, name: str) -> None:
        """A phase is over."""
        with self._lock:
            self._phases.pop(name, None)

    def fraction(self) -> float:
        """Share of the whole that is done, 0 to 1: steps of a phase count alike, a running child within its step."""
        with self._lock:
            tops = [each for each in self._phases.values() if each.parent not in self._phases]
            return self._share(tops[0]) if tops else 0.0

    def _share(self, phase: _Phase) -> float:
        children = [self._share(each) for each in self._phases.values() if each.parent == phase.name]
        return min(1.0, (phase.done + (max(children) if children else 0.0)) / phase.steps)

    def _tell(self, name: str) -> None:
        if self.on_progress is None or self.cancelled:
            return
        phase = self._phases[name]
        now = Progress(name, min(phase.done, phase.steps), phase.steps, self.fraction(), self.clock() - self._began)
        try:
            self.on_progress(now)
        except BaseException as error:
            self.error, self.cancelled = error, True


def monitor_for(module: ModuleType, tracker: Tracker) -> Any:
    """The tracker as an IProgressMonitor of that library. It must outlive the builder."""

    class Monitor(module.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            tracker.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return tracker.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            tracker.finish(phase_name)

    return Monitor()


@contextlib.contextmanager
def interruptible(tracker: Tracker) -> Iterator[None]:
    """Ctrl-C cancels the build at the builder's next step, and KeyboardInterrupt is raised when the block ends.

    Python's own handler would raise inside a callback of TensorRT, which prints the exception and builds on. A handler
    that the application has set itself, and threads other than the main one, are left alone.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before not in PLAIN:
        yield
        return
    interrupted = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = tracker.cancelled = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if interrupted:
            raise KeyboardInterrupt
