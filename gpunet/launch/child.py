"""One process of a fleet or of a cluster's task: started, heard, and seen to its end."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gpunet.errors import WorkerError

LEFT = 75  # exit code of a process that was asked to leave
KILL_AFTER_S = 60.0
LAST_WORDS_S = 5.0
_KEPT_LINES = 20


@dataclass(frozen=True)
class Job:
    """What a process is to do.

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


class Child:
    """A job's process; it ends with this one, which holds its standard input.

    Args:
        job: to start.
        hear: told every line that it prints, without its end.

    Raises:
        WorkerError: (a RuntimeError) it cannot be started.
    """

    def __init__(self, job: Job, hear: Callable[[str], None]) -> None:
        self.job = job
        self.lines: list[str] = []  # the last that it printed
        self._hear = hear
        try:
            self._process = subprocess.Popen(
                job.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="replace", env={**os.environ, **job.environment},
            )  # fmt: skip
        except OSError as error:
            raise WorkerError(f"{job.name} cannot be started: {error}", "Is its program installed?") from None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def exit_code(self) -> int | None:
        """None while it runs. Never waits: whoever cancels by an exception is heard between two calls."""
        return self._process.poll()

    def ask_to_leave(self) -> None:
        """SIGTERM, where it still runs."""
        if self._process.poll() is None:
            self._process.terminate()

    def finish(self, within_s: float = KILL_AFTER_S, last_words_s: float = LAST_WORDS_S) -> int:
        """Wait for its end, kill it when it does not come, and hear its last; the exit code."""
        try:
            self._process.wait(timeout=max(0.0, within_s))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=last_words_s)
        if self._process.stdin is not None:
            self._process.stdin.close()
        return self._process.returncode

    def _read(self) -> None:
        # It closes what it reads: a process of the process may hold the other end longer, and would block who closes.
        with self._process.stdout as stream:  # type: ignore[union-attr]  # it is a pipe
            for line in stream:
                self.lines.append(line.rstrip())
                del self.lines[:-_KEPT_LINES]
                self._hear(line.rstrip())
