"""Options that the actions of `gpunet search` share, and the study that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gpunet.cli.options import complete_study, opt
from gpunet.core import console

if TYPE_CHECKING:
    from gpunet.search.study.study import Study

READING_PATIENCE_S = 10.0
_STUDY_HELP = "where the study is kept: a SQLite file, postgresql://USER@HOST/DATABASE, or grpc://HOST:PORT of a proxy"
_FOLDER_HELP = "of the checkpoints, reachable by all workers (default: where the study says; beside a SQLite file)"

StudyUrl = Annotated[str, opt("--study", metavar="URL", help=_STUDY_HELP)]
StudyName = Annotated[
    str | None,
    opt("--name", metavar="NAME", complete=complete_study, help="of the study (default: the only one there)"),
]
Folder = Annotated[Path | None, opt("--folder", metavar="DIR", help=_FOLDER_HELP)]


def opened(
    study: str, name: str | None, folder: Path | None, *, reading: bool = False, patience_s: float = 600.0
) -> Study:
    """The study that a command line names."""
    from gpunet.search.study.opening import open_study
    from gpunet.search.study.quiet import quiet_optuna

    quiet_optuna()
    return open_study(
        study, name, folder=folder, reading=reading, patience_s=READING_PATIENCE_S if reading else patience_s,
        on_wait=console.note,
    )  # fmt: skip
