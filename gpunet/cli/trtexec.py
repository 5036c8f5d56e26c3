"""`gpunet bench --trtexec` and `--import-trtexec`: measure where TensorRT is, keep the record here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gpunet.core import console
from gpunet.errors import InvalidArgumentError

VERSIONS = ("8.6", "10.4", "11")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to `gpunet bench`."""
    group = parser.add_argument_group("trtexec", "measure on a machine that has TensorRT but not gpunet")
    group.add_argument(
        "--trtexec", action="store_true", help="print the trtexec commands for NAME, and measure nothing"
    )
    group.add_argument(
        "--import-trtexec", metavar="LOG", type=Path, help="read a log of trtexec, or its --exportTimes JSON, for NAME"
    )
    group.add_argument("-d", "--device", metavar="CHIP", help="with --import-trtexec: the chip it ran on")
    group.add_argument("--board", metavar="NAME", help="the board, where the log does not name it")
    group.add_argument("--version", metavar="X.Y", help="TensorRT's version, where the log does not say it")
    group.add_argument("-o", "--output", metavar="CSV", type=Path, help="a zoo's latency CSV that gets the record too")


def run(args: argparse.Namespace) -> None:
    """Print the commands, or the record that was read."""
    if len(args.names) != 1:
        raise InvalidArgumentError(
            f"name one model for trtexec, but got {' '.join(args.names) or 'none'}.",
            "Such as: gpunet bench gpunet_1 --trtexec",
        )
    from gpunet.zoo.catalog import entry_named

    name = entry_named(args.names[0], args.zoo).name
    if args.trtexec:
        _print_commands(name, args)
    else:
        _import(name, args)


def _print_commands(name: str, args: argparse.Namespace) -> None:
    from gpunet.runtime.trt.options import BuildOptions
    from gpunet.runtime.trt.trtexec import trtexec_command

    precision = args.precision or "fp16"
    options = BuildOptions(precision=precision, batch=args.batch_size)
    file = f"{name}.onnx"
    commands = {version: trtexec_command(file, version, options=options) for version in VERSIONS}
    export = f"gpunet-export {name} --precision {precision} --batch {args.batch_size} -o {file}"
    if args.json:
        console.print_json({"export": export, "trtexec": commands})
        return
    print(f"# the network, on any machine\n{export}")
    for version, command in commands.items():
        print(f"# TensorRT {version}: keep the log\n{command} | tee trtexec.log")
    print(f"# back here\ngpunet bench {name} --import-trtexec trtexec.log --device CHIP --precision {precision}")


def _import(name: str, args: argparse.Namespace) -> None:
    from gpunet.zoo.catalog import append_records
    from gpunet.zoo.trtexec import record_from_trtexec

    if args.device is None:
        raise InvalidArgumentError("--import-trtexec needs the chip it ran on, but --device is not given.")
    try:
        text = args.import_trtexec.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InvalidArgumentError(f"{args.import_trtexec} cannot be read: {error.strerror}.") from None
    how: dict[str, Any] = {"board": args.board, "precision": args.precision, "version": args.version}
    record = record_from_trtexec(
        text,
        model=name,
        device=args.device,
        batch_size=None if args.batch_size == 1 else args.batch_size,
        source=f"trtexec, from {args.import_trtexec.name}",
        **how,
    )
    if args.output is not None:
        append_records(args.output, [record])
    if args.json:
        console.print_json(record.to_dict())
        return
    switches = record.conditions["switches"]
    print(f"{name}: {record}")
    print("  " + ", ".join(f"{key.replace('_', ' ')} {'on' if on else 'off'}" for key, on in switches.items()))
    if args.output is not None:
        print(f"  added to {args.output}; gpunet find --zoo {args.output.parent} uses it")
