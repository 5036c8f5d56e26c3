"""deploy: every format at every precision, proved, with its sidecar; and what it refuses before any work."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.trained_digits import trained
from PIL import Image

import gpunet
from gpunet.core.gpu import find_gpu
from gpunet.errors import RuntimeUnavailableError, VerificationError
from gpunet.exporters.deployment import deploy
from gpunet.exporters.verify import TOLERANCES, Tolerance
from gpunet.runtime.onnxruntime.arithmetic import computes_half
from gpunet.runtime.sidecar import read_sidecar, sidecar_path


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        values = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize(("target", "name"), [("onnx", "n.onnx"), ("openvino", "n.xml"), ("tensorrt_rtx", "n.engine")])
def test_every_format_at_every_precision(model, pictures, tmp_path, target, name, precision) -> None:
    calibration = pictures if precision == "int8" else None
    path = tmp_path / "out" / name
    report = deploy(
        model, path, target=target, precision=precision, calibration=calibration, command=["gpunet-export", "x"]
    )
    assert report.graph.outcome == "verified"
    assert report.verification.precision == precision
    on_gpu = find_gpu() is not None
    assert report.verification.outcome == ("not verified" if target == "tensorrt_rtx" and not on_gpu else "verified")
    side = json.loads(sidecar_path(path).read_text())
    assert (side["format"], side["precision"], side["command"]) == (target, precision, ["gpunet-export", "x"])
    assert side["spec_sha256"] == model.spec.sha256
    assert side["verification"]["outcome"] == report.verification.outcome
    proof = side["verification"]
    assert ("graph" in proof) == (target != "onnx")  # the proof of an ONNX file is its graph's: once is enough
    graph = proof.get("graph", proof)
    assert graph["outcome"] == "verified"
    assert (graph["layers"] is not None) == (precision != "fp32")
    assert graph["arithmetic"] == ("" if precision != "fp16" else "half" if computes_half() else "float32")
    assert (report.quantization is not None) == (precision == "int8")
    assert path.stat().st_size > 10_000
    left = {"n.onnx", "n.xml", "n.bin", "n.engine", f"{name}.json"}
    assert {each.name for each in path.parent.iterdir()} <= left


def test_half_is_smaller_and_io_fp16_reaches_the_ends(model, tmp_path) -> None:
    full = deploy(model, tmp_path / "a.onnx")
    half = deploy(model, tmp_path / "b.onnx", precision="fp16", io_fp16=True)
    assert half.sidecar.artefact_bytes < 0.6 * full.sidecar.artefact_bytes
    graph = onnx.load(tmp_path / "b.onnx").graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
    assert read_sidecar(tmp_path / "b.onnx").builder_flags["io_fp16"] is True


def test_a_current_engine_is_kept(model, tmp_path) -> None:
    path = tmp_path / "n.engine"
    first = deploy(model, path, target="tensorrt_rtx", batch_size=(1, 2, 4))
    stamp = path.stat().st_mtime_ns
    again = deploy(model, path, target="tensorrt_rtx", batch_size=(1, 2, 4), cache=True)
    assert (first.built, again.built) == (True, False)
    assert path.stat().st_mtime_ns == stamp
    assert "(current: kept as it is)" in str(again)
    assert deploy(model, path, target="tensorrt_rtx", batch_size=(1, 2, 8), cache=True).built


@pytest.mark.skipif(find_gpu() is not None, reason="there is a GPU to load it on")
def test_an_engine_is_refused_where_it_cannot_run(model, tmp_path) -> None:
    deploy(model, tmp_path / "n.engine", target="tensorrt_rtx", command=["gpunet-export", "x"])
    with pytest.raises(
        RuntimeUnavailableError, match=r"needs a GPU, here is none.\nBuild it again here: gpunet-export x"
    ):
        gpunet.load_engine(tmp_path / "n.engine")


def test_a_network_is_served_by_triton_too(model, tmp_path) -> None:
    report = deploy(model, tmp_path / "n.onnx", batch_size=(1, 2, 4), triton=tmp_path / "models")
    assert report.triton is not None
    assert (tmp_path / "models" / "n" / "1" / "model.onnx").read_bytes() == (tmp_path / "n.onnx").read_bytes()
    assert "max_batch_size: 4" in (tmp_path / "models" / "n" / "config.pbtxt").read_text()
    assert "backend onnxruntime" in str(report)


def _tolerate_nothing(monkeypatch) -> None:
    """At fp16, at a graph's end: whether its insides are proved or not."""
    monkeypatch.setitem(TOLERANCES, "fp16", Tolerance(relative=1e-9))
    monkeypatch.setattr("gpunet.exporters.verify.AMPLIFIED", {})


