"""Classes on the command line: matched by name, else what is taken for granted is said; never a silent 0 %."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from helpers.own_entry import CLASSES, NAME, make_entry
from PIL import Image
from sklearn.datasets import load_digits

import gpunet
from gpunet.cli.main import main
from gpunet.errors import DataError, InvalidArgumentError, RuntimeUnavailableError
from gpunet.exporters.deployment import deploy
from gpunet.model.origin import classes_of_weights
from gpunet.runtime.sidecar import read_sidecar, write_sidecar
from gpunet.zoo.prediction import load_exported


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader of digits in zoo/, a.onnx, half.onnx, half.xml; digits it has not seen in data/, a folder a name."""
    folder = tmp_path_factory.mktemp("classes")
    model = gpunet.load(NAME, zoo=make_entry(folder / "zoo"))
    deploy(model, folder / "a.onnx")
    deploy(model, folder / "half.onnx", precision="fp16")
    deploy(model, folder / "half.xml", target="openvino", precision="fp16")
    silent = onnx.load(folder / "a.onnx")
    kept = [each for each in silent.metadata_props if each.key != "gpunet.classes"]
    del silent.metadata_props[:]
    silent.metadata_props.extend(kept)
    onnx.save(silent, folder / "silent.onnx")
    digits = load_digits()
    for number in range(1500, 1560):
        label = int(digits.target[number])
        for data, name in (("data", CLASSES[label]), ("numbered", str(label)), ("others", f"class {label}")):
            place = folder / data / "validation" / name
            place.mkdir(parents=True, exist_ok=True)
            values = np.uint8(digits.images[number] * 255 / 16)
            Image.fromarray(values).resize((16, 16)).convert("RGB").save(place / f"{number}.png")
    return folder


def scored(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str, data: str = "data") -> tuple[Any, str]:
    """What is said on standard output, as JSON, and on standard error."""
    capsys.readouterr()
    main(["eval", "--json", "--data", str(folder / data), *arguments])
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def test_names_are_matched_in_any_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(folder / each) for each in ("zoo", "a.onnx", "half.onnx", "half.xml")]
    found, said = scored(capsys, folder, *names)  # 'eight' is the first folder, and the network's ninth class
    assert all(found[name]["top1_percent"] > 50 for name in names)
    assert {row["class"] for row in found[names[1]]["classes"]} == set(CLASSES)
    assert "does not name its classes" not in said


@pytest.mark.parametrize("name", ["zoo", "a.onnx", "half.xml"])
def test_other_names_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(
        DataError, match=r"has '0', '1', '2', '3', '4' and 5 more, which the model does not know"
    ) as caught:
        main(["eval", str(folder / name), "--data", str(folder / "numbered")])
    assert "the model's 'zero', 'one', 'two', 'three', 'four' and 5 more are not there" in caught.value.message
    assert "--class-map" in caught.value.hint


def test_a_file_that_names_no_classes_says_what_is_assumed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = str(folder / "silent.onnx")
    found, said = scored(capsys, folder, name, data="numbered")
    assert found[name]["top1_percent"] > 50
    assumed = "silent.onnx does not name its classes: they are taken to be those of"
    assert said.count(assumed) == 1
    assert "in order (0, 1, 2, ...)" in said


def test_training_goes_on_with_the_networks_own_order(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    for split in ("train", "validation"):
        shutil.copytree(folder / "data" / "validation", data / split)
    out = tmp_path / "run"
    main(["train", str(folder / "zoo"), "--pretrained", "--data", str(data), "-o", str(out), "--name", "on", "--quiet",
          "--epochs", "1", "--set", "optimization.learning_rate=1e-9", "--set", "ema_decay=null"])  # fmt: skip
    assert json.loads((out / "entry.json").read_text())["classes"] == list(CLASSES)
    assert classes_of_weights(out / "model.safetensors") == CLASSES
    assert scored(capsys, folder, str(out))[0][str(out)]["top1_percent"] > 50


def test_the_figure_is_called_by_what_was_computed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = str(folder / "half.xml")
    found, said = scored(capsys, folder, name, "-p", "fp32")
    how = {key: found[name][key] for key in ("runtime", "precision", "file_precision")}
    assert how == {"runtime": "openvino", "precision": "fp32", "file_precision": "fp16"}
    assert f"{name} holds fp16, which is computed in fp32 here." in said
    main(["eval", str(folder / "zoo"), name, "-p", "fp32", "--data", str(folder / "data"), "--worst", "0"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[1:3] for row in rows] == [["pytorch", "fp32"], ["openvino", "fp32"]]
    with pytest.raises(InvalidArgumentError, match=r"a\.onnx: it is in fp32, but precision is 'fp16'"):
        main(["eval", str(folder / "a.onnx"), "-p", "fp16", "--data", str(folder / "data")])
    try:
        assert scored(capsys, folder, name, "-p", "fp16")[0][name]["precision"] == "fp16"
    except RuntimeUnavailableError as error:
        assert "on this processor, not in fp16" in error.message  # noqa: PT017


def test_untrained_weights_are_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "u.onnx"
    gpunet.export(gpunet.load(NAME, zoo=folder / "zoo", pretrained=False), path)
    assert f"The weights of {path} are untrained: its accuracy means nothing." in scored(capsys, folder, str(path))[1]
    main(["predict", str(path), str(next((folder / "data" / "validation" / "zero").iterdir()))])
    assert "The weights are untrained: the answers mean nothing." in capsys.readouterr().err


def test_what_contradicts_itself_is_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes((folder / "a.onnx").read_bytes())
    side = read_sidecar(folder / "a.onnx")
    for change, what in (
        ({"classes": CLASSES[::-1]}, "classes"),
        ({"preprocessing": {**(side.preprocessing or {}), "crop_pct": 0.5}}, "images"),
    ):
        write_sidecar(path, dataclasses.replace(side, **change))
        said = rf"a\.onnx says other {what} than a\.onnx\.json beside it"
        with pytest.raises(InvalidArgumentError, match=said) as caught:
            main(["eval", str(path), "--data", str(folder / "data")])
        assert caught.value.exit_code == 6
        with pytest.raises(InvalidArgumentError, match=said):
            load_exported(path)
    (tmp_path / "a.onnx.json").unlink()
    model = onnx.load(path)
    for each in model.metadata_props:
        if each.key == "gpunet.classes":
            each.value = '["a", "b"]'
    onnx.save(model, path)
    with pytest.raises(InvalidArgumentError, match=r"names 2 classes, but answers with 10 numbers"):
        main(["eval", str(path), "--data", str(folder / "data")])
    picture = next((folder / "data" / "validation" / "zero").iterdir())
    with pytest.raises(InvalidArgumentError, match=r"names 2 classes, but answers with 10 numbers"):
        main(["predict", str(path), str(picture)])
