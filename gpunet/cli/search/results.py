"""`gpunet search best | pareto | recommend`: what a search found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.cli.search.options import Folder, StudyName, StudyUrl, opened
from gpunet.core import console

if TYPE_CHECKING:
    from gpunet.search.study.study import Study
    from gpunet.search.study.trials import TrialRecord


@command("best", examples=["gpunet search best --study search.sqlite -n 5"])
def best(
    study: StudyUrl,
    name: StudyName = None,
    folder: Folder = None,
    count: Annotated[int, opt("--count", "-n", metavar="N", min=1, help="how many (default: 1)")] = 1,
    as_json: options.Json = False,
) -> None:
    """Show the most accurate networks of a study."""
    from gpunet.search.study.trials import ranked

    found = opened(study, name, folder, reading=True)
    found.best()  # says so where there is none
    _show(found, ranked(found.trials())[:count], as_json)


@command("pareto", examples=["gpunet search pareto --study search.sqlite --json"])
def pareto(
    study: StudyUrl, name: StudyName = None, folder: Folder = None, as_json: options.Json = False
) -> None:  # fmt: skip
    """Show those networks that no other one beats in both accuracy and latency."""
    found = opened(study, name, folder, reading=True)
    _show(found, found.pareto(), as_json)


@command("recommend", examples=["gpunet search recommend --study search.sqlite"])
def recommend(
    study: StudyUrl, name: StudyName = None, folder: Folder = None, as_json: options.Json = False
) -> None:  # fmt: skip
    """Show the network to take, by a model of all trials, and how sure that is.

    Two trainings of one network differ: the greatest of many accuracies is one of luck as well.
    """
    from gpunet.search.study.recommended import recommended

    found = opened(study, name, folder, reading=True)
    chosen = recommended(found.definition.space, found.trials())
    if as_json:
        console.print_json(chosen.to_dict())
        return
    _show(found, [chosen.trial], as_json)
    expected, low, high = (
        console.percent2(each) for each in (chosen.expected_percent, chosen.low_percent, chosen.high_percent)
    )
    print(
        f"expected of its network: {expected} % ({low} to {high} with a chance of 95 %); "
        f"the best of those trained with a chance of {chosen.chance:.0%}"
    )


def _show(study: Study, trials: list[TrialRecord], as_json: bool) -> None:
    if as_json:
        console.print_json([each.to_dict() for each in trials])
        return
    top1 = console.percent2_each(each.top1_percent for each in trials)
    estimated = console.milliseconds_each(each.estimated_ms for each in trials)
    measured = console.milliseconds_each(each.measured_ms for each in trials)
    rows = [
        (each.number, *figures, each.epochs, study.trial_folder(each.number))
        for each, *figures in zip(trials, top1, estimated, measured, strict=True)
    ]
    print(console.table(["trial>", "top-1 %>", "estimated ms>", "measured ms>", "epochs>", "folder"], rows))
