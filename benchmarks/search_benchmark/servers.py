"""Servers that a benchmark starts on loopback and stops, however it ends: PostgreSQL, and the gRPC proxy."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from gpunet.errors import InvalidArgumentError
from gpunet.launch.processes import gpunet_command

_BINARIES = Path("/usr/lib/postgresql")
_USERS = ("postgres", "nobody")
_READY_S = 60.0


class Postgres:
    """A PostgreSQL server of its own, with its data in a temporary folder, from `__enter__` to `__exit__`.

    As root it runs as the user postgres, or nobody: PostgreSQL refuses to be root's.

    Raises:
        InvalidArgumentError: PostgreSQL is not installed.
    """

    def __init__(self) -> None:
        self.bin = binaries()
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="gpunet-postgres-"))
        self._user = next((name for name in _USERS if _is_user(name)), "") if os.geteuid() == 0 else ""

    @property
    def url(self) -> str:
        """Of its database."""
        return f"postgresql://bench@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Postgres:
        try:
            if self._user:
                shutil.chown(self._folder, self._user)
            self._run("initdb", "-D", self._data, "-U", "bench", "--auth=trust", "-E", "UTF8")
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (self._folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, and wait until it serves."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=60"
        self._run("pg_ctl", "-D", self._data, "-l", str(self._folder / "log"), "-w", "-o", options, "start")

    def stop(self) -> None:
        """Stop it; what was committed is kept."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.bin / program), *arguments]
        if self._user:
            command = ["runuser", "-u", self._user, "--", *command]
        with open(self._folder / "said", "a+") as said:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=self._folder, check=False
            )
            said.seek(0)
            if done.returncode:
                raise InvalidArgumentError(f"{program} of PostgreSQL failed: {said.read().strip()[-500:]}")


class Proxy:
    """`gpunet search proxy` in a process of its own, from `__enter__` to `__exit__`.

    Args:
        url: of the database.
        threads: that serve.
        before: words of the command line before its own, such as a profiler's.
    """

    def __init__(self, url: str, threads: int = 16, before: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self._command = [
            *before,
            *gpunet_command("search", "proxy", "--study", url, "--port", str(self.port), "--threads", str(threads)),
        ]

    @property
    def url(self) -> str:
        """For workers."""
        return f"grpc://localhost:{self.port}"

    def __enter__(self) -> Proxy:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def processor_s(self) -> float:
        """Seconds of processor time that it has used so far; NaN where the system does not say."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return float("nan")

    def wait_ready(self) -> None:
        """Wait until it listens.

        Raises:
            InvalidArgumentError: it has ended, or does not listen after a minute.
        """
        until_s = time.monotonic() + _READY_S
        while time.monotonic() < until_s and self._process.poll() is None:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise InvalidArgumentError("gpunet search proxy did not come up; what it said stands above.")


def binaries() -> Path:
    """Where PostgreSQL's programs are: of several versions, the newest.

    Raises:
        InvalidArgumentError: it is not installed.
    """
    found = [path for path in _BINARIES.glob("*/bin") if (path / "initdb").is_file()]
    if not found:
        raise InvalidArgumentError(
            f"there is no PostgreSQL in {_BINARIES}.", "Install it (Debian: postgresql), or take --storage sqlite."
        )
    return max(found, key=lambda path: [int(each) for each in re.findall(r"\d+", path.parent.name)])


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _is_user(name: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
