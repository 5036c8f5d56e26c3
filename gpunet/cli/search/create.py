"""`gpunet search create`: what is searched, written once."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path
from typing import Annotated, Literal

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import complete_recipe, opt
from gpunet.cli.search.options import Folder, StudyUrl
from gpunet.core import console
from gpunet.core.arguments import checked_choice, checked_number
from gpunet.errors import InvalidArgumentError, UsageError

_WHAT, _HOW = "What is searched", "How networks are ranked"
_SPACE_HELP = "'paper' (Table 1, the default), 'release', or a space's JSON file"
_HOLDOUT_HELP = "of the training images, kept out to rank networks on (default: 0.1; 0 ranks on the validation images)"
_REFUSED_S = 5.0  # that a database which refuses is tried
_LOCK_S = 3.0  # that a lock is waited for before it is said


def _complete_optimizer(incomplete: str) -> list[str]:
    from gpunet.search.optimize.named import optimizer_names

    return [name for name in optimizer_names() if name.startswith(incomplete)]


@command(
    "create",
    examples=[
        "gpunet search create --study search.sqlite --table gv100.sqlite --high-ms 0.8 --data imagenet "
        "--recipe paper-rank"
    ],
    renamed={"--fraction": "--images-fraction"},
    said_as={
        "data.fraction": "--images-fraction",
        "data.holdout": "--holdout",
        "num_classes": "--classes",
        "allow_narrow": "--allow-narrow",
    },
)
def create(
    study: StudyUrl,
    table: Annotated[Path, opt("--table", metavar="FILE", help="latency table of the device", panel=_WHAT)],
    data: Annotated[
        str, opt("--data", metavar="DATA", complete=options.complete_data, help="as in 'gpunet train'", panel=_HOW)
    ],
    name: Annotated[str, opt("--name", metavar="NAME", help="of the study (default: search)")] = "search",
    folder: Folder = None,
    space: Annotated[str, opt("--space", metavar="NAME|FILE", help=_SPACE_HELP, panel=_WHAT)] = "paper",
    resolutions: Annotated[
        list[int] | None, opt("--resolutions", metavar="PX...", help="of the space (default: all)", panel=_WHAT)
    ] = None,
    low_ms: Annotated[float, opt("--low-ms", metavar="MS", help="of the tier (default: 0)", panel=_WHAT)] = 0.0,
    high_ms: Annotated[
        float, opt("--high-ms", metavar="MS", help="of the tier (default: none)", panel=_WHAT)
    ] = math.inf,
    allow_narrow: Annotated[
        bool, opt("--allow-narrow", help="take a tier that is narrower than the table is exact", panel=_WHAT)
    ] = False,
    trials: Annotated[
        int, opt("--trials", metavar="N", min=1, max=1_000_000, help="the budget (default: 100)", panel=_WHAT)
    ] = 100,
    optimizer: Annotated[
        str,
        opt("--optimizer", metavar="NAME", complete=_complete_optimizer, panel=_WHAT,
            help="lamcts, or gp, evolution, sobol, random to compare with (default: lamcts)"),
    ] = "lamcts",
    seed: Annotated[int, opt("--seed", metavar="N", min=0, help="of optimiser and weights", panel=_WHAT)] = 0,
    data_root: options.DataRoot = None,
    class_map: options.ClassMap = None,
    classes: Annotated[
        int | None, opt("--classes", metavar="N", min=2, help="of the networks (default: the data's)", panel=_HOW)
    ] = None,
    images_fraction: Annotated[
        float, opt("--images-fraction", metavar="PART", help="of the training images (default: 1)", panel=_HOW)
    ] = 1.0,
    holdout: Annotated[float, opt("--holdout", metavar="PART", help=_HOLDOUT_HELP, panel=_HOW)] = 0.1,
    recipe: Annotated[
        str,
        opt("--recipe", metavar="NAME|FILE", complete=complete_recipe, panel=_HOW,
            help="default: quick; 'paper-rank' for ImageNet"),
    ] = "quick",
    epochs: Annotated[
        int | None, opt("--epochs", metavar="N", min=1, help="instead of the recipe's", panel=_HOW)
    ] = None,
    pruner: Annotated[
        Literal["none", "median", "hyperband"],
        opt("--pruner", help="which trials are ended early (default: median)", panel=_HOW),
    ] = "median",
    as_json: options.Json = False,
) -> None:  # fmt: skip
    """Make a study of one latency tier of a search space.

    Making the same study again does nothing; another of the same name is refused.
    """
    from gpunet.latency.table import LatencyTable
    from gpunet.search.optimize.named import optimizer_names
    from gpunet.search.spaces.named import load_space
    from gpunet.search.storage.backends import file_of, full_url, shown
    from gpunet.search.storage.storage import StudyStorage
    from gpunet.search.study.definition import Pruning, defined
    from gpunet.search.study.quiet import quiet_optuna
    from gpunet.search.study.search_data import SearchData
    from gpunet.search.study.tables import estimator_from_table, worth_from_table
    from gpunet.search.study.training import RecipeTrainer
    from gpunet.search.work.creation import check_study_name, create_study
    from gpunet.train.recipes import recipe_named

    def opened() -> StudyStorage:
        return StudyStorage(study, refused_s=_REFUSED_S, wait_s=_LOCK_S, on_wait=console.note)

    quiet_optuna()
    check_study_name(name)
    checked_choice("--optimizer", optimizer, optimizer_names())
    _check_tier(low_ms, high_ms)
    file = file_of(full_url(study))
    # What is there is asked before anything is worked out; a file is made only for a study that can be.
    storage = opened() if file is None or _holds_something(file) else None
    if file is not None and storage is None:
        _check_writable(file)
    LatencyTable(table).close()
    chosen = recipe_named(recipe)
    if epochs is not None:
        chosen = dataclasses.replace(chosen, epochs=epochs)
    if chosen.distillation is not None:
        raise InvalidArgumentError(
            f"the recipe {chosen.name} has distillation, which would rank students by their teacher.",
            "Rank without it, and distil when the winner is fine-tuned.",
        )
    searched = load_space(space, resolutions)
    images = SearchData(
        data, root=None if data_root is None else str(data_root),
        class_map=None if class_map is None else str(class_map), fraction=images_fraction, holdout=holdout,
        num_classes=classes,
    ).absolute()  # fmt: skip
    trainer = RecipeTrainer(searched, chosen, images)
    trainer.check()
    estimator = estimator_from_table(table, searched, trainer.num_classes)
    worth = worth_from_table(table, searched, trainer.num_classes)
    worth.check_tier(low_ms, high_ms, allow_narrow=allow_narrow)
    definition = defined(
        searched, estimator, low_ms, high_ms,
        trainer=trainer.to_dict(), epochs=chosen.epochs, max_trials=trials, num_classes=trainer.num_classes,
        table=str(table.absolute()), optimizer=optimizer, seed=seed, pruning=Pruning(pruner),
    )  # fmt: skip
    made = create_study(study, name, definition, folder=folder, storage=opened() if storage is None else storage)
    if as_json:
        console.print_json({
            "study": made.name, "storage": shown(study), "max_trials": made.max_trials(), "folder": str(made.folder),
        })  # fmt: skip
        return
    print(f"study {made.name}: {made.max_trials()} trials, checkpoints in {made.folder}")
    console.note(f"{table}: {worth}")
    console.note(f"work on it: gpunet search worker --study {shown(study)} --name {made.name}")


def _holds_something(file: Path) -> bool:
    return os.path.exists(file) and os.path.getsize(file) > 0


def _check_tier(low_ms: float, high_ms: float) -> None:
    checked_number("--low-ms", low_ms, 0)
    if high_ms != math.inf:
        checked_number("--high-ms", high_ms, 0, above=True)
    if low_ms >= high_ms:
        raise UsageError(
            f"--low-ms must be below --high-ms, but got {low_ms:g} and {high_ms:g}.",
            "Leave --high-ms out for no bound.",
        )


def _check_writable(file: Path) -> None:
    from gpunet.core.files import check_writable
    from gpunet.errors import ExportError, StudyUnavailableError

    try:
        check_writable(file)
    except ExportError as error:
        raise StudyUnavailableError(error.message, "Give a folder that can be written: --study FILE") from None
