"""Triton model repositories: every backend's configuration, read back with Triton's own definitions."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import onnx
import pytest

from gpunet import runtime as runtimes
from gpunet.errors import ExportError, InvalidArgumentError
from gpunet.exporters.artefact import export_graph
from gpunet.exporters.graph.half import half_from_float
from gpunet.exporters.images import image_set
from gpunet.exporters.int8.qdq import Scale, insert, name_nodes
from gpunet.exporters.int8.qdq_plan import plan
from gpunet.exporters.onnx import onnx_from_network
from gpunet.exporters.triton.pbtxt import parsed
from gpunet.exporters.triton.repository import class_labels, export_triton
from gpunet.runtime.batch import BatchProfile

LAYOUTS = runtimes.layouts()


RANGE = BatchProfile(1, 4, 16)


@pytest.fixture
def network(model):
    return onnx_from_network(model, batch_size=(1, 4, 16))


@pytest.fixture
def put(network, tmp_path):
    """Puts a network into a repository: `put('net.onnx', ...)` -> the report and the parsed configuration."""

    def make(file="net.onnx", source=network, content=None, **options):
        artefact = tmp_path / file
        artefact.write_bytes(source.SerializeToString() if content is None else content)
        options = {"name": "tiny", "precision": "fp32", "batch": RANGE, **options}
        report = export_triton(tmp_path / "models", artefact, source, **options)
        return report, parsed((report.folder / "config.pbtxt").read_text())

    return make


def test_an_onnx_network_on_a_gpu(put, tmp_path):
    report, config = put(precision="fp16", max_queue_delay_us=250, instances=2, engine_cache="/engines")
    assert report.checked
    assert (config.name, config.backend, config.max_batch_size) == ("tiny", "onnxruntime", 16)
    assert config.default_model_filename == "model.onnx"
    assert [(port.name, list(port.dims), port.data_type) for port in config.input] == [("input", [3, 32, 32], 11)]
    assert [(port.name, list(port.dims), port.label_filename) for port in config.output] == [
        ("logits", [10], "labels.txt")
    ]
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 16]
    assert config.dynamic_batching.max_queue_delay_microseconds == 250
    assert [(group.count, group.kind) for group in config.instance_group] == [(2, 1)], "KIND_GPU"
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    assert dict(accelerator.parameters) == {
        "precision_mode": "FP16",
        "max_workspace_size_bytes": str(10 * 2**30),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": "/engines",
        "trt_profile_min_shapes": "input:1x3x32x32",
        "trt_profile_opt_shapes": "input:4x3x32x32",
        "trt_profile_max_shapes": "input:16x3x32x32",
    }
    (warmup,) = config.model_warmup
    assert (warmup.batch_size, list(warmup.inputs["input"].dims), warmup.inputs["input"].zero_data) == (
        1,
        [3, 32, 32],
        True,
    )
    assert sorted(str(path.relative_to(tmp_path / "models")) for path in report.folder.rglob("*")) == [
        "tiny/1", "tiny/1/model.onnx", "tiny/config.pbtxt", "tiny/labels.txt"]  # fmt: skip


def test_an_onnx_network_on_a_processor(put):
    _, config = put(device="cpu")
    assert config.instance_group[0].kind == 2
    assert not config.HasField("optimization")


@pytest.mark.parametrize("file", ["net.engine", "net.plan"])
def test_a_tensorrt_engine(put, file):
    report, config = put(file, content=b"engine")
    assert (config.backend, config.default_model_filename) == ("tensorrt", "model.plan")
    assert config.optimization.cuda.graphs
    assert config.instance_group[0].kind == 1
    assert (report.folder / "1" / "model.plan").read_bytes() == b"engine"


def test_openvino_ir_is_served_as_its_backend_will_load_it(put, network, model, tmp_path):
    """That backend fixes the batch at max_batch_size and fills up what is smaller: the best size is the most."""
    ov = pytest.importorskip("openvino", reason="the openvino extra is not installed")
    images = image_set(model, (3, 32, 32))
    export_graph(network, tmp_path / "net.xml", target="openvino", precision="fp32", images=images, batch=RANGE)
    report = export_triton(
        tmp_path / "models", tmp_path / "net.xml", network, name="tiny", precision="fp32", batch=RANGE
    )
    config = parsed(report.config)
    assert (config.backend, config.default_model_filename, config.max_batch_size) == ("openvino", "model.xml", 4)
    assert list(config.dynamic_batching.preferred_batch_size) == [4]
    assert {key: value.string_value for key, value in config.parameters.items()} == {
        "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "ENABLE_BATCH_PADDING": "YES"}  # fmt: skip
    assert config.instance_group[0].kind == 2
    loaded = ov.Core().read_model(str(report.folder / "1" / "model.xml"))
    steps = ov.preprocess.PrePostProcessor(loaded)
    steps.input("input").tensor().set_layout(ov.Layout("N..."))
    loaded = steps.build()
    ov.set_batch(loaded, config.max_batch_size)
    # Its default is bf16 where the processor has it, which fails where oneDNN's instructions are held down.
    compiled = ov.compile_model(loaded, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert compiled(images.arrays[:4])[0].shape == (4, 10)


def test_a_fixed_batch_is_served_as_it_is(model, put):
    network = onnx_from_network(model, batch_size=2)
    _, config = put(source=network, batch=BatchProfile(2, 2, 2))
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    assert (list(config.input[0].dims), list(config.output[0].dims)) == ([2, 3, 32, 32], [2, 10])
    assert list(config.model_warmup[0].inputs["input"].dims) == [2, 3, 32, 32]
    accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator[0]
    assert "trt_profile_opt_shapes" not in accelerator.parameters
    assert "trt_engine_cache_enable" not in accelerator.parameters


def test_half_at_the_ends_is_said(put, network):
    _, config = put(source=half_from_float(network, io_fp16=True), precision="fp16")
    assert (
        config.input[0].data_type
        == config.output[0].data_type
        == config.model_warmup[0].inputs["input"].data_type
        == 10
    )


def test_labels():
    assert class_labels(2) == ["class 0", "class 1"]
    assert class_labels(1000)[0] == "class 0"  # nobody says that they are ImageNet's
    assert class_labels(2, ["cat", "dog"]) == ["cat", "dog"]


def test_labels_in_the_repository(put):
    report, _ = put(labels=[f"thing {n}" for n in range(10)])
    assert (report.folder / "labels.txt").read_text().splitlines() == [f"thing {n}" for n in range(10)]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["cat"], "labels must be 2 lines, one a class, but got 1"),
        (["cat", "a\nb"], r"one line of text, but got 'a\\nb'"),
        (["cat", " "], "one line of text, but got ' '"),
    ],
)
def test_labels_that_do_not_fit(labels, said):
    with pytest.raises(InvalidArgumentError, match=said):
        class_labels(2, labels)


def test_a_model_is_replaced_whole(put):
    put(version=3)
    report, _ = put(version=4)
    assert sorted(each.name for each in report.folder.iterdir()) == ["4", "config.pbtxt", "labels.txt"]


def test_a_folder_of_something_else_is_left_alone(put, tmp_path):
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    (tmp_path / "models" / "tiny" / "thesis.txt").write_text("years of work")
    with pytest.raises(ExportError, match="tiny is there already and was not made by this export"):
        put()
    assert (tmp_path / "models" / "tiny" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "../up"}, r"letters, digits, '_', '-' and '\.', but got '\.\./up'"),
        ({"device": "tpu"}, "device must be 'gpu' or 'cpu' for the backend onnxruntime, but got 'tpu'"),
        ({"version": 0}, "version must be an integer of 1 or more, but got 0"),
        ({"max_queue_delay_us": -1}, "max_queue_delay_us must be an integer of 0 or more, but got -1"),
        ({"instances": True}, "instances must be an integer of 1 or more, but got True"),
        ({"batch": BatchProfile(2, 4, 8)}, "sends single images too, but the batch profile begins at 2"),
        ({"batch": BatchProfile(4, 4, 4)}, "the graph's batch is open, but the batch profile is 4"),
    ],
)
def test_arguments_that_break_their_rule(put, options, said, tmp_path):
    with pytest.raises(InvalidArgumentError, match=said):
        put(**options)
    assert not (tmp_path / "models").exists()


def test_files_that_triton_does_not_serve(network, tmp_path):
    options = {"name": "tiny", "precision": "fp32", "batch": RANGE}
    with pytest.raises(InvalidArgumentError, match=r"Triton serves \.onnx, \.engine, \.plan, \.xml, but got net\.pt"):
        export_triton(tmp_path, "net.pt", network, **options)
    with pytest.raises(InvalidArgumentError, match=r"net\.onnx: there is no such file"):
        export_triton(tmp_path, tmp_path / "net.onnx", network, **options)
    (tmp_path / "net.xml").write_text("<net/>")
    with pytest.raises(InvalidArgumentError, match=r"net\.bin: there is no such file"):
        export_triton(tmp_path, tmp_path / "net.xml", network, **options)


def test_unsigned_integers_are_refused_on_a_gpu(put, model):
    network = name_nodes(onnx_from_network(model, batch_size=(1, 4, 16)))
    layout = LAYOUTS["openvino"]
    planned = plan(network, layout)
    quantized = insert(network, planned, dict.fromkeys(planned.tensors, Scale(0.1, 0)), layout)
    with pytest.raises(
        InvalidArgumentError, match=r"zero point 0, but the graph's activations are uint8[^$]*'tensorrt'"
    ):
        put(source=quantized, precision="int8")
    _, config = put(source=quantized, precision="int8", device="cpu")
    assert config.backend == "onnxruntime"


def test_graphs_whose_ends_triton_cannot_be_told(put, graph):
    graph.add("Relu", "x", to="y")
    network = graph.model()
    two = BatchProfile(2, 2, 2)
    for kind, shape, said in [
        (6, [2, 10], "y must be float32 or float16, but its ONNX type is 6"),
        (1, [2, None], "the shape of y must be fixed but for the batch"),
    ]:
        network.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", kind, shape))
        with pytest.raises(InvalidArgumentError, match=said):
            put(source=network, batch=two)


def test_without_the_definitions_the_report_says_so(network, tmp_path):
    """In a process where tritonclient cannot be found."""
    (tmp_path / "net.onnx").write_bytes(network.SerializeToString())
    code = f"""
    import json, sys
    sys.modules["tritonclient"] = None
    import onnx
    from gpunet.exporters.triton.repository import export_triton
    from gpunet.runtime.batch import BatchProfile
    model = onnx.load({str(tmp_path / "net.onnx")!r})
    report = export_triton({str(tmp_path / "models")!r}, {str(tmp_path / "net.onnx")!r}, model, name="tiny",
                           precision="fp32", batch=BatchProfile(1, 4, 16))
    print(json.dumps([report.checked, str(report)]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    checked, text = json.loads(done.stdout)
    assert not checked
    assert "not read back: pip install 'gpunet[triton]'" in text
    assert parsed((tmp_path / "models" / "tiny" / "config.pbtxt").read_text()).name == "tiny"
