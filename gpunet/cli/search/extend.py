"""`gpunet search extend`: another budget."""

from __future__ import annotations

from typing import Annotated

from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.cli.search.options import Folder, StudyName, StudyUrl, opened
from gpunet.errors import StudyError


@command("extend", examples=["gpunet search extend --study search.sqlite --trials 200"])
def extend(
    study: StudyUrl,
    trials: Annotated[int, opt("--trials", metavar="N", min=1, max=1_000_000, help="the new budget, in all")],
    name: StudyName = None,
    folder: Folder = None,
) -> None:
    """Change a study's budget of trials.

    Workers that ask from now on reckon with it; those that have left are started again.
    """
    found = opened(study, name, folder)
    try:
        before = f"{found.max_trials()} trials"
    except StudyError:  # what is damaged is set anew
        before = "no budget that can be read"
    found.set_max_trials(trials)
    print(f"study {found.name}: {before} before, {trials} now")
