"""Start the processes of a search, or of a table's builders, on this machine, and see them to their end.

A process is one a GPU, or has its share of the processor's threads. One that is killed or crashes is started again;
when this one is asked to leave, so are all the others, and when it dies they notice it by their standard input's end.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from gpunet.core.gpu import visible_gpus
from gpunet.core.machine import available_threads
from gpunet.core.signals import sigterm_asked
from gpunet.errors import WorkerError
from gpunet.launch.child import KILL_AFTER_S, LAST_WORDS_S, LEFT, Child, Job

_USAGE = 2  # exit code of a process that was started wrongly: it would end so again
_RESTARTS = 3
_LOOK_S = 0.05
ORPHANED_S = 2.0  # that a process may take to leave when the one that started it is dead; two, one below the other, 4


class Fleet:
    """Processes that are started together.

    Args:
        jobs: see `Job`.
        restarts: how often each is started again after it was killed or crashed.
        say: told every line that they print, behind the job's name.
        stop_s: between asking a process to leave and killing it.
        last_words_s: to wait for what one that has ended still says.
    """

    def __init__(
        self, jobs: Sequence[Job], *, restarts: int = _RESTARTS, say: Callable[[str], None] = print,
        stop_s: float = KILL_AFTER_S, last_words_s: float = LAST_WORDS_S,
    ) -> None:  # fmt: skip
        if not jobs:
            raise WorkerError("a fleet needs at least one process.")
        self.jobs, self.restarts = list(jobs), restarts
        self._say, self._stop_s, self._last_words_s = say, stop_s, last_words_s
        self._running: list[tuple[Child, int]] = []  # each with the number of its starts

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Start all, and wait until all have ended.

        Returns:
            Whether it was asked to leave (SIGTERM, or `should_stop`) before their end.

        Raises:
            WorkerError: (a RuntimeError) one cannot be started, ended with an error, or crashed too often; the others
                were let end.
        """
        with sigterm_asked() as sigterm, self._started():
            return self._until_ended(lambda: sigterm() or should_stop())

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """Start all, do what the block does, and wait until all have ended; they are asked to leave if it fails.

        Raises:
            WorkerError: as `run` does.
        """
        with self._started():
            yield
            self._until_ended(lambda: False)

    @contextlib.contextmanager
    def _started(self) -> Iterator[None]:
        try:
            for job in self.jobs:
                self._running.append((self._child(job), 1))
            yield
        finally:  # those that still run: it was asked to leave, or something failed
            for child, _ in self._running:
                child.ask_to_leave()
            until_s = time.monotonic() + self._stop_s
            for child, _ in self._running:
                child.finish(until_s - time.monotonic(), self._last_words_s)
            self._running = []

    def _until_ended(self, asked: Callable[[], bool]) -> bool:
        faults: list[str] = []
        leaving = False
        while self._running and not leaving:
            leaving = asked()
            faults += [] if leaving else self._looked_after()
            time.sleep(_LOOK_S)
        if faults:
            raise WorkerError("\n".join(faults), "Mend it and run the same command again: it goes on.")
        return leaving

    def _child(self, job: Job) -> Child:
        return Child(job, lambda line: self._say(f"{job.name}: {line}"))

    def _looked_after(self) -> list[str]:
        """Faults of those that have ended since; those that crashed are started again."""
        faults = []
        for child, starts in list(self._running):
            code, job = child.exit_code(), child.job
            if code is None:
                continue
            self._running.remove((child, starts))
            child.finish(last_words_s=self._last_words_s)
            done = code in (*job.done_codes, LEFT)
            if not done and code != _USAGE and starts <= self.restarts:
                self._say(f"{job.name}: ended with exit code {code}; it is started again")
                self._running.append((self._child(job), starts + 1))
            elif not done:
                said = "\n".join(child.lines[-3:]) or "(it said nothing)"
                faults.append(f"{job.name} ended with exit code {code}: {said}")
        return faults


def places(count: int | None = None, *, gpus: int | None = None) -> list[dict[str, str]]:
    """Environment variables for so many processes, each on a GPU of its own or with its share of the processor.

    Args:
        count: processes; None for one a GPU, or one where there is none.
        gpus: to use; None for all that there are.

    Raises:
        WorkerError: (a RuntimeError) there are fewer than one, or more processes than GPUs.
    """
    names = visible_gpus()
    if gpus is not None:
        if not 0 <= gpus <= len(names):
            raise WorkerError(f"{gpus} GPUs are asked for, but there are {len(names)}.")
        names = names[:gpus]
    count = max(1, len(names)) if count is None else count
    if count < 1:
        raise WorkerError(f"there must be at least one process, but got {count}.")
    if names:
        if count > len(names):
            raise WorkerError(
                f"{count} processes are more than the {len(names)} GPUs.",
                "One process a GPU; CUDA_VISIBLE_DEVICES= uses none.",
            )
        return [{"CUDA_VISIBLE_DEVICES": name} for name in names[:count]]
    threads = str(max(1, available_threads() // count))
    return [{"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads} for _ in range(count)]


def gpunet_command(*arguments: str) -> list[str]:
    """The command `gpunet ARGUMENTS`, by this process's interpreter."""
    return [sys.executable, "-m", "gpunet.cli.main", *arguments]


def asked_by_end_of_input() -> Callable[[], bool]:
    """Whether the process at the other end of standard input has ended; reads it in a thread.

    A process that has not left by itself ORPHANED_S after that is ended: nobody else will.
    """
    ended = threading.Event()

    def read() -> None:
        sys.stdin.read()
        ended.set()
        time.sleep(ORPHANED_S)
        os._exit(LEFT)

    threading.Thread(target=read, daemon=True).start()
    return ended.is_set
