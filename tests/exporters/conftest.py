"""A GPUNet with everything that the family has, on 32 px, and odd channels throughout; exported in half a second."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from gpunet.exporters.onnx import ExportReport, export
from gpunet.model.network import GPUNet

SPEC = {
    "resolution_px": 32,
    "stem": {"filters": 33, "activation": "swish"},
    "stages": [
        {"type": "conv", "filters": 33, "layers": 2},
        {"type": "fused_irb", "filters": 35, "stride": 2, "expansion": 2, "activation": "swish",
         "squeeze_excitation": True, "pad_strided": False},
        {"type": "irb", "filters": 44, "layers": 2, "stride": 2, "expansion": 3, "kernel_size": 5},
        {"type": "irb", "filters": 67, "layers": 2, "expansion": 3, "activation": "swish", "squeeze_excitation": True},
    ],
    "head": {"filters": 70, "hidden_features": 51},
    "hidden_divisor": 1,
    "batch_norm_eps": 1e-5,
}  # fmt: skip


def make_model() -> GPUNet:
    """Untrained, but with BatchNorm statistics as they are after training."""
    torch.manual_seed(0)
    network = GPUNet(SPEC, num_classes=10).eval()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
            torch.nn.init.normal_(part.bias, 0, 0.1)
    return network


@pytest.fixture
def model() -> GPUNet:
    return make_model()


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> ExportReport:
    """The same network, exported for batches of 2 to 5."""
    path = tmp_path_factory.mktemp("export") / "new folder" / "tiny.onnx"
    return export(make_model(), path, batch_size=(2, 3, 5), metadata={"note": "a test"})


class Graph:
    """Writes small ONNX graphs: the input 'x', nodes, weights, the output 'y'."""

    def __init__(self, shape: tuple[int, ...] = (2, 12, 9, 9), opset: int = 17) -> None:
        self.shape, self.opset = shape, opset
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._draw = np.random.default_rng(0)

    def weight(self, *shape: int, values: np.ndarray | None = None) -> str:
        values = self._draw.standard_normal(shape).astype(np.float32) if values is None else values
        self.weights.append(numpy_helper.from_array(values, f"w{len(self.weights)}"))
        return self.weights[-1].name

    def add(self, op_type: str, *inputs: str, to: str | None = None, **attributes: object) -> str:
        result = to or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [result], **attributes))
        return result

    def conv(self, source: str, c_in: int, c_out: int, kernel: int = 3, groups: int = 1, to: str | None = None) -> str:
        names = self.weight(c_out, c_in // groups, kernel, kernel), self.weight(c_out)
        return self.add("Conv", source, *names, to=to, group=groups, pads=[kernel // 2] * 4)

    def model(self) -> onnx.ModelProto:
        output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        source = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        graph = helper.make_graph(self.nodes, "test", [source], [output], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        shapes = onnx.shape_inference.infer_shapes(model)
        model.graph.output[0].CopyFrom(shapes.graph.output[0])
        return model


@pytest.fixture
def graph() -> Graph:
    return Graph()


@pytest.fixture
def graph18() -> Graph:
    """At the opset from which ReduceMean takes its axes as an input."""
    return Graph(opset=18)


@pytest.fixture
def run():
    """Runs a model's graph on ONNX Runtime as it stands, without its optimisations: `run(model)` -> 'y'."""
    import onnxruntime

    def compute(model: onnx.ModelProto) -> np.ndarray:
        onnx.checker.check_model(model, full_check=True)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        source = session.get_inputs()[0]
        images = np.random.default_rng(1).standard_normal(source.shape).astype(np.float32)
        return session.run(None, {source.name: images})[0]

    return compute
