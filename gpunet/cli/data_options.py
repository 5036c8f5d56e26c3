"""Options of the commands that read labelled images."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_data(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """--data, --data-root, --class-map, --workers, --max-unreadable."""
    parser.add_argument(
        "--data", metavar="DATA", required=required,
        help="a folder (with train/ and validation/, each with a folder a class), digits, or a dataset of timm's: "
        "torch/cifar10, hfds/user/name, wds/..., tfds/...",
    )  # fmt: skip
    parser.add_argument("--data-root", metavar="DIR", type=Path, help="where a named dataset lies, or a folder")
    parser.add_argument(
        "--class-map", metavar="FILE", type=Path, help="text file with the model's classes in order, one a line"
    )
    parser.add_argument(
        "--workers", metavar="N", type=int, default=0, help="processes that prepare images (default: 0, none)"
    )
    parser.add_argument(
        "--max-unreadable", metavar="N", type=int, default=10, help="images that may be unreadable (default: 10)"
    )
