"""What leaves the house says what it is: classes in every form, and a sidecar that answers who deploys it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.own_entry import CLASSES, NAME, make_entry
from helpers.publications import publication

import gpunet
from gpunet.exporters.deployment import deploy
from gpunet.exporters.metadata import facts_of_file
from gpunet.model.origin import WeightsOrigin, classes_of_weights
from gpunet.runtime.openvino.format import metadata_of
from gpunet.runtime.sidecar import Sidecar, read_sidecar
from gpunet.zoo.prediction import load_exported
from gpunet.zoo.publishing.publish import publish_entry

FILES = {"a.onnx": "onnx", "a.xml": "openvino", "a.engine": "tensorrt_rtx"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained reader of digits in every format, for batches of 1 to 4; and the ONNX in a Triton repository."""
    folder = tmp_path_factory.mktemp("leaving")
    model = gpunet.load(NAME, zoo=make_entry(folder / "zoo"))
    for name, target in FILES.items():
        triton = folder / "triton" if target == "onnx" else None
        deploy(model, folder / name, target=target, batch_size=(1, 2, 4), triton=triton)
    return folder


def test_class_names_are_in_every_form(folder: Path, tmp_path: Path) -> None:
    names = list(CLASSES)
    inside = {each.key: each.value for each in onnx.load(folder / "a.onnx").metadata_props}
    assert json.loads(inside["gpunet.classes"]) == json.loads(metadata_of(folder / "a.xml")["classes"]) == names
    for name in FILES:
        assert json.loads((folder / f"{name}.json").read_text())["classes"] == names
        assert facts_of_file(folder / name).classes == CLASSES
    assert (folder / "triton" / "a" / "labels.txt").read_text().splitlines() == names
    published = publish_entry(tmp_path, publication(classes=CLASSES))
    assert "In the order of the outputs: `zero`, `one`, `two`" in (published / "README.md").read_text()
    assert classes_of_weights(published / "model.safetensors") == CLASSES
    assert json.loads((published / "entry.json").read_text())["classes"] == names


@pytest.mark.parametrize("name", FILES)
def test_the_sidecar_answers_who_deploys_it(folder: Path, name: str) -> None:
    side = read_sidecar(folder / name)
    assert Sidecar.from_dict(json.loads((folder / f"{name}.json").read_text())) == side
    source = f"the weights of {NAME} (model.safetensors)"
    said = {"state": "trained", "source": source, "licence": "not stated"}
    assert side.weights == {"sha256": side.weights_sha256, **said}
    (entering,), (leaving,) = side.inputs, side.outputs
    assert (entering["name"], entering["dtype"], entering["layout"]) == ("input", "float32", "NCHW")
    assert entering["shape"] == ["batch", 3, 16, 16]
    assert entering["mean"] == side.preprocessing["mean"]  # type: ignore[index]
    assert (leaving["name"], leaving["shape"]) == ("logits", ["batch", 10])
    assert (side.opset, side.reparameterized) == (17, False)
    assert side.versions["torch"]
    assert facts_of_file(folder / name).weights == WeightsOrigin(**said)
    assert sorted(side.run) == {
        "a.onnx": ["onnxruntime", "openvino", "tensorrt 10.4", "tensorrt 11"], "a.xml": ["openvino"],
        "a.engine": ["tensorrt_rtx"],
    }[name]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "runtime"), [("a.onnx", "onnxruntime"), ("a.onnx", "openvino"), ("a.xml", "openvino")]
)
def test_its_lines_run_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, runtime: str) -> None:
    monkeypatch.chdir(folder)
    values: dict[str, np.ndarray] = {}
    exec("\n".join(read_sidecar(folder / name).run[runtime]), values)
    expected = load_exported(folder / name).run(values["images"])
    np.testing.assert_allclose(values["logits"], expected, atol=1e-4)


def test_its_commands_name_the_file_and_its_batches(folder: Path) -> None:
    run = read_sidecar(folder / "a.onnx").run
    for version in ("10.4", "11"):
        said = run[f"tensorrt {version}"]
        assert said.startswith("trtexec --onnx=a.onnx ")
        for word in ("--minShapes=input:1x", "--optShapes=input:2x", "--maxShapes=input:4x3x16x16"):
            assert word in said
    assert ("--stronglyTyped" in run["tensorrt 10.4"], "--stronglyTyped" in run["tensorrt 11"]) == (True, False)
    engine = read_sidecar(folder / "a.engine").run["tensorrt_rtx"]
    assert engine.startswith("tensorrt_rtx --loadEngine=a.engine --shapes=input:2x3x16x16")


def test_a_file_alone_says_that_it_is_untrained(folder: Path, tmp_path: Path) -> None:
    untrained = gpunet.load(NAME, zoo=folder / "zoo", pretrained=False)
    gpunet.export(untrained, tmp_path / "u.onnx")
    assert facts_of_file(tmp_path / "u.onnx").weights == WeightsOrigin("untrained", "drawn at random")
    deploy(untrained, tmp_path / "u.xml", target="openvino")
    os.remove(tmp_path / "u.xml.json")
    assert facts_of_file(tmp_path / "u.xml").weights.state == "untrained"
