"""The most accurate network within a budget, by few measurements."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpunet
from gpunet.cli.main import main
from gpunet.errors import NothingFitsError
from gpunet.zoo.timm_zoo.budget import Work, fitted, most_accurate_within
from gpunet.zoo.timm_zoo.entries import timm_entries


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
    works, _ = _networks(1)
    first, second = sorted(works, key=lambda each: -each.top1_percent)[:2]
    asked = []
    assert most_accurate_within(works, math.inf, lambda name: asked.append(name) or 1e6) == first.name
    assert asked == [first.name]
    found = most_accurate_within(works, math.inf, lambda name: None if name == first.name else 1e6)  # it does not run
    assert found == second.name


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


def _found(capsys: pytest.CaptureFixture[str], *options: str) -> list[tuple[str, float]]:
    command = ["find", "-d", "local", "--runtime", "pytorch", "--zoo", "timm", "--json"]
    main([*command, *options])
    return [(each["name"], each["latency_ms"]) for each in json.loads(capsys.readouterr().out)["matches"]]


@pytest.mark.slow
def test_the_command_measures_where_nothing_kept_fits_and_lists_that(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path))
    only = tuple(entry for entry in timm_entries() if entry.name == "test_vit.r160_in1k")
    monkeypatch.setattr("gpunet.zoo.timm_zoo.entries.timm_entries", lambda: only)  # all are read anew for each command
    with pytest.raises(NothingFitsError, match="no network fits local at batch 1 with these conditions") as caught:
        main(["pareto", "-d", "local", "--runtime", "pytorch", "--zoo", "timm", "--plot", str(tmp_path / "a.svg")])
    assert "'gpunet find --device local --max-ms N' measure those that come into question" in caught.value.hint
    assert list(tmp_path.iterdir()) == []  # it measures nothing
    first = _found(capsys, "--max-ms", "10000")
    assert [name for name, _ in first] == ["test_vit.r160_in1k"]
    assert _found(capsys, "--max-ms", "10000") == first
    with pytest.raises(NothingFitsError, match=r"no network fits local at batch 1 with at most 1e-06 ms") as caught:
        _found(capsys, "--max-ms", "1e-6")
    assert caught.value.nearest == ("test_vit.r160_in1k",)
    ((name, latency_ms),) = _found(capsys, "--refresh")
    assert (name, latency_ms) != first[0]  # measured anew


@pytest.mark.slow
def test_what_timm_lacks_or_does_not_run_is_passed_over_and_named(monkeypatch, tmp_path: Path, caplog):
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path))
    known = {entry.name: entry for entry in timm_entries()}
    able, small = known["test_vit.r160_in1k"], known["test_convnext.r160_in1k"]
    entries = (
        dataclasses.replace(able, name="lacking", architecture="no_such_network.in1k"),
        dataclasses.replace(small, name="failing", preprocessing=dataclasses.replace(small.preprocessing, input_px=2)),
        able,
    )
    monkeypatch.setattr("gpunet.zoo.timm_zoo.entries.timm_entries", lambda: entries)
    how = {"runtime": "pytorch", "zoo": "timm", "pretrained": False}
    with caplog.at_level(logging.WARNING, "gpunet"):
        assert gpunet.create("local", max_ms=10_000, **how).entry.name == able.name
    said = "\n".join(caplog.messages)
    assert "lacking is passed over: entry lacking names the architecture 'no_such_network.in1k', which timm" in said
    assert "failing is passed over: the model cannot run on images of 1 x 3 x 2 x 2" in said
