"""Options that several commands have, so that each means the same everywhere."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="print JSON on standard output, and nothing else there")


def add_zoo(parser: argparse.ArgumentParser) -> None:
    """--zoo DIR ..."""
    parser.add_argument(
        "--zoo",
        metavar="DIR",
        type=Path,
        nargs="+",
        action="extend",
        help="folders of your own entries, beside the zoo's",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device NAME, required."""
    parser.add_argument(
        "-d", "--device", metavar="NAME", required=True,
        help="chip, board or everyday name: gv100, 'Tesla V100', ...; 'local' measures this machine",
    )  # fmt: skip


def add_conditions(parser: argparse.ArgumentParser) -> None:
    """--batch-size, --runtime, --precision: what a latency depends on."""
    parser.add_argument("-b", "--batch-size", metavar="N", type=int, default=1, help="images a run (default: 1)")
    parser.add_argument(
        "-r", "--runtime", metavar="NAME",
        help="tensorrt, openvino, onnxruntime, ... (default: on a GPU TensorRT's family, on 'local' the best one)",
    )  # fmt: skip
    parser.add_argument(
        "-p", "--precision", metavar="NAME", help="fp32, fp16 or int8 (default: all recorded; on 'local' fp32)"
    )


def add_nominal(parser: argparse.ArgumentParser) -> None:
    """--include-nominal."""
    parser.add_argument(
        "--include-nominal", action="store_true", help="let nominal figures (the label of a tier) count too"
    )
