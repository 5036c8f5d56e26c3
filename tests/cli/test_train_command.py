from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import gpunet
from gpunet.cli.main import main
from gpunet.errors import DataError, InvalidArgumentError, SpecError, UnknownModelError
from gpunet.model.parts import HeadSpec, StageSpec, StemSpec
from gpunet.model.spec import NetworkSpec

SPEC = NetworkSpec(16, StemSpec(8), (StageSpec("irb", 16, stride=2, expansion=2),), HeadSpec(24))
QUICK = ["train", "--data", "digits", "--quiet", "--fraction", "0.15", "--epochs", "2"]


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "tiny.json"
    path.write_text(SPEC.to_json(), encoding="utf-8")
    return str(path)


def test_a_trained_folder_is_an_entry(spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tiny_digits"
    main([*QUICK, spec, "-o", str(out)])
    said = capsys.readouterr()
    assert "kept: epoch" in said.out
    assert f"training into {out}: 215 images, 2 epochs, recipe quick" in said.err
    model = gpunet.load("tiny_digits", zoo=out)
    assert model.spec == SPEC
    assert model.entry is not None
    assert model.entry.classes == tuple("0123456789")
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert model.entry.accuracy is not None
    assert model.entry.accuracy.top1_percent == result["best"]["top1_percent"]
    assert "recipe quick, seed 0, epoch" in model.entry.accuracy.source
    main([*QUICK, spec, "-o", str(out), "--json"])
    again = json.loads(capsys.readouterr().out)
    assert again["scores"] == result["scores"]
    assert again["weights"] == str(out / "model.safetensors")


def test_a_student_is_taught_by_the_folder_of_another(spec: str, tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    main([*QUICK, spec, "-o", str(teacher)])
    common = [*QUICK, spec, "--teacher", str(teacher), "--set", "distillation.temperature=4"]
    main([*common, "-o", str(tmp_path / "student"), "--min-teacher-top1", "1"])
    run = json.loads((tmp_path / "student" / "run.json").read_text(encoding="utf-8"))
    assert run["recipe"]["distillation"] == {"teacher": str(teacher), "temperature": 4}
    with pytest.raises(InvalidArgumentError, match=r"reaches \d+\.\d\d % on digits .*, less than the 101 % asked for"):
        main([*common, "-o", str(tmp_path / "other"), "--min-teacher-top1", "101"])


def test_the_recipe_is_printed_with_its_changes(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "--recipe", "gpunet_d2", "--epochs", "7", "--no-distillation", "--print-recipe",
          "--set", "optimization.learning_rate=0.5", "--set", "optimization.optimizer=lamb"])  # fmt: skip
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert printed["epochs"] == 7
    assert printed["optimization"]["learning_rate"] == 0.5
    assert printed["optimization"]["optimizer"] == "lamb"
    assert "distillation" not in printed


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (["--set", "dropout"], InvalidArgumentError, "--set takes KEY=VALUE, but got 'dropout'"),
        (["--set", "dropout.x=1"], SpecError, "dropout"),
        (["--set", "epochs.x=1"], InvalidArgumentError, "--set epochs.x=1: epochs holds no x"),
        (["--set", "droput=0.1"], SpecError, "droput: unknown key"),
        (["--recipe", "fast"], SpecError, "recipe: 'fast' is none of quick"),
        (["--seed", "-1"], InvalidArgumentError, "--seed must be at least 0 and below .*, but got -1"),
        (["--fraction", "0"], DataError, "a fraction must be above 0 and at most 1, but got 0.0"),
        (["--teacher", "x", "--no-distillation"], InvalidArgumentError, "contradict each other"),
        (["--set", "distillation={}"], InvalidArgumentError, "the recipe has distillation, but names no teacher"),
        (["nothing.json"], InvalidArgumentError, "nothing.json: there is no such file"),
        (["gpunet_7"], UnknownModelError, "'gpunet_7' is no model of the zoo or of timm's, no folder of an entry"),
    ],
)
def test_wrong_options(options: list[str], error: type[Exception], said: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=said):
        main([*QUICK, "-o", str(tmp_path / "out"), *options])


def test_without_data_there_is_nothing_to_train_on() -> None:
    with pytest.raises(InvalidArgumentError, match=r"there is nothing to train on\.\nName it: --data DIR"):
        main(["train"])


@pytest.mark.slow
def test_digits_by_the_quick_recipe_reach_97_percent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command of the guide, with the network that is trained where none is named."""
    main(["train", "--data", "digits", "--recipe", "quick", "--quiet", "--json", "-o", str(tmp_path / "out")])
    assert json.loads(capsys.readouterr().out)["best"]["top1_percent"] >= 97
