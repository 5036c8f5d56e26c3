"""gpunet/populate/cost.py: the guide's figures are what it computes."""

from __future__ import annotations

import json
import re

import pytest
from helpers import ROOT

from gpunet.cli.main import main as gpunet_command
from gpunet.errors import InvalidArgumentError
from gpunet.populate.cost import IMAGENET_IMAGES, PUBLISHED, gpu_hours, tier_cost
from gpunet.zoo.catalog import catalog


def test_the_table_of_the_guide_is_computed(capsys: pytest.CaptureFixture[str]):
    gpunet_command(
        ["populate", str(ROOT / "docs" / "h100-imagenet.toml"), "--cost", "--gpus", "100", "--gpu-hour", "2"]
    )
    table, about_table = capsys.readouterr().out.split("\n\n")
    printed = [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()]
    text = (ROOT / "docs" / "populating.md").read_text(encoding="utf-8")
    assert len(printed) == 6
    for row in [printed[0], *printed[2:]]:
        assert f"| {' | '.join(row)} |" in text
    layers = re.search(r"[\d,]+ of .* at 120 s", about_table)
    assert layers is not None
    assert layers.group() in " ".join(text.split())


def test_the_costs_are_json_too(capsys: pytest.CaptureFixture[str]):
    gpunet_command(["populate", "--preset", "demo", "--cost", "--gpu-hour", "2", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["gpus"], said["tiers"], len(said["a_tier"])) == (64, 3, 4)
    assert said["a_tier"][0]["price"] == pytest.approx(2 * said["a_tier"][0]["gpu_hours"])


def test_a_trial_takes_its_images_at_the_published_rate():
    hours = gpu_hours("V100", 3.31e9, 300)
    assert hours == pytest.approx(300 * IMAGENET_IMAGES / (3774 / 8) / 3600)
    # The release's own training time, 43.5 hours of eight GPUs for 450 epochs, is published too.
    assert gpu_hours("V100", 3.31e9, 450) / 8 == pytest.approx(43.5, rel=0.05)


def test_work_is_counted_as_gpunet_counts_it():
    counted = catalog(None)
    for known in PUBLISHED.values():
        for each in known:
            assert counted[each.model].multiply_adds == pytest.approx(each.multiply_adds, rel=0.01)


def test_days_are_of_rounds_of_trials():
    one = tier_cost("V100", 3.31e9, trials=100, epochs=300, fine_tune_epochs=150, gpus=100)
    two = tier_cost("V100", 3.31e9, trials=100, epochs=300, fine_tune_epochs=150, gpus=50)
    assert two.days - one.days == pytest.approx(one.trial_gpu_hours / 24)
    assert one.gpu_hours == pytest.approx(100.5 * one.trial_gpu_hours)


def test_a_gpu_that_nothing_is_published_of():
    with pytest.raises(InvalidArgumentError, match="no training throughput is published for 'H100'"):
        gpu_hours("H100", 1e9, 1)
