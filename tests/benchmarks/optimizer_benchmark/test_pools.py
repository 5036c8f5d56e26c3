"""Pools of trained networks: tables in files, and timm's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from optimizer_benchmark.catalogue import Data, finite_problems, problem_of
from optimizer_benchmark.pools import read_pool, table_of, timm_pool

from gpunet.errors import InvalidArgumentError

ROWS = [
    {"name": "a", "params": 1, "px": 224, "accuracy": 70.0, "latency": 1.0},
    {"name": "b", "params": 40, "px": 224, "accuracy": 72.0, "latency": 2.0},
    {"name": "c", "params": 40, "px": 224, "accuracy": 74.0, "latency": 2.5},
    {"name": "d", "params": 8, "px": 288, "accuracy": 71.0, "latency": 3.0},
    {"name": "e", "params": 8, "px": 320, "accuracy": None, "latency": 3.0},
]


def test_a_table_is_read_from_csv_and_json(tmp_path: Path):
    as_json, as_csv = tmp_path / "pool.json", tmp_path / "pool.csv"
    as_json.write_text(json.dumps(ROWS), encoding="utf-8")
    lines = [",".join(ROWS[0]), *(",".join("" if v is None else str(v) for v in row.values()) for row in ROWS)]
    as_csv.write_text("\n".join(lines) + "\n", encoding="utf-8")
    one, other = read_pool(as_json), read_pool(as_csv)
    for table in (one, other):
        assert np.allclose(table.features, [[0, 224], [np.log(40), 224], [np.log(40), 224], [np.log(8), 288]])
        assert table.accuracy.tolist() == [70, 72, 74, 71]


def test_tiers_are_by_latency_and_equal_features_are_one():
    data = Data(pools={"held-out": table_of(ROWS, "rows")}, tiers=2)
    assert finite_problems(data) == ["held-out-tier0", "held-out-tier1"]
    low, high = (problem_of(name, 0, data) for name in finite_problems(data))
    assert (low.domain.size, high.domain.size) == (2, 2)
    assert sorted(low.regret(point) for point in low.domain.vectors) == [0, 2]
    whole = problem_of("held-out-tier0", 0, Data(data.pools, data.pools, tiers=1))
    assert whole.domain.size == 3  # b and c, whose mean is 73, are one


def test_a_table_without_its_columns_is_refused(tmp_path: Path):
    with pytest.raises(InvalidArgumentError, match="must have rows with accuracy, latency_ms and numbers as features"):
        table_of([{"name": "a", "accuracy": 1, "latency": 2}], "rows")
    with pytest.raises(InvalidArgumentError, match="There is no file"):
        read_pool(tmp_path / "nothing.csv")


def test_timms_networks_are_a_pool():
    table = timm_pool()
    assert len(table.accuracy) > 500
    assert np.isfinite(table.features).all()
    points, accuracy = table.tier(0, 4)
    assert len(points) == len(accuracy) > 100
