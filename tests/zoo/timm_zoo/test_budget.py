"""The most accurate network within a budget, by few measurements."""

from __future__ import annotations

import dataclasses
import itertools
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
from gpunet.core.frontier import Point, frontier
from gpunet.errors import InvalidArgumentError, NothingFitsError
from gpunet.zoo.timm_zoo.budget import MostAccurate
from gpunet.zoo.timm_zoo.entries import timm_entries
from gpunet.zoo.timm_zoo.front import Front
from gpunet.zoo.timm_zoo.predicted import Work, fitted
from gpunet.zoo.timm_zoo.searching import carry_out


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


def _search(kind, works, budget_ms, latencies_ms, known_ms=None, **how):
    """A search to its end: itself, what it asked for, and what it did."""
    asked = []
    search = kind(works, budget_ms, known_ms, **how)
    done = carry_out(search, lambda name: asked.append(name) or latencies_ms.get(name), shown=False)
    assert len(asked) == len(set(asked))
    return search, asked, done


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), budget_ms=st.sampled_from((4.0, 10.0, 40.0)), thorough=st.booleans())
def test_what_is_found_fits_and_what_was_done_adds_up(seed, budget_ms, thorough):
    works, latencies_ms = _networks(seed, count=120)
    search, asked, done = _search(MostAccurate, works, budget_ms, latencies_ms, thorough=thorough)
    fits = {name for name in asked if latencies_ms[name] <= budget_ms}
    accuracy = {work.name: work.top1_percent for work in works}
    assert search.best == max(fits, key=accuracy.__getitem__, default=None)
    better = {name for name in accuracy if name not in asked and accuracy[name] > accuracy.get(search.best, 0)}
    assert done.ruled_out + done.may_fit == search.left() == len(better)
    assert (done.ended, done.may_fit) == ("done", 0) or (done.ended, len(asked)) == ("count", 64)


def test_the_best_is_found_by_few_measurements():
    found, counts = {False: 0, True: 0}, {False: 0, True: 0}
    for seed, budget_ms, thorough in itertools.product(range(4), (4.0, 10.0, 40.0), (False, True)):
        works, latencies_ms = _networks(seed)
        search, asked, _ = _search(MostAccurate, works, budget_ms, latencies_ms, thorough=thorough)
        able = [work for work in works if latencies_ms[work.name] <= budget_ms]
        found[thorough] += search.best == max(able, key=lambda each: each.top1_percent).name
        counts[thorough] += len(asked)
    assert found[False] >= 11
    assert found[True] == 12
    assert counts[False] < counts[True] < 12 * 150


def test_what_is_known_is_not_measured_and_what_does_not_run_is_passed_over():
    works, latencies_ms = _networks(0, count=20)
    most = max(works, key=lambda each: each.top1_percent).name
    search, asked, done = _search(MostAccurate, works, 1e9, {}, latencies_ms)
    assert (search.best, asked, done.ended, done.sureness) == (most, [], "done", 1.0)
    assert _search(MostAccurate, works, 1e-9, latencies_ms)[0].best is None
    assert _search(MostAccurate, works, 1e9, {})[0].best is None
    assert _search(MostAccurate, [], 1.0, {})[0].best is None
    assert _search(Front, [], 1.0, {})[1] == []
    assert len(_search(Front, works, 1e9, {})[1]) == len(works)


def test_without_a_budget_the_most_accurate_is_the_answer():
    works, latencies_ms = _networks(1)
    first, second = sorted(works, key=lambda each: -each.top1_percent)[:2]
    search, asked, _ = _search(MostAccurate, works, math.inf, latencies_ms)
    assert (search.best, asked) == (first.name, [first.name])
    del latencies_ms[first.name]  # it does not run
    assert _search(MostAccurate, works, math.inf, latencies_ms)[0].best == second.name


@pytest.mark.parametrize(("seed", "end_ms"), [(0, 20.0), (1, math.inf)])
def test_the_front_stands_by_a_part_of_the_measurements(seed, end_ms):
    works, latencies_ms = _networks(seed)
    _, asked, done = _search(Front, works, end_ms, latencies_ms)
    points = [Point(work.name, latencies_ms[work.name], work.top1_percent) for work in works]
    true = [point for point in frontier(points) if point.latency_ms <= end_ms]
    found = [point for point in true if point.name in asked]
    assert len(found) >= 0.8 * len(true)
    assert len(asked) < 0.8 * len(works)
    assert (done.ended, done.may_fit, done.sureness) == ("done", 0, None)
    again = _search(Front, works, end_ms, {}, {name: latencies_ms[name] for name in asked})
    assert again[1] == []  # killed or not, it ends where it would have


