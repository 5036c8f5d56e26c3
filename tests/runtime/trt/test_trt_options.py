from __future__ import annotations

from typing import Any

import pytest

from gpunet.core.gpu import Gpu
from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime.trt.library import TENSORRT, TENSORRT_RTX, Library
from gpunet.runtime.trt.options import BuildOptions, check_gpu, check_target

KNOWN = ("7.5", "8.0", "8.6", "8.9", "12.0")
A100 = Gpu("NVIDIA A100", "8.0", 40 << 30)
V100 = Gpu("Tesla V100-SXM2-16GB", "7.0", 16 << 30)
P100 = Gpu("Tesla P100", "6.0", 16 << 30)


def test_the_defaults_are_the_papers_workspace_and_no_compatibility() -> None:
    options = BuildOptions()
    assert options.workspace_bytes == 10 * 2**30
    flags = options.flags()
    assert flags["version_compatible"] is False
    assert flags["hardware_compatibility"] is None
    assert flags["tf32"] is False
    assert flags["strongly_typed"] is True


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"precision": "half"}, "precision must be one of fp32, fp16, bf16, int8, but got 'half'"),
        ({"batch": 0}, "batch_size must be an integer of 1 or more, but got 0"),
        ({"batch": (8, 4, 2)}, "min <= opt <= max must hold for batch_size, but got 8, 4, 2"),
        ({"batch": True}, "batch_size must be an integer of 1 or more, but got True"),
        ({"workspace_bytes": 10}, "workspace_bytes must be an integer of 1,048,576 or more"),
        ({"workspace_bytes": 1e10}, "workspace_bytes must be an integer of 1,048,576 or more"),
        ({"optimization_level": 6}, "optimization_level must be an integer from 0 to 5, but got 6"),
        ({"optimization_level": True}, "optimization_level must be an integer from 0 to 5, but got True"),
        ({"hardware_compatibility": "all"}, r"hardware_compatibility must be one of ampere\+, same_compute_capability"),
        (
            {"compute_capabilities": ("sm86",)},
            "compute_capabilities must be names such as '8.6' and '12.0', but got 'sm86'",
        ),
        ({"compute_capabilities": "8.6"}, "compute_capabilities must be names such as"),
    ],
)
def test_values_out_of_range_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        BuildOptions(**given)


def test_compute_capabilities_are_put_in_order_and_named_once() -> None:
    assert BuildOptions(compute_capabilities=("12.0", "8.6", "8.6")).compute_capabilities == ("8.6", "12.0")


@pytest.mark.parametrize(("given", "profile"), [(1, (1, 1, 1)), ((1, 8, 64), (1, 8, 64)), ([2, 2, 2], (2, 2, 2))])
def test_a_batch_is_kept_as_three_numbers(given: Any, profile: tuple[int, int, int]) -> None:
    assert BuildOptions(batch=given).batch == profile


def test_an_unknown_compute_capability_lists_those_that_are() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"TensorRT-RTX 1\.7 cannot build for compute capability 9\.0"
    ) as caught:
        check_target(TENSORRT_RTX, "1.7", BuildOptions(compute_capabilities=("8.6", "9.0")), None, KNOWN)
    assert "7.5, 8.0, 8.6, 8.9, 12.0" in caught.value.hint
    assert "--trt" in caught.value.hint


@pytest.mark.parametrize("given", [{"hardware_compatibility": "ampere+"}, {"version_compatible": True}])
def test_rtx_has_no_compatibility_modes(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=f"TensorRT-RTX has no {next(iter(given))}"):
        check_target(TENSORRT_RTX, "1.7", BuildOptions(**given), None, KNOWN)


def test_rtx_builds_without_a_gpu_for_what_it_knows() -> None:
    check_target(TENSORRT_RTX, "1.7.1", BuildOptions(compute_capabilities=("7.5", "12.0")), None, KNOWN)


def test_tensorrt_builds_for_its_own_gpu_alone() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"builds for the GPU it runs on, but compute capabilities 8\.6 were named"
    ):
        check_target(TENSORRT, "11.4", BuildOptions(compute_capabilities=("8.6",)), A100)


def test_no_gpu_points_at_rtx_and_at_the_target() -> None:
    with pytest.raises(
        RuntimeUnavailableError, match="builds an engine on the GPU that will run it, and this machine has none"
    ) as caught:
        check_target(TENSORRT, "10.4", BuildOptions(), None)
    assert (
        caught.value.hint == "Run the same command on the target, or build here for GPUs that are elsewhere: --trt-rtx."
    )


def test_rtx_without_a_gpu_can_only_build() -> None:
    with pytest.raises(RuntimeUnavailableError, match="TensorRT-RTX runs engines on a GPU, and this machine has none"):
        check_gpu(TENSORRT_RTX, "1.7", None)


@pytest.mark.parametrize(("library", "version"), [(TENSORRT, "10.5.0"), (TENSORRT, "11.4"), (TENSORRT_RTX, "1.7")])
def test_volta_needs_tensorrt_10_4(library: Library, version: str) -> None:
    with pytest.raises(
        RuntimeUnavailableError, match=r"does not serve the Tesla V100-SXM2-16GB \(compute capability 7\.0\)"
    ) as caught:
        check_gpu(library, version, V100)
    assert "TensorRT 10.4 is the last version that serves Volta: pip install 'tensorrt==10.4.*'" in caught.value.hint


def test_volta_is_served_by_10_4() -> None:
    check_target(TENSORRT, "10.4.0.26", BuildOptions(), V100)


def test_older_gpus_are_not_served_at_all() -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"TensorRT 10\.4 does not serve the Tesla P100") as caught:
        check_gpu(TENSORRT, "10.4", P100)
    assert "8.6" in caught.value.hint


def test_ampere_is_served_by_all() -> None:
    check_gpu(TENSORRT, "11.4", A100)
    check_gpu(TENSORRT_RTX, "1.7", A100)
