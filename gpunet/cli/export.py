"""The command `gpunet-export`: a network of the zoo as one ONNX file, checked against PyTorch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import gpunet
from gpunet.cli import console, options


def parser() -> argparse.ArgumentParser:
    """The command line of `gpunet-export`."""
    top = argparse.ArgumentParser(
        prog="gpunet-export",
        description="Export a network of the zoo to one self-contained ONNX file: named input and output, metadata "
        "inside, checked by ONNX and compared with PyTorch through ONNX Runtime. A mismatch fails and leaves no file.",
    )
    top.add_argument("model", metavar="MODEL", help="a model of 'gpunet list --baselines', or of your own zoo")
    top.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="the .onnx file to write")
    top.add_argument(
        "-b", "--batch", metavar="N|MIN:OPT:MAX", type=batch_size, default=1,
        help="images a run: one number, or a range with the size to optimise for, such as 1:8:64 (default: 1)",
    )  # fmt: skip
    top.add_argument("--weights", metavar="FILE", type=Path, help="safetensors, or NVIDIA's .pth.tar or zip")
    top.add_argument(
        "--no-pretrained",
        dest="pretrained",
        action="store_false",
        help="export the untrained network: no weights needed",
    )
    top.add_argument("--opset", metavar="N", type=int, default=17, help="ONNX opset (default: 17)")
    options.add_zoo(top)
    options.add_json(top)
    top.add_argument("--version", action="version", version=f"gpunet-export {gpunet.__version__}")
    return top


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `gpunet-export` with these arguments (default: the process's)."""
    args = parser().parse_args(arguments)
    model = gpunet.load(args.model, pretrained=args.pretrained, weights=args.weights, zoo=args.zoo)
    report = gpunet.export(model, args.output, batch_size=args.batch, opset=args.opset)
    if args.json:
        console.print_json(report.to_dict())
        return
    print(report)
    if not args.pretrained and args.weights is None:
        console.note("The weights are untrained: right for measuring latency, not for use.")


def run() -> NoReturn:
    """Entry point of the command `gpunet-export`."""
    console.run(main)


if __name__ == "__main__":
    run()
