"""Engines as files, built for real by TensorRT-RTX."""

from __future__ import annotations

import io
import itertools
import signal
from pathlib import Path
from typing import Any

import onnx
import pytest
from helpers.small_onnx import make_onnx
from helpers.unprivileged import refused_in_a_read_only_folder

from gpunet import runtime as runtimes
from gpunet.core.files import check_writable
from gpunet.core.gpu import find_gpu
from gpunet.errors import ExportError, InvalidArgumentError, RuntimeUnavailableError
from gpunet.exporters.artefact import Artefact, export_graph
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.sidecar import read_sidecar, sidecar_path
from gpunet.runtime.trt.format import build_progress
from gpunet.runtime.trt.graph import read_graph
from gpunet.runtime.trt.monitor import Progress
from gpunet.runtime.trt.options import BuildOptions

rtx = pytest.importorskip("tensorrt_rtx", reason="builds engines by tensorrt-rtx: pip install 'gpunet[rtx]'")
no_gpu = pytest.mark.skipif(find_gpu() is not None, reason="this machine has a GPU")


def export_engine(source: bytes, path: Path, *, options: BuildOptions | None = None, **more: Any) -> Artefact:
    options = options or BuildOptions()
    batch = None if options.batch is None else BatchProfile.parse(options.batch)
    return export_graph(
        onnx.load_model_from_string(source), path, target="tensorrt_rtx", precision=options.precision, batch=batch,
        options=options, **more,
    )  # fmt: skip


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_engine_lies_beside_its_sidecar(tmp_path: Path) -> None:
    path = tmp_path / "new" / "gpunet_0.engine"
    source = make_onnx(precision="fp16")
    options = BuildOptions("fp16", compute_capabilities=("8.6", "12.0"))
    report = export_engine(
        source, path, options=options,
        about={"model": "gpunet_0", "spec_sha256": "5" * 64, "command": ("gpunet-export", "gpunet_0", "--trt-rtx")},
    )  # fmt: skip
    assert _left(path.parent) == ["gpunet_0.engine", "gpunet_0.engine.json"]
    assert path.read_bytes()[1:4] == b"trt"
    sidecar = read_sidecar(path)
    assert sidecar == report.sidecar
    assert (sidecar.format, sidecar.runtime, sidecar.runtime_version) == (
        "tensorrt_rtx",
        "tensorrt_rtx",
        rtx.__version__,
    )
    assert (sidecar.model, sidecar.spec_sha256, sidecar.precision, sidecar.batch) == (
        "gpunet_0",
        "5" * 64,
        "fp16",
        (1, 1, 1),
    )
    assert sidecar.onnx_sha256 == read_graph(source).sha256
    assert sidecar.artefact_bytes == path.stat().st_size
    assert sidecar.compute_capabilities == ("8.6", "12.0")
    assert sidecar.gpu is None
    assert sidecar.builder_flags["workspace_bytes"] == 10 << 30
    assert sidecar.verification["outcome"] == "not verified"
    assert sidecar.verification["reason"] == "nothing was compared"
    assert sidecar.report is not None
    assert sidecar.report["precision"]["compute_nodes"] == 3
    assert sidecar.command == ("gpunet-export", "gpunet_0", "--trt-rtx")
    assert report.built


def test_the_cache_builds_only_what_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"

    def export(**options: object) -> bool:
        source = make_onnx(batch="N")
        asked = BuildOptions(**{"batch": (1, 2, 4), **options})  # type: ignore[arg-type]
        return export_engine(source, path, options=asked, cache=True).built

    assert [export(), export(), export(batch=2), export(batch=2), export()] == [True, False, True, False, True]
    assert export(compute_capabilities=("8.6",))
    path.write_bytes(b"damaged")
    assert export(compute_capabilities=("8.6",))
    sidecar_path(path).unlink()
    assert export(compute_capabilities=("8.6",))
    assert not export(compute_capabilities=("8.6",))


def test_an_interrupted_build_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    export_engine(make_onnx(), path)
    before = path.read_bytes()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            export_engine(
                make_onnx(precision="fp16"), path, options=BuildOptions("fp16"),
                on_progress=lambda progress: signal.raise_signal(signal.SIGINT),
            )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, handler)
    assert _left(tmp_path) == ["a.engine", "a.engine.json"]
    assert path.read_bytes() == before
    assert read_sidecar(path).precision == "fp32"


