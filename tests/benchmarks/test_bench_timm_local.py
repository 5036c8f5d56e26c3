"""The benchmark on this machine: how it judges, and that its sample is what it says; measuring is for who runs it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from bench_timm_local import SAMPLE, main

from gpunet.zoo.timm_zoo.entries import timm_entries
from gpunet.zoo.timm_zoo.predicted import Work

TRUTH = {
    "latency_ms": {"a": 4.0, "b": 9.0, "c": 9.5, "d": 30.0}, "top1_percent": {"a": 70, "b": 75, "c": 76, "d": 80},
    "multiply_adds_billions": dict.fromkeys("abcd", 1.0), "activations_millions": dict.fromkeys("abcd", 1.0),
    "parameters_millions": dict.fromkeys("abcd", 1.0), "spread_percent": {}, "failed": {"e": "it cannot run"},
    "board": "Some CPU", "threads": 2, "runtime": "openvino 1",
}  # fmt: skip


def test_the_sample_is_of_sixty_networks_in_many_families():
    entries = {entry.name: entry for entry in timm_entries()}
    assert len(set(SAMPLE)) == len(SAMPLE) >= 60
    families = Counter(Work(name, 0, 0, 0, 0).family for name in SAMPLE)
    assert len(families) > 40
    assert max(families.values()) <= 3
    assert all(0.05 <= entries[name].multiply_adds_billions <= 6 for name in SAMPLE)


def _answer(budget_ms: float, found: str, measured: list[str], latency_ms: float = 1.0) -> dict[str, object]:
    search = {"measured": measured, "kept": 0}
    return {"budget_ms": budget_ms, "found": found, "latency_ms": latency_ms, "minutes": 1.0, "search": search}


def test_it_judges_by_what_was_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path), "--steps"]) == 1
    assert "not done yet: truth, 5, 10, 20, 40, sequence" in capsys.readouterr().out
    answers = [_answer(5, "a", ["a"]), _answer(10, "c", ["c"]), _answer(20, "c", ["c"]), _answer(40, "d", ["d"])]
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    for each in answers:
        (tmp_path / f"{each['budget_ms']}.json").write_text(json.dumps([each]))
    (tmp_path / "sequence.json").write_text(json.dumps(answers))
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "Some CPU, 2 threads, openvino 1, float32, batch 1" in said
    assert "failed: e: it cannot run" in said
    assert "search on the truth itself" in said
    (tmp_path / "10.json").write_text(json.dumps([_answer(10, "b", ["b"])]))
    assert main([str(tmp_path)]) == 1  # c would have been the answer, and was not measured
    (tmp_path / "10.json").write_text(json.dumps([_answer(10, "b", ["b", "c"])]))
    assert main([str(tmp_path)]) == 0  # c was, and was slower then
