"""A teacher by query: the most accurate network of the zoo within a latency on a device, and no other."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from helpers.entries import ENTRY, RECORD, write_zoo

from gpunet.cli.main import main
from gpunet.cli.teaching import teacher_found
from gpunet.errors import InvalidArgumentError, NothingFitsError
from gpunet.train import open_data, recipe_named
from gpunet.train.recipe import Distillation

DIGITS = open_data("digits", split="validation")


@pytest.fixture
def zoo(tmp_path: Path) -> list[str]:
    """Two networks of digits on an L4, the more accurate the slower; and one of ImageNet's that is better than both."""
    found = []
    for name, top1, latency_ms, data, classes in (
        ("fast", 90.0, 1.0, DIGITS.name, 10), ("slow", 95.0, 5.0, DIGITS.name, 10),
        ("other", 99.0, 0.5, "ImageNet-1k validation", 1000),
    ):  # fmt: skip
        accuracy = {"top1_percent": top1, "dataset": data, "source": "me"}
        entry = {**ENTRY, "name": name, "num_classes": classes, "accuracy": accuracy}
        record = {**RECORD, "model": name, "latency_ms": str(latency_ms)}
        found.append(str(write_zoo(tmp_path / name, entry=entry, records=[record], name=f"{name}.json")))
    return found


def _teacher(asked: str, zoo: list[str], out: Path, device: str | None = "l4") -> str | None:
    recipe = dataclasses.replace(recipe_named("quick"), distillation=Distillation(teacher=asked))
    found = teacher_found(recipe, device, open_data("digits"), DIGITS, out, zoo)
    assert found.distillation is not None
    return found.distillation.teacher


def test_the_most_accurate_within_the_latency_teaches(zoo: list[str], tmp_path: Path) -> None:
    assert _teacher("best-under 2ms", zoo, tmp_path) == "fast"
    assert _teacher("Best under 5.0 ms", zoo, tmp_path) == "slow"
    assert _teacher("fast", zoo, tmp_path, None) == "fast"
    with pytest.raises(NothingFitsError):
        _teacher("best-under 0.9ms", zoo, tmp_path)


def test_a_run_goes_on_with_the_teacher_that_it_has(zoo: list[str], tmp_path: Path) -> None:
    run: dict[str, Any] = {"recipe": {"distillation": {"teacher": "fast"}}}
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    assert _teacher("best-under 5ms", zoo, tmp_path) == "fast"


def test_what_is_no_query_or_no_teacher_is_refused(zoo: list[str], tmp_path: Path) -> None:
    for asked in ("best-under", "best-under fast", "best-under 0ms", "best-under 1.2.3ms"):
        with pytest.raises(InvalidArgumentError, match=r"is no query\.\nWrite --teacher 'best-under 20ms'"):
            _teacher(asked, zoo, tmp_path)
    with pytest.raises(InvalidArgumentError, match="--teacher-device is given, but the teacher is no query"):
        _teacher("fast", zoo, tmp_path)
    with pytest.raises(
        InvalidArgumentError, match=r"other, tells 1000 classes apart, but digits \S+ has 10\.\nFine-tune"
    ):
        _teacher("best-under 5ms", zoo[2:], tmp_path)


def test_the_command_line_takes_a_query(zoo: list[str], tmp_path: Path) -> None:
    with pytest.raises(NothingFitsError):
        main(["train", "--data", "digits", "-o", str(tmp_path / "run"), "--teacher", "best-under 0.1ms",
              "--teacher-device", "l4", "--zoo", *zoo])  # fmt: skip
    assert not (tmp_path / "run").exists()
