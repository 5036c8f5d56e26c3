from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from gpunet.cli.export import export, main, parsed_batch_size
from gpunet.errors import DownloadError, InvalidArgumentError, NothingFitsError, UnknownModelError


def test_export_writes_one_verified_file_and_says_what_it_is(zoo, tmp_path: Path, capsys):
    path = tmp_path / "small.onnx"
    main(["small", "-o", str(path), "--no-pretrained", "--zoo", str(zoo)])
    said = capsys.readouterr()
    assert str(path) in said.out
    assert "verified: onnxruntime" in said.out
    assert said.err == "The weights are untrained: right for measuring latency, not for use.\n"
    network = onnx.load(path)
    assert [port.name for port in network.graph.input] == ["input"]
    assert [port.name for port in network.graph.output] == ["logits"]


def test_batch_range_and_opset_reach_the_export(zoo, tmp_path: Path, capsys):
    path = tmp_path / "small.onnx"
    main(
        [
            "small",
            "-o",
            str(path),
            "--no-pretrained",
            "--batch-size",
            "1:2:4",
            "--opset",
            "18",
            "--zoo",
            str(zoo),
            "--json",
        ]
    )
    report = json.loads(capsys.readouterr().out)
    assert report["path"] == str(path)
    assert report["sidecar"]["builder_flags"]["opset"] == 18
    assert report["sidecar"]["batch"] == [1, 2, 4]
    assert onnx.load(path).graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_weights_of_a_file_are_exported(zoo, tmp_path: Path, capsys):
    from safetensors.torch import save_file

    import gpunet

    model = gpunet.load("small", pretrained=False, zoo=zoo)
    weights = tmp_path / "small.safetensors"
    save_file(model.state_dict(), weights)
    main(["small", "-o", str(tmp_path / "small.onnx"), "--weights", str(weights), "--zoo", str(zoo)])
    assert "untrained" not in capsys.readouterr().err
    arrays = [onnx.numpy_helper.to_array(each) for each in onnx.load(tmp_path / "small.onnx").graph.initializer]
    classifier = model.classifier.weight.detach().numpy()
    assert any(array.shape in (classifier.shape, classifier.T.shape) and
               abs(array.sum() - classifier.sum()) < 1e-3 for array in arrays)  # fmt: skip


def test_without_weights_the_hint_says_what_to_do(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("GPUNET_NGC_URL", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="gpunet_p0: its weights could not be had") as error:
        main(["gpunet_p0", "-o", str(tmp_path / "p0.onnx")])
    assert "put the zip at" in error.value.hint
    assert list(tmp_path.glob("*.onnx")) == []


def test_an_unknown_model_is_an_error(tmp_path: Path):
    with pytest.raises(UnknownModelError, match="'gpunet_9' is no model of the zoo or of timm's"):
        main(["gpunet_9", "-o", str(tmp_path / "x.onnx")])


def test_a_name_that_is_no_onnx_file_is_an_error(zoo, tmp_path: Path):
    with pytest.raises(InvalidArgumentError, match=r"(path|--out) must end in \.onnx, but got"):
        main(["small", "-o", str(tmp_path / "small.pt"), "--no-pretrained", "--zoo", str(zoo)])


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("64", 64), ("1:8:64", (1, 8, 64))])
def test_batch_size(text, value):
    assert parsed_batch_size(text) == value


@pytest.mark.parametrize("text", ["", "one", "1:8", "1:2:3:4", "1.5"])
def test_a_batch_size_that_is_none_is_a_known_error(text):
    with pytest.raises(InvalidArgumentError, match="is neither a number nor MIN:OPT:MAX"):
        parsed_batch_size(text)


@pytest.mark.parametrize(("text", "message"), [("0", "--batch-size"), ("8:4:1", "--batch-size")])
def test_a_batch_size_out_of_range_is_a_known_error(zoo, tmp_path: Path, text, message):
    with pytest.raises(InvalidArgumentError, match=message):
        main(["small", "-o", str(tmp_path / "x.onnx"), "--no-pretrained", "--batch-size", text, "--zoo", str(zoo)])


def test_the_default_opset_is_the_librarys():
    from gpunet.exporters.onnx import DEFAULT_OPSET

    assert next(each for each in export.params if each.name == "opset").default == DEFAULT_OPSET


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf"])
def test_a_workspace_that_is_none_is_a_known_error(tmp_path: Path, text):
    with pytest.raises(InvalidArgumentError, match=r"--workspace-gib must be a finite number of 0\.001 or more"):
        main(["gpunet_1", "-o", str(tmp_path / "x.engine"), "--trt-rtx", f"--workspace-gib={text}"])


def test_a_spec_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(InvalidArgumentError, match=r"nowhere\.json: there is no such file"):
        main([str(tmp_path / "nowhere.json"), "-o", str(tmp_path / "x.onnx"), "--no-pretrained"])


def test_without_a_file_the_report_is_of_the_one_in_the_repository(zoo, tmp_path: Path, capsys):
    from gpunet.runtime.sidecar import read_sidecar

    main(["small", "--triton", str(tmp_path / "models"), "--no-pretrained", "--zoo", str(zoo)])
    path = tmp_path / "models" / "small" / "1" / "model.onnx"
    assert capsys.readouterr().out.startswith(f"{path}: onnx, fp32, ")
    assert read_sidecar(path).model == "small"


def test_what_goes_with_a_device_is_asked_of_the_zoo():
    with pytest.raises(InvalidArgumentError, match="--thorough goes with --device"):
        main(["gpunet_0", "--thorough"])
    with pytest.raises(InvalidArgumentError, match="of a search among timm's networks on this machine"):
        main(["--device", "gv100", "--max-ms", "1", "--budget-minutes", "3"])
    with pytest.raises(NothingFitsError) as caught:
        main(["--device", "gv100", "--max-ms", "0.8", "--licence", "permissive"])
    assert "licence" in caught.value.hint


def test_another_input_size(zoo, tmp_path: Path, capsys):
    path = tmp_path / "wide.onnx"
    main(["small", "-o", str(path), "--no-pretrained", "--input", "3x48x96", "--zoo", str(zoo), "--json"])
    side = json.loads(capsys.readouterr().out)["sidecar"]
    assert side["inputs"][0]["shape"] == [1, 3, 48, 96]
    assert side["preprocessing"]["input_size"] == [3, 48, 96]
    with pytest.raises(InvalidArgumentError, match="--input 'wide' is no size of an image"):
        main(["small", "-o", str(path), "--no-pretrained", "--input", "wide", "--zoo", str(zoo)])
