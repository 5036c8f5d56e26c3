from __future__ import annotations

import dataclasses
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import DATA, TESTS
from helpers.tables import CONDITIONS, KEYS, MACHINE, damage, figures, table_of
from helpers.unprivileged import refused_in_a_read_only_folder

from gpunet.errors import MissingLatencyError, TableError
from gpunet.latency.records import NetworkLatency, TableConditions
from gpunet.latency.reference import ReferencePoint
from gpunet.latency.schema import APPLICATION_ID, SCHEMA_VERSION, connect
from gpunet.latency.table import LatencyTable
from gpunet.runtime.reference import Look

GOLDEN = DATA / "latency_table_v1.sqlite"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.sqlite"


def test_what_was_added_is_read_back_by_any_later_reader(path: Path):
    with LatencyTable(path, CONDITIONS) as table:
        table.add(KEYS[0], figures(1.5))
        table.add_network(KEYS[:3], NetworkLatency(4.5, 4.75, 10, "2026-11-24T10:00:00Z"))
    with LatencyTable(path) as table:
        assert table.conditions == CONDITIONS
        assert table.layer(KEYS[0]) == figures(1.5)
        assert table.layers() == {KEYS[0]: figures(1.5)}
        assert len(table) == 1
        assert table.networks() == [(KEYS[:3], NetworkLatency(4.5, 4.75, 10, "2026-11-24T10:00:00Z"))]
        assert table.missing(KEYS[:3]) == KEYS[1:3]
        assert table.check() == []


def test_a_figure_is_replaced_by_a_newer_one(path: Path):
    with LatencyTable(path, CONDITIONS) as table:
        table.add(KEYS[0], figures(1.5))
        table.add(KEYS[0], figures(2.5))
        assert table.layers() == {KEYS[0]: figures(2.5)}


def test_a_layer_that_was_not_measured_is_named(path: Path):
    with (
        LatencyTable(path, CONDITIONS) as table,
        pytest.raises(MissingLatencyError, match=r"'conv in_channels=8 in_px=4 .*' has not been measured"),
    ):
        table.layer(KEYS[0])


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (TableConditions(dataclasses.replace(MACHINE, processor="Other")), "processor Test processor, not Other"),
        (TableConditions(dataclasses.replace(MACHINE, threads=2)), "threads 1, not 2"),
        (TableConditions(dataclasses.replace(MACHINE, runtime_version="2")), "runtime_version 1.2.3, not 2"),
        (TableConditions(dataclasses.replace(MACHINE, precision="fp16")), "precision fp32, not fp16"),
        (TableConditions(MACHINE, batch_size=8), "batch_size 1, not 8"),
        (TableConditions(MACHINE, method="lone-1"), "method context-1, not lone-1"),
        (TableConditions(MACHINE, clock="cpu"), "clock wall, not cpu"),
    ],
)
def test_figures_of_other_conditions_are_refused_and_nothing_is_changed(path: Path, other: TableConditions, said: str):
    with LatencyTable(path, CONDITIONS) as table:
        table.add(KEYS[0], figures(1.5))
    with pytest.raises(TableError, match=said):
        LatencyTable(path, other)
    with LatencyTable(path) as table:
        assert table.layers() == {KEYS[0]: figures(1.5)}


def test_what_is_no_table_is_refused(path: Path):
    with pytest.raises(TableError, match="there is no such file"):
        LatencyTable(path)
    path.write_bytes(b"these are words, not a database " * 100)
    for conditions in (None, CONDITIONS):
        with pytest.raises(TableError, match=r"not a database.*\n.*gpunet table merge"):
            LatencyTable(path, conditions)
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE birds (name)")
    other.close()
    with pytest.raises(TableError, match="an SQLite file, but no latency table"):
        LatencyTable(path, CONDITIONS)


