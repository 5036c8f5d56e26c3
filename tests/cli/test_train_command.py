from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import gpunet
from gpunet.cli.main import main
from gpunet.errors import (
    INTERRUPTED_EXIT_CODE,
    DataError,
    DownloadError,
    EntryError,
    InvalidArgumentError,
    PreemptedError,
    SpecError,
    TrainingError,
    UnknownModelError,
    UsageError,
)
from gpunet.model.parts import HeadSpec, StageSpec, StemSpec
from gpunet.model.spec import NetworkSpec

SPEC = NetworkSpec(16, StemSpec(8), (StageSpec("irb", 16, stride=2, expansion=2),), HeadSpec(24))
QUICK = ["train", "--data", "digits", "--quiet", "--images-fraction", "0.15", "--epochs", "2"]


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
    assert said.err == f"training tiny from scratch into {out}: 215 images of 10 classes, 2 epochs, recipe quick\n"
    model = gpunet.load("tiny_digits", zoo=out)
    assert model.spec == SPEC
    assert model.entry is not None
    assert model.entry.classes == tuple("0123456789")
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert model.entry.accuracy is not None
    assert model.entry.accuracy.top1_percent == result["best"]["top1_percent"]
    assert "recipe quick, seed 0, epoch" in model.entry.accuracy.source
    main([*QUICK, spec, "-o", str(out), "--json"])
    said = capsys.readouterr()
    assert said.err.startswith(f"{out} has finished already: tiny, 215 images of 10 classes, 2 epochs, recipe quick.")
    again = json.loads(said.out)
    assert again["scores"] == result["scores"]
    assert again["weights"] == str(out / "model.safetensors")


def test_a_student_is_taught_by_the_folder_of_another(spec: str, tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    main([*QUICK, spec, "-o", str(teacher)])
    common = [*QUICK, spec, "--teacher", str(teacher), "--set", "distillation.temperature=4"]
    main([*common, "-o", str(tmp_path / "student"), "--min-teacher-top1", "1"])
    run = json.loads((tmp_path / "student" / "run.json").read_text(encoding="utf-8"))
    assert run["recipe"]["distillation"] == {"teacher": str(teacher), "temperature": 4}
    with pytest.raises(InvalidArgumentError, match=r"reaches \d+\.\d\d % on digits .*, less than the 100 % asked for"):
        main([*common, "-o", str(tmp_path / "other"), "--min-teacher-top1", "100"])


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
        (["--set", "batch_size=x"], SpecError, "^batch_size: 'x' is not an integer"),
        (["--recipe", "fast"], SpecError, "recipe: 'fast' is none of quick"),
        (["--seed", "-1"], UsageError, "--seed must be"),
        (["--seed", str(2**63)], UsageError, "--seed must be"),
        (["--epochs", "0"], UsageError, "--epochs must be"),
        (["--keep", "0"], UsageError, "--keep must be"),
        (
            ["--images-fraction", "0"],
            InvalidArgumentError,
            "--images-fraction must be .* above 0 and at most 1, but got 0",
        ),
        (["--images-fraction", "nan"], InvalidArgumentError, "--images-fraction must be a finite number"),
        (["--checkpoint-minutes", "nan"], InvalidArgumentError, "--checkpoint-minutes must be a finite number above 0"),
        (["--teacher-weights", "a.pth"], InvalidArgumentError, "--teacher-weights is given, but there is no teacher"),
        (["--min-teacher-top1", "90"], InvalidArgumentError, "--min-teacher-top1 is given, but there is no teacher"),
        (
            ["--weights", "nowhere.pth"],
            InvalidArgumentError,
            "--weights is given, but no model that the weights are of",
        ),
        (["--pretrained"], InvalidArgumentError, "--pretrained is given, but no model"),
        (["--finetune"], InvalidArgumentError, "--finetune is given, but no model"),
        (["gpunet_0", "--weights", "no.pth"], InvalidArgumentError, "--weights no.pth: there is no such file"),
        (["--class-map", "classes.txt"], DataError, "nothing reads a class map of digits"),
        (["--holdout", "0.2"], DataError, "digits has splits of its own"),
        (["--holdout", "0.2", "--train-split", "x"], InvalidArgumentError, "--holdout makes the splits"),
        (["--on", "tpu"], TrainingError, "--on must be cpu, cuda or cuda:N, but got 'tpu'"),
        (["-o", "/proc/x"], TrainingError, "/proc/x cannot be the folder of a run"),
        (["-o", "gpunet_p0"], EntryError, "the zoo has a network 'gpunet_p0' already.*\nGive another: --name NAME"),
        (["--name", "../../evil"], EntryError, "'../../evil' is no name for a network"),
        (["--name", "a\x1b[31m"], EntryError, r"'a\\x1b\[31m' is no name for a network"),
        (["foo:bar"], UnknownModelError, "'foo:bar' is no model of the zoo or of timm's"),
        (
            ["vgg11", "--set", "drop_path=0.1"],
            InvalidArgumentError,
            "timm cannot build vgg11 with .*drop_path_rate=0.1",
        ),
        (["--teacher", "x", "--no-distillation"], InvalidArgumentError, "contradict each other"),
        (["--set", "distillation={}"], InvalidArgumentError, "the recipe has distillation, but names no teacher"),
        (["nothing.json"], InvalidArgumentError, "nothing.json: there is no such file"),
        (["gpunet_7"], UnknownModelError, "'gpunet_7' is no model of the zoo or of timm's, no folder of an entry"),
    ],
)
def test_wrong_options(options: list[str], error: type[Exception], said: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=said):
        main([*QUICK, "-o", str(tmp_path / "out"), *options])


