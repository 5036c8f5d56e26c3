from __future__ import annotations

import json
from pathlib import Path

import bench_timm_export as bench
import pytest


def test_every_family_has_an_architecture_before_one_has_two() -> None:
    found = bench.chosen(None, 130)
    families = [bench.family_of(name) for name in found]
    assert len(found) == 130
    assert len(set(families)) == len(set(families[: len(set(families))])) > 75
    assert not [name for name in found if name.startswith("test_")]
    assert {len(set(bench._spread(names))) for names in (["a"], ["a", "b"], list("abcdefg"))} == {1, 2, 7}
    assert list(bench.chosen(bench.INT8, 0)) == list(bench.INT8)
    with pytest.raises(SystemExit, match="resnet19 is no architecture of the catalogue"):
        bench.chosen(["resnet19"], 0)


def test_a_file_is_gone_on_with_and_says_what_failed(tmp_path: Path, capsys) -> None:
    rows = [
        {"architecture": "resnet18", "family": "resnet", "outcome": "verified", "reason": ""},
        {"architecture": "vgg11", "family": "vgg", "outcome": "failed", "reason": "it took more than 600 s"},
    ]
    path = tmp_path / "exports.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + '\n{"architecture": "half a l', encoding="utf-8")
    assert bench.read(path) == rows
    assert bench.read(tmp_path / "none.jsonl") == []
    bench.main(["--out", str(path), "--only", "--architectures", "resnet18", "vgg11"])
    said = capsys.readouterr().out
    assert said.startswith("2 architectures: 1 verified, 1 failed; 1 of 2 families\n")
    assert "vgg11: it took more than 600 s" in said


@pytest.mark.slow
def test_architectures_are_exported_each_by_a_process(tmp_path: Path) -> None:
    path = tmp_path / "exports.jsonl"
    bench.main(["--out", str(path), "--architectures", "test_resnet"])
    (found,) = bench.read(path)
    assert (found["outcome"], found["family"], found["entry"]) == ("verified", "resnet", "test_resnet.r160_in1k")
    with pytest.raises(SystemExit, match="0 of 1 architectures were verified"):
        bench.main(["--out", str(tmp_path / "small.jsonl"), "--architectures", "test_resnet", "--memory-gib", "0.1"])
