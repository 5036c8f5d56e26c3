"""What every runtime promises, by one suite: a new runtime joins by its line in gpunet.runtime."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import nn

from gpunet import runtime as runtimes
from gpunet.core.machine import available_threads
from gpunet.errors import GpunetError, InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime import Runtime, Session

ON_ONNX = [name for name in runtimes.names() if name != "pytorch"]


def _runtime(name: str) -> Runtime:
    runtime = runtimes.get(name)
    reason = runtime.unavailable()
    if reason is not None:
        pytest.skip(reason)
    return runtime


@pytest.fixture(params=runtimes.names())
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return _runtime(request.param)


@pytest.fixture(params=ON_ONNX)
def onnx_runtime(request: pytest.FixtureRequest) -> Runtime:
    return _runtime(request.param)


@pytest.fixture
def source(runtime: Runtime, module: nn.Module, network: onnx.ModelProto) -> Any:
    return module if runtime.name == "pytorch" else network


def _expected(module: nn.Module, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(images)).numpy()


def test_it_keeps_the_protocol(runtime: Runtime, source: Any) -> None:
    assert isinstance(runtime, Runtime)
    session = runtime.load(source)
    assert isinstance(session, Session)
    assert session.runtime == runtime.name
    assert session.runtime_version == runtime.version()
    assert session.precision == "fp32"
    assert session.device == runtime.device
    assert session.input_shape[2:] in ((16, 16), (None, None))
    assert runtimes.get(runtime.name).name == runtime.name


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_it_computes_what_torch_computes(runtime: Runtime, source: Any, module: nn.Module, batch_size: int) -> None:
    images = np.random.default_rng(2).standard_normal((batch_size, 3, 16, 16), dtype=np.float32)
    logits = runtime.load(source).run(images)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, _expected(module, images), atol=1e-5)


def test_logits_of_one_run_outlive_the_next(runtime: Runtime, source: Any, images: np.ndarray) -> None:
    session = runtime.load(source)
    first = session.run(images)
    kept = first.copy()
    session.run(images + 1)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("change", ["not contiguous", "not writable"])
def test_images_may_lie_in_memory_as_they_please(
    runtime: Runtime, source: Any, module: nn.Module, images: np.ndarray, change: str
) -> None:
    if change == "not contiguous":
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    expected = _expected(module, images)
    images.flags.writeable = change != "not writable"
    np.testing.assert_allclose(runtime.load(source).run(images), expected, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_it_computes_with_the_threads_asked_for(
    runtime: Runtime, source: Any, module: nn.Module, images: np.ndarray, threads: int
) -> None:
    session = runtime.load(source, threads=threads)
    if session.device == "cpu":
        assert session.threads == threads
    np.testing.assert_allclose(session.run(images), _expected(module, images), atol=1e-5)


def test_threads_default_to_all_available(runtime: Runtime, source: Any) -> None:
    session = runtime.load(source)
    assert session.threads == (available_threads() if session.device == "cpu" else None)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_wrong_threads_are_refused(runtime: Runtime, source: Any, threads: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=f"threads must be an integer of 1 or more, but got {threads!r}"):
        runtime.load(source, threads=threads)


def test_an_unknown_precision_is_refused_with_the_list(runtime: Runtime, source: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="precision must be one of fp32, fp16, int8, but got 'bf16'"):
        runtime.load(source, precision="bf16")


def test_a_precision_it_cannot_run_is_refused_with_its_own(runtime: Runtime, source: Any) -> None:
    assert set(runtime.precisions) <= {"fp32", "fp16", "int8"}
    if len(runtime.precisions) == 3:
        pytest.skip("it runs at every precision")
    missing = sorted({"fp32", "fp16", "int8"} - set(runtime.precisions))[0]
    with pytest.raises(
        RuntimeUnavailableError, match=f"'{runtime.name}' cannot run at {missing} here.\nIt can at fp32"
    ):
        runtime.load(source, precision=missing)


@pytest.mark.parametrize("bad", [3, None, np.zeros((2, 3, 16, 16))], ids=["a number", "nothing", "an array of float64"])
def test_images_must_be_float32_of_rank_4(runtime: Runtime, source: Any, bad: Any) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"images must be a float32 array of rank 4 \(N x C x H x W\), but got"
    ):
        runtime.load(source).run(bad)
    with pytest.raises(InvalidArgumentError, match=r"but got float32 of shape \(3, 16, 16\)"):
        runtime.load(source).run(np.zeros((3, 16, 16), np.float32))


def test_images_of_another_shape_are_refused(runtime: Runtime, source: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="2 x 4 x 16 x 16"):
        runtime.load(source).run(np.zeros((2, 4, 16, 16), np.float32))


def test_the_version_is_that_of_the_package(runtime: Runtime) -> None:
    version = runtime.version()
    assert version.split(".")[0].isdigit()
    module = importlib.import_module({"pytorch": "torch"}.get(runtime.name, runtime.name))
    assert str(module.__version__).startswith(version)


def test_what_is_no_network_is_refused(runtime: Runtime) -> None:
    with pytest.raises(InvalidArgumentError, match=f"the runtime '{runtime.name}' runs .*, but got a builtins.int"):
        runtime.load(3)


# ------------------------------------------------------------- those on ONNX


def test_onnx_may_be_bytes_a_path_or_a_model(
    onnx_runtime: Runtime, network: onnx.ModelProto, module: nn.Module, images: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.onnx"
    onnx.save(network, str(path))
    for source in (network, network.SerializeToString(), path, str(path)):
        np.testing.assert_allclose(onnx_runtime.load(source).run(images), _expected(module, images), atol=1e-5)


def test_a_fixed_batch_size_is_kept(onnx_runtime: Runtime, fixed_network: onnx.ModelProto) -> None:
    session = onnx_runtime.load(fixed_network)
    assert session.input_shape == (2, 3, 16, 16)
    with pytest.raises(
        InvalidArgumentError, match=r"takes images of 2 x 3 x 16 x 16, but got 1 x 3 x 16 x 16\.\nBatch"
    ):
        session.run(np.zeros((1, 3, 16, 16), np.float32))


def test_an_open_axis_is_none(onnx_runtime: Runtime, network: onnx.ModelProto) -> None:
    session = onnx_runtime.load(network)
    assert session.input_shape == (None, 3, 16, 16)
    with pytest.raises(InvalidArgumentError, match="takes images of any x 3 x 16 x 16, but got 1 x 3 x 8 x 16"):
        session.run(np.zeros((1, 3, 8, 16), np.float32))


def test_half_precision_runs_or_is_refused(
    onnx_runtime: Runtime, half_network: onnx.ModelProto, module: nn.Module, images: np.ndarray
) -> None:
    try:
        session = onnx_runtime.load(half_network, precision="fp16")
    except RuntimeUnavailableError as error:
        assert "computes in f32 on this processor, not in fp16" in error.message  # noqa: PT017
        assert "precision='fp32'" in error.hint  # noqa: PT017
        session = onnx_runtime.load(half_network, precision="fp32")
    else:
        assert session.precision == "fp16"
    np.testing.assert_allclose(session.run(images), _expected(module, images), atol=5e-3)


def test_int8_runs_a_graph_that_holds_it(
    onnx_runtime: Runtime, int8_network: onnx.ModelProto, module: nn.Module, images: np.ndarray
) -> None:
    session = onnx_runtime.load(int8_network, precision="int8")
    assert session.precision == "int8"
    np.testing.assert_allclose(session.run(images), _expected(module, images), atol=2e-2)


@pytest.mark.parametrize("kind", ["fp32", "fp16"])
def test_int8_refuses_a_graph_that_does_not_hold_it(
    onnx_runtime: Runtime, network: onnx.ModelProto, half_network: onnx.ModelProto, kind: str
) -> None:
    if onnx_runtime.device == "gpu":
        pytest.skip("it builds an engine, whose layers are inspected")
    with pytest.raises(
        InvalidArgumentError, match=f"'int8' is for a graph with Q/DQ nodes, but .* in {kind}"
    ) as caught:
        onnx_runtime.load(network if kind == "fp32" else half_network, precision="int8")
    assert caught.value.hint.startswith(f"Load it with precision='{kind}', or make one: gpunet-export MODEL")


def test_a_missing_file_is_named(onnx_runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"missing.onnx: there is no such file.\nGive an ONNX file; gpunet"):
        onnx_runtime.load(tmp_path / "missing.onnx")


def test_garbage_is_refused(onnx_runtime: Runtime, tmp_path: Path) -> None:
    path = tmp_path / "garbage.onnx"
    path.write_bytes(b"this is no network")
    for source in (path, b"this is no network"):
        with pytest.raises(InvalidArgumentError, match=r"cannot load this network: (.|\n)*Is it a whole ONNX file"):
            onnx_runtime.load(source)


def test_a_module_is_refused_with_the_way_to_onnx(onnx_runtime: Runtime, module: nn.Module) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"but got a torch.nn.modules.container.Sequential\.\nExport the model"
    ):
        onnx_runtime.load(module)


def test_half_precision_inputs_are_refused(onnx_runtime: Runtime, half_outside_network: onnx.ModelProto) -> None:
    with pytest.raises(InvalidArgumentError, match=r"the input '.*input' of a network must be float32, but is .*f.*16"):
        onnx_runtime.load(half_outside_network)


def test_two_outputs_are_refused(onnx_runtime: Runtime, network: onnx.ModelProto) -> None:
    double = onnx.ModelProto()
    double.CopyFrom(network)
    double.graph.output.append(helper.make_tensor_value_info("p", onnx.TensorProto.FLOAT, ["N", 8, 1, 1]))
    with pytest.raises(InvalidArgumentError, match=r"runs networks of one output, but this one has 2: .*logits, p"):
        onnx_runtime.load(double)


def test_every_known_error_is_gpunets(onnx_runtime: Runtime) -> None:
    for source in (b"", 3, "nowhere.onnx"):
        with pytest.raises(GpunetError):
            onnx_runtime.load(source)