def test_a_teacher_without_weights_names_its_own_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path))
    monkeypatch.setenv("GPUNET_NGC_URL", "http://127.0.0.1:9")
    with pytest.raises(DownloadError) as error:
        main(["train", "--data", "digits", "-o", str(tmp_path / "run"), "--teacher", "gpunet_0"])
    assert error.value.hint.endswith("or pass --teacher-weights FILE.")


def test_weights_that_cannot_be_had_name_the_option_that_asked_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path))
    monkeypatch.setenv("GPUNET_NGC_URL", "http://127.0.0.1:9")
    with pytest.raises(DownloadError) as error:
        main(["train", "gpunet_0", "--finetune", "--data", "digits", "-o", str(tmp_path / "run")])
    assert error.value.hint.endswith("pass --weights FILE; without --finetune and --pretrained it begins untrained.")


def test_a_network_is_fine_tuned_from_the_folder_of_a_run(
    tmp_path: Path, spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data are a folder of classes without splits; the classes are as many as before, and others."""
    main([*QUICK, spec, "-o", str(tmp_path / "run0")])
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog", *"abcdefgh"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(5):
            value = np.random.default_rng(number).integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(value).save(tmp_path / "pets" / name / f"{number}.png")
    command = ["train", "run0", "--finetune", "--data", "pets", "--holdout", "0.2", "--quiet", "--epochs", "2",
               "-b", "8", "-o", "out"]  # fmt: skip
    with pytest.raises(DataError, match=r"has no folder 'train'.*\nHold a part of them out: --holdout 0\.2"):
        main(["train", "run0", "--finetune", "--data", "pets"])
    capsys.readouterr()
    main(command)
    said = capsys.readouterr().err
    assert said == (
        "training run0 from the weights of run0 into out: 40 images of 10 classes, 2 epochs, recipe finetune\n"
    )
    began, body = load_file("run0/model.safetensors"), load_file("out/model.safetensors")
    assert not torch.equal(began["classifier.weight"], body["classifier.weight"])
    run = json.loads(Path("out/run.json").read_text(encoding="utf-8"))
    assert run["recipe"]["head_epochs"] == 1
    assert run["data"]["name"] == "pets, all but 0.2 of each class"
    assert (run["validation"]["name"], run["validation"]["images"]) == ("pets, 0.2 of each class", 10)
    first = load_file("out/checkpoints/epoch-0001-step-000000/state.safetensors")
    assert torch.equal(first["model.conv_stem.weight"], began["conv_stem.weight"])
    with pytest.raises(TrainingError, match=r"holds another run: its data\.name is "):
        main([*command[:6], "0.4", *command[7:]])
    main(["eval", "out", "--data", "pets", "--holdout", "0.2", "--json"])
    found = json.loads(capsys.readouterr().out)["out"]
    assert found["images"] == 10
    assert found["top1_percent"] == json.loads(Path("out/result.json").read_text())["best"]["top1_percent"]


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(
    tmp_path: Path, spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpunet.train.run as module

    seen: list[int] = []

    class Interrupting(module.Run):
        def _log(self, *given: Any) -> None:
            super()._log(*given)
            seen.append(1)
            if len(seen) == 4:
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [*QUICK, spec, "--log-every", "1", "-o", str(tmp_path / "out")]
    try:
        monkeypatch.setattr("gpunet.train.engine.Run", Interrupting)
        with pytest.raises(PreemptedError, match=r"asked to leave in epoch 2.*\nThe same command goes on") as caught:
            main(command)
    finally:
        signal.signal(signal.SIGINT, before)
    assert caught.value.exit_code == INTERRUPTED_EXIT_CODE
    capsys.readouterr()
    main(command)
    assert capsys.readouterr().err.startswith(
        f"going on in {tmp_path / 'out'} from its checkpoint in epoch 2, after 1 "
    )


def test_a_weights_file_is_named(tmp_path: Path, spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([*QUICK, spec, "-o", str(tmp_path / "run0")])
    capsys.readouterr()
    weights = tmp_path / "run0" / "model.safetensors"
    main([*QUICK, spec, "--weights", str(weights), "-o", str(tmp_path / "run1")])
    assert capsys.readouterr().err.startswith(f"training tiny from {weights} into ")


def test_old_spellings_are_taken_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "--workers", "2", "--fraction=0.5", "--device", "cpu", "--print-recipe"])
    said = capsys.readouterr()
    assert json.loads(said.out)["name"] == "quick"
    for old, new in (("--workers", "--loader-workers"), ("--fraction", "--images-fraction"), ("--device", "--on")):
        assert f"warning: {old} is called {new} now" in said.err


def test_a_model_may_stand_behind_the_changes_of_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "--print-recipe", "--set", "dropout=0.2", "drop_path=0.1", "gpunet_0", "--finetune"])
    printed = json.loads(capsys.readouterr().out)
    assert (printed["name"], printed["dropout"], printed["drop_path"]) == ("finetune", 0.2, 0.1)


def test_the_teachers_resolution_goes_with_the_teacher(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "--recipe", "gpunet_d2", "--teacher", "resnet18", "--print-recipe"])
    taught = json.loads(capsys.readouterr().out)["distillation"]
    assert (taught["teacher"], "teacher_px" in taught) == ("resnet18", False)


def test_without_data_there_is_nothing_to_train_on() -> None:
    with pytest.raises(InvalidArgumentError, match=r"there is nothing to train on\.\nName it: --data DIR"):
        main(["train"])


@pytest.mark.slow
def test_digits_by_the_quick_recipe_reach_97_percent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command of the guide, with the network that is trained where none is named."""
    main(["train", "--data", "digits", "--recipe", "quick", "--quiet", "--json", "-o", str(tmp_path / "out")])
    assert json.loads(capsys.readouterr().out)["best"]["top1_percent"] >= 97
