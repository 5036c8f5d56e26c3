from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import pytest
from helpers.tables import CONDITIONS, KEYS, MACHINE, damage, figures, table_of

from gpunet.errors import TableError
from gpunet.latency.merge import merge
from gpunet.latency.records import NetworkLatency, TableConditions
from gpunet.latency.table import LatencyTable

WHOLE = NetworkLatency(4.5, 4.75, 10, "2026-11-24T10:00:00Z")


def _table(path: Path, rows: dict[int, tuple[float, float]], conditions: TableConditions = CONDITIONS) -> Path:
    with LatencyTable(path, conditions) as table:
        for number, (latency_ms, spread_percent) in rows.items():
            table.add(KEYS[number], figures(latency_ms, spread_percent=spread_percent))
    return path


def test_shards_become_one_table_and_the_lesser_of_each_graph_counts(tmp_path: Path):
    one = _table(tmp_path / "1.sqlite", {0: (1.0, 5.0), 1: (2.0, 5.0)})
    two = _table(tmp_path / "2.sqlite", {1: (1.5, 9.0), 2: (3.0, 5.0)})
    with LatencyTable(two, CONDITIONS) as table:
        table.add_network(KEYS[:2], WHOLE)
    report = merge(tmp_path / "all.sqlite", [one, two])
    assert (report.added, report.improved, report.kept, report.networks, report.damaged) == (3, 1, 0, 1, {})
    with LatencyTable(tmp_path / "all.sqlite") as table:
        assert {key: each.latency_ms for key, each in table.layers().items()} == {
            KEYS[0]: 1.0, KEYS[1]: 1.5, KEYS[2]: 3.0}  # fmt: skip
        assert table.networks() == [(KEYS[:2], WHOLE)]
    again = merge(tmp_path / "all.sqlite", [one, two])
    assert (again.added, again.improved, again.kept, again.networks) == (0, 0, 4, 0)


def test_tables_of_other_conditions_are_not_merged_and_nothing_is_written(tmp_path: Path):
    one = _table(tmp_path / "1.sqlite", {0: (1.0, 5.0)})
    other = _table(
        tmp_path / "2.sqlite", {1: (2.0, 5.0)}, TableConditions(dataclasses.replace(MACHINE, processor="Other"))
    )
    with pytest.raises(TableError, match="other conditions: processor Other, not Test processor"):
        merge(tmp_path / "all.sqlite", [one, other])
    assert not (tmp_path / "all.sqlite").exists()
    with pytest.raises(TableError, match="other conditions: processor Test processor, not Other"):
        merge(one, [other])


def test_what_can_be_read_of_a_damaged_table_is_saved(tmp_path: Path):
    table_of(tmp_path / "damaged.sqlite", 3000)
    damage(tmp_path / "damaged.sqlite", 20)
    report = merge(tmp_path / "saved.sqlite", [tmp_path / "damaged.sqlite"])
    assert list(report.damaged) == [str(tmp_path / "damaged.sqlite")]
    assert 2800 < report.added < 3000
    with LatencyTable(tmp_path / "saved.sqlite") as table:
        assert table.check() == []
        assert all(each.latency_ms == key.output_shape[0] for key, each in table.layers().items())


def test_a_table_whose_rows_were_replaced_is_saved_too(tmp_path: Path):
    path = tmp_path / "damaged.sqlite"
    for _ in range(5):
        table_of(path, 3000)
    damage(path, 20)
    assert 2800 < merge(tmp_path / "saved.sqlite", [path]).added < 3000


def test_a_table_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path):
    path = tmp_path / "cut.sqlite"
    table_of(path, 3000)
    path.write_bytes(path.read_bytes()[: -3 * 4096])
    report = merge(tmp_path / "saved.sqlite", [path])
    assert list(report.damaged) == [str(path)]
    assert report.added > 2700


def test_a_table_without_conditions_takes_those_of_the_others(tmp_path: Path):
    for name in ("bare", "whole"):
        _table(tmp_path / f"{name}.sqlite", {0 if name == "bare" else 1: (1.0, 5.0)})
    with sqlite3.connect(tmp_path / "bare.sqlite") as raw:
        raw.execute("DELETE FROM meta")
    raw.close()
    assert merge(tmp_path / "all.sqlite", [tmp_path / "bare.sqlite", tmp_path / "whole.sqlite"]).added == 2
    assert merge(tmp_path / "all.sqlite", [tmp_path / "bare.sqlite"]).kept == 1
    with pytest.raises(TableError, match="no longer says what its figures were measured under"):
        merge(tmp_path / "new.sqlite", [tmp_path / "bare.sqlite"])


@pytest.mark.parametrize(
    "change",
    [
        "latency_ms = -latency_ms", "latency_ms = latency_ms * 1.0001", "latency_ms = 'zzz'", "context_ms = 5e-41",
        "spread_percent = 'text'", "lone_ms = -1.0", "repeats = 'many'", "key = 'gossip'",
    ],
)  # fmt: skip
def test_a_damaged_row_is_found_and_left_out(tmp_path: Path, change: str):
    path = _table(tmp_path / "1.sqlite", {number: (1.0 + number, 5.0) for number in range(5)})
    with sqlite3.connect(path) as raw:
        raw.execute(f"UPDATE layers SET {change} WHERE key = ?", (KEYS[2].text,))
    raw.close()
    with LatencyTable(path) as table:
        assert len(table.check()) == 1
    report = merge(tmp_path / "all.sqlite", [path])
    assert (report.added, report.damaged) == (4, {str(path): 1})
    with LatencyTable(tmp_path / "all.sqlite") as table:
        assert set(table.layers()) == {KEYS[0], KEYS[1], KEYS[3], KEYS[4]}
        assert table.check() == []


def test_the_lesser_of_two_measurements_of_a_network_is_kept_and_a_damaged_one_left_out(tmp_path: Path):
    paths = [_table(tmp_path / f"{number}.sqlite", {number: (1.0, 5.0)}) for number in range(3)]
    for path, latency_ms in zip(paths, (5.0, 4.5, -1.0), strict=True):
        with LatencyTable(path, CONDITIONS) as table:
            table.add_network(KEYS[:2], dataclasses.replace(WHOLE, latency_ms=latency_ms))
    with LatencyTable(paths[2]) as table:
        assert table.check() == ["a network: -1.0 ms is no latency."]
    report = merge(tmp_path / "all.sqlite", paths)
    assert (report.networks, report.damaged) == (2, {str(paths[2]): 1})
    with LatencyTable(tmp_path / "all.sqlite") as table:
        assert [each.latency_ms for _, each in table.networks()] == [4.5]


def test_a_source_of_a_newer_version_is_refused(tmp_path: Path):
    path = _table(tmp_path / "1.sqlite", {0: (1.0, 5.0)})
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(TableError, match="newer than"):
        merge(tmp_path / "all.sqlite", [path])


def test_a_source_that_is_not_there_or_holds_nothing_is_an_error(tmp_path: Path):
    with pytest.raises(TableError, match="there is no such file"):
        merge(tmp_path / "all.sqlite", [tmp_path / "none.sqlite"])
    with pytest.raises(TableError, match="needs at least one source"):
        merge(tmp_path / "all.sqlite", [])
    (tmp_path / "words.sqlite").write_text("words " * 1000)
    with pytest.raises(TableError, match="nothing of a latency table can be read from it"):
        merge(tmp_path / "all.sqlite", [tmp_path / "words.sqlite"])
