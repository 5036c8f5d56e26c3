"""A PostgreSQL of the tests' own, and gpunet's proxy, as processes that end with the tests, however those end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HANG_GUARD_S = 300.0


def postgresql_programs() -> Path | None:
    """Where the newest of Debian's versions lies, or the one on the path."""
    found = [each.parent for each in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda each: float(each.parent.name))
    initdb = shutil.which("initdb")
    return None if initdb is None else Path(initdb).resolve().parent


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ending_with_us(command: list[str], **options: Any) -> subprocess.Popen[str]:
    """A process that the kernel kills when this one has gone."""
    return subprocess.Popen(
        [*_set_privileges("--pdeathsig", "KILL"), *command], stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        text=True, **options,
    )  # fmt: skip


def _set_privileges(*options: str) -> list[str]:
    return ["setpriv", *options, "--"] if shutil.which("setpriv") else []


def ended(process: subprocess.Popen[str], number: int) -> None:
    """Send a signal, and see that the process ends."""
    process.send_signal(number)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Cluster:
    """A PostgreSQL server on loopback, without passwords."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._data, self._log = folder / "data", folder / "log"
        # PostgreSQL does not run as root.
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            user = _unprivileged()
            shutil.chown(folder, user.pw_uid)
            # Popen's own `user` forks this process whole, where gRPC's handlers may crash the child.
            self._as_user = _set_privileges(f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
                                            "--pdeathsig=KILL")  # fmt: skip
        subprocess.run(
            [*self._as_user, str(programs / "initdb"), "-D", str(self._data), "-U", "gpunet", "-A", "trust",
             "-E", "UTF8", "--locale=C", "--no-sync"], check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        self._databases = 0
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        settings = ("fsync=off", "full_page_writes=off", "listen_addresses=127.0.0.1", "max_connections=200",
                    f"unix_socket_directories={self._folder}", f"port={self.port}")  # fmt: skip
        command = [*self._as_user, str(self._programs / "postgres"), "-D", str(self._data)]
        for each in settings:
            command += ["-c", each]
        with open(self._log, "a", encoding="utf-8") as log:
            self._process = ending_with_us(command, stdout=log, cwd=self._folder)
        until_s = time.monotonic() + HANG_GUARD_S
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text(encoding="utf-8")
            assert time.monotonic() < until_s, self._log.read_text(encoding="utf-8")
            time.sleep(0.05)

    def stop(self) -> None:
        """At once: connections are cut, what was committed is kept."""
        if self._process is not None:
            ended(self._process, signal.SIGQUIT)
            self._process = None

    def new_database(self, template: str = "template0") -> str:
        """The name of a database with what the template has."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def execute(self, statement: str, database: str = "postgres") -> None:
        import psycopg

        with psycopg.connect(self._address(database), autocommit=True) as connection:
            connection.execute(statement)

    def url(self, database: str) -> str:
        return f"postgresql://gpunet@127.0.0.1:{self.port}/{database}"

    def _address(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=gpunet dbname={database} connect_timeout=5"

    def _answers(self) -> bool:
        import psycopg

        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def _unprivileged() -> Any:
    import pwd

    known = {each.pw_name: each for each in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


@contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    """A running server, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="gpunet-postgresql-"))  # pytest's own is closed to other users
    try:
        made = Cluster(programs, folder)
        try:
            made.start()
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Proxy:
    """`gpunet search proxy` in front of a database."""

    def __init__(self, database: str, log: Path) -> None:
        self._database, self._log = database, log
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"grpc://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "gpunet.cli.main", "search", "proxy", "--study", self._database,
                   "--host", "127.0.0.1", "--port", str(self.port)]  # fmt: skip
        with open(self._log, "a", encoding="utf-8") as log:
            self._process = ending_with_us(command, stdout=log)
        until_s = time.monotonic() + HANG_GUARD_S
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text(encoding="utf-8")
            assert time.monotonic() < until_s, self._log.read_text(encoding="utf-8")
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            ended(self._process, signal.SIGKILL)
            self._process = None

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


@contextmanager
def proxy(database: str, log: Path) -> Iterator[Proxy]:
    """A running proxy, killed afterwards."""
    made = Proxy(database, log)
    try:
        made.start()
        yield made
    finally:
        made.stop()