def test_what_fails_its_proof_is_not_kept(model, tmp_path, monkeypatch) -> None:
    _tolerate_nothing(monkeypatch)
    with pytest.raises(
        VerificationError, match=r"failed: onnxruntime .* at fp16 computed in \w+: the logits differ by more"
    ):
        deploy(model, tmp_path / "n.onnx", precision="fp16")
    assert not any(tmp_path.iterdir())
    kept = deploy(model, tmp_path / "n.onnx", precision="fp16", keep=True)
    assert kept.verification.outcome == "failed"
    assert read_sidecar(tmp_path / "n.onnx").verification["outcome"] == "failed"


def test_an_openvino_file_that_fails_its_proof_is_kept_on_request(model, tmp_path, monkeypatch) -> None:
    _tolerate_nothing(monkeypatch)
    with pytest.raises(VerificationError, match="the logits differ by more"):
        deploy(model, tmp_path / "n.xml", target="openvino", precision="fp16")
    assert not any(tmp_path.iterdir())
    kept = deploy(model, tmp_path / "n.xml", target="openvino", precision="fp16", keep=True)
    assert read_sidecar(tmp_path / "n.xml").verification["outcome"] == "failed"
    assert kept.verification.candidate.startswith("openvino")
    assert kept.verification.outcome == "failed"
    assert {each.name for each in tmp_path.iterdir()} == {"n.xml", "n.bin", "n.xml.json"}


@pytest.mark.parametrize("layout", ["tensorrt", "onnxruntime", "openvino"])
def test_integers_are_laid_out_as_asked(model, pictures, tmp_path, layout) -> None:
    report = deploy(model, tmp_path / "n.onnx", precision="int8", calibration=pictures, int8_layout=layout)
    assert report.verification.passed
    assert report.quantization.layout == layout
    assert report.sidecar.builder_flags["int8_layout"] == layout


def test_a_layout_for_the_processor_is_served_there(model, pictures, tmp_path) -> None:
    how = {"precision": "int8", "calibration": pictures, "triton": tmp_path / "models"}
    for layout, kind in (("onnxruntime", "KIND_CPU"), ("tensorrt", "KIND_GPU")):
        deploy(model, tmp_path / f"{layout}.onnx", int8_layout=layout, **how)
        assert kind in (tmp_path / "models" / layout / "config.pbtxt").read_text()


def test_int8_is_judged_on_what_it_was_calibrated_on(tmp_path) -> None:
    """Of a trained network, on pictures of its own domain, with its accuracy before and after."""
    network, digits, labels = trained()
    network = copy.deepcopy(network)
    values = np.clip((digits[:80] + 1) * 127.5, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    folder = tmp_path / "digits"
    for number, (picture, label) in enumerate(zip(values, labels[:80], strict=True)):
        place = folder / str(label) / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place)
    network.pretrained_cfg = {"input_size": (3, 16, 16), "mean": (0.5,) * 3, "std": (0.5,) * 3, "crop_pct": 1.0}
    path = tmp_path / "n.onnx"
    report = deploy(network, path, precision="int8", calibration=folder)
    assert report.graph.passed
    assert report.graph.images == "16 calibration pictures"
    assert report.graph.layers.passed
    assert report.quantization.top1_percent_before > 95
    assert abs(report.quantization.top1_change_percent) < 5
    assert report.quantization.folder == str(folder)
    assert read_sidecar(path).report["quantization"]["folder"] == str(folder)
    given = deploy(network, tmp_path / "m.onnx", precision="int8", calibration=folder, images=digits[:5])
    assert given.graph.images == "5 given images"
