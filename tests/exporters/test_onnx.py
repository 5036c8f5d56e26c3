from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap

import numpy as np
import onnx
import pytest
import timm
import torch
from helpers.unprivileged import refused_in_a_read_only_folder
from torch import nn

import gpunet
from gpunet import runtime
from gpunet.core.files import sha256_of
from gpunet.errors import ExportError, InvalidArgumentError, VerificationError
from gpunet.exporters.onnx import check_graph, export, onnx_from_network

SEVEN = ("gpunet_0", "gpunet_1", "gpunet_2", "gpunet_p0", "gpunet_p1", "gpunet_d1", "gpunet_d2")


class Moody(nn.Module):
    """Takes another way for bright images: a trace remembers only the way that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.conv(x).mean((2, 3))
        return logits if float(x.mean()) < 0.5 else logits + 1


class Rigid(nn.Module):
    """Has the batch size that it was traced with written into its graph."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = int(x.shape[0])
        return x.mean((2, 3)).reshape(size * 3).reshape(size, 3)


# ---------------------------------------------------------------- what is written


def test_a_file_and_its_report(report, model):
    path = report.path
    assert list(path.parent.iterdir()) == [path]  # self-contained, and nothing half-written
    assert (report.size_bytes, report.sha256) == (path.stat().st_size, sha256_of(path))
    assert (report.opset, report.image_shape, str(report.batch)) == (17, (3, 32, 32), "2 to 5, best at 3")
    assert report.verification.passed
    assert "photograph" in report.verification.images
    assert report.verification.top1_agreement == 1
    assert 0 < report.verification.max_abs_difference < 1e-4

    written = onnx.load(path)
    onnx.checker.check_model(written, full_check=True)
    assert (written.producer_name, written.graph.name) == ("gpunet", "GPUNet")
    properties = {each.key: each.value for each in written.metadata_props}
    assert properties["note"] == "a test"
    assert gpunet.NetworkSpec.from_json(properties["gpunet.spec"]) == model.spec
    assert json.loads(properties["gpunet.preprocessing"])["input_size"] == [3, 32, 32]


def test_the_report_can_be_printed_and_kept(report):
    kept = json.loads(json.dumps(report.to_dict()))
    assert kept["batch"] == {"min": 2, "opt": 3, "max": 5}
    assert kept["verification"]["outcome"] == "verified"
    for part in ("tiny.onnx", "opset 17", "batch 2 to 5, best at 3", "images 3 x 32 x 32", report.sha256, "verified: "):
        assert part in str(report)


