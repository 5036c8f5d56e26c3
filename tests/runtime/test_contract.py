"""What every runtime promises, on each of gpunet's own."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.reference_runtime import Reference, ReferenceFormat
from helpers.specs import SMALL
from torch import nn

from gpunet import runtime as runtimes
from gpunet.errors import InvalidArgumentError
from gpunet.exporters.deployment import deploy
from gpunet.model.network import GPUNet
from gpunet.runtime import Runtime, register_runtime, unregister_runtime
from gpunet.testing.runtimes import OnnxRuntimeContract, RuntimeContract
from gpunet.zoo.benchmark import benchmark

ON_ONNX = [name for name in runtimes.names() if name != "pytorch"]


def _runtime(name: str) -> Runtime:
    runtime = runtimes.get(name)
    reason = runtime.unavailable()
    if reason is not None:
        pytest.skip(reason)
    return runtime


class TestOnOnnx(OnnxRuntimeContract):
    @pytest.fixture(params=ON_ONNX)
    def runtime(self, request: pytest.FixtureRequest) -> Runtime:
        return _runtime(request.param)


class TestPyTorch(RuntimeContract):
    @pytest.fixture
    def runtime(self) -> Runtime:
        return _runtime("pytorch")

    @pytest.fixture
    def source(self, module: nn.Module) -> Any:
        return module


class TestARegisteredOne(OnnxRuntimeContract):
    @pytest.fixture
    def runtime(self) -> Iterator[Runtime]:
        register_runtime("reference", Reference, ReferenceFormat, aliases=("ref",))
        yield runtimes.get("ref")
        unregister_runtime("reference")

    def test_a_network_is_deployed_for_it_and_measured_with_it(self, runtime: Runtime, tmp_path: Path) -> None:
        path = tmp_path / "network.reference"
        network = GPUNet(SMALL, num_classes=4)
        done = deploy(network, path, target="reference")
        assert done.verification.outcome == "verified"
        assert (done.sidecar.runtime, done.sidecar.precision) == ("reference", "fp32")
        onnx_path = tmp_path / "network.onnx"
        deploy(network, onnx_path)
        clock = itertools.count(0, 0.01).__next__
        measured = benchmark(onnx_path, runtime="reference", threads=1, min_repeats=1, clock=clock)
        assert measured.conditions["runtime"] == "reference"

    def test_its_name_is_taken(self, runtime: Runtime) -> None:
        with pytest.raises(InvalidArgumentError, match="there is a runtime 'reference' already"):
            register_runtime("reference", Reference)


@pytest.mark.parametrize("name", runtimes.names())
def test_the_version_is_that_of_the_package(name: str) -> None:
    runtime = _runtime(name)
    module = importlib.import_module({"pytorch": "torch"}.get(runtime.name, runtime.name))
    assert str(module.__version__).startswith(runtime.version())