def test_a_folder_that_is_a_file_is_an_error_that_says_so(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(TableError, match="Name a file in a folder that you can write to"):
        LatencyTable(tmp_path / "file" / "table.sqlite", CONDITIONS)


def test_a_folder_in_place_of_a_table_is_told(tmp_path: Path):
    for conditions in (None, CONDITIONS):
        with pytest.raises(TableError, match=r"it is a folder.\nName a file"):
            LatencyTable(tmp_path, conditions)


def test_notes_are_kept(path: Path):
    with LatencyTable(path, CONDITIONS) as table:
        assert table.noted("mood") is None
        table.note("mood", "calm")
        table.note("mood", "busy")
        assert table.noted("mood") == "busy"
        assert table.conditions == CONDITIONS


def test_a_newer_schema_is_refused(path: Path):
    LatencyTable(path, CONDITIONS).close()
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    raw.close()
    with pytest.raises(TableError, match=r"newer than .*\n.*upgrade"):
        LatencyTable(path)


def test_an_empty_file_becomes_a_table_and_is_none_to_a_reader(path: Path):
    path.touch()
    with pytest.raises(TableError, match="it is empty, no latency table"):
        LatencyTable(path)
    LatencyTable(path, CONDITIONS).close()
    with LatencyTable(path) as table:
        assert len(table) == 0
    raw = connect(path, readonly=True)
    assert raw.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    raw.close()


def test_the_golden_table_of_version_1_stays_readable(tmp_path: Path):
    copy = Path(shutil.copy(GOLDEN, tmp_path / "v1.sqlite"))
    with LatencyTable(copy) as table:
        assert table.conditions == CONDITIONS
        assert table.layers() == {key: figures(1.0 + number) for number, key in enumerate(KEYS[:3])}
        assert table.networks() == [(KEYS[:3], NetworkLatency(5.5, 5.75, 10, "2026-11-24T10:00:00Z"))]


def test_an_older_table_that_cannot_be_written_is_told(tmp_path: Path):
    attempt = f"""
        import shutil
        from gpunet.latency import LatencyTable
        if folder.name == "writable":
            there = folder.parent / "read-only" / "v1.sqlite"
            shutil.copy({str(GOLDEN)!r}, there)
            there.chmod(0o444)
            shutil.copy({str(GOLDEN)!r}, folder / "v1.sqlite")
        LatencyTable(folder / "v1.sqlite")
        """
    name, message, hint = refused_in_a_read_only_folder(attempt, tmp_path)
    assert name == "TableError"
    assert f"its schema is version 1, older than {SCHEMA_VERSION}, and it cannot be written" in message
    assert "a copy of it" in hint


def test_a_look_that_is_no_latency_is_a_fault(path: Path):
    with LatencyTable(path, CONDITIONS) as table:
        table.add_reference(ReferencePoint(1.0, "b", Look(0.1, 10.0)))
        assert table.check() == []
        table.add_reference(ReferencePoint(2.0, "b", Look(0.1, -10.0)))
        assert "no latencies" in table.check()[0]


def test_a_table_without_conditions_is_damaged(path: Path):
    LatencyTable(path, CONDITIONS).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE meta SET value = '{}' WHERE name = 'conditions'")
    raw.close()
    with pytest.raises(TableError, match="does not say what its figures were measured under"):
        LatencyTable(path)


def test_a_full_disk_loses_nothing_and_says_what_to_do(path: Path):
    """SQLite's own limit on pages makes the same error as a full disk."""
    with LatencyTable(path, CONDITIONS) as table:
        table.add(KEYS[0], figures(1.5))
        pages = table._db.execute("PRAGMA page_count").fetchone()[0]
        table._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(TableError, match=r"full.*\n.*every layer that was measured before is in the table"):
            table.add_rows((f"conv in_channels=1 in_px=8 out_channels={n}", figures(1.0)) for n in range(1, 1000))
        table._db.execute("PRAGMA max_page_count = 1000000")
        table.add(KEYS[1], figures(2.5))
    with LatencyTable(path) as table:
        assert table.layers() == {KEYS[0]: figures(1.5), KEYS[1]: figures(2.5)}


# ----------------------------------------------------------------------- claims


def test_two_builders_never_hold_one_layer(path: Path):
    with LatencyTable(path, CONDITIONS) as one, LatencyTable(path, CONDITIONS) as two:
        assert one.claim(KEYS, "one", 4) == KEYS[:4]
        assert two.claim(KEYS, "two", 4) == KEYS[4:8]
        assert one.claim(KEYS, "one", 4) == KEYS[:4]
        one.add(KEYS[0], figures(1.5))
        assert one.claim(KEYS, "one", 4) == [*KEYS[1:4], KEYS[8]]
        two.release("two")
        assert one.claim(KEYS[4:8], "one", 9) == KEYS[4:8]


def test_the_claim_of_a_builder_that_went_silent_ends(path: Path):
    now_s = [1000.0]
    with LatencyTable(path, CONDITIONS, clock=lambda: now_s[0]) as table:
        assert table.claim(KEYS[:2], "dead", 2, lease_s=60) == KEYS[:2]
        now_s[0] += 59
        assert table.claim(KEYS[:2], "alive", 2, lease_s=60) == []
        now_s[0] += 2
        assert table.claim(KEYS[:2], "alive", 2, lease_s=60) == KEYS[:2]
        assert table.claim(KEYS[:2], "dead", 2, lease_s=60) == []


def test_failures_are_counted_and_end_with_a_figure(path: Path):
    with LatencyTable(path, CONDITIONS) as table:
        assert table.add_failure(KEYS[0], "no kernel") == 1
        assert table.add_failure(KEYS[0], "no memory") == 2
        assert table.failures() == {KEYS[0].text: ("no memory", 2)}
        table.add(KEYS[0], figures(1.5))
        assert table.failures() == {}


def test_a_writer_killed_within_a_transaction_leaves_the_rest_whole(path: Path):
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(TESTS)!r})
from helpers.tables import CONDITIONS, KEYS, figures
from gpunet.latency.table import LatencyTable
table = LatencyTable({str(path)!r}, CONDITIONS)
table.add(KEYS[0], figures(1.5))
table._db.execute("BEGIN IMMEDIATE")
table._db.execute("DELETE FROM layers")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with LatencyTable(path, CONDITIONS) as table:
        assert table.layers() == {KEYS[0]: figures(1.5)}
        assert table.check() == []


# ---------------------------------------------------------------------- damage


def test_check_finds_a_damaged_page(path: Path):
    table_of(path, 2000)
    pages = path.stat().st_size // 4096
    damage(path, pages // 2)
    with LatencyTable(path) as table:
        assert table.check()


def test_check_finds_a_row_that_is_no_layer(path: Path):
    table_of(path, 1)
    with sqlite3.connect(path) as raw:
        raw.execute("INSERT INTO layers SELECT 'gossip', latency_ms, 1, 1, 1, 1, 1, '', 1, '', 1.0 FROM layers")
        raw.execute("UPDATE layers SET latency_ms = -1.0 WHERE key LIKE 'conv%'")
    raw.close()
    with LatencyTable(path) as table:
        faults = table.check()
    assert any("no kind 'gossip'" in fault for fault in faults)
    assert any("-1.0 ms, or what it was found from, is no latency" in fault for fault in faults)
    with LatencyTable(path) as table, pytest.raises(TableError, match=r"no kind 'gossip'(.|\n)*gpunet table merge"):
        table.layers()
