from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.spaces import SMALL_SPACE
from helpers.tables import CONDITIONS, figures, law_ms

from gpunet.errors import InvalidArgumentError, MissingLatencyError
from gpunet.latency.calibrate import Calibration
from gpunet.latency.completion import complete_from
from gpunet.latency.estimate import Estimator, LayerCosts
from gpunet.latency.records import LayerLatency, NetworkLatency
from gpunet.latency.table import LatencyTable

PLAN = SMALL_SPACE.lookup_plan(num_classes=10)
KEYS = PLAN.keys()
VECTORS = SMALL_SPACE.lattice().draw(300, np.random.default_rng(0))
EXACT = {key: law_ms(key) for key in KEYS}


def test_a_vector_takes_what_its_layers_take():
    estimator = Estimator(PLAN, LayerCosts(EXACT))
    expected = [sum(EXACT[key] for key in SMALL_SPACE.keys(vector, num_classes=10)) for vector in VECTORS]
    np.testing.assert_allclose(estimator.latency_ms(VECTORS), expected, rtol=1e-12)
    assert not estimator.leans_on_completion(VECTORS).any()
    assert len(estimator.arrays) == len(PLAN.terms)


def test_factors_of_a_calibration_are_in_the_sum():
    calibration = Calibration({"irb": 2.0, "irb+se": 3.0}, common=1.5)
    costs = LayerCosts(EXACT, calibration=calibration)
    keys = SMALL_SPACE.keys(VECTORS[0], num_classes=10)
    expected = sum(EXACT[key] * calibration.factor(key) for key in keys)
    assert costs.network(keys).latency_ms == pytest.approx(expected)
    assert Estimator(PLAN, costs).latency_ms(VECTORS[:1])[0] == pytest.approx(expected)


def test_what_leans_on_completion_is_flagged_layer_by_layer():
    measured = {key: EXACT[key] for number, key in enumerate(KEYS) if number % 3}
    costs = LayerCosts(measured, completion=complete_from(measured))
    estimator = Estimator(PLAN, costs)
    leans = estimator.leans_on_completion(VECTORS)
    assert 0 < leans.sum() < len(leans)
    for vector, flag, latency in zip(VECTORS, leans, estimator.latency_ms(VECTORS), strict=True):
        keys = SMALL_SPACE.keys(vector, num_classes=10)
        estimate = costs.network(keys)
        assert estimate.leans_on_completion == flag == any(key not in measured for key in keys)
        assert estimate.completed_layers == sum(key not in measured for key in keys)
        assert (estimate.completed_ms > 0) == flag
        assert estimate.layers == len(keys)
        assert estimate.latency_ms == pytest.approx(latency)


def test_a_missing_layer_without_completion_is_named():
    costs = LayerCosts({key: EXACT[key] for key in KEYS[1:]})
    with pytest.raises(MissingLatencyError, match=f"no latency is known of the layer '{KEYS[0].text}'"):
        Estimator(PLAN, costs)


@pytest.fixture
def table(tmp_path: Path) -> LatencyTable:
    with LatencyTable(tmp_path / "table.sqlite", CONDITIONS) as table:
        table.add_rows((key.text, figures(EXACT[key])) for key in KEYS[::2])
        for vector in VECTORS[:8]:
            keys = SMALL_SPACE.keys(vector, num_classes=10)
            table.add_network(keys, NetworkLatency(1.3 * sum(EXACT[k] for k in keys), 9.9, 5, "2026-11-24T10:00:00Z"))
    return LatencyTable(tmp_path / "table.sqlite")


def test_a_table_gives_completed_and_calibrated_costs(table: LatencyTable):
    costs = LayerCosts.from_table(table)
    assert costs.calibration.networks == 8
    assert costs.completion is not None
    keys = SMALL_SPACE.keys(VECTORS[100], num_classes=10)
    assert costs.network(keys).latency_ms == pytest.approx(1.3 * sum(EXACT[key] for key in keys), rel=0.1)
    plain = LayerCosts.from_table(table, complete=False, correct=False)
    assert plain.completion is None
    assert plain.latency_ms(KEYS[0]) == pytest.approx(EXACT[KEYS[0]])
    with pytest.raises(MissingLatencyError, match="no latency is known of the layer"):
        plain.latency_ms(KEYS[1])
    table.close()


def test_lone_latencies_are_the_papers_and_leave_the_run_out(table: LatencyTable):
    lone = LayerCosts.from_table(table, method="lone", complete=False, correct=False)
    assert lone.latency_ms(KEYS[0]) == 0.0
    assert KEYS[0].kind == "input"
    conv = next(key for key in KEYS[::2] if key.kind == "conv")
    assert lone.latency_ms(conv) == pytest.approx(EXACT[conv] + 0.1)
    assert LayerCosts.from_table(table, method="lone").completion is not None
    with pytest.raises(InvalidArgumentError, match="method must be one of context, lone"):
        LayerCosts.from_table(table, method="best")
    table.close()
    with LatencyTable(table.path, CONDITIONS) as writing:
        writing.add(KEYS[-1], LayerLatency(1.0, 1.5, 0.5, None, 1.0, 5, "2026-11-24T10:00:00Z"))
        with pytest.raises(MissingLatencyError, match=r"1 of .* layers were not measured by themselves"):
            LayerCosts.from_table(writing, method="lone")


def test_a_table_too_small_to_learn_from_has_no_completion(tmp_path: Path):
    with LatencyTable(tmp_path / "small.sqlite", CONDITIONS) as table:
        table.add(KEYS[0], figures(1.0))
        assert LayerCosts.from_table(table).completion is None
