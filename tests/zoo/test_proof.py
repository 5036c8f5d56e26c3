"""Exported files proved where they lie: whole ones, changed ones, and those that nothing here can be compared with."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path

import onnx
import pytest
import torch
from helpers.own_entry import NAME, make_entry, make_pictures
from helpers.small_onnx import make_onnx
from onnx import numpy_helper
from safetensors.torch import load_file, save_file

import gpunet
from gpunet.core.files import sha256_of
from gpunet.core.gpu import find_gpu
from gpunet.errors import (
    CheckpointError,
    InvalidArgumentError,
    RuntimeUnavailableError,
    VerificationError,
    WeightsError,
)
from gpunet.exporters.deployment import deploy
from gpunet.runtime.sidecar import read_sidecar, sidecar_path, write_sidecar
from gpunet.zoo.proof import FileProof, prove_file


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An entry in zoo/, deployed as a.onnx, a.xml, half.xml, halfports.onnx and a.engine; random.onnx, untrained."""
    folder = tmp_path_factory.mktemp("proof")
    model = gpunet.load(NAME, zoo=make_entry(folder / "zoo"))
    deploy(model, folder / "a.onnx", batch_size=(1, 2, 3))
    deploy(model, folder / "a.xml", target="openvino", batch_size=(1, 2, 3))
    deploy(model, folder / "half.xml", target="openvino", precision="fp16")
    deploy(model, folder / "halfports.onnx", precision="fp16", io_fp16=True)
    deploy(model, folder / "a.engine", target="tensorrt_rtx")
    torch.manual_seed(0)
    untrained = gpunet.load(NAME, zoo=folder / "zoo", pretrained=False)
    deploy(untrained, folder / "random.onnx")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def outcomes(found: FileProof) -> list[str]:
    return [each.outcome for each in found.proofs]


@pytest.mark.parametrize("name", ["a.onnx", "a.xml", "half.xml"])
def test_a_whole_file_is_proved_by_its_own_weights(folder: Path, name: str) -> None:
    found = prove_file(folder / name, zoo=folder / "zoo")
    assert outcomes(found) == ["verified"] * 3
    assert found.outcome == "verified"
    assert found.verification is not None
    assert found.verification.precision == ("fp16" if name == "half.xml" else "fp32")
    assert found.proofs[2].said.endswith(f"(PyTorch with the weights of {NAME})")
    if name == "a.onnx":
        assert found.verification.batch_sizes == (1, 3)
        assert found.proofs[1].said == "fp32, images of N x 3 x 16 x 16 to 10 classes, batch 1 to 3, best at 2"
    found.require_passed()
    assert json.loads(json.dumps(found.to_dict()))["outcome"] == "verified"


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_runtime_may_be_named_and_weights_given(folder: Path, runtime: str) -> None:
    found = prove_file(
        folder / "a.onnx", weights=folder / "zoo" / "model.safetensors", runtime=runtime, threads=1,
        images=make_pictures(folder / "pictures", 1)[0],
    )  # fmt: skip
    assert found.outcome == "verified"
    assert found.verification is not None
    assert found.verification.candidate.startswith(runtime)
    assert found.verification.images == "1 photograph and 2 random images"


def test_an_ir_is_proved_by_the_onnx_beside_it(folder: Path) -> None:
    """Where its weights cannot be had, and the ONNX is the one that it was made of."""
    found = prove_file(folder / "a.xml")
    assert found.outcome == "verified"
    assert found.proofs[2].said.endswith("a.onnx: the ONNX that it was made of)")
    found = prove_file(folder / "half.xml", against=folder / "a.onnx")
    assert found.outcome == "verified"
    assert found.proofs[2].said.endswith("a.onnx: not the very ONNX that it was made of)")


@pytest.mark.parametrize(("name", "damaged"), [("a.onnx", "a.onnx"), ("a.xml", "a.bin"), ("a.xml", "a.xml"),
                                              ("a.engine", "a.engine")])  # fmt: skip
def test_a_changed_byte_is_found_by_the_hash(folder: Path, name: str, damaged: str) -> None:
    data = bytearray((folder / damaged).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / damaged).write_bytes(data)
    found = prove_file(folder / name, zoo=folder / "zoo")
    assert outcomes(found) == ["failed", "not verified", "not verified"]
    assert f"{damaged} is not the file that {name}.json describes" in found.proofs[0].said
    with pytest.raises(VerificationError, match=rf"{name} failed its proof: hash: .*\nDo not use it") as caught:
        found.require_passed()
    assert caught.value.exit_code == 6
    assert found.to_dict()["error"] == "verification"


