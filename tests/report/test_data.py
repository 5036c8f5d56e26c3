from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from helpers.report_example import example_report, small_network, small_report

from gpunet.errors import ReportError, SpecError
from gpunet.report.data import (
    NetworkReport,
    Report,
    Sample,
    TierReport,
    TrialPoint,
    read_report,
    write_report,
)

DATA = small_report().to_dict()


@pytest.mark.parametrize(
    "report", [example_report(), small_report(), small_report((), ())], ids=["full", "small", "empty"]
)
def test_a_report_is_written_and_read_back(report: Report, tmp_path: Path):
    path = write_report(report, tmp_path / "new")
    assert path == tmp_path / "new" / "report.json"
    assert read_report(tmp_path / "new") == report
    assert list((tmp_path / "new").iterdir()) == [path]


def test_the_file_says_what_it_is():
    assert (DATA["format"], DATA["format_version"]) == ("gpunet-report", 1)
    assert "high_ms" in example_report().to_dict()["tiers"][3]  # None: no upper bound


def _with(path: str, value: Any) -> dict[str, Any]:
    """DATA with the value at a path such as 'tiers.0.name' replaced, or left out for '...'."""
    data = copy.deepcopy(DATA)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    at: Any = data
    for part in parents:
        at = at[part]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("format", "other", "format: this is no gpunet-report"),
        ("format_version", 2, "format_version: 2 is not 1"),
        ("title", "", "title: '' is not a name"),
        ("dataset", 3, "dataset: 3 is not a text"),
        ("surprise", 1, "surprise: unknown key"),
        ("tiers", ..., "tiers: missing"),
        ("tiers", 3, "tiers: 3 is not a list"),
        ("tiers.0", 3, r"tiers\[0\]: 3 is not an object"),
        ("tiers.0.surprise", 1, r"tiers\[0\]\.surprise: unknown key"),
        ("tiers.0.name", None, r"tiers\[0\]\.name: None is not a name"),
        ("tiers.0.low_ms", -1, r"tiers\[0\]\.low_ms: -1 is out of range"),
        ("tiers.0.high_ms", 1.0, r"tiers\[0\]\.high_ms: 1\.0 is out of range; it is above low_ms"),
        ("tiers.0.high_ms", float("inf"), r"tiers\[0\]\.high_ms: inf is not a finite number"),
        ("tiers.0.sample", ..., r"tiers\[0\]\.sample: missing"),
        ("tiers.0.sample.count", -1, r"tiers\[0\]\.sample\.count: -1 is out of range"),
        ("tiers.0.sample.edges_ms", 1, r"tiers\[0\]\.sample\.edges_ms: 1 is not a list"),
        ("tiers.0.sample.edges_ms", [1, 2], r"sample\.edges_ms: 2 edges do not bound 2 bins"),
        ("tiers.0.sample.edges_ms", [1, 2, 2], r"edges_ms\[2\]: 2 is not above the edge before it"),
        ("tiers.0.sample.edges_ms", [1, 2, float("nan")], r"edges_ms\[2\]: nan is not a finite number"),
        ("tiers.0.sample.counts", [2, 4], r"counts: the bins hold 6 points, the sample only 5"),
        ("tiers.0.sample.counts", [2, 0.5], r"counts\[1\]: 0\.5 is not an integer"),
        ("tiers.0.trials", {}, r"tiers\[0\]\.trials: {} is not a list"),
        ("tiers.0.trials.0.state", "lost", r"tiers\[0\]\.trials\[0\]\.state: 'lost' is not one of complete, pruned"),
        ("tiers.0.trials.0.number", -1, r"trials\[0\]\.number: -1 is out of range"),
        ("tiers.0.trials.0.estimated_ms", 0, r"trials\[0\]\.estimated_ms: 0 is out of range; latencies are in ms"),
        ("tiers.0.trials.0.top1_percent", 101, r"trials\[0\]\.top1_percent: 101 is out of range"),
        ("tiers.0.trials.0.top1_percent", None, r"top1_percent: missing, though the trial is complete"),
        ("tiers.0.trials.0.measured_ms", float("nan"), r"trials\[0\]\.measured_ms: nan is not a finite number"),
        ("tiers.0.random_top1_percent", [50, float("nan")], r"random_top1_percent\[1\]: nan is not a finite number"),
        ("networks.0.tier", "other", r"networks\[0\]\.tier: no tier is called 'other'"),
        ("networks.0.measured_ms", float("inf"), r"networks\[0\]\.measured_ms: inf is not a finite number"),
        ("networks.0.spread_ms", -1, r"networks\[0\]\.spread_ms: -1 is out of range"),
        ("networks.0.parameters", 0.5, r"networks\[0\]\.parameters: 0\.5 is not an integer"),
        ("networks.0.note", 3, r"networks\[0\]\.note: 3 is not a text"),
        ("networks.0.spec.stages.1.kernel_size", 4, r"networks\[0\]\.spec: stages\[1\]\.kernel_size: 4 is even"),
        ("batch_size", 0, "batch_size: 0 is out of range"),
        ("runtime_version", 3, "runtime_version: 3 is not a text"),
        ("versions", [], r"versions: \[\] is not an object"),
        ("versions", {"torch": 2}, r"versions\.torch: 2 is not a text"),
        ("versions", {"": "2"}, "versions: '' is not a name"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_path_and_its_file(path: str, value: Any, said: str, tmp_path: Path):
    data = _with(path, value)
    with pytest.raises(SpecError, match=said):
        Report.from_dict(data)
    (tmp_path / "report.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ReportError, match=rf"report\.json: .*{said}"):
        read_report(tmp_path)


def test_versions_may_be_left_out():
    assert Report.from_dict(_with("versions", ...)).versions == {}


@pytest.mark.parametrize("name", ["tiers", "networks"])
def test_names_are_there_once(name: str):
    data = _with(name, [DATA[name][0], DATA[name][0]])
    with pytest.raises(SpecError, match=f"{name}: name '{DATA[name][0]['name']}' is there twice"):
        Report.from_dict(data)
    trials = DATA["tiers"][0]["trials"]
    with pytest.raises(SpecError, match=r"tiers\[0\]\.trials: number 0 is there twice"):
        Report.from_dict(_with("tiers.0.trials", [*trials, *trials]))


def test_parts_of_another_kind_are_refused():
    with pytest.raises(SpecError, match=r"tiers\[0\]: 3 is not a TierReport"):
        small_report(tiers=(3,))  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"tiers\[0\]\.sample: None is not a Sample"):
        small_report(tiers=(TierReport("only", 0, 1, None),))  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"networks: \[\] is not a list"):
        small_report(networks=[])  # type: ignore[arg-type]


