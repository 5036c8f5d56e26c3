"""Polygraphy, for real: our files inspected and run by its own commands, and compared by its Comparator."""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.small_onnx import SIDE, make_onnx

from gpunet.core.gpu import find_gpu
from gpunet.errors import InvalidArgumentError, MissingDependencyError, RuntimeUnavailableError
from gpunet.exporters.artefact import export_graph
from gpunet.exporters.images import ImageSet
from gpunet.exporters.second_opinion import check_second_opinion, second_opinion
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.sidecar import read_sidecar
from gpunet.runtime.trt.options import BuildOptions

needs_polygraphy = pytest.mark.skipif(
    importlib.util.find_spec("polygraphy") is None, reason="asks Polygraphy: pip install 'gpunet[rtx]'"
)
needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="builds an engine: pip install 'gpunet[rtx]'"
)
IMAGES = ImageSet(
    np.random.default_rng(0).standard_normal((3, 3, SIDE, SIDE), dtype=np.float32), ("random image",) * 3
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """small.onnx for batches of 1 to 4, and half.onnx."""
    folder = tmp_path_factory.mktemp("polygraphy")
    for name, precision in (("small.onnx", "fp32"), ("half.onnx", "fp16")):
        graph = onnx.load_model_from_string(make_onnx(precision=precision, batch="N"))
        export_graph(graph, folder / name, target="onnx", precision=precision, batch=BatchProfile(1, 2, 4))
    return folder


@pytest.fixture(scope="module")
def engine(folder: Path) -> Path:
    """small.engine, of the same graph."""
    graph = onnx.load_model_from_string(make_onnx(batch="N"))
    export_graph(
        graph, folder / "small.engine", target="tensorrt_rtx", precision="fp32", batch=BatchProfile(1, 2, 4),
        options=BuildOptions(batch=(1, 2, 4)),
    )  # fmt: skip
    return folder / "small.engine"


def polygraphy(words: list[str], folder: Path, **env: str) -> str:
    code = "import sys; from polygraphy.tools import main; sys.argv[0] = 'polygraphy'; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=folder, env={**os.environ, **env}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_polygraphy
def test_its_inspector_reads_our_onnx(folder: Path) -> None:
    said = polygraphy(["inspect", "model", "small.onnx"], folder)
    assert f"input [dtype=float32, shape=('N', 3, {SIDE}, {SIDE})]" in said
    assert "logits [dtype=float32, shape=('N', 10)]" in said


@needs_polygraphy
def test_it_runs_our_onnx_as_the_sidecar_says(folder: Path) -> None:
    words = shlex.split(read_sidecar(folder / "small.onnx").polygraphy)
    assert words[:5] == ["polygraphy", "run", "small.onnx", "--onnxrt", "--trt"]
    words.remove("--trt")  # which needs a GPU
    said = polygraphy([each for each in words[1:] if each != "--strongly-typed"], folder)
    assert "PASSED" in said
    assert f"shape=(2, 3, {SIDE}, {SIDE})" in said


@needs_polygraphy
@needs_rtx
def test_every_line_of_a_sidecar_is_one_that_it_takes(folder: Path, engine: Path) -> None:
    """It writes the script that it would run."""
    assert "TrtRunner" in polygraphy([*shlex.split(read_sidecar(folder / "half.onnx").polygraphy)[1:], "--gen", "-"],
                                     folder)  # fmt: skip
    first, second = read_sidecar(engine).polygraphy.split(" && ")
    assert "OnnxrtRunner" in polygraphy([*shlex.split(first)[1:], "--gen", "-"], folder)
    setting, *words = shlex.split(second)
    assert setting == "POLYGRAPHY_USE_TENSORRT_RTX=1"
    said = polygraphy([*words[1:], "--gen", "-"], folder, POLYGRAPHY_USE_TENSORRT_RTX="1")
    assert "EngineFromBytes" in said
    assert "small-outputs.json" in said


@needs_polygraphy
@needs_rtx
@pytest.mark.skipif(find_gpu() is None, reason="an engine is loaded on a GPU, and this machine has none")
def test_its_inspector_shows_the_layers_of_our_engine(folder: Path, engine: Path) -> None:
    said = polygraphy(["inspect", "model", engine.name, "--show", "layers"], folder, POLYGRAPHY_USE_TENSORRT_RTX="1")
    assert "Layer 0" in said


def test_a_file_that_it_cannot_read_has_no_line(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="writes OpenVINO IR: pip install 'gpunet[openvino]'")
    graph = onnx.load_model_from_string(make_onnx())
    export_graph(graph, tmp_path / "small.xml", target="openvino", precision="fp32")
    assert read_sidecar(tmp_path / "small.xml").polygraphy == ""


@needs_polygraphy
def test_its_comparator_reports_each_output(folder: Path) -> None:
    """Of a half file by the tolerance of float32, which it cannot keep."""
    found = second_opinion(
        folder / "half.onnx", folder / "small.onnx", IMAGES, runtime="onnxruntime", precision="fp32", batch_sizes=(1, 4)
    )  # fmt: skip
    (output,) = found.outputs
    assert output.name == "logits"
    assert output.mean_abs_difference < output.max_abs_difference < 1e-2
    assert output.allowed_difference < output.max_abs_difference
    assert not found.passed
    assert not output.passed
    assert str(found).startswith(f"Polygraphy {found.polygraphy}, onnxruntime ")
    assert "logits FAILED" in str(found)
    assert found.to_dict()["outputs"][0]["passed"] is False


@needs_polygraphy
def test_what_it_could_not_run_is_said_with_its_own_words(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.onnx").write_bytes((folder / "half.onnx").read_bytes()[:-200])
    with pytest.raises(
        RuntimeUnavailableError, match=r"Polygraphy could not compare .*cut\.onnx with .*small"
    ) as caught:
        second_opinion(
            tmp_path / "cut.onnx", folder / "small.onnx", IMAGES, runtime="onnxruntime", precision="fp16",
            batch_sizes=(1,),
        )  # fmt: skip
    assert "polygraphy run cut.onnx --onnxrt --trt" in caught.value.hint


def test_who_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidArgumentError, match="--runtime must be one of tensorrt, tensorrt_rtx, onnxruntime"):
        check_second_opinion("openvino")
    if importlib.util.find_spec("polygraphy") is not None and find_gpu() is None:
        with pytest.raises(RuntimeUnavailableError, match=r"Polygraphy cannot run tensorrt here: .*\nAsk it on"):
            check_second_opinion("trt")
    monkeypatch.setitem(sys.modules, "polygraphy", None)
    with pytest.raises(MissingDependencyError, match=r"polygraphy is needed for a second opinion.*\n.*gpunet\[rtx\]"):
        check_second_opinion("tensorrt_rtx")
