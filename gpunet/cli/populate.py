"""`gpunet populate`: fill the zoo for a device, by one command that goes on after an end of any kind."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gpunet.populate.stages import PARTS, PRESET_NAMES, STAGES

_UNTIL = f"stop after this one of {', '.join(STAGES)} (default: the last); {', '.join(PARTS)} are parts of winners"
_COST = "print what a tier of the plan takes on ImageNet, by published training throughputs, and do nothing"
_GPUS = "with --cost: that search side by side (default: 64)"
_PUSH = "upload what was published; of several entries, to REPO-0, REPO-1, ..."


def add_parser(commands: Any) -> None:
    """Add `populate` to the commands of `gpunet`."""
    parser = commands.add_parser(
        "populate",
        help="fill the zoo for a device: table, tiers, search, winners, entries",
        description="Fill the zoo for a device: latency table, tiers, search, fine-tuning, export, measurement, "
        "publication. Every stage skips what is done, so that the same command goes on after an end of any kind. "
        "docs/populating.md says what a plan holds.",
    )
    parser.add_argument("plan", metavar="PLAN", nargs="?", type=Path, help="a TOML, YAML or JSON file")
    parser.add_argument("--preset", choices=PRESET_NAMES, help="in place of a plan")
    parser.add_argument("-o", "--out", metavar="DIR", type=Path, help="the folder of state")
    parser.add_argument("--until", choices=(*STAGES, *PARTS), default=STAGES[-1], metavar="STAGE", help=_UNTIL)
    parser.add_argument("--print-plan", action="store_true", help="print the plan as JSON, whole, and do nothing")
    parser.add_argument("--cost", action="store_true", help=_COST)
    parser.add_argument("--gpus", metavar="N", type=int, default=64, help=_GPUS)
    parser.add_argument("--gpu-hour", metavar="PRICE", type=float, help="with --cost: price of a GPU for an hour")
    parser.add_argument("--push-to-hub", metavar="REPO", help=_PUSH)
    parser.add_argument("--dry-run", action="store_true", help="with --push-to-hub: only show what would be uploaded")
    parser.add_argument("--private", action="store_true", help="with --push-to-hub: make the repositories private")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from gpunet.populate.command import run

    run(args)
