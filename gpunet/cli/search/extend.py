"""`gpunet search extend`: another budget."""

from __future__ import annotations

from typing import Annotated

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.cli.search.options import Folder, StudyName, StudyUrl, opened
from gpunet.core import console
from gpunet.errors import StudyError


@command("extend", examples=["gpunet search extend --study search.sqlite --trials 200"])
def extend(
    study: StudyUrl,
    trials: Annotated[int, opt("--trials", metavar="N", min=1, max=1_000_000, help="the new budget, in all")],
    name: StudyName = None,
    folder: Folder = None,
    as_json: options.Json = False,
) -> None:
    """Change a study's budget of trials.

    Workers that ask from now on reckon with it; those that have left are started again.
    """
    found = opened(study, name, folder)
    try:
        before: int | None = found.max_trials()
    except StudyError:  # what is damaged is set anew
        before = None
    found.set_max_trials(trials)
    if as_json:
        console.print_json({"study": found.name, "max_trials_before": before, "max_trials": trials})
        return
    said = "no budget that can be read" if before is None else f"{before} trials"
    print(f"study {found.name}: {said} before, {trials} now")
