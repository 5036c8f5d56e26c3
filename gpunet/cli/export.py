"""The command `gpunet-export`: a network as the file that runs in production, with the proof and a sidecar."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import gpunet
from gpunet import runtime as runtimes
from gpunet.cli import options
from gpunet.core import console
from gpunet.errors import InvalidArgumentError
from gpunet.zoo.named import network_named

if TYPE_CHECKING:
    from torch import nn

    from gpunet.exporters.deployment import DeployReport

_GIB = 1 << 30

_IMAGES_HELP = "pictures to compare on (default: photographs that installed packages ship)"
_WORKSPACE_GIB_HELP = "most memory for a kernel beside its tensors (default: 10)"
_OPTIMIZATION_LEVEL_HELP = "0 builds fastest, 5 runs fastest (default: 3)"
_HARDWARE_COMPATIBILITY_HELP = "run on other GPUs too, at a cost in speed (--trt only)"
_VERSION_COMPATIBLE_HELP = "run on later TensorRT versions too, at a cost in speed (--trt only)"


def parser() -> argparse.ArgumentParser:
    """The command line of `gpunet-export`."""
    top = argparse.ArgumentParser(
        prog="gpunet-export",
        description="Export a network to the file that runs in production: ONNX, OpenVINO IR, or an engine of TensorRT "
        "or TensorRT-RTX. The file is compared with PyTorch on photographs before it is kept, and FILE.json beside it "
        "says what it is.",
    )
    top.add_argument(
        "model", metavar="MODEL", nargs="?",
        help="a model of 'gpunet list --baselines' or of your own zoo; the folder of an entry; or a spec's JSON file",
    )  # fmt: skip
    top.add_argument("-d", "--device", metavar="NAME", help="instead of MODEL: the most accurate that fits on a device")
    top.add_argument("--max-ms", metavar="MS", type=float, help="with --device: the latency budget")
    top.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="the file to write (may be left out with --triton)"
    )
    top.add_argument(
        "--triton",
        metavar="DIR",
        type=Path,
        help="a Triton model repository that gets the network too, with its config",
    )
    formats = top.add_argument_group("format (default: ONNX)").add_mutually_exclusive_group()
    for each in runtimes.file_formats().values():
        if each.option[0]:
            flag, text = each.option
            formats.add_argument(flag, dest="target", action="store_const", const=each.name, help=text)
    top.add_argument(
        "-p", "--precision", choices=("fp32", "fp16", "int8"), default="fp32",
        help="what the network computes in; it is in the graph (default: fp32)",
    )  # fmt: skip
    top.add_argument(
        "-b", "--batch", metavar="N|MIN:OPT:MAX", type=batch_size, default=1,
        help="images a run: one number, or a range with the size to optimise for, such as 1:8:64 (default: 1)",
    )  # fmt: skip
    top.add_argument("--io-fp16", action="store_true", help="with fp16: half at input and output too")
    top.add_argument(
        "--calibration", metavar="FOLDER|DATASET",
        help="for int8: a folder of pictures like those that the network will see, or one of timm's datasets",
    )  # fmt: skip
    top.add_argument(
        "--int8-layout", choices=tuple(runtimes.layouts()),
        help="for int8 in an ONNX file: the runtime that is to run it (default: tensorrt, the one that a GPU takes; "
        "ONNX Runtime on a processor is slow with it)",
    )  # fmt: skip
    top.add_argument("--leave-out", metavar="LAYER", nargs="+", default=[], help="layers that int8 leaves in float")
    top.add_argument("--images", metavar="FOLDER", type=Path, help=_IMAGES_HELP)
    top.add_argument("--weights", metavar="FILE", type=Path, help="safetensors, or NVIDIA's .pth.tar or zip")
    top.add_argument(
        "--no-pretrained",
        dest="pretrained",
        action="store_false",
        help="export the untrained network: no weights needed",
    )
    top.add_argument("--opset", metavar="N", type=int, default=17, help="ONNX opset (default: 17)")
    top.add_argument("--keep", action="store_true", help="keep a file that fails its proof")
    _add_engine_options(top)
    options.add_zoo(top)
    options.add_json(top)
    top.add_argument("--version", action="version", version=f"gpunet-export {gpunet.__version__}")
    top.set_defaults(target="onnx")
    return top


def _add_engine_options(top: argparse.ArgumentParser) -> None:
    engines = top.add_argument_group("engines")
    engines.add_argument("--cache", action="store_true", help="keep an engine that is what this build would give")
    engines.add_argument(
        "--compute-capability", metavar="X.Y", nargs="+", default=[],
        help="GPUs to build for, e.g. 8.6 12.0 (--trt-rtx only; default: all from 8.0 on)",
    )  # fmt: skip
    engines.add_argument("--workspace-gib", metavar="N", type=float, default=10, help=_WORKSPACE_GIB_HELP)
    engines.add_argument("--optimization-level", metavar="0-5", type=int, help=_OPTIMIZATION_LEVEL_HELP)
    engines.add_argument(
        "--hardware-compatibility", choices=("ampere+", "same_compute_capability"), help=_HARDWARE_COMPATIBILITY_HELP
    )
    engines.add_argument("--version-compatible", action="store_true", help=_VERSION_COMPATIBLE_HELP)


def batch_size(text: str) -> int | tuple[int, int, int]:
    """'8' -> 8; '1:8:64' -> (1, 8, 64), least, optimal and most. Raises ArgumentTypeError for anything else."""
    try:
        numbers = [int(part) for part in text.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 3:
        return numbers[0], numbers[1], numbers[2]
    raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor MIN:OPT:MAX, such as 1:8:64")


def network(args: argparse.Namespace) -> nn.Module:
    """The network that the command line names.

    Raises:
        InvalidArgumentError: it names none, or two.
    """
    chosen: dict[str, Any] = {"pretrained": args.pretrained, "weights": args.weights}
    if (args.model is None) == (args.device is None):
        raise InvalidArgumentError(
            "name a network: either MODEL or --device, "
            + ("but both are given." if args.model else "but got neither."),
            "For example: gpunet-export gpunet_1 -o FILE, or gpunet-export --device gv100 --max-ms 0.8 -o FILE.",
        )
    if args.device is not None:
        return gpunet.create(args.device, max_ms=args.max_ms, zoo=args.zoo, **chosen)
    if args.max_ms is not None:
        raise InvalidArgumentError("--max-ms goes with --device, but MODEL is given.", "Leave one of them out.")
    return network_named(args.model, zoo=args.zoo, **chosen)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `gpunet-export` with these arguments (default: the process's)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    args = parser().parse_args(words)
    from gpunet.runtime.trt.options import BuildOptions

    if not 0 < args.workspace_gib < math.inf:
        raise InvalidArgumentError(f"--workspace-gib must be a number above 0, but got {args.workspace_gib}.")
    build = BuildOptions(
        workspace_bytes=int(args.workspace_gib * _GIB),
        optimization_level=args.optimization_level,
        compute_capabilities=tuple(args.compute_capability),
        hardware_compatibility=args.hardware_compatibility,
        version_compatible=args.version_compatible,
    )
    how: dict[str, Any] = {
        "target": args.target,
        "precision": args.precision,
        "batch_size": args.batch,
        "io_fp16": args.io_fp16,
        "calibration": args.calibration,
        "int8_layout": args.int8_layout,
        "leave_out": args.leave_out,
        "cache": args.cache,
        "options": build,
    }
    if args.output is None and args.triton is None:
        raise InvalidArgumentError("name the file to write: -o FILE, or --triton DIR, but got neither.")
    with contextlib.ExitStack() as stack:
        lasting = args.output is not None
        if not lasting:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpunet-export-")))
            name = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(args.model or args.device).stem)
            args.output = folder / f"{name}{runtimes.format_named(args.target)[1].suffixes[0]}"
        report = _export(args, words, how)
    if not lasting and report.triton is not None:
        report = dataclasses.replace(report, path=report.triton.path)
    if args.json:
        console.print_json(report.to_dict())
    else:
        print(report)
        if not args.pretrained and args.weights is None:
            console.note("The weights are untrained: right for measuring latency, not for use.")
    if report.verification.outcome == "failed":  # kept by --keep
        raise SystemExit(console.FAILED_EXIT_CODE)


def _export(args: argparse.Namespace, words: list[str], how: dict[str, Any]) -> DeployReport:
    from gpunet.exporters.deployment import deploy
    from gpunet.exporters.request import check_request

    check_request(args.output, **how)  # before a network is downloaded
    how |= {
        "opset": args.opset,
        "images": args.images,
        "keep": args.keep,
        "triton": args.triton,
        "command": ["gpunet-export", *words],
    }
    model = network(args)
    if not runtimes.format_named(args.target)[1].is_engine:
        return deploy(model, args.output, **how)
    from gpunet.runtime.trt.format import build_progress

    with build_progress(args.target) as progress:
        return deploy(model, args.output, on_progress=progress, **how)


def run() -> NoReturn:
    """Entry point of the command `gpunet-export`."""
    console.run(main)


if __name__ == "__main__":
    run()
