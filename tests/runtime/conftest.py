"""The tiny network of the contracts, for tests of a runtime's parts."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from torch import nn

from gpunet.testing.networks import SIDE_PX, tiny_int8, tiny_module, tiny_onnx


@pytest.fixture(scope="session")
def module() -> nn.Module:
    return tiny_module()


@pytest.fixture(scope="session")
def network() -> onnx.ModelProto:
    """Batch of any size, float32."""
    return tiny_onnx(tiny_module())


@pytest.fixture(scope="session")
def half_network() -> onnx.ModelProto:
    """Batch of 2, float16 within, float32 outside."""
    return tiny_onnx(tiny_module(), 2, kind=onnx.TensorProto.FLOAT16)


@pytest.fixture(scope="session")
def int8_network(network: onnx.ModelProto) -> onnx.ModelProto:
    """Batch of any size, its layers between Q/DQ nodes."""
    return tiny_int8(network)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((2, 3, SIDE_PX, SIDE_PX), dtype=np.float32)
