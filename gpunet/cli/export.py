"""`gpunet export`, also by the name `gpunet-export`: a network as the file that runs, with proof and sidecar."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

import gpunet
from gpunet import runtime as runtimes
from gpunet.cli import options
from gpunet.cli.command import command, run_command
from gpunet.cli.options import opt
from gpunet.core import console
from gpunet.core.arguments import checked_number
from gpunet.core.hub import working_offline
from gpunet.errors import FAILED_EXIT_CODE, InvalidArgumentError, VerificationError

if TYPE_CHECKING:
    from torch import nn

    from gpunet.exporters.deployment import DeployReport

_GIB = 1 << 30
_LEAST_GIB, _MOST_GIB = 0.001, 1e6  # TensorRT takes no less than a MiB

_MODEL_HELP = (
    "a model of 'gpunet list --baselines', of timm's (TAG or TAG@PX) or of your zoo; the folder of an entry or run; or "
    "a spec's JSON"
)
_DEVICE_HELP = "instead of MODEL: the most accurate that fits on a device"
_OUT_HELP = "the file to write (default: a name made of model, device, precision and format; none with --triton)"
_TRITON_HELP = "a Triton model repository that gets the network too, with its config"
_PRECISION_HELP = "what the network computes in; it is in the graph (default: fp32; bf16 with --openvino)"
_BATCH_SIZE_HELP = "images a run: one number, or a range with the size to optimise for, such as 1:8:64 (default: 1)"
_CALIBRATION_HELP = "for int8: a folder of pictures like those that the network will see, or one of timm's datasets"
_INT8_LAYOUT_HELP = (
    "for int8 in an ONNX file: the runtime that is to run it (default: tensorrt, what a GPU takes; ONNX Runtime "
    "on a processor is slow with it)"
)
_IMAGES_HELP = (
    "pictures to compare on (default: photographs that installed packages ship; at int8, those of --calibration)"
)
_COMPUTE_CAPABILITY_HELP = "GPUs to build for, e.g. 8.6 12.0 (--trt-rtx only; default: all from 8.0 on)"
_WORKSPACE_GIB_HELP = "most memory for a kernel beside its tensors (default: 10)"
_OPTIMIZATION_LEVEL_HELP = "0 builds fastest, 5 runs fastest (default: 3)"
_HARDWARE_COMPATIBILITY_HELP = "run on other GPUs too, at a cost in speed (--trt only)"
_VERSION_COMPATIBLE_HELP = "run on later TensorRT versions too, at a cost in speed (--trt only)"


def _shorthands() -> dict[str, list[str]]:
    """'--trt' is '--format tensorrt'."""
    return {each.option[0]: ["--format", each.name] for each in runtimes.file_formats().values() if each.option[0]}


def _complete_format(incomplete: str) -> list[str]:
    return sorted(each.name for each in runtimes.file_formats().values() if each.name.startswith(incomplete))


def _format_help() -> str:
    known = [f"{each.name} ({each.option[0]}: {each.option[1]})" for each in runtimes.file_formats().values()
             if each.option[0]]  # fmt: skip
    return f"onnx (the default), {', '.join(known)}"


def parsed_batch_size(text: str) -> int | tuple[int, int, int]:
    """'8' -> 8; '1:8:64' -> (1, 8, 64), least, optimal and most.

    Raises:
        InvalidArgumentError: it is neither.
    """
    try:
        numbers = [int(part) for part in text.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 3:
        return numbers[0], numbers[1], numbers[2]
    raise InvalidArgumentError(f"--batch-size {text!r} is neither a number nor MIN:OPT:MAX.", "Such as 1:8:64.")


@command(
    "export", panel="Deploy", completion=True, shorthands=_shorthands,
    examples=["gpunet export gpunet_1 -o gpunet_1.onnx", "gpunet export --device gv100 --max-ms 0.8 --trt",
              "gpunet export run0 --openvino --precision int8 --calibration photos/",
              "gpunet export mobilenetv4_conv_medium.e500_r256_in1k@256 --openvino"],
    renamed={"--batch": "--batch-size", "--output": "--out", "--keep": "--keep-failed"},
    said_as={"path": "--out", "target": "--format", "keep": "--keep-failed",
             "compute_capabilities": "--compute-capability",
             "Give root=FOLDER and split=NAME as timm.data.create_dataset takes them, or a folder of pictures.":
             "Give a folder of pictures."},
)  # fmt: skip
def export(
    ctx: typer.Context,
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help=_MODEL_HELP, autocompletion=options.complete_model)
    ] = None,
    device: Annotated[
        str | None, opt("--device", "-d", metavar="NAME", help=_DEVICE_HELP, complete=options.complete_device)
    ] = None,
    max_ms: Annotated[float | None, opt(metavar="MS", help="with --device: the latency budget")] = None,
    out: Annotated[Path | None, opt("--out", "-o", metavar="FILE", help=_OUT_HELP)] = None,
    formats: Annotated[
        list[str] | None, opt("--format", metavar="NAME", help=_format_help(), complete=_complete_format)
    ] = None,
    triton: Annotated[Path | None, opt("--triton", metavar="DIR", help=_TRITON_HELP)] = None,
    precision: Annotated[options.PrecisionName, opt("--precision", "-p", help=_PRECISION_HELP)] = "fp32",
    batch_size: Annotated[str, opt("--batch-size", "-b", metavar="N|MIN:OPT:MAX", help=_BATCH_SIZE_HELP)] = "1",
    input_size: options.Input = None,
    io_fp16: Annotated[bool, opt("--io-fp16", help="with fp16: half at input and output too")] = False,
    calibration: Annotated[str | None, opt(metavar="FOLDER|DATASET", help=_CALIBRATION_HELP)] = None,
    int8_layout: Annotated[str | None, opt(metavar="|".join(runtimes.layouts()), help=_INT8_LAYOUT_HELP)] = None,
    leave_out: Annotated[list[str] | None, opt(metavar="LAYER...", help="layers that int8 leaves in float")] = None,
    images: Annotated[Path | None, opt(metavar="FOLDER", help=_IMAGES_HELP)] = None,
    weights: options.Weights = None,
    no_pretrained: options.NoPretrained = False,
    timeout_s: options.Timeout = None,
    offline: options.Offline = False,
    opset: Annotated[int, opt(metavar="N", help="ONNX opset (default: 17)")] = 17,
    keep_failed: Annotated[bool, opt("--keep-failed", help="keep a file that fails its proof")] = False,
    cache: Annotated[
        bool, opt("--cache", panel="Engines", help="keep an engine that is what this build would give")
    ] = False,
    compute_capability: Annotated[
        list[str] | None, opt(metavar="X.Y...", panel="Engines", help=_COMPUTE_CAPABILITY_HELP)
    ] = None,
    workspace_gib: Annotated[float, opt(metavar="N", panel="Engines", help=_WORKSPACE_GIB_HELP)] = 10,
    optimization_level: Annotated[
        int | None, opt(metavar="0-5", panel="Engines", help=_OPTIMIZATION_LEVEL_HELP)
    ] = None,
    hardware_compatibility: Annotated[
        Literal["ampere+", "same_compute_capability"] | None,
        opt(panel="Engines", help=_HARDWARE_COMPATIBILITY_HELP),
    ] = None,
    version_compatible: Annotated[
        bool, opt("--version-compatible", panel="Engines", help=_VERSION_COMPATIBLE_HELP)
    ] = False,
    dataset: options.Dataset = None,
    licence: options.Licence = None,
    extra_data: options.ExtraData = None,
    family: options.Family = None,
    thorough: options.Thorough = False,
    budget_minutes: options.BudgetMinutes = None,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
    version: options.Version = False,
) -> None:
    """Export a network to the file that runs in production: ONNX, OpenVINO IR, or an engine of TensorRT.

    The file is compared with PyTorch on photographs before it is kept, and FILE.json beside it says what it is.
    """
    from gpunet.exporters.request import check_request
    from gpunet.runtime.trt.options import BuildOptions

    asked: dict[str, Any] = {
        "max_ms": max_ms, "dataset": dataset, "licence": licence, "extra_data": extra_data, "family": family,
        "thorough": thorough or None, "budget_minutes": budget_minutes,
    }  # fmt: skip
    _check_named(model, device, **asked)
    checked_number("--workspace-gib", workspace_gib, _LEAST_GIB, _MOST_GIB)
    if len(formats or ()) > 1:
        raise InvalidArgumentError(f"--format takes one format, but got {' and '.join(formats or ())}.")
    target = formats[0] if formats else "onnx"
    sides = options.input_sides(input_size)
    suffix = runtimes.format_named(target, "--format")[1].suffixes[0]
    build = BuildOptions(
        workspace_bytes=int(workspace_gib * _GIB),
        optimization_level=optimization_level,
        compute_capabilities=tuple(compute_capability or ()),
        hardware_compatibility=hardware_compatibility,
        version_compatible=version_compatible,
    )
    how: dict[str, Any] = {
        "target": target,
        "precision": precision,
        "batch_size": parsed_batch_size(batch_size),
        "io_fp16": io_fp16,
        "calibration": calibration,
        "int8_layout": int8_layout,
        "leave_out": leave_out or [],
        "cache": cache,
        "options": build,
    }
    check_request(out or f"network{suffix}", **how)  # before a network is downloaded
    wanted = (
        None
        if device is None
        else {"device": device, "max_ms": max_ms, **{k: v for k, v in asked.items() if v is not None}}
    )
    source: dict[str, Any] = {"pretrained": not no_pretrained, "weights": weights}
    source |= {} if timeout_s is None else {"timeout_s": timeout_s}
    with working_offline(offline):
        network = _network(model, wanted, zoo, source)
    how |= {"input_px": sides, "opset": opset, "images": images, "keep": keep_failed, "triton": triton,
            "command": ["gpunet-export", *ctx.meta["given"]]}  # fmt: skip
    with contextlib.ExitStack() as stack:
        if out is not None:
            path = out
        elif triton is not None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gpunet-export-"))
            path = Path(folder, _file_name(network, None, None, suffix))
        else:
            path = Path(_file_name(network, device, precision, suffix))
            console.note(f"writing {path}")
        report = _deployed(network, path, target, how)
    if out is None and report.triton is not None:
        report = dataclasses.replace(report, path=report.triton.path)
    failed = report.verification.outcome == "failed"  # kept by --keep-failed
    if as_json:
        error = (
            VerificationError(str(report.verification), "The file is kept; do not use it.").to_dict() if failed else {}
        )
        console.print_json({**error, **report.to_dict()})
    else:
        print(report)
        if no_pretrained and weights is None:
            console.note("The weights are untrained: right for measuring latency, not for use.")
    if failed:
        raise SystemExit(FAILED_EXIT_CODE)


def _check_named(model: str | None, device: str | None, **of_device: object) -> None:
    """Raise InvalidArgumentError where the command line names no network, or two."""
    if (model is None) == (device is None):
        raise InvalidArgumentError(
            "name a network: either MODEL or --device, " + ("but both are given." if model else "but got neither."),
            "For example: gpunet-export gpunet_1, or gpunet-export --device gv100 --max-ms 0.8.",
        )
    for name, value in of_device.items():
        if device is None and value is not None:
            option = f"--{name.replace('_', '-')}"
            raise InvalidArgumentError(f"{option} goes with --device, but MODEL is given.", "Leave one of them out.")


def _network(model: str | None, asked: dict[str, Any] | None, zoo: list[str] | None, how: dict[str, Any]) -> nn.Module:
    """The network that the command line names."""
    if asked is not None:
        return gpunet.create(**asked, zoo=zoo, **how)
    from gpunet.zoo.named import network_named

    return network_named(str(model), zoo=zoo, timm_too=True, **how)


def _file_name(network: nn.Module, device: str | None, precision: str | None, suffix: str) -> str:
    """'gpunet_p0-gv100-fp16.engine'."""
    from gpunet.zoo.benchmark import network_name

    parts = [network_name(network), device, precision]
    return "-".join(re.sub(r"[^A-Za-z0-9_.]+", "_", part) for part in parts if part) + suffix


def _deployed(network: nn.Module, path: Path, target: str, how: dict[str, Any]) -> DeployReport:
    from gpunet.exporters.deployment import deploy

    if not runtimes.format_named(target)[1].is_engine:
        return deploy(network, path, **how)
    from gpunet.runtime.trt.format import build_progress

    with build_progress(target) as progress:
        return deploy(network, path, on_progress=progress, **how)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `gpunet-export` with these arguments (default: the process's)."""
    run_command(export, "gpunet-export", arguments)


def run() -> NoReturn:
    """Entry point of the command `gpunet-export`."""
    console.run(main)


if __name__ == "__main__":
    run()