def test_the_file_computes_what_the_model_computes(report, model):
    images = np.random.default_rng(5).standard_normal((4, 3, 32, 32)).astype(np.float32)
    with torch.inference_mode():
        expected = model(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(runtime.get("onnxruntime").load(report.path).run(images), expected, rtol=1e-3, atol=1e-4)


def test_a_batch_range_is_tried_at_both_ends(report):
    assert report.verification.batch_sizes == (2, 5)
    session = runtime.get("onnxruntime").load(report.path)
    assert session.input_shape == (None, 3, 32, 32)
    assert session.run(np.zeros((7, 3, 32, 32), np.float32)).shape == (7, 10)


def test_a_fixed_batch(model, tmp_path):
    report = export(model, tmp_path / "tiny.onnx", batch_size=4)
    assert report.verification.batch_sizes == (4,)
    assert runtime.get("onnxruntime").load(report.path).input_shape == (4, 3, 32, 32)


def test_a_model_in_training_and_in_half_precision(model, tmp_path):
    model.half().train()
    given = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    verification = export(model, tmp_path / "tiny.onnx", images=given).verification
    assert verification.images == "2 given images and 2 random images"
    assert model.training
    assert model.conv_stem.weight.dtype == torch.float16


def test_optimisation_can_be_left_out(model):
    plain, ours = onnx_from_network(model, optimize=False), onnx_from_network(model)
    means = [[node.op_type for node in each.graph.node].count("ReduceMean") for each in (plain, ours)]
    assert means[0] > 0
    assert means[1] == 0


@pytest.mark.parametrize(
    "options",
    [
        {"in_chans": 1, "num_classes": 7},
        {"num_classes": 0},
        {"num_classes": 0, "global_pool": ""},
        {"global_pool": "catavgmax"},
    ],
    ids=str,
)
def test_other_inputs_and_outputs(options, model, tmp_path):
    network = gpunet.GPUNet({**model.spec.to_dict(), "head": {"filters": 70}}, **options)
    report = export(network, tmp_path / "tiny.onnx", input_px=(40, 48))
    assert report.image_shape == (options.get("in_chans", 3), 40, 48)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_byobnet"])
def test_networks_of_timm(name, tmp_path):
    report = export(timm.create_model(name), tmp_path / "timm.onnx", input_px=64, batch_size=(1, 2, 3))
    assert report.verification.passed


@pytest.mark.slow
@pytest.mark.parametrize("name", SEVEN)
def test_the_seven(name, tmp_path):
    """At their own resolution: the shapes on the way, and with them the graph, depend on it."""
    loaded = gpunet.load(name, pretrained=False)
    report = export(loaded, tmp_path / f"{name}.onnx")
    assert report.image_shape == (3, loaded.spec.resolution_px, loaded.spec.resolution_px)
    properties = {each.key: each.value for each in onnx.load(report.path).metadata_props}
    assert properties["gpunet.entry"] == name
    assert properties["gpunet.spec_sha256"] == loaded.spec.sha256


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet_b0", "regnetx_016", "resnest50d", "resnet50", "fbnetv3_b"])
def test_the_papers_baselines(name, tmp_path):
    torch.manual_seed(0)
    assert export(
        timm.create_model(name), tmp_path / "timm.onnx", input_px=96, batch_size=(1, 2, 2)
    ).verification.passed


# ------------------------------------------------------------------- what fails


def test_a_mismatch_leaves_what_was_there(tmp_path):
    path = tmp_path / "moody.onnx"
    path.write_bytes(b"what was there")
    bright = np.full((2, 3, 8, 8), 0.9, np.float32)
    with pytest.raises(
        VerificationError, match=r"failed: onnxruntime .* against pytorch .*largest difference 1"
    ) as caught:
        export(Moody(), path, input_px=8, images=bright)
    assert isinstance(caught.value, ExportError)
    assert "top-1 agreement" in caught.value.message
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"what was there"


def test_a_mismatch_leaves_no_file(tmp_path):
    with pytest.raises(VerificationError):
        export(Moody(), tmp_path / "moody.onnx", input_px=8, images=np.full((1, 3, 8, 8), 0.9, np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_batch_size_inside_the_graph_is_found(tmp_path):
    with pytest.raises(
        VerificationError, match=r"cannot run the network on a batch of 1|returns 2 rows for a batch of 1"
    ):
        export(Rigid(), tmp_path / "rigid.onnx", input_px=8, batch_size=(1, 2, 4))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_file(model, tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"path must be a file, but .* is a folder") as caught:
        export(model, tmp_path)
    assert "model.onnx" in caught.value.hint


@pytest.mark.parametrize("name", ["model", "model.pt"])
def test_files_end_in_onnx(model, tmp_path, name):
    with pytest.raises(InvalidArgumentError, match=r"path must end in \.onnx, but got ") as caught:
        export(model, tmp_path / name)
    assert "model.onnx" in caught.value.hint


def test_a_place_that_cannot_be_written_is_named(model, tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "model.onnx"
    with pytest.raises(ExportError, match=r"model\.onnx: cannot be written: ") as caught:
        export(model, path)
    assert "Choose a folder" in caught.value.hint


def test_a_folder_without_permission_is_named(tmp_path):
    attempt = """
        import gpunet
        from gpunet.model import SMALL
        gpunet.export(gpunet.GPUNet(SMALL, num_classes=2).eval(), folder / "model.onnx")
    """
    name, message, hint = refused_in_a_read_only_folder(attempt, tmp_path)
    assert name == "ExportError"
    assert re.search(r"model\.onnx: cannot be written: .*Permission denied", message)
    assert "Choose a folder" in hint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be an integer of 1 or more, but got 0"),
        ({"batch_size": (4, 2, 8)}, "min <= opt <= max must hold"),
        ({"opset": 9}, "opset must be an integer of 13 or more, but got 9"),
        ({"opset": 1000}, "opset must be at most"),
        ({"input_px": 0}, "input_px must be an integer of 1 or more"),
        ({"images": []}, "at least one picture"),
        ({"metadata": {"x": object()}}, "metadata must be text or plain JSON types"),
    ],
)
def test_arguments_are_checked_before_anything_is_written(model, tmp_path, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        export(model, tmp_path / "model.onnx", **options)
    assert list(tmp_path.iterdir()) == []


def test_features_are_no_logits(tmp_path):
    features = timm.create_model("test_efficientnet", features_only=True)
    with pytest.raises(InvalidArgumentError, match="must return one tensor of logits"):
        export(features, tmp_path / "model.onnx", input_px=64)
    assert list(tmp_path.iterdir()) == []


def test_invalid_graphs_are_refused(model):
    broken = onnx_from_network(model)
    broken.graph.node[0].input[0] = "nowhere"
    with pytest.raises(ExportError, match=r"finds the exported graph not valid: .*nowhere") as caught:
        check_graph(broken)
    assert "name of the model" in caught.value.hint


# ---------------------------------------------------------- the function's name


def test_the_public_name_is_the_function_whatever_was_imported_before(tmp_path):
    code = """
        import gpunet
        before = gpunet.export
        import gpunet.exporters.deployment
        from gpunet.exporters.onnx import export
        assert before is gpunet.export is export
        try:
            gpunet.export(None, "model.onnx")
        except gpunet.GpunetError as error:
            assert "model must be an nn.Module" in str(error)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, cwd=tmp_path)
