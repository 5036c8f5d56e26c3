"""A PostgreSQL of one's own and gpunet's proxy on loopback, as processes that end with this one, however it ends.

For tests and benchmarks of studies.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from gpunet.core.files import require
from gpunet.errors import InvalidArgumentError
from gpunet.launch.processes import gpunet_command

__all__ = ["HANG_GUARD_S", "PostgreSQL", "Proxy", "free_port", "postgresql_programs"]

HANG_GUARD_S = 300.0
_PROGRAMS = Path("/usr/lib/postgresql")  # where Debian keeps them, a folder a version
_Server = TypeVar("_Server", bound="_Process")


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def postgresql_programs(folder: Path = _PROGRAMS) -> Path:
    """Where PostgreSQL's programs are: the newest version's in `folder`, or those on the path.

    Raises:
        InvalidArgumentError: it is not installed.
    """
    found = [each.parent for each in folder.glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda each: [int(part) for part in re.findall(r"\d+", each.parent.name)])
    initdb = shutil.which("initdb")
    if initdb is None:
        raise InvalidArgumentError(f"there is no PostgreSQL in {folder}.", "Install it (Debian: postgresql).")
    return Path(initdb).resolve().parent


class _Process:
    """A server that this process starts and stops; the kernel kills it when this process has gone."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self: _Server) -> _Server:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop it at once, as a machine that fails does; what was committed is kept."""
        raise NotImplementedError

    def processor_s(self) -> float:
        """Seconds of processor time that it has used so far; NaN where the system does not say."""
        try:
            text = Path(f"/proc/{self._process.pid if self._process else 'none'}/stat").read_text(encoding="utf-8")
            fields = text.rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return float("nan")

    def _run(self, command: Sequence[str], answers: Callable[[], bool], **options: Any) -> None:
        bound = [*_setpriv("--pdeathsig=KILL"), *command]
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                bound, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **options
            )
        until_s = time.monotonic() + HANG_GUARD_S
        while not answers():
            if self._process.poll() is not None or time.monotonic() > until_s:
                said = self._log.read_text(encoding="utf-8", errors="replace").strip()
                raise InvalidArgumentError(f"{command[0]} does not serve: {said[-1000:]}")
            time.sleep(0.05)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


class PostgreSQL(_Process):
    """A PostgreSQL server without passwords, its data in a temporary folder, from `__enter__` to `__exit__`.

    Started by root it runs as the user postgres, or nobody: PostgreSQL refuses to be root's.

    Raises:
        InvalidArgumentError: PostgreSQL is not installed.
        MissingDependencyError: psycopg is not installed.
    """

    def __init__(self) -> None:
        self._psycopg = require("psycopg", "cluster", purpose="to speak to PostgreSQL")
        self._programs = postgresql_programs()
        self.folder = Path(tempfile.mkdtemp(prefix="gpunet-postgresql-"))
        super().__init__(self.folder / "log")
        self._databases = 0
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            import pwd

            known = {each.pw_name: each for each in pwd.getpwall()}
            user = known.get("postgres") or known["nobody"]
            shutil.chown(self.folder, user.pw_uid)
            # Popen's own `user` forks this process whole, where gRPC's handlers may crash the child.
            self._as_user = _setpriv(f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
                                     "--pdeathsig=KILL")  # fmt: skip

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """See `_Process.start`."""
        data = self.folder / "data"
        if not data.exists():
            initdb = [*self._as_user, str(self._programs / "initdb"), "-D", str(data), "-U", "gpunet", "-A", "trust",
                      "-E", "UTF8", "--locale=C", "--no-sync"]  # fmt: skip
            done = subprocess.run(initdb, capture_output=True, cwd=self.folder, check=False)
            if done.returncode:
                raise InvalidArgumentError(f"initdb of PostgreSQL failed: {done.stderr.decode().strip()[-500:]}")
        settings = ("fsync=off", "full_page_writes=off", "listen_addresses=127.0.0.1", "max_connections=200",
                    f"unix_socket_directories={self.folder}", f"port={self.port}")  # fmt: skip
        command = [*self._as_user, str(self._programs / "postgres"), "-D", str(data)]
        for each in settings:
            command += ["-c", each]
        self._run(command, self._answers, cwd=self.folder)

    def stop(self) -> None:
        """See `_Process.stop`: connections are cut."""
        self._end(signal.SIGQUIT)

    def new_database(self, template: str = "template0") -> str:
        """The name of a new database with what the template has."""
        self._databases += 1
        name = f"database_{self._databases}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement of SQL."""
        address = f"host=127.0.0.1 port={self.port} user=gpunet dbname={database} connect_timeout=5"
        with self._psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)

    def url(self, database: str = "postgres") -> str:
        """Of a database, for studies."""
        return f"postgresql://gpunet@127.0.0.1:{self.port}/{database}"

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except self._psycopg.OperationalError:
            return False
        return True


class Proxy(_Process):
    """`gpunet search proxy` in front of a database, from `__enter__` to `__exit__`.

    Args:
        database: URL of what it serves.
        log: takes what it says.
        threads: that serve.
        before: words of the command line before its own, such as a profiler's.
    """

    def __init__(self, database: str, log: Path, *, threads: int = 16, before: Sequence[str] = ()) -> None:
        super().__init__(log)
        self._command = [*before, *gpunet_command("search", "proxy", "--study", database, "--port", str(self.port),
                                                  "--host", "127.0.0.1", "--threads", str(threads))]  # fmt: skip

    @property
    def url(self) -> str:
        """For workers."""
        return f"grpc://127.0.0.1:{self.port}"

    def start(self) -> None:
        """See `_Process.start`."""
        self._run(self._command, self._answers)

    def stop(self, number: int = signal.SIGKILL) -> None:
        """Stop it, by this signal."""
        self._end(number)

    def _answers(self) -> bool:
        with socket.socket() as tried:
            tried.settimeout(1)
            return tried.connect_ex(("127.0.0.1", self.port)) == 0


def _setpriv(*options: str) -> list[str]:
    return ["setpriv", *options, "--"] if shutil.which("setpriv") else []
