"""What every runtime promises, on each of gpunet's own."""

from __future__ import annotations

import importlib
import itertools
import os
import subprocess
import sys
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
        assert done.sidecar.run == {}  # no other runtime reads it
        onnx_path = tmp_path / "network.onnx"
        deploy(network, onnx_path)
        clock = itertools.count(0, 0.01).__next__
        measured = benchmark(onnx_path, runtime="reference", threads=1, min_repeats=1, clock=clock)
        assert measured.conditions["runtime"] == "reference"

    def test_its_name_is_taken(self, runtime: Runtime) -> None:
        with pytest.raises(InvalidArgumentError, match="there is a runtime 'reference' already"):
            register_runtime("reference", Reference)


_THREADS = """
import os
os.sched_setaffinity(0, range(os.cpu_count()))  # these tests may have been given one core
from gpunet import runtime
from gpunet.core.machine import available_threads
from gpunet.testing.networks import tiny_module, tiny_onnx
module = tiny_module()
for name, source in {"openvino": tiny_onnx(module), "onnxruntime": tiny_onnx(module), "pytorch": module}.items():
    session = runtime.get(name).load(source)
    assert session.threads == available_threads(), name
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to processors")
def test_they_compute_with_as_many_threads_as_there_are_cores() -> None:
    done = subprocess.run([sys.executable, "-c", _THREADS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", runtimes.names())
def test_the_version_is_that_of_the_package(name: str) -> None:
    runtime = _runtime(name)
    module = importlib.import_module({"pytorch": "torch"}.get(runtime.name, runtime.name))
    assert str(module.__version__).startswith(runtime.version())
