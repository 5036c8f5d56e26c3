"""What was published beside single latencies, as it was published; and figures that were published twice."""

from __future__ import annotations

import json
from collections import Counter

import pytest

import gpunet
from gpunet.cli.main import main
from gpunet.model.entry import counted_once
from gpunet.zoo.catalog import catalog
from gpunet.zoo.choice.conditions import Query
from gpunet.zoo.published import comparisons, detections, online_figures, reproduced_table_3
from gpunet.zoo.query import candidates


def test_nvidias_readme_repeats_tritons_figures_of_batch_1_14_of_14() -> None:
    pairs = []
    for entry in catalog().values():
        for record in entry.records:
            if record.same_as:
                (other,) = (
                    each for each in entry.records
                    if (each.source, each.chip, each.batch_size) == (record.same_as, record.chip, 1)
                )  # fmt: skip
                pairs.append((record, other))
    assert len(pairs) == 14
    assert all(record.latency_ms == other.latency_ms for record, other in pairs)
    assert {(r.runtime, r.statistic, o.runtime, o.statistic) for r, o in pairs} == {
        ("tensorrt", "median", "onnxruntime-tensorrt", "mean")
    }


def test_one_measurement_counts_once() -> None:
    entry = catalog()["gpunet_0"]
    assert (len(entry.records), len(counted_once(entry.records))) == (21, 19)
    (match,) = (match for match in gpunet.find("a100") if match.name == "gpunet_0")
    assert [record.runtime for record in match.records] == ["onnxruntime-tensorrt"]
    # Asked for as it was published the second time, it is that.
    (match,) = (match for match in gpunet.find("A100 80GB") if match.name == "gpunet_0")
    assert (match.record.runtime, match.latency_ms) == ("tensorrt", 0.46)
    twice = [record for record in entry.records if record.same_as]
    assert counted_once(twice) == tuple(twice)


def test_the_readmes_example_of_trtexec() -> None:
    (record,) = (record for record in catalog()["gpunet_0"].records if "example output" in record.source)
    assert (record.latency_ms, record.statistic, record.conditions["mean_ms"]) == (0.564209, "median", 0.564606)


def test_tritons_online_scenario_has_64_rows_a_network() -> None:
    rows = online_figures()
    assert set(Counter(row.model for row in rows).values()) == {64}
    assert len(rows) == 7 * 64
    first = rows[0]
    assert (first.model, first.board, first.concurrency, first.throughput_ips) == (
        "gpunet_0",
        "DGX-1 V100 32GB",
        8,
        1225,
    )
    assert (first.server_compute_infer_ms, first.p50_ms, first.average_ms) == (1.6, 6.72, 6.52)
    for row in rows:
        assert row.p50_ms <= row.p90_ms <= row.p95_ms <= row.p99_ms
        assert row.server_compute_infer_ms < row.average_ms


def test_table_4() -> None:
    assert {row.model: (row.latency_ms, row.map_percent) for row in detections()} == {
        "gpunet_2": (5.2, 40.0), "resnet50": (5.8, 40.4), "fbnetv3_f": (7.9, 26.5), "efficientnet_b3": (10.65, 28.4),
    }  # fmt: skip
    known = catalog()
    assert all(known[row.model].top1_percent == row.top1_percent for row in detections())


def test_table_3_is_reproduced_from_its_own_figures() -> None:
    found = reproduced_table_3(candidates(Query(device="gv100", include_baselines=True), figures_only=True))
    assert len(found) == len(comparisons()) == 23
    assert all(row.accuracy_gain_percent == row.published.accuracy_gain_percent for row in found)
    off = {row.published.model: (row.published.speedup, round(row.speedup, 2)) for row in found if not row.agrees}
    assert off == {"regnetx_160": (2.72, 4.76), "resnest50d": (1.27, 1.31)}
    assert all(row.baseline.distilled == row.gpunet.distilled for row in found)
    assert reproduced_table_3(candidates(Query(device="a100"))) == []


def test_the_three_regnets_are_told_apart() -> None:
    titles = {name: entry.title for name, entry in catalog().items() if name.startswith("regnetx")}
    assert titles == {"regnetx_016": "RegNet-X 1.6GF", "regnetx_160": "RegNet-X 16GF", "regnetx_320": "RegNet-X 32GF"}


# ------------------------------------------------------------------ the commands


def test_info_says_what_repeats_what_and_what_else_was_published(capsys: pytest.CaptureFixture[str]) -> None:
    main(["info", "gpunet_2"])
    text = capsys.readouterr().out
    assert "[2], the measurement of [3] again" in text
    assert "Under load, 8 of 64 rows (--json has all)" in text
    assert "As the backbone of Cascade RCNN at 1333x800 px: 5.2 ms by TensorRT, mAP 40 % on COCO" in text
    assert "trained        without distillation" in text
    main(["info", "gpunet_2", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (len(found["triton_online"]), len(found["detection"]), found["distilled"]) == (64, 1, False)


def test_pareto_splits_by_distillation_and_reproduces_table_3(capsys: pytest.CaptureFixture[str]) -> None:
    main(["pareto", "-d", "gv100", "--baselines"])
    text = capsys.readouterr().out
    assert "3 of 17 networks trained without distillation are on the frontier: gpunet_0, gpunet_1, gpunet_2." in text
    assert "4 of 15 networks trained with distillation are on the frontier: " in text
    assert "21 of 23 published speed-ups are those of the published latencies, within 2 %." in text
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "2.72x  4.76x, not as published" in rows["RegNet-X 16GF"]
    main(["pareto", "-d", "gv100", "--baselines", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["frontiers"]["without_distillation"] == ["gpunet_0", "gpunet_1", "gpunet_2"]
    assert found["table_3"][0] == {
        "model": "regnetx_016", "against": "gpunet_0", "distilled": False, "speedup_published": 3.3,
        "speedup_of_latencies": pytest.approx(3.3226, abs=1e-4), "agrees": True, "accuracy_gain_published": 1.9,
        "accuracy_gain": 1.9,
    }  # fmt: skip
    main(["pareto", "-d", "a100", "--json"])
    assert json.loads(capsys.readouterr().out)["table_3"] == []