def test_changed_weights_are_found_by_the_numbers(folder: Path) -> None:
    """Of a file whose hash was made to fit."""
    path = folder / "a.onnx"
    graph = onnx.load(path)
    changed = next(each for each in graph.graph.initializer if len(each.dims) == 4)
    changed.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(changed) * 1.5, changed.name))
    onnx.save(graph, path)
    write_sidecar(path, dataclasses.replace(read_sidecar(path, check=False), artefact_sha256=sha256_of(path)))
    found = prove_file(path, zoo=folder / "zoo")
    assert outcomes(found) == ["verified", "verified", "failed"]
    assert "the logits differ by more than is allowed" in found.proofs[2].said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"precision": "fp16"}, "it is in fp32, not in fp16"),
        ({"batch": (5, 5, 5)}, "batch"),
        ({"classes": ("a", "b")}, "it has 10 outputs for 2 classes"),
        ({"preprocessing": {"input_size": [3, 32, 32]}}, r"it takes images of (3, 16, 16), not of (3, 32, 32)"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_file_that_is_not_what_its_sidecar_says(folder: Path, change: dict[str, object], said: str) -> None:
    path = folder / "random.onnx"
    write_sidecar(path, dataclasses.replace(read_sidecar(path), **change))  # type: ignore[arg-type]
    found = prove_file(path)
    assert outcomes(found) == ["verified", "failed", "not verified"]
    assert said in found.proofs[1].said


def test_without_its_sidecar_the_other_proofs_are_made(folder: Path) -> None:
    sidecar_path(folder / "a.onnx").unlink()
    found = prove_file(folder / "a.onnx", zoo=folder / "zoo")
    assert outcomes(found) == ["not verified", "verified", "verified"]
    assert found.proofs[0].said == "there is no a.onnx.json beside it, which would say its SHA-256"
    assert found.outcome == "not verified"
    found.require_passed()  # what could not be proved is no failure


def test_a_damaged_sidecar_is_an_error(folder: Path) -> None:
    sidecar_path(folder / "a.onnx").write_text("{")
    with pytest.raises(InvalidArgumentError, match=r"a\.onnx\.json: not JSON") as caught:
        prove_file(folder / "a.onnx")
    assert caught.value.exit_code == 6


def test_what_cannot_be_compared_is_said_with_the_reason(folder: Path, tmp_path: Path) -> None:
    def numbers(name: str, **how: object) -> str:
        found = prove_file(folder / name, **how)  # type: ignore[arg-type]
        assert outcomes(found) == ["verified", "verified", "not verified"]
        return found.proofs[2].said

    assert f"the zoo has no such network '{NAME}': --zoo DIR" in numbers("random.onnx")
    assert "its weights are untrained (drawn at random)" in numbers("random.onnx", zoo=folder / "zoo")
    path = folder / "a.onnx"
    side = read_sidecar(path)
    write_sidecar(path, dataclasses.replace(side, weights={**side.weights, "sha256": "0" * 64}))
    other = f"was not made of the weights of {NAME}: their SHA-256 differs"
    assert other in numbers("a.onnx", zoo=folder / "zoo")
    (folder / "zoo" / "model.safetensors").unlink()
    assert f"the weights of {NAME} are not in the cache" in numbers("a.onnx", zoo=folder / "zoo")
    (tmp_path / "foreign.onnx").write_bytes(make_onnx())
    found = prove_file(tmp_path / "foreign.onnx")
    assert outcomes(found) == ["not verified", "verified", "not verified"]
    assert "it does not say which network it is of" in found.proofs[2].said


def test_other_weights_that_are_named_are_compared_all_the_same(folder: Path, tmp_path: Path) -> None:
    state = load_file(folder / "zoo" / "model.safetensors")
    state["classifier.weight"] *= 1.5
    save_file(state, tmp_path / "other.safetensors")
    found = prove_file(folder / "a.onnx", weights=tmp_path / "other.safetensors")
    assert outcomes(found)[2] == "failed"
    assert found.proofs[2].said.endswith("other.safetensors, not the weights that it was made of)")
    with pytest.raises(CheckpointError):
        prove_file(folder / "a.onnx", weights=folder / "a.bin", zoo=folder / "zoo")
    with pytest.raises(WeightsError, match="there is no such file"):
        prove_file(folder / "a.onnx", weights=tmp_path / "none.safetensors", zoo=folder / "zoo")


def test_half_at_input_and_output_is_not_compared(folder: Path) -> None:
    found = prove_file(folder / "halfports.onnx", zoo=folder / "zoo")
    assert outcomes(found) == ["verified", "not verified", "not verified"]
    assert "half at input and output" in found.proofs[2].said


@pytest.mark.skipif(find_gpu() is not None, reason="this machine has a GPU")
def test_an_engine_without_a_gpu(folder: Path) -> None:
    found = prove_file(folder / "a.engine", against=folder / "a.onnx")
    assert outcomes(found) == ["verified", "not verified", "not verified"]
    assert "it needs a GPU, here is none" in found.proofs[1].said
    if importlib.util.find_spec("polygraphy") is not None:
        with pytest.raises(RuntimeUnavailableError, match="Polygraphy cannot run tensorrt_rtx here"):
            prove_file(folder / "a.engine", polygraphy=True)


def test_files_that_are_none(folder: Path, tmp_path: Path) -> None:
    for name in ("none.onnx", "none.engine"):
        with pytest.raises(InvalidArgumentError, match=rf"{name}: there is no such file") as caught:
            prove_file(tmp_path / name)
        assert caught.value.exit_code == 4
    with pytest.raises(InvalidArgumentError, match=r"none\.onnx: there is no such file\.\n--against names"):
        prove_file(folder / "a.xml", against=tmp_path / "none.onnx")
    (tmp_path / "net.pt").touch()
    with pytest.raises(InvalidArgumentError, match=r"a file to verify ends in \.onnx, .*net\.pt"):
        prove_file(tmp_path / "net.pt")
    with pytest.raises(InvalidArgumentError, match=r"Polygraphy reads ONNX files and engines, but .*\.xml is OpenVINO"):
        prove_file(folder / "a.xml", polygraphy=True)


@pytest.mark.skipif(importlib.util.find_spec("polygraphy") is None, reason="asks Polygraphy: 'gpunet[rtx]'")
def test_the_second_opinion_is_one_more_proof(folder: Path) -> None:
    found = prove_file(folder / "a.onnx", polygraphy=True, runtime="onnxruntime", zoo=folder / "zoo")
    assert outcomes(found) == ["verified"] * 4
    assert found.opinion is not None
    assert found.to_dict()["polygraphy"]["outputs"][0]["name"] == "logits"


def test_integers_are_judged_on_their_own_domain(folder: Path) -> None:
    """On the pictures of the calibration while they are there; else what may be the images' fault is no failure."""
    pictures = folder / "pictures"
    make_pictures(pictures, 12)
    model = gpunet.load(NAME, zoo=folder / "zoo")
    deploy(model, folder / "int8.onnx", precision="int8", calibration=pictures)
    found = prove_file(folder / "int8.onnx", zoo=folder / "zoo")
    assert outcomes(found) == ["verified"] * 3
    assert found.verification is not None
    assert found.verification.images == "12 photographs"
    assert found.verification.layers is not None
    shutil.rmtree(pictures)
    path = folder / "int8.onnx"
    strange = prove_file(path, zoo=folder / "zoo")
    assert strange.verification is not None
    assert "photograph" in strange.verification.images
    graph = onnx.load(path)
    for tensor in graph.graph.initializer:
        if tensor.name.endswith(".scale") and not tensor.dims:  # as if calibrated on what is far darker
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) / 8, tensor.name))
    onnx.save(graph, path)
    write_sidecar(path, dataclasses.replace(read_sidecar(path, check=False), artefact_sha256=sha256_of(path)))
    strange = prove_file(path, zoo=folder / "zoo")
    assert outcomes(strange) == ["verified", "verified", "not verified"], strange.proofs[2].said
    assert "perhaps since these are not what it was calibrated on; name such by --images" in strange.proofs[2].said
    named = prove_file(path, zoo=folder / "zoo", images=make_pictures(folder / "others", 3))
    assert outcomes(named)[2] == "failed"
