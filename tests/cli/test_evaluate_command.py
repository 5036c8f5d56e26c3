from __future__ import annotations

import json
import re
from pathlib import Path

import onnx
import pytest

import gpunet
from gpunet.cli.main import main
from gpunet.errors import DataError, GpunetError, InvalidArgumentError
from gpunet.exporters import deploy
from gpunet.model.parts import HeadSpec, StageSpec, StemSpec
from gpunet.model.spec import NetworkSpec

SPEC = NetworkSpec(16, StemSpec(8), (StageSpec("irb", 16, stride=2, expansion=2),), HeadSpec(24))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.json").write_text(SPEC.to_json(), encoding="utf-8")
    main(["train", "--data", "digits", "--quiet", "--images-fraction", "0.3", "--epochs", "2",
          str(folder / "tiny.json"), "-o", str(folder / "tiny")])  # fmt: skip
    return folder / "tiny"


def scores(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    main(["eval", "--data", "digits", "--json", *arguments])
    found: dict[str, dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.slow
def test_what_is_deployed_scores_as_what_was_trained(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = gpunet.load("tiny", zoo=trained)
    deploy(model, trained / "tiny.onnx")
    deploy(model, trained / "tiny.xml", target="openvino", batch_size=(1, 8, 64))
    found = scores(capsys, str(trained), str(trained / "tiny.onnx"), str(trained / "tiny.xml"))
    top1 = [each["top1_percent"] for each in found.values()]
    assert top1 == [json.loads((trained / "result.json").read_text())["best"]["top1_percent"]] * 3
    assert [each["confusions"] for each in found.values()] == [next(iter(found.values()))["confusions"]] * 3
    main(["eval", "--data", "digits", "--worst", "2", str(trained), str(trained / "tiny.onnx")])
    said = capsys.readouterr().out
    assert "the 2 worst of 10 classes" in said
    assert "taken for" in said


def test_classes_and_confusions_are_shown(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    main(["eval", "--data", "digits", "--split", "train", str(trained)])
    said = capsys.readouterr().out
    assert "top-1 %" in said
    assert "precision %" in said
    assert "1437" in said


def test_a_network_by_spec_and_weights(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = trained.parent / "ten.json"
    spec.write_text(SPEC.to_json(), encoding="utf-8")
    with pytest.raises(DataError, match="the model has 1000 classes and digits"):
        scores(capsys, str(spec), "--no-pretrained")


def test_a_file_that_does_not_say_how_it_takes_images(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = gpunet.load("tiny", zoo=trained)
    path = trained / "silent.onnx"
    gpunet.export(model, path)
    told = scores(capsys, str(path))[str(path)]["top1_percent"]
    silent = onnx.load(path)
    del silent.metadata_props[:]
    onnx.save(silent, path)
    with pytest.raises(
        InvalidArgumentError, match=r"does not say how it takes images: mean, std, interpolation"
    ) as caught:
        scores(capsys, str(path))
    assert "--mean, --std, --interpolation, --crop-pct" in caught.value.hint
    options = ["--mean", "0.485", "0.456", "0.406", "--std", "0.229", "0.224", "0.225", "--interpolation", "bicubic",
               "--crop-pct", "1"]  # fmt: skip
    assert scores(capsys, str(path), *options)[str(path)]["top1_percent"] == told


def test_wrong_numbers(trained: Path) -> None:
    for option, values, said in (
        ("-b", "0", "--batch-size must be"),
        ("--worst", "-1", "--worst must be"),
        ("--input-px", "0", "--input-px must be"),
        ("--input-px", "-7", "--input-px must be"),
        ("--input-px", "1000000", "--input-px must be"),
        ("--interpolation", "area", "--interpolation must be"),
        ("--mean", "1 1", "--mean"),
        ("--crop-pct", "nan", "--crop-pct must be a finite number above 0 and at most 1, but got nan"),
        ("--crop-pct", "0", "--crop-pct must be a finite number above 0 and at most 1, but got 0.0"),
        ("--mean", "nan 0 0", "--mean must be a finite number of 0 or more and at most 1, but got nan"),
        ("--std", "0 0 0", "--std must be a finite number above 0, but got 0.0"),
        ("--runtime", "openvino", "--runtime is of a file, but none is named"),
        ("--threads", "1", "--threads is of a file, but none is named"),
        ("--class-map", "x.txt", "nothing reads a class map of digits"),
        ("--on", "tpu", "--on must be cpu, cuda or cuda:N, but got 'tpu'"),
        ("--holdout", "0.2", "digits has splits of its own"),
    ):
        with pytest.raises(GpunetError, match=re.escape(said)):
            main(["eval", str(trained), "--data", "digits", option, *values.split()])
    for option in (["--weights", "x.pth"], ["--on", "cpu"], ["--no-pretrained"]):
        with pytest.raises(InvalidArgumentError, match=f"{option[0]} is of a network, but none is named"):
            main(["eval", str(trained / "silent.onnx"), "--data", "digits", *option])
