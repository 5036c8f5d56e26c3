from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from gpunet import runtime as runtimes
from gpunet.core.machine import available_threads
from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError, UnknownModelError
from gpunet.model.network import GPUNet
from gpunet.model.parts import HeadSpec, StageSpec, StemSpec
from gpunet.model.spec import NetworkSpec
from gpunet.runtime.onnxruntime.arithmetic import computes_half
from gpunet.runtime.timing import Measurement, NoisyMachineWarning, noise
from gpunet.zoo.benchmark import benchmark, images_for, session_from_network

SPEC = NetworkSpec(32, StemSpec(8), (StageSpec("fused_irb", 8, stride=2, expansion=2),), HeadSpec(16))


def _quick() -> dict[str, Any]:
    """One thread, and a clock by which every run takes 10 ms: these tests are about what is run, not how fast."""
    return {"threads": 1, "clock": itertools.count(0, 0.01).__next__}


@pytest.fixture
def model() -> GPUNet:
    torch.manual_seed(0)
    return GPUNet(SPEC, num_classes=10)


def _file(path: Path, *, batch: int | str = "N", side: int | str = 8, kind: int = TensorProto.FLOAT) -> Path:
    """An ONNX network of one convolution and a mean, with weights of this type."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    weight = numpy_helper.from_array(np.ones((4, 3, 1, 1), dtype), "w")
    nodes = [
        helper.make_node("Cast", ["w"], ["w32"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["input", "w32"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["logits"]),
    ]
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, side, side])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 4])
    graph = helper.make_graph(nodes, "tiny", [image], [logits], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


# --------------------------------------------------------------------- models


@pytest.mark.parametrize("runtime", runtimes.names())
def test_a_network_is_measured_on_every_runtime(model: GPUNet, runtime: str) -> None:
    reason = runtimes.get(runtime).unavailable()
    if reason is not None:
        pytest.skip(reason)
    got = benchmark(model, runtime=runtime, batch_size=2, **_quick())
    assert isinstance(got, Measurement)
    assert got.latency_ms == pytest.approx(10)
    said = got.conditions
    wanted = {
        "runtime": runtime,
        "precision": "fp32",
        "batch_size": 2,
        "input_shape": [2, 3, 32, 32],
        "model": "GPUNet",
    }
    assert {key: said[key] for key in wanted} == wanted
    assert said["runtime_version"] == runtimes.get(runtime).version()


def test_the_best_runtime_and_all_threads_are_the_default(model: GPUNet) -> None:
    said = benchmark(model, clock=_quick()["clock"]).conditions
    assert said["runtime"] == runtimes.best().name
    assert said["threads"] in (available_threads(), None)


@pytest.mark.filterwarnings("ignore::gpunet.runtime.timing.NoisyMachineWarning")
def test_the_real_clock_gives_a_real_latency(model: GPUNet) -> None:
    got = benchmark(model, runtime="onnxruntime", threads=1, warmup_s=0.01, min_repeats=10, min_time_s=0.01)
    assert 0 < got.min_ms <= got.latency_ms < 5000
    assert got.repeats >= 10


def test_it_warns_of_a_restless_machine(model: GPUNet) -> None:
    ticks = itertools.chain([0.0] * 9, itertools.accumulate(itertools.cycle([0.01, 0.01, 0.02, 0.01])))
    with pytest.warns(NoisyMachineWarning, match="the machine was not quiet"):
        benchmark(model, runtime="pytorch", threads=1, warmup_s=0, clock=ticks.__next__)


@pytest.mark.parametrize("runtime", ["pytorch", "onnxruntime"])
def test_a_model_in_training_comes_back_as_it_was(model: GPUNet, runtime: str) -> None:
    model.train()
    model.bn1.eval()
    before = {name: each.training for name, each in model.named_modules()}
    statistics = model.bn2.running_mean.clone()
    benchmark(model, runtime=runtime, **_quick())
    assert {name: each.training for name, each in model.named_modules()} == before
    assert torch.equal(model.bn2.running_mean, statistics)


def test_another_resolution(model: GPUNet) -> None:
    for runtime in ("pytorch", "onnxruntime"):
        got = benchmark(model, runtime=runtime, input_px=64, **_quick())
        assert got.conditions["input_shape"] == [1, 3, 64, 64]


def test_a_timm_model_brings_its_own_input_size() -> None:
    model = timm.create_model("test_efficientnet", pretrained=False)
    got = benchmark(model, runtime="onnxruntime", **_quick())
    assert got.conditions["input_shape"] == [1, 3, 160, 160]
    assert got.conditions["model"] == "test_efficientnet"


@pytest.mark.parametrize("runtime", ["pytorch", "onnxruntime"])
def test_channels_are_the_models_own(runtime: str) -> None:
    for model in (GPUNet(SPEC, in_chans=1), timm.create_model("test_efficientnet", pretrained=False, in_chans=1)):
        got = benchmark(model, runtime=runtime, input_px=64, **_quick())
        assert got.conditions["input_shape"] == [1, 1, 64, 64]


def test_a_module_of_unknown_input_size_needs_one() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert benchmark(model, runtime="pytorch", input_px=8, **_quick()).conditions["model"] == "Sequential"
    with pytest.raises(
        InvalidArgumentError, match=r"the input size of this Sequential is not known: .*\nPass input_px"
    ):
        benchmark(model, runtime="pytorch")


def test_images_are_noise_the_same_each_time() -> None:
    images = noise((2, 3, 8, 8))
    assert images.dtype == np.float32
    assert abs(float(images.mean())) < 0.2
    assert 0.8 < float(images.std()) < 1.2
    np.testing.assert_array_equal(images, noise((2, 3, 8, 8)))


def test_a_name_of_the_zoo_is_built_untrained(tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    entry = '{"format": "gpunet-entry", "format_version": 1, "name": "mine", "architecture": "gpunet", "spec": %s}'
    (zoo / "mine.json").write_text(entry % SPEC.to_json())
    got = benchmark("mine", runtime="pytorch", zoo=zoo, **_quick())
    assert (got.conditions["model"], got.conditions["input_shape"]) == ("mine", [1, 3, 32, 32])
    with pytest.raises(UnknownModelError, match="the zoo has no model 'nine'"):
        benchmark("nine", zoo=zoo)


# ---------------------------------------------------------------------- files


def test_an_onnx_file_is_measured_as_it_is(tmp_path: Path) -> None:
    path = _file(tmp_path / "open.onnx")
    for given in (path, str(path)):
        got = benchmark(given, runtime="onnxruntime", batch_size=3, **_quick())
        assert got.conditions["input_shape"] == [3, 3, 8, 8]
        assert got.conditions["model"] == "open.onnx"


def test_a_fixed_file_refuses_other_sizes(tmp_path: Path) -> None:
    path = _file(tmp_path / "fixed.onnx", batch=2)
    assert benchmark(path, runtime="onnxruntime", batch_size=2, **_quick()).batch_size == 2
    with pytest.raises(InvalidArgumentError, match=r"fixed at batch_size=2, but got batch_size=1\.\nPass batch_size=2"):
        benchmark(path, runtime="onnxruntime")
    with pytest.raises(InvalidArgumentError, match="fixed at input_px=8, but got input_px=16"):
        benchmark(path, runtime="onnxruntime", batch_size=2, input_px=16)


def test_a_file_of_any_resolution_needs_one(tmp_path: Path) -> None:
    path = _file(tmp_path / "any.onnx", side="S")
    got = benchmark(path, runtime="onnxruntime", input_px=12, **_quick())
    assert got.conditions["input_shape"] == [1, 3, 12, 12]
    session = runtimes.get("onnxruntime").load(path)
    assert images_for(session, 2, 16).shape == (2, 3, 16, 16)
    with pytest.raises(InvalidArgumentError, match=r"images of any size, but input_px is not given\.\nPass input_px"):
        benchmark(path, runtime="onnxruntime")


def test_torch_cannot_run_a_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"the runtime 'pytorch' runs an nn\.Module, but got a pathlib"):
        benchmark(_file(tmp_path / "x.onnx"), runtime="pytorch")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"none\.onnx: there is no such file"):
        benchmark(tmp_path / "none.onnx")


# ------------------------------------------------------------ wrong arguments


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"batch_size": 0}, "batch_size must be an integer of 1 or more, but got 0"),
        ({"batch_size": True}, "batch_size must be an integer of 1 or more, but got True"),
        ({"batch_size": (1, 2, 4)}, r"batch_size must be an integer of 1 or more, but got \(1, 2, 4\)"),
        ({"precision": "half"}, "precision must be one of fp32, fp16, bf16, int8, but got 'half'"),
        ({"threads": 0}, "threads must be an integer of 1 or more, but got 0"),
        ({"input_px": 0}, "input_px must be an integer of 1 or more, but got 0"),
        ({"input_px": 22.5}, "input_px must be an integer of 1 or more, but got 22.5"),
        ({"runtime": "tflite"}, "runtime must be one of tensorrt, .*openvino, .*, but got 'tflite'"),
        ({"min_repeats": 0}, "min_repeats must be an integer of 1 or more, but got 0"),
        ({"warmup_s": -1}, "warmup_s must be a finite number of 0 or more, but got -1"),
    ],
)
def test_wrong_arguments_are_refused(model: GPUNet, how: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        benchmark(model, **{"runtime": "pytorch"} | how)


def test_a_network_is_measured_in_half_too(model: GPUNet) -> None:
    if computes_half():
        assert benchmark(model, runtime="onnxruntime", precision="fp16", **_quick()).conditions["precision"] == "fp16"
        return
    said = "'onnxruntime' computes in fp32 on this processor, not in fp16"
    with pytest.raises(RuntimeUnavailableError, match=said) as caught:
        benchmark(model, runtime="onnxruntime", precision="fp16", **_quick())
    assert "precision='fp32'" in caught.value.hint


def test_int8_needs_a_file(model: GPUNet) -> None:
    with pytest.raises(
        RuntimeUnavailableError, match=r"runs at fp32, fp16 or bf16, but got precision 'int8'\.\nINT8 needs calibration"
    ):
        benchmark(model, precision="int8")
    with pytest.raises(RuntimeUnavailableError, match="'pytorch' cannot run at fp16 here"):
        benchmark(model, runtime="pytorch", precision="fp16")


@pytest.mark.parametrize("model", [3, None, b"onnx"])
def test_what_is_no_model_is_refused(model: Any) -> None:
    with pytest.raises(
        InvalidArgumentError, match=f"model must be an nn.Module, the path of an .onnx .*, but got {model!r}"
    ):
        benchmark(model)


@pytest.mark.slow
def test_a_network_that_cannot_be_fused_twice_is_fused_once() -> None:
    model = timm.create_model("fastvit_t8").eval()
    for name in ("onnxruntime", "pytorch"):
        session, images = session_from_network(model, runtimes.get(name), batch_size=1, input_px=64)
        assert session.conditions["reparameterized"] is True
        assert session.run(images).shape == (1, 1000)
