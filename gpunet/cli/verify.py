"""`gpunet verify`: an exported file proved again, where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.core import console
from gpunet.errors import FAILED_EXIT_CODE

_POLYGRAPHY_HELP = (
    "NVIDIA's second opinion: Polygraphy runs ONNX Runtime and TensorRT (or TensorRT-RTX), and compares each output"
)
_RUNTIME_HELP = "what runs an ONNX file (default: ONNX Runtime); with --polygraphy, what is compared with ONNX Runtime"


@command(
    "verify", panel="Deploy",
    examples=["gpunet verify gpunet_1.onnx", "gpunet verify gpunet_1.engine --against gpunet_1.onnx --polygraphy"],
)  # fmt: skip
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="an exported file: .onnx, .xml, .engine, .plan")],
    against: Annotated[
        Path | None, opt("--against", metavar="FILE", help="the ONNX file that it was made of, to compare with")
    ] = None,
    weights: options.Weights = None,
    images: Annotated[
        list[Path] | None,
        opt(
            "--images",
            metavar="DIR|FILE...",
            help="pictures to compare on (default: photographs that installed packages ship; at int8, those that it "
            "was calibrated on)",
        ),
    ] = None,
    polygraphy: Annotated[bool, opt("--polygraphy", help=_POLYGRAPHY_HELP)] = False,
    runtime: Annotated[
        str | None, opt("--runtime", "-r", metavar="NAME", complete=options.complete_runtime, help=_RUNTIME_HELP)
    ] = None,
    threads: options.Threads = None,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
) -> None:
    """Prove an exported file: its hash, its inputs and outputs, its numbers.

    The numbers are compared with --against, else with PyTorch by --weights or the weights in the cache, else with the
    ONNX file of the same name beside it. What cannot be proved here is said with the reason; the exit code is 6 where a
    proof failed.
    """
    from gpunet.exporters.verify import FAILED
    from gpunet.zoo.proof import prove_file

    found = prove_file(
        file, against=against, weights=weights, images=images, runtime=runtime, threads=threads, polygraphy=polygraphy,
        zoo=zoo,
    )  # fmt: skip
    if as_json:
        console.print_json(found.to_dict())
        if found.outcome == FAILED:  # the one object on standard output says it all
            raise SystemExit(FAILED_EXIT_CODE)
        return
    print(f"{found.path}: {found.outcome}")
    for each in found.proofs:
        print(f"  {each.name}: {each.outcome}: {each.said}")
    found.require_passed()
