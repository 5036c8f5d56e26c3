"""What every runtime promises (`gpunet.runtime.Runtime`), and what those promise that run ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from gpunet import runtime as runtimes
from gpunet.core.arguments import PRECISIONS
from gpunet.core.machine import available_threads
from gpunet.errors import GpunetError, InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime import Runtime, Session
from gpunet.testing.networks import SIDE_PX, tiny_int8, tiny_module, tiny_onnx

__all__ = ["OnnxRuntimeContract", "RuntimeContract"]


class RuntimeContract:
    """The promises of a runtime; give it as the fixture `runtime`, registered (`gpunet.runtime.register_runtime`).

    One that runs something else than ONNX gives the same network in its own way as the fixture `source`.
    """

    @pytest.fixture
    def runtime(self) -> Runtime:
        """The runtime to test; skip where it cannot run."""
        raise NotImplementedError("Give the runtime to test as the fixture `runtime`.")

    @pytest.fixture
    def module(self) -> nn.Sequential:
        """The network as torch computes it."""
        return tiny_module()

    @pytest.fixture
    def network(self, module: nn.Sequential) -> onnx.ModelProto:
        """The same as ONNX, its batch of any size."""
        return tiny_onnx(module)

    @pytest.fixture
    def source(self, network: onnx.ModelProto) -> Any:
        """The network as the runtime takes it."""
        return network

    @pytest.fixture
    def images(self) -> np.ndarray:
        """A batch of two."""
        return np.random.default_rng(1).standard_normal((2, 3, SIDE_PX, SIDE_PX), dtype=np.float32)

    def test_it_keeps_the_protocol(self, runtime: Runtime, source: Any) -> None:
        assert isinstance(runtime, Runtime)
        session = runtime.load(source)
        assert isinstance(session, Session)
        assert session.runtime == runtime.name
        assert session.runtime_version == runtime.version()
        assert session.precision == "fp32"
        assert session.device == runtime.device
        assert session.input_shape[2:] in ((SIDE_PX, SIDE_PX), (None, None))
        assert runtimes.get(runtime.name).name == runtime.name

    def test_its_version_begins_with_a_number(self, runtime: Runtime) -> None:
        assert runtime.version().split(".")[0].isdigit()

    @pytest.mark.parametrize("batch_size", [1, 2, 5])
    def test_it_computes_what_torch_computes(
        self, runtime: Runtime, source: Any, module: nn.Module, batch_size: int
    ) -> None:
        images = np.random.default_rng(2).standard_normal((batch_size, 3, SIDE_PX, SIDE_PX), dtype=np.float32)
        logits = runtime.load(source).run(images)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, _expected(module, images), atol=1e-5)

    def test_logits_of_one_run_outlive_the_next(self, runtime: Runtime, source: Any, images: np.ndarray) -> None:
        session = runtime.load(source)
        first = session.run(images)
        kept = first.copy()
        session.run(images + 1)
        np.testing.assert_array_equal(first, kept)

    @pytest.mark.parametrize("change", ["not contiguous", "not writable"])
    def test_images_may_lie_in_memory_as_they_please(
        self, runtime: Runtime, source: Any, module: nn.Module, images: np.ndarray, change: str
    ) -> None:
        if change == "not contiguous":
            images = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        expected = _expected(module, images)
        images.flags.writeable = change != "not writable"
        np.testing.assert_allclose(runtime.load(source).run(images), expected, atol=1e-5)

    @pytest.mark.parametrize("threads", sorted({1, min(2, available_threads())}))
    def test_it_computes_with_the_threads_asked_for(
        self, runtime: Runtime, source: Any, module: nn.Module, images: np.ndarray, threads: int
    ) -> None:
        session = runtime.load(source, threads=threads)
        if session.device == "cpu":
            assert session.threads == threads
        np.testing.assert_allclose(session.run(images), _expected(module, images), atol=1e-5)

    def test_threads_default_to_all_available(self, runtime: Runtime, source: Any) -> None:
        session = runtime.load(source)
        assert session.threads == (available_threads() if session.device == "cpu" else None)

    @pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
    def test_wrong_threads_are_refused(self, runtime: Runtime, source: Any, threads: Any) -> None:
        with pytest.raises(InvalidArgumentError, match=f"threads must be an integer of 1 or more, but got {threads!r}"):
            runtime.load(source, threads=threads)

    def test_an_unknown_precision_is_refused_with_the_list(self, runtime: Runtime, source: Any) -> None:
        with pytest.raises(
            InvalidArgumentError, match="precision must be one of fp32, fp16, bf16, int8, but got 'fp8'"
        ):
            runtime.load(source, precision="fp8")

    def test_a_precision_it_cannot_run_is_refused_with_its_own(self, runtime: Runtime, source: Any) -> None:
        assert set(runtime.precisions) <= set(PRECISIONS)
        for missing in sorted(set(PRECISIONS) - set(runtime.precisions)):
            said = f"'{runtime.name}' cannot run at {missing} here.\nIt can at fp32"
            with pytest.raises(RuntimeUnavailableError, match=said):
                runtime.load(source, precision=missing)

    @pytest.mark.parametrize(
        "bad", [3, None, np.zeros((2, 3, SIDE_PX, SIDE_PX))], ids=["a number", "nothing", "an array of float64"]
    )
    def test_images_must_be_float32_of_rank_4(self, runtime: Runtime, source: Any, bad: Any) -> None:
        said = r"images must be a float32 array of rank 4 \(N x C x H x W\), but got"
        with pytest.raises(InvalidArgumentError, match=said):
            runtime.load(source).run(bad)
        with pytest.raises(InvalidArgumentError, match=r"but got float32 of shape \(3, 16, 16\)"):
            runtime.load(source).run(np.zeros((3, SIDE_PX, SIDE_PX), np.float32))

    def test_images_of_another_shape_are_refused(self, runtime: Runtime, source: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="2 x 4 x 16 x 16"):
            runtime.load(source).run(np.zeros((2, 4, SIDE_PX, SIDE_PX), np.float32))

    def test_what_is_no_network_is_refused(self, runtime: Runtime) -> None:
        with pytest.raises(InvalidArgumentError, match=f"the runtime '{runtime.name}' runs .*, but got a builtins.int"):
            runtime.load(3)


class OnnxRuntimeContract(RuntimeContract):
    """The promises of a runtime that runs ONNX."""

    def test_onnx_may_be_bytes_a_path_or_a_model(
        self, runtime: Runtime, network: onnx.ModelProto, module: nn.Module, images: np.ndarray, tmp_path: Path
    ) -> None:
        path = tmp_path / "tiny.onnx"
        onnx.save(network, str(path))
        for source in (network, network.SerializeToString(), path, str(path)):
            np.testing.assert_allclose(runtime.load(source).run(images), _expected(module, images), atol=1e-5)

    def test_a_fixed_batch_size_is_kept(self, runtime: Runtime, module: nn.Sequential) -> None:
        session = runtime.load(tiny_onnx(module, 2))
        assert session.input_shape == (2, 3, SIDE_PX, SIDE_PX)
        said = r"takes images of 2 x 3 x 16 x 16, but got 1 x 3 x 16 x 16\.\nBatch"
        with pytest.raises(InvalidArgumentError, match=said):
            session.run(np.zeros((1, 3, SIDE_PX, SIDE_PX), np.float32))

    def test_an_open_axis_is_none(self, runtime: Runtime, network: onnx.ModelProto) -> None:
        session = runtime.load(network)
        assert session.input_shape == (None, 3, SIDE_PX, SIDE_PX)
        with pytest.raises(InvalidArgumentError, match="takes images of any x 3 x 16 x 16, but got 1 x 3 x 8 x 16"):
            session.run(np.zeros((1, 3, 8, SIDE_PX), np.float32))

    def test_half_precision_runs_or_is_refused(
        self, runtime: Runtime, module: nn.Sequential, images: np.ndarray
    ) -> None:
        if "fp16" not in runtime.precisions:
            pytest.skip("it runs at no half precision")
        half = tiny_onnx(module, 2, kind=TensorProto.FLOAT16)
        try:
            session = runtime.load(half, precision="fp16")
        except RuntimeUnavailableError as error:
            assert "on this processor, not in fp16" in error.message  # noqa: PT017
            assert "precision='fp32'" in error.hint  # noqa: PT017
            session = runtime.load(half, precision="fp32")
        else:
            assert session.precision in ("fp16", "fp32")  # what it computes in
        np.testing.assert_allclose(session.run(images), _expected(module, images), atol=5e-3)

    def test_bfloat16_runs_or_is_refused(
        self, runtime: Runtime, network: onnx.ModelProto, module: nn.Module, images: np.ndarray
    ) -> None:
        if "bf16" not in runtime.precisions:
            pytest.skip("it does not run at bf16")
        try:
            session = runtime.load(network, precision="bf16")
        except RuntimeUnavailableError as error:
            assert "on this processor, not in bf16: " in error.message  # noqa: PT017
            assert "precision='fp32'" in error.hint  # noqa: PT017
        else:
            assert session.precision == "bf16"
            np.testing.assert_allclose(session.run(images), _expected(module, images), atol=4e-2)

    def test_int8_runs_a_graph_that_holds_it(
        self, runtime: Runtime, network: onnx.ModelProto, module: nn.Module, images: np.ndarray
    ) -> None:
        if "int8" not in runtime.precisions:
            pytest.skip("it does not run at int8")
        session = runtime.load(tiny_int8(network), precision="int8")
        assert session.precision == "int8"
        np.testing.assert_allclose(session.run(images), _expected(module, images), atol=2e-2)

    @pytest.mark.parametrize("kind", ["fp32", "fp16"])
    def test_int8_refuses_a_graph_that_does_not_hold_it(
        self, runtime: Runtime, network: onnx.ModelProto, module: nn.Sequential, kind: str
    ) -> None:
        if runtime.device == "gpu" or "int8" not in runtime.precisions:
            pytest.skip("it inspects the layers of its engine, or runs at no int8")
        source = network if kind == "fp32" else tiny_onnx(module, 2, kind=TensorProto.FLOAT16)
        said = f"'int8' is for a graph with Q/DQ nodes, but .* in {kind}"
        with pytest.raises(InvalidArgumentError, match=said) as caught:
            runtime.load(source, precision="int8")
        assert caught.value.hint.startswith(f"Load it with precision='{kind}', or make one: gpunet-export MODEL")

    def test_a_missing_file_is_named(self, runtime: Runtime, tmp_path: Path) -> None:
        said = r"missing.onnx: there is no such file.\nGive an ONNX file; gpunet"
        with pytest.raises(InvalidArgumentError, match=said):
            runtime.load(tmp_path / "missing.onnx")

    def test_garbage_is_refused(self, runtime: Runtime, tmp_path: Path) -> None:
        path = tmp_path / "garbage.onnx"
        path.write_bytes(b"this is no network")
        for source in (path, b"this is no network"):
            with pytest.raises(InvalidArgumentError, match=r"cannot load this network: (.|\n)*Is it a whole ONNX file"):
                runtime.load(source)

    def test_a_module_is_refused_with_the_way_to_onnx(self, runtime: Runtime, module: nn.Module) -> None:
        said = r"but got a torch.nn.modules.container.Sequential\.\nExport the model"
        with pytest.raises(InvalidArgumentError, match=said):
            runtime.load(module)

    def test_half_precision_inputs_are_refused(self, runtime: Runtime, module: nn.Sequential) -> None:
        half = tiny_onnx(module, 2, kind=TensorProto.FLOAT16, outside=TensorProto.FLOAT16)
        said = r"the input '.*input' of a network must be float32, but is .*f.*16"
        with pytest.raises(InvalidArgumentError, match=said):
            runtime.load(half)

    def test_two_outputs_are_refused(self, runtime: Runtime, network: onnx.ModelProto) -> None:
        double = onnx.ModelProto()
        double.CopyFrom(network)
        double.graph.output.append(helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", 8, 1, 1]))
        said = r"runs networks of one output, but this one has 2: .*logits, p"
        with pytest.raises(InvalidArgumentError, match=said):
            runtime.load(double)

    def test_every_known_error_is_gpunets(self, runtime: Runtime) -> None:
        for source in (b"", 3, "nowhere.onnx"):
            with pytest.raises(GpunetError):
                runtime.load(source)


def _expected(module: nn.Module, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        logits: np.ndarray = module(torch.from_numpy(images)).numpy()
    return logits
