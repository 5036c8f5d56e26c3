"""Estimates with intervals: what they rest on, what moves them, and what is refused."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from gpunet.core.device import CHIPS
from gpunet.errors import InvalidArgumentError
from gpunet.latency.gpu.anchors import Anchor, add_anchors, profile_path, read_anchors
from gpunet.latency.gpu.errors_left_out import calibration, factors_of
from gpunet.latency.gpu.estimator import GpuEstimator
from gpunet.latency.gpu.kernels import Kernel, KernelTable
from gpunet.latency.gpu.known import known_networks
from gpunet.latency.gpu.public_records import public_records
from gpunet.latency.gpu.scope import NotEstimatedError
from gpunet.latency.gpu.sheets import known_sheets
from gpunet.zoo.catalog import catalog
from gpunet.zoo.timm_zoo.entries import timm_entries


def test_every_gpu_with_a_sheet_has_an_estimate_with_an_interval():
    for sheet in known_sheets():
        record = GpuEstimator().estimate("gpunet_0@320", sheet.name)
        low_ms, high_ms = record.conditions["low_ms"], record.conditions["high_ms"]
        assert record.kind == "estimated"
        assert 0 < low_ms < record.latency_ms < high_ms
        assert record.conditions["method"]
        assert record.conditions["rests_on"]


def test_the_networks_of_the_catalogues_are_known():
    names = {f"{(each.architecture or '').partition('.')[0]}@{each.input_px}" for each in timm_entries()}
    assert len(names & set(known_networks().names)) >= 0.98 * len(names)
    for entry in catalog().values():
        if entry.role == "released":
            table = known_networks().table(f"{entry.name}@{entry.input_px}")
            assert (table.multiply_adds * table.count).sum() == pytest.approx(entry.multiply_adds, rel=1e-3)


def test_measured_networks_of_the_paper_come_out_near():
    ratios = []
    measured_ms = {"gpunet_0@320": 0.63, "gpunet_d2@528": 2.17, "resnet50@224": 1.1, "efficientnet_b2@260": 1.86}
    for name, ms in measured_ms.items():
        record = GpuEstimator().estimate(name, "v100")
        assert record.conditions["method"] == "layer records"
        ratios.append(record.latency_ms / ms)
    assert max(abs(math.log(each)) for each in ratios) < math.log(1.15)


def test_more_images_take_longer_and_a_faster_gpu_less():
    by = GpuEstimator()
    times = [by.estimate("resnet50@224", "t4", batch_size).latency_ms for batch_size in (1, 8, 64)]
    assert times == sorted(times)
    assert times[2] < 64 * times[0]
    assert by.estimate("resnet50@224", "rtx4090", 64).latency_ms < times[2] / 2


def test_a_wider_interval_holds_more():
    narrow, wide = (GpuEstimator(confidence=each).estimate("resnet50@224", "t4") for each in (0.5, 0.9))
    assert wide.conditions["high_ms"] > narrow.conditions["high_ms"]
    assert wide.latency_ms == narrow.latency_ms


def test_an_anchor_draws_the_others_after_it_and_narrows():
    plain = GpuEstimator().estimate("gpunet_1@288", "l4")
    first = GpuEstimator().estimate("gpunet_0@320", "l4")
    anchor = Anchor("gpunet_0@320", 1, "fp16", 2 * first.latency_ms)
    drawn = GpuEstimator(anchors=(anchor,)).estimate("gpunet_1@288", "l4")
    assert 1.2 * plain.latency_ms < drawn.latency_ms <= 2 * plain.latency_ms
    assert drawn.conditions["high_ms"] / drawn.latency_ms < plain.conditions["high_ms"] / plain.latency_ms
    several = GpuEstimator(anchors=(anchor,) * 3).estimate("gpunet_1@288", "l4")
    assert drawn.latency_ms < several.latency_ms <= 2 * plain.latency_ms


def test_anchors_are_kept_and_the_last_of_a_network_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path))
    assert read_anchors("l4") == ()
    add_anchors("l4", [Anchor("a@1", 1, "fp16", 2.0)])
    add_anchors("l4", [Anchor("a@1", 1, "fp16", 3.0), Anchor("b@1", 1, "fp16", 4.0)])
    assert [each.latency_ms for each in read_anchors("l4")] == [3.0, 4.0]
    profile_path("l4").write_text("{}", encoding="utf-8")
    with pytest.raises(Exception, match="the profile of l4 cannot be read"):
        read_anchors("l4")


@pytest.mark.parametrize(
    ("network", "device", "batch_size", "precision", "said"),
    [
        ("gpunet_0@320", "t4", 1, "int8", "INT8 saves depends on"),
        ("gpunet_0@320", "t4", 1, "fp32", "TF32"),
        ("gpunet_0@320", "t4", 257, "fp16", "at batch 257 is not estimated"),
        ("regnetx_016@224", "v100", 1, "fp16", "grouped convolutions"),
        ("nobody@7", "t4", 1, "fp16", "kernels of 'nobody@7' are not known"),
    ],
)
def test_what_was_not_tried_is_refused_with_the_reason(network, device, batch_size, precision, said):
    with pytest.raises(NotEstimatedError, match=said):
        GpuEstimator().estimate(network, device, batch_size, precision)


def test_too_little_work_is_refused():
    with pytest.raises(NotEstimatedError, match="multiply-adds a run lie outside"):
        GpuEstimator().estimate(KernelTable.of([Kernel("conv", 1, 8, 8, 1, 8, 8, 64)]), "t4")


def test_a_confidence_of_all_or_nothing_is_an_error():
    with pytest.raises(InvalidArgumentError, match="confidence must be a finite number"):
        GpuEstimator(confidence=1.0).estimate("gpunet_0@320", "t4")


def test_factors_count_every_gpu_alike():
    errors, units = [0.1] * 90 + [1.0] * 3, ["a"] * 90 + ["b"] * 3
    assert factors_of(errors, units)[49] == pytest.approx(math.exp(1.0), rel=1e-3)
    assert factors_of(errors, units)[20] == pytest.approx(math.exp(0.1), rel=1e-3)


def test_a_network_measured_elsewhere_is_transferred():
    target = GpuEstimator().estimate("gpunet_p0@224", "rtx3060")
    assert target.conditions["method"] == "transferred"
    without = GpuEstimator(records=()).estimate("gpunet_p0@224", "rtx3060")
    assert without.conditions["method"] == "sheet"


def test_constants_and_records_are_whole():
    made = calibration()
    assert all(value > 0 for value in made.constants.values())
    assert 0 < made.trust < 1
    for known in made.factors.values():
        for grid in known.values():
            assert len(grid) == 99
            assert list(grid) == sorted(grid)
    networks, gpus = set(known_networks().names), {each.name for each in known_sheets()}
    assert all(each.network in networks and each.gpu in gpus for each in public_records())


def test_chips_with_a_sheet_answer_to_one_name():
    by = GpuEstimator()
    estimated = {by.estimate("gpunet_0@320", name).chip for name in ("t4", "gv100", "v100", "rtx4090", "l4")}
    assert estimated <= {each.name for each in CHIPS}


def test_many_networks_at_once_are_the_same_as_one_by_one():
    by, known = GpuEstimator(), known_networks()
    names = known.names[::200]
    sheet = next(each for each in known_sheets() if each.name == "T4")
    together = by.estimates({name: known.table(name) for name in names}, sheet, 8)
    for name in together:
        assert by.estimate(name, "t4", 8).latency_ms == pytest.approx(together[name].latency_ms, rel=1e-3)
    assert dataclasses.is_dataclass(by)
    assert np.isfinite([each.latency_ms for each in together.values()]).all()
