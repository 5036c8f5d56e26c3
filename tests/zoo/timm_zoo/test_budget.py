"""The most accurate network within a budget, by few measurements."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpunet
from gpunet.errors import NothingFitsError
from gpunet.zoo.timm_zoo.budget import Work, fitted, most_accurate_within


def _networks(seed: int, count: int = 300) -> tuple[list[Work], dict[str, float]]:
    """Networks of ten families; each family is faster or slower than its work says, each network a little."""
    rng = random.Random(seed)
    pace = {family: math.exp(rng.gauss(0, 0.3)) for family in "abcdefghij"}
    works, latencies_ms = [], {}
    for number in range(count):
        name, size = f"{rng.choice(list(pace))}_{number}", math.exp(rng.uniform(-2, 4))
        work = Work(name, 70 + 4 * math.log1p(size) + rng.gauss(0, 1), size, 8 * size**0.7, 5 * size**0.5)
        works.append(work)
        exact = 2 + 1.5 * size + 0.2 * work.activations_millions
        latencies_ms[name] = exact * pace[work.family] * math.exp(rng.gauss(0, 0.08))
    return works, latencies_ms


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), budget_ms=st.sampled_from((4.0, 10.0, 40.0)))
def test_the_best_is_found_by_few_measurements_and_always_fits(seed, budget_ms):
    works, latencies_ms = _networks(seed)
    asked = []
    found = most_accurate_within(works, budget_ms, lambda name: asked.append(name) or latencies_ms[name])
    accuracy = {work.name: work.top1_percent for work in works}
    able = [accuracy[name] for name, latency_ms in latencies_ms.items() if latency_ms <= budget_ms]
    assert (found is None) == (not able)
    if found is not None:
        assert latencies_ms[found] <= budget_ms
        assert max(able) - accuracy[found] < 1.0
    assert len(asked) == len(set(asked)) <= 64


def test_what_is_known_is_not_measured_and_what_does_not_run_is_passed_over():
    works, latencies_ms = _networks(0, count=20)
    assert (
        most_accurate_within(works, 1e9, lambda name: pytest.fail(name), latencies_ms)
        == max(works, key=lambda each: each.top1_percent).name
    )
    assert most_accurate_within(works, 1e-9, latencies_ms.get) is None
    assert most_accurate_within(works, 1e9, lambda name: None) is None
    assert most_accurate_within([], 1.0, latencies_ms.get) is None


def test_without_a_budget_the_most_accurate_is_the_answer():
    works, latencies_ms = _networks(1)
    best = max(works, key=lambda each: each.top1_percent)
    assert most_accurate_within(works, math.inf, latencies_ms.get) == best.name


@given(weights=st.tuples(*[st.floats(0, 10)] * 3, st.floats(0.1, 10)))
def test_weights_are_found_again_and_never_negative(weights):
    rng = random.Random(0)
    rows = [(rng.uniform(0.1, 50), rng.uniform(1, 80), rng.uniform(1, 90), 1.0) for _ in range(30)]
    sums = [sum(weight * term for weight, term in zip(weights, row, strict=True)) for row in rows]
    found = fitted(rows, sums)
    again = [sum(weight * term for weight, term in zip(found, row, strict=True)) for row in rows]
    assert again == pytest.approx(sums, rel=1e-4)
    assert min(found) >= 0
    assert min(fitted(rows, [1 / total for total in sums])) >= 0


@pytest.mark.slow
def test_on_this_machine_the_best_that_fits_is_measured_once_and_found_again(monkeypatch, tmp_path):
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path))
    how = {"runtime": "pytorch", "family": "test_efficientnet*", "zoo": "timm"}
    assert gpunet.find("local", **how) == []  # nothing of it has been measured
    model = gpunet.create("local", max_ms=10_000, pretrained=False, **how)
    assert model.entry.architecture.startswith("test_efficientnet")
    assert model.match.record.board
    found = gpunet.find("local", **how)
    assert found[0].name == model.entry.name
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert gpunet.create("local", max_ms=10_000, pretrained=False, **how).match == model.match
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == kept
    with pytest.raises(NothingFitsError, match=r"no network fits local at batch 1 with at most 1e-06 ms"):
        gpunet.create("local", max_ms=1e-6, **how)