@pytest.mark.parametrize(
    ("source", "options", "error"),
    [
        (make_onnx(), BuildOptions(batch=4), InvalidArgumentError),
        (make_onnx(), BuildOptions("fp16"), ExportError),
        (make_onnx(), BuildOptions(compute_capabilities=("9.0",)), InvalidArgumentError),
        (make_onnx(), BuildOptions(workspace_bytes=1 << 20), ExportError),
    ],
)
def test_a_build_that_fails_leaves_nothing(
    tmp_path: Path, source: bytes, options: BuildOptions, error: type[Exception]
) -> None:
    with pytest.raises(error):
        export_engine(source, tmp_path / "a.engine", options=options)
    assert _left(tmp_path) == []


@no_gpu
def test_without_a_gpu_tensorrt_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match="this machine has none"):
        runtimes.format_named("tensorrt")[1].check(BuildOptions())
    assert _left(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    calls: list[Progress] = []
    with pytest.raises(ExportError, match=r"file/a\.engine cannot be written: ") as caught:
        export_engine(make_onnx(), tmp_path / "file" / "a.engine", on_progress=calls.append)
    assert caught.value.hint == "Choose another place: -o PATH."
    assert calls == []
    (tmp_path / "a.engine").mkdir()
    with pytest.raises(ExportError, match=r"a\.engine is a folder"):
        check_writable(tmp_path / "a.engine")


def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    attempt = "from gpunet.core.files import check_writable; check_writable(folder / 'a.engine')"
    name, message, _ = refused_in_a_read_only_folder(attempt, tmp_path)
    assert name == "ExportError"
    assert message.endswith("a.engine cannot be written: Permission denied.")


def test_a_disk_that_fills_up_at_the_end_leaves_nothing(tmp_path: Path) -> None:
    """The sidecar's place is taken by a folder, so that writing fails after the engine."""
    path = tmp_path / "a.engine"
    with pytest.raises(ExportError, match=r"a\.engine cannot be written: "):
        export_engine(
            make_onnx(), path,
            on_progress=lambda progress: sidecar_path(path).mkdir(exist_ok=True),
        )  # fmt: skip
    assert _left(tmp_path) == ["a.engine.json"]
    assert sidecar_path(path).is_dir()


# ------------------------------------------------------------------- progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _progress(elapsed_s: float, step: int = 1) -> Progress:
    return Progress("Timing graph nodes", step, 4, step / 4, elapsed_s)


def test_a_file_gets_a_line_now_and_then() -> None:
    stream, seconds = io.StringIO(), itertools.count()
    with build_progress("tensorrt", stream, every_s=10, clock=lambda: next(seconds)) as show:
        for second in range(25):
            show(_progress(second))
    lines = stream.getvalue().splitlines()
    assert (
        lines[0]
        == "building a TensorRT engine; this takes some minutes: it measures kernels on the GPU. Ctrl-C cancels."
    )
    assert [line.partition(", step 1 of 4, ")[0] for line in lines[1:3]] == ["Timing graph nodes 25/100"] * 2
    assert lines[3].startswith("built in ")
    assert len(lines) == 4


def test_a_terminal_keeps_one_line() -> None:
    stream = Terminal()
    with build_progress("tensorrt_rtx", stream) as show:
        show(_progress(0.2))
        show(_progress(0.5, step=2))
    text = stream.getvalue()
    assert text.startswith("building a TensorRT-RTX engine; this takes some seconds.")
    assert "Timing graph nodes" in text
    assert "25/100" in text


def test_a_failed_build_is_not_called_built() -> None:
    stream = io.StringIO()
    with pytest.raises(ZeroDivisionError), build_progress("tensorrt_rtx", stream):
        _ = 1 / 0
    assert "built in" not in stream.getvalue()


def test_progress_of_a_real_build() -> None:
    stream = io.StringIO()
    from gpunet.runtime.trt.builder import build_engine
    from gpunet.runtime.trt.library import TENSORRT_RTX

    with build_progress("tensorrt_rtx", stream, every_s=0) as show:
        build_engine(TENSORRT_RTX, make_onnx(), BuildOptions(), on_progress=show)
    assert "Building engine" in stream.getvalue()
