"""Options that the actions of `gpunet search` share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gpunet.core import console

if TYPE_CHECKING:
    from gpunet.search.study.study import Study

_NAME_HELP = "of the study (default: the only one there); of several, one after the other"
_FOLDER_HELP = "of the checkpoints, reachable by all workers (default: where the study says; beside a SQLite file)"


def add_study(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """--study URL, --name, --folder; `several` takes more than one name."""
    parser.add_argument(
        "--study", metavar="URL", required=True,
        help="where the study is kept: a SQLite file, postgresql://USER@HOST/DATABASE, or grpc://HOST:PORT of a proxy",
    )  # fmt: skip
    if several:
        parser.add_argument("--name", nargs="+", metavar="NAME", help=_NAME_HELP)
    else:
        parser.add_argument("--name", help="of the study (default: the only one there)")
    parser.add_argument("--folder", metavar="DIR", type=Path, help=_FOLDER_HELP)


def opened(
    args: argparse.Namespace, *, name: str | None = None, reading: bool = False, patience_s: float = 600.0
) -> Study:
    """The study that the command line names, or this one."""
    from gpunet.search.study.opening import open_study
    from gpunet.search.study.quiet import quiet_optuna

    quiet_optuna()
    return open_study(
        args.study, args.name if name is None else name, folder=args.folder, reading=reading,
        patience_s=10.0 if reading else patience_s, on_wait=console.note,
    )  # fmt: skip