def test_a_folder_without_a_report_and_a_file_that_is_no_json_are_known_errors(tmp_path: Path):
    with pytest.raises(ReportError, match=r"holds no report\.json"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_text("{", encoding="utf-8")
    with pytest.raises(ReportError, match=r"report\.json is damaged: it cannot be read as JSON"):
        read_report(tmp_path)
    with pytest.raises(SpecError, match="format: this is no gpunet-report"):
        Report.from_dict([1])


@pytest.mark.parametrize(
    ("low", "high", "label"), [(0.0, 1.0, "below 1 ms"), (0.5, 1.0, "0.5 to 1 ms"), (2.0, None, "2 ms or more")]
)
def test_a_tier_says_its_bounds(low: float, high: float | None, label: str):
    assert TierReport("tier", low, high, Sample(0)).label == label


def test_complete_trials_are_in_the_order_of_their_numbers():
    points = (TrialPoint(2, "complete", 1, 5.0), TrialPoint(1, "pruned", 1, 7.0), TrialPoint(0, "complete", 1, 3.0))
    assert [trial.number for trial in TierReport("tier", 0, 1, Sample(0), points).complete] == [0, 2]


def test_a_network_knows_its_spec():
    network = small_network()
    assert network.network.count_parameters() == network.parameters
    assert dataclasses.replace(network, note="x") != network
    assert isinstance(network, NetworkReport)
