from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tables import CONDITIONS, KEYS, MACHINE, damage, figures, table_of

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


def test_shards_become_one_table_and_the_steadier_figure_wins(tmp_path: Path):
    one = _table(tmp_path / "1.sqlite", {0: (1.0, 5.0), 1: (2.0, 5.0)})
    two = _table(tmp_path / "2.sqlite", {1: (2.2, 1.0), 2: (3.0, 5.0)})
    with LatencyTable(two, CONDITIONS) as table:
        table.add_network(KEYS[:2], WHOLE)
    report = merge(tmp_path / "all.sqlite", [one, two])
    assert (report.added, report.replaced, report.kept, report.networks, report.unreadable) == (3, 1, 0, 1, ())
    with LatencyTable(tmp_path / "all.sqlite") as table:
        assert {key: each.latency_ms for key, each in table.layers().items()} == {
            KEYS[0]: 1.0, KEYS[1]: 2.2, KEYS[2]: 3.0}  # fmt: skip
        assert table.networks() == [(KEYS[:2], WHOLE)]
    again = merge(tmp_path / "all.sqlite", [one, two])
    assert (again.added, again.replaced, again.kept, again.networks) == (0, 0, 4, 0)


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
    assert report.unreadable == (str(tmp_path / "damaged.sqlite"),)
    assert 2800 < report.added < 3000
    with LatencyTable(tmp_path / "saved.sqlite") as table:
        assert table.check() == []
        assert all(each.latency_ms == key.output_shape[0] for key, each in table.layers().items())


def test_a_source_that_is_not_there_or_holds_nothing_is_an_error(tmp_path: Path):
    with pytest.raises(TableError, match="there is no such file"):
        merge(tmp_path / "all.sqlite", [tmp_path / "none.sqlite"])
    with pytest.raises(TableError, match="needs at least one source"):
        merge(tmp_path / "all.sqlite", [])
    (tmp_path / "words.sqlite").write_text("words " * 1000)
    with pytest.raises(TableError, match="no latency table can be read from it"):
        merge(tmp_path / "all.sqlite", [tmp_path / "words.sqlite"])
