from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from helpers.report_example import example_report

from gpunet.report.pareto import pareto_chart
from gpunet.report.references import published
from gpunet.zoo.query import find


@pytest.mark.parametrize("chip", ["gv100", "Tesla V100", "a100"])
def test_the_released_networks_stand_at_the_figures_that_find_gives(chip: str):
    found = published(example_report(chip))
    released = {each.name: each for each in found if each.role == "released"}
    assert len(released) == 7
    for match in find(chip):
        each = released[match.entry.title or match.name]
        assert (each.latency_ms, each.top1_percent) == (match.latency_ms, match.top1_percent)
        assert match.record.source in each.conditions
    assert [each.latency_ms for each in found] == sorted(each.latency_ms for each in found)


def test_the_papers_baselines_are_of_the_gv100():
    baselines = {each.name: each for each in published(example_report()) if each.role == "baseline"}
    assert (baselines["EfficientNet-B0"].latency_ms, baselines["EfficientNet-B0"].top1_percent) == (1.18, 77.1)
    assert baselines["EfficientNet-B0"].conditions.startswith(
        "Quadro GV100 (PCIe), tensorrt 8.0.1, fp16, batch 1, measured"
    )
    assert [each for each in published(example_report("a100")) if each.role == "baseline"] == []


def test_a_board_is_known_where_the_chip_is_not():
    report = example_report("a new name", "V100 32GB")
    assert {each.role for each in published(report)} == {"released"}


def test_accuracies_of_other_images_are_not_put_beside_published_ones():
    assert published(dataclasses.replace(example_report(), dataset="imagenet (val)"))
    report = dataclasses.replace(example_report(), dataset="digits (validation)")
    assert published(report) == ()
    assert "of ImageNet-1k validation, those here of digits (validation)" in pareto_chart(report).caption


@pytest.mark.parametrize(
    "changes",
    [
        {"chip": "local", "board": "local"}, {"chip": "nothing", "board": "known"}, {"chip": "h100", "board": "H100"},
        {"precision": "int8"}, {"batch_size": 3},
    ],
)  # fmt: skip
def test_where_nothing_was_published_nothing_is_shown_or_measured(changes: dict[str, object], gpunet_home: Path):
    assert published(dataclasses.replace(example_report(), **changes)) == ()
    assert not gpunet_home.exists()


@pytest.fixture
def gpunet_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
