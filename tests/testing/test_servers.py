"""Servers of one's own: what they keep, what they leave, and what they say where they cannot run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from helpers.storages import postgresql_or_skip

from gpunet.errors import InvalidArgumentError
from gpunet.testing.servers import PostgreSQL, Proxy, postgresql_programs


def test_a_server_keeps_what_was_committed_and_leaves_nothing() -> None:
    postgresql_or_skip()
    with PostgreSQL() as server:
        name = server.new_database()
        server.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)", name)
        server.stop()
        server.start()
        copy = server.new_database(name)
        server.execute("UPDATE kept SET n = 1 / n", copy)  # fails where the table is not there
        assert server.processor_s() >= 0
        folder = server.folder
        assert folder.exists()
    assert not folder.exists()


def test_without_postgresql_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidArgumentError, match="there is no PostgreSQL in") as error:
        postgresql_programs(tmp_path)
    assert error.value.hint == "Install it (Debian: postgresql)."


def test_a_server_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    before = (sys.executable, "-c", "import sys; sys.exit('no port')")
    with pytest.raises(InvalidArgumentError, match="does not serve: no port"):
        Proxy("search.sqlite", tmp_path / "log", before=before).start()
