from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.estimates import roofline_ms
from helpers.studies import SPACE, definition, every_network
from helpers.tables import CONDITIONS, figures

from gpunet.errors import MissingLatencyError, StudyError, TableError
from gpunet.latency.estimate import LayerCosts
from gpunet.latency.table import LatencyTable
from gpunet.search.study.tables import estimator_from_table, estimator_of, latencies_path


def table(path: Path, factor: float = 1.0) -> Path:
    """Of all layers of the space."""
    keys = SPACE.lookup_plan(num_classes=10).keys()
    with LatencyTable(path, CONDITIONS) as made:
        for key in keys:
            made.add(key, figures(factor * roofline_ms(key)))
    return path


def test_a_study_reckons_with_its_table(tmp_path: Path) -> None:
    path = table(tmp_path / "table.sqlite")
    made = estimator_from_table(path, SPACE, 10)
    assert (made.latency_ms(every_network()) > 0).all()
    told = definition(table=str(path))
    assert np.array_equal(estimator_of(told).latency_ms(every_network()), made.latency_ms(every_network()))
    other = table(tmp_path / "other.sqlite", 2.0)
    assert (estimator_of(told, other).latency_ms(every_network()) > made.latency_ms(every_network())).all()


def test_a_study_without_a_table() -> None:
    with pytest.raises(StudyError, match="the study names no latency table") as caught:
        estimator_of(definition())
    assert caught.value.hint == "Give the one that it was made with: --table FILE"


def test_tables_that_do_not_serve(tmp_path: Path) -> None:
    with pytest.raises(TableError):
        estimator_from_table(tmp_path / "nowhere.sqlite", SPACE, 10)
    with LatencyTable(tmp_path / "empty.sqlite", CONDITIONS):
        pass
    with pytest.raises(MissingLatencyError):
        estimator_from_table(tmp_path / "empty.sqlite", SPACE, 10)


def test_all_machines_reckon_with_those_worked_out_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path / "table.sqlite")
    first = estimator_from_table(path, SPACE, 10).latency_ms(every_network())
    from_table = LayerCosts.from_table
    monkeypatch.setattr(LayerCosts, "from_table", lambda *_: pytest.fail("they were kept"))
    assert np.array_equal(estimator_from_table(path, SPACE, 10).latency_ms(every_network()), first)
    monkeypatch.setattr(LayerCosts, "from_table", from_table)
    # Of another table, number of classes, or a damaged file, nothing is taken.
    kept = latencies_path(path)
    table(path, 2.0)
    again = estimator_from_table(path, SPACE, 10).latency_ms(every_network())
    assert np.allclose(again, 2 * first)
    kept.write_bytes(kept.read_bytes()[:100])
    assert np.array_equal(estimator_from_table(path, SPACE, 10).latency_ms(every_network()), again)
    assert kept.stat().st_size > 100


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("read-only file system")

    path = table(tmp_path / "table.sqlite")
    monkeypatch.setattr("gpunet.search.study.tables.np.savez", refuse)
    assert (estimator_from_table(path, SPACE, 10).latency_ms(every_network()) > 0).all()
    assert not latencies_path(path).exists()