def test_a_search_ends_in_time_and_says_how_sure_it_is(capsys):
    works, latencies_ms = _networks(3)
    clock = itertools.count(0, 6).__next__  # s between two looks: a measurement takes so long
    search = MostAccurate(works, 10.0)
    done = carry_out(search, latencies_ms.get, budget_minutes=2, clock=clock)
    assert (done.ended, len(done.measured)) == ("time", 18)
    whole = _search(MostAccurate, works, 10.0, latencies_ms)[1]
    assert done.measured == tuple(whole[:18])
    assert done.may_fit > 0
    assert 0 <= done.sureness < 1
    said = capsys.readouterr().err
    assert said.startswith("Some ")
    assert "and no longer than 2.0 min" in said
    assert f"The time is up: {done.may_fit} more accurate may fit and are not measured." in said
    assert "ruled out by estimate, not measured" in said
    known = {name: latencies_ms[name] for name in done.measured}
    assert [*done.measured, *_search(MostAccurate, works, 10.0, latencies_ms, known)[1]] == whole
    assert json.loads(json.dumps(done.to_dict()))["measured"] == list(done.measured)


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
    first = _found(capsys, "--max-ms", "10000")
    assert [name for name, _ in first] == ["test_vit.r160_in1k"]
    assert _found(capsys, "--max-ms", "10000") == first
    with pytest.raises(NothingFitsError, match=r"no network fits local at batch 1 with at most 1e-06 ms") as caught:
        _found(capsys, "--max-ms", "1e-6")
    assert caught.value.nearest == ("test_vit.r160_in1k",)
    ((name, latency_ms),) = _found(capsys, "--refresh")
    assert (name, latency_ms) != first[0]  # measured anew


@pytest.mark.slow
def test_pareto_measures_what_the_front_needs_and_draws_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path / "home"))
    names = ("test_vit.r160_in1k", "test_efficientnet.r160_in1k")
    only = tuple(entry for entry in timm_entries() if entry.name in names)
    monkeypatch.setattr("gpunet.zoo.timm_zoo.entries.timm_entries", lambda: only)
    command = ["pareto", "-d", "local", "--runtime", "pytorch", "--zoo", "timm"]
    main([*command, "--json"])
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert {point["name"] for point in found["points"]} == set(names) == set(found["search"]["measured"])
    assert "Some 2 networks are to be measured" in said.err
    main([*command, "--plot", str(tmp_path / "a.svg"), "--budget-minutes", "1"])
    assert (tmp_path / "a.svg").stat().st_size > 1000
    assert "measured" not in capsys.readouterr().err.lower()  # nothing is left to be
    with pytest.raises(NothingFitsError):
        main([*command, "--max-ms", "1e-6"])


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
        caplog.clear()
        assert gpunet.create("local", max_ms=10_000, **how).entry.name == able.name
        assert gpunet.find("local", max_ms=10_000, thorough=True, runtime="pytorch", zoo="timm").search.measured == ()
    said = "\n".join(caplog.messages)  # of the second time: they are not tried again
    assert "lacking is passed over: entry lacking names the architecture 'no_such_network.in1k', which timm" in said
    assert "failing is passed over: the model cannot run on images of 1 x 3 x 2 x 2" in said


@pytest.mark.parametrize("how", [{"thorough": True}, {"budget_minutes": 3}])
def test_a_search_is_asked_for_where_there_is_one(how):
    for device, zoo in (("gv100", "timm"), ("local", None)):
        with pytest.raises(
            InvalidArgumentError, match=r"(thorough|budget_minutes) is of a search among timm's networks"
        ):
            gpunet.create(device, max_ms=1, zoo=zoo, **how)
    with pytest.raises(InvalidArgumentError, match="budget_minutes must be minutes above 0, but got 0"):
        gpunet.find("local", budget_minutes=0, zoo="timm")
    with pytest.raises(InvalidArgumentError, match="thorough must be True or False, but got 'yes'"):
        gpunet.find("local", thorough="yes", zoo="timm")
