"""`gpunet search create | extend`: what is searched, written once."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path
from typing import Any

from gpunet.cli.search.options import add_study, opened
from gpunet.core import console
from gpunet.errors import InvalidArgumentError
from gpunet.search.optimize.named import optimizer_names
from gpunet.search.study.quiet import quiet_optuna

_SPACE_HELP = "'paper' (Table 1, the default), 'release', or a space's JSON file"
_HOLDOUT_HELP = "of the training images, kept out to rank networks on (default: 0.1; 0 ranks on the validation images)"


def add_parsers(actions: Any) -> None:
    """Add `create` and `extend` to the actions of `gpunet search`."""
    create = actions.add_parser(
        "create",
        help="make a study",
        description="Make a study of one latency tier of a search space. Making the same study again does nothing; "
        "another of the same name is refused.",
    )
    add_study(create)
    what = create.add_argument_group("what is searched")
    what.add_argument("--space", metavar="NAME|FILE", default="paper", help=_SPACE_HELP)
    what.add_argument("--resolutions", nargs="+", type=int, metavar="PX", help="of the space (default: all)")
    what.add_argument("--table", metavar="FILE", type=Path, required=True, help="latency table of the device")
    what.add_argument("--low-ms", type=float, default=0.0, metavar="MS", help="of the tier (default: 0)")
    what.add_argument("--high-ms", type=float, default=math.inf, metavar="MS", help="of the tier (default: none)")
    what.add_argument("--trials", type=int, default=100, metavar="N", help="the budget (default: 100)")
    what.add_argument("--optimizer", choices=optimizer_names(), default="lamcts")
    what.add_argument("--seed", type=int, default=0, metavar="N")
    how = create.add_argument_group("how networks are ranked")
    how.add_argument("--data", metavar="DATA", required=True, help="as in 'gpunet train'")
    how.add_argument("--data-root", metavar="DIR", type=Path, help="where a named dataset lies, or a folder")
    how.add_argument("--class-map", metavar="FILE", type=Path, help="the classes in order, one a line")
    how.add_argument("--classes", metavar="N", type=int, help="of the networks (default: the data's)")
    how.add_argument("--fraction", metavar="PART", type=float, default=1.0, help="of the training images (default: 1)")
    how.add_argument("--holdout", metavar="PART", type=float, default=0.1, help=_HOLDOUT_HELP)
    how.add_argument("--recipe", metavar="NAME|FILE", default="quick", help="default: quick; 'paper-rank' for ImageNet")
    how.add_argument("--epochs", type=int, metavar="N", help="instead of the recipe's")
    how.add_argument("--pruner", choices=("none", "median", "hyperband"), default="median")
    create.set_defaults(run=_create)
    extend = actions.add_parser(
        "extend", help="change a study's budget", description="Change a study's budget of trials."
    )
    add_study(extend)
    extend.add_argument("--trials", type=int, required=True, metavar="N", help="the new budget, in all")
    extend.set_defaults(run=_extend)


def _create(args: argparse.Namespace) -> None:
    from gpunet.search.storage.backends import shown
    from gpunet.search.study.definition import Pruning, defined
    from gpunet.search.study.search_data import SearchData
    from gpunet.search.study.tables import estimator_from_table
    from gpunet.search.study.training import RecipeTrainer
    from gpunet.search.work.creation import create_study
    from gpunet.train.recipes import recipe_named

    quiet_optuna()
    recipe = recipe_named(args.recipe)
    if args.epochs is not None:
        recipe = dataclasses.replace(recipe, epochs=args.epochs)
    if recipe.distillation is not None:
        raise InvalidArgumentError(
            f"the recipe {recipe.name} has distillation, which would rank students by their teacher.",
            "Rank without it, and distil when the winner is fine-tuned.",
        )
    from gpunet.search.spaces.named import load_space

    space = load_space(args.space, args.resolutions)
    data = SearchData(
        args.data, root=None if args.data_root is None else str(args.data_root),
        class_map=None if args.class_map is None else str(args.class_map), fraction=args.fraction,
        holdout=args.holdout, num_classes=args.classes,
    ).absolute()  # fmt: skip
    trainer = RecipeTrainer(space, recipe, data)
    trainer.check()
    num_classes = trainer.num_classes
    estimator = estimator_from_table(args.table, space, num_classes)
    definition = defined(
        space, estimator, args.low_ms, args.high_ms, trainer=trainer.to_dict(), epochs=recipe.epochs,
        max_trials=args.trials, num_classes=num_classes, table=str(args.table.absolute()), optimizer=args.optimizer,
        seed=args.seed, pruning=Pruning(args.pruner),
    )  # fmt: skip
    study = create_study(args.study, args.name or "search", definition, folder=args.folder)
    print(f"study {study.name}: {study.max_trials()} trials, checkpoints in {study.folder}")
    console.note(f"work on it: gpunet search worker --study {shown(str(args.study))} --name {study.name}")


def _extend(args: argparse.Namespace) -> None:
    study = opened(args)
    before = study.max_trials()
    study.set_max_trials(args.trials)
    print(f"study {study.name}: {before} trials before, {args.trials} now")
