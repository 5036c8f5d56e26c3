"""Start the processes of a search, or of a table's builders, on this machine, and see them to their end.

A process is one a GPU, or has its share of the processor's threads. One that is killed or crashes is started again;
when this one is asked to leave, so are all the others, and when it dies they notice it by their standard input's end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from gpunet.core.machine import available_threads
from gpunet.core.signals import sigterm_asked
from gpunet.errors import WorkerError

LEFT = 75  # exit code of a process that was asked to leave
_USAGE = 2  # and of one that was started wrongly: it would end so again
_RESTARTS = 3
_KILL_AFTER_S = 60.0
_LOOK_S = 0.05
_KEPT_LINES = 20
_LAST_WORDS_S = 5.0


@dataclass(frozen=True)
class Job:
    """One process.

    Args:
        name: what its lines begin with.
        command: program and arguments; it should end when its standard input does.
        environment: variables, beside those of this process.
        done_codes: exit codes of one that has done its part.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    done_codes: tuple[int, ...] = (0,)


@dataclass
class _Running:
    job: Job
    process: subprocess.Popen[str]
    lines: list[str]
    reader: threading.Thread
    starts: int


class Fleet:
    """Processes that are started together.

    Args:
        jobs: see `Job`.
        restarts: how often each is started again after it was killed or crashed.
        say: told every line that they print, behind the job's name.
        stop_s: between asking a process to leave and killing it.
    """

    def __init__(
        self, jobs: Sequence[Job], *, restarts: int = _RESTARTS, say: Callable[[str], None] = print,
        stop_s: float = _KILL_AFTER_S,
    ) -> None:  # fmt: skip
        if not jobs:
            raise WorkerError("a fleet needs at least one process.")
        self.jobs, self.restarts, self._say, self._stop_s = list(jobs), restarts, say, stop_s
        self._running: list[_Running] = []

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Start all, and wait until all have ended.

        Returns:
            Whether it was asked to leave (SIGTERM, or `should_stop`) before their end.

        Raises:
            WorkerError: (a RuntimeError) one cannot be started, ended with an error, or crashed too often; the others
                were let end.
        """
        faults: list[str] = []
        asked = False
        with sigterm_asked() as sigterm:
            try:
                for job in self.jobs:
                    self._running.append(self._started(job, 0))
                while self._running and not asked:
                    asked = sigterm() or should_stop()
                    faults += [] if asked else self._looked_after()
                    time.sleep(_LOOK_S)
            finally:
                self._ask_to_leave()
                self._end()
        if faults:
            raise WorkerError("\n".join(faults), "Mend it and run the same command again: it goes on.")
        return asked

    def _started(self, job: Job, starts: int) -> _Running:
        try:
            process = subprocess.Popen(
                job.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="replace", env={**os.environ, **job.environment},
            )  # fmt: skip
        except OSError as error:
            raise WorkerError(f"{job.name} cannot be started: {error}", "Is its program installed?") from None
        lines: list[str] = []
        reader = threading.Thread(target=self._read, args=(job, process.stdout, lines), daemon=True)
        reader.start()
        return _Running(job, process, lines, reader, starts + 1)

    def _read(self, job: Job, stream: IO[str], lines: list[str]) -> None:
        # It closes what it reads: a process of the process may hold the other end longer, and would block who closes.
        with stream:
            for line in stream:
                lines.append(line.rstrip())
                del lines[:-_KEPT_LINES]
                self._say(f"{job.name}: {line.rstrip()}")

    def _looked_after(self) -> list[str]:
        """Faults of those that have ended since; those that crashed are started again."""
        faults, still = [], []
        for each in self._running:
            code = each.process.poll()
            if code is None:
                still.append(each)
                continue
            self._finished(each)
            done = code in (*each.job.done_codes, LEFT)
            if not done and code != _USAGE and each.starts <= self.restarts:
                self._say(f"{each.job.name}: ended with exit code {code}; it is started again")
                still.append(self._started(each.job, each.starts))
            elif not done:
                said = "\n".join(each.lines[-3:]) or "(it said nothing)"
                faults.append(f"{each.job.name} ended with exit code {code}: {said}")
        self._running = still
        return faults

    def _ask_to_leave(self) -> None:
        for each in self._running:
            if each.process.poll() is None:
                each.process.terminate()

    def _end(self) -> None:
        """Wait for those that were asked to leave, and kill those that do not."""
        until_s = time.monotonic() + self._stop_s
        for each in self._running:
            try:
                each.process.wait(timeout=max(0.0, until_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                each.process.kill()
                each.process.wait()
            self._finished(each)
        self._running = []

    @staticmethod
    def _finished(each: _Running) -> None:
        """Hear the last of a process that has ended."""
        each.reader.join(timeout=_LAST_WORDS_S)
        if each.process.stdin is not None:
            each.process.stdin.close()


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


def visible_gpus() -> list[str]:
    """Names that CUDA_VISIBLE_DEVICES takes of the GPUs that this process may use."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() and name.strip() != "-1"]
    import shutil

    if shutil.which("nvidia-smi") is None:
        return []
    done = subprocess.run(
        ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    return [line.strip() for line in done.stdout.splitlines() if line.strip().isdigit()]


def gpunet_command(*arguments: str) -> list[str]:
    """The command `gpunet ARGUMENTS`, by this process's interpreter."""
    return [sys.executable, "-m", "gpunet.cli.main", *arguments]


def asked_by_end_of_input() -> Callable[[], bool]:
    """Whether the process at the other end of standard input has ended; reads it in a thread."""
    ended = threading.Event()

    def read() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    return ended.is_set
