"""`gpunet train`: a network by a recipe, on labelled images; a run that was killed goes on where it was."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.cli import options
from gpunet.cli.data_options import add_data
from gpunet.core import console
from gpunet.errors import InvalidArgumentError
from gpunet.zoo.named import network_named

if TYPE_CHECKING:
    from torch import nn

    from gpunet.train.data.datasets import ImageData
    from gpunet.train.distillation.teacher import Teacher
    from gpunet.train.recipe import Recipe
    from gpunet.train.score import TrainingResult

_BATCH_SIZE_HELP = "images a step of one process, instead of the recipe's"


def add_parser(commands: Any) -> None:
    """Add `train` to the commands of `gpunet`."""
    parser = commands.add_parser(
        "train",
        help="train a network by a recipe",
        description="Train a network by a recipe. The same command goes on with a run that was killed, or that left on "
        "SIGTERM (exit code 75). The folder is an entry of the zoo afterwards: 'gpunet eval FOLDER', 'gpunet-export "
        "FOLDER'. On several GPUs: torchrun --nproc-per-node=8 -m gpunet train ...",
    )
    add_arguments(parser)
    parser.set_defaults(run=run)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `gpunet train`."""
    parser.add_argument(
        "model", metavar="MODEL", nargs="?",
        help="a model of the zoo or of timm's, the folder of an entry, or a spec's JSON file (default: a small network "
        "for images of 32 px)",
    )  # fmt: skip
    add_data(parser, required=False)
    parser.add_argument(
        "--recipe", metavar="NAME|FILE", default="quick", help="a name, or a JSON file (default: quick)"
    )
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[],
                        help="change the recipe, e.g. optimization.learning_rate=0.1; may be repeated")  # fmt: skip
    parser.add_argument("--epochs", metavar="N", type=int, help="instead of the recipe's")
    parser.add_argument("--batch-size", metavar="N", type=int, help=_BATCH_SIZE_HELP)
    parser.add_argument("--print-recipe", action="store_true", help="print the recipe as JSON, and do nothing")
    parser.add_argument("-o", "--out", metavar="DIR", type=Path, help="the run's folder (default: runs/...)")
    parser.add_argument("--name", help="of the entry (default: the folder's)")
    parser.add_argument("--train-split", metavar="NAME", help="default: train")
    parser.add_argument("--validation-split", metavar="NAME", default="validation", help="default: validation")
    parser.add_argument("--fraction", metavar="PART", type=float, default=1.0,
                        help="train on a part of the images, the same of each class (default: 1)")  # fmt: skip
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of weights, order, augmentation (default: 0)")
    parser.add_argument("--pretrained", action="store_true", help="begin with the model's trained weights")
    parser.add_argument("--weights", metavar="FILE", type=Path, help="begin with the weights of a file")
    parser.add_argument("--teacher", metavar="MODEL", help="distil from this network, instead of the recipe's teacher")
    parser.add_argument("--teacher-weights", metavar="FILE", type=Path, help="the teacher's weights")
    parser.add_argument("--min-teacher-top1", metavar="PERCENT", type=float,
                        help="score the teacher first, and train only if it is that good")  # fmt: skip
    parser.add_argument("--no-distillation", action="store_true", help="leave the recipe's teacher out")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 (default: a GPU where there is one)")
    parser.add_argument("--keep", metavar="N", type=int, default=2, help="checkpoints beside the best (default: 2)")
    parser.add_argument("--checkpoint-minutes", metavar="N", type=float, default=15,
                        help="between checkpoints within an epoch (default: 15)")  # fmt: skip
    parser.add_argument("--log-every", metavar="STEPS", type=int, default=50, help="of metrics.jsonl (default: 50)")
    parser.add_argument("--tensorboard", action="store_true", help="write for TensorBoard too")
    parser.add_argument("--no-resume", action="store_true", help="refuse a folder that holds a run")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options.add_zoo(parser)
    options.add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Train, and make the folder an entry."""
    recipe = recipe_of(args)
    if args.print_recipe:
        print(recipe.to_json(indent=2))
        return
    _check(args, recipe)
    import torch

    from gpunet.train.data.datasets import open_data, open_training_data
    from gpunet.train.engine import train

    kinds: dict[str, Any] = {"root": args.data_root, "class_map": args.class_map, "batch_size": recipe.batch_size}
    data = open_training_data(args.data, split=args.train_split, **kinds).fraction(args.fraction, seed=args.seed)
    validation = open_data(args.data, split=args.validation_split, **kinds)
    torch.manual_seed(args.seed)
    model = _model(args, recipe, data)
    out = args.out or Path("runs", re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{_stem(args.model)}-{args.data}-{recipe.name}"))
    teacher = _teacher(args, recipe, model, out, validation)
    first = os.environ.get("RANK", "0") == "0"
    if first:
        console.note(f"training into {out}: {len(data)} images, {recipe.epochs} epochs, recipe {recipe.name}")
    result = train(
        model, recipe, data, out, validation=validation, teacher=teacher, seed=args.seed, device=args.device,
        workers=args.workers, resume=not args.no_resume, keep=args.keep, checkpoint_minutes=args.checkpoint_minutes,
        log_every_steps=args.log_every, max_unreadable=args.max_unreadable, tensorboard=args.tensorboard,
        classes=getattr(getattr(model, "entry", None), "classes", None) if args.model else None,
        progress=not args.quiet,
    )  # fmt: skip
    if first:
        _write_entry(args, model, recipe, data, validation, out, result)
        _report(args, out, result)


def recipe_of(args: argparse.Namespace) -> Recipe:
    """The recipe that the command line names, with its changes."""
    from gpunet.train.recipe import Recipe
    from gpunet.train.recipes import recipe_named

    body = recipe_named(args.recipe).to_dict()
    for name in ("epochs", "batch_size"):
        if getattr(args, name) is not None:
            body[name] = getattr(args, name)
    for change in args.set:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise InvalidArgumentError(f"--set takes KEY=VALUE, but got {change!r}.", "E.g. --set dropout=0.2")
        *parts, last = key.split(".")
        place = body
        for part in parts:
            if not isinstance(place.get(part, {}), dict):
                raise InvalidArgumentError(f"--set {change}: {part} holds no {last}.")
            place = place.setdefault(part, {})
        try:
            place[last] = json.loads(value)
        except json.JSONDecodeError:
            place[last] = value
    if args.no_distillation:
        body.pop("distillation", None)
        if args.teacher:
            raise InvalidArgumentError("--teacher and --no-distillation contradict each other.", "Leave one out.")
    elif args.teacher:
        given = body.get("distillation") or {}
        body["distillation"] = {**given, "teacher": args.teacher}
        if given.get("teacher") != args.teacher:
            body["distillation"].pop("teacher_px", None)
    return Recipe.from_dict(body)


def _check(args: argparse.Namespace, recipe: Recipe) -> None:
    if args.data is None:
        raise InvalidArgumentError("there is nothing to train on.", "Name it: --data DIR, or --data digits to try.")
    if not 0 <= args.seed < 2**63:
        raise InvalidArgumentError(f"--seed must be at least 0 and below 2^63, but got {args.seed}.")
    for option in ("teacher_weights", "min_teacher_top1"):
        if recipe.distillation is None and getattr(args, option) is not None:
            raise InvalidArgumentError(
                f"--{option.replace('_', '-')} is given, but there is no teacher.", "Pass --teacher MODEL."
            )


def _stem(model: str | None) -> str:
    return "small" if model is None else Path(model).stem


def _model(args: argparse.Namespace, recipe: Recipe, data: ImageData) -> nn.Module:
    kwargs: dict[str, Any] = {"drop_rate": recipe.dropout, "drop_path_rate": recipe.drop_path}
    if data.classes is not None:
        kwargs["num_classes"] = len(data.classes)
    if args.model is None:
        from gpunet.model.small import SMALL
        from gpunet.zoo.models import gpunet_from_spec

        return gpunet_from_spec(SMALL, **kwargs)
    kwargs = {name: value for name, value in kwargs.items() if name == "num_classes" or value}
    return network_named(
        args.model, zoo=args.zoo, pretrained=args.pretrained, weights=args.weights, timm_too=True, **kwargs
    )


def _teacher(
    args: argparse.Namespace, recipe: Recipe, student: nn.Module, out: Path, validation: ImageData
) -> Teacher | None:
    given = recipe.distillation
    if given is None:
        return None
    if given.teacher is None:
        raise InvalidArgumentError("the recipe has distillation, but names no teacher.", "Pass --teacher MODEL.")
    from gpunet.model.preprocessing import num_classes_of
    from gpunet.train.distillation.teacher import Teacher

    network = network_named(
        given.teacher, zoo=args.zoo, pretrained=True, weights=args.teacher_weights, timm_too=True,
        **({} if Path(given.teacher).exists() else {"num_classes": num_classes_of(student)}),
    )  # fmt: skip
    teacher = Teacher(network, image_px=given.teacher_px, cache=out / "teacher-logits.f16" if given.cache else None)
    if args.min_teacher_top1 is not None:
        from gpunet.train.processes import device_named

        teacher.network.to(device_named(args.device))
        reached = teacher.top1_percent(validation, workers=args.workers)
        console.note(f"the teacher {given.teacher}: top-1 {reached:.2f} %")
        if reached < args.min_teacher_top1:
            raise InvalidArgumentError(
                f"the teacher {given.teacher} reaches {reached:.2f} % on {validation.name}, less than the "
                f"{args.min_teacher_top1:g} % asked for.",
                "Check its weights, its classes' order and its resolution; or ask for less (--min-teacher-top1).",
            )
    return teacher


def _write_entry(
    args: argparse.Namespace,
    model: nn.Module,
    recipe: Recipe,
    data: ImageData,
    validation: ImageData,
    out: Path,
    result: TrainingResult,
) -> None:
    from gpunet.model.entry import Accuracy
    from gpunet.zoo.own import write_entry

    best = result.best
    accuracy = None
    if best.top1_percent is not None:
        how = f"gpunet train, recipe {recipe.name}, seed {args.seed}, epoch {best.epoch} of {best.epochs} (the best on "
        accuracy = Accuracy(best.top1_percent, validation.name, f"{how}these images)", best.top5_percent)
    write_entry(
        out, args.name or out.resolve().name, model, result.weights, accuracy=accuracy, classes=data.classes,
        note=f"Trained on {data.name} ({len(data)} images).",
    )  # fmt: skip


def _report(args: argparse.Namespace, out: Path, result: TrainingResult) -> None:
    best = result.best
    if args.json:
        console.print_json(
            {"out": str(out), "weights": str(result.weights), "best": best.to_dict(),
             "scores": [each.to_dict() for each in result.scores], "unreadable": list(result.unreadable)}
        )  # fmt: skip
        return
    rows: Sequence[Sequence[object]] = [
        (each.epoch, f"{each.train_loss:.4f}", console.percent2(each.top1_percent),
         console.percent2(each.raw_top1_percent), f"{each.learning_rate:.3g}", f"{each.images_per_s:.0f}")
        for each in result.scores[-10:]
    ]  # fmt: skip
    columns = ["epoch>", "loss>", "top-1 %>", "not averaged %>", "learning rate>", "images/s>"]
    print(console.table(columns, rows))
    if result.unreadable:
        console.note(f"{len(result.unreadable)} images could not be read: {', '.join(result.unreadable[:5])}")
    reached = "" if best.top1_percent is None else f", top-1 {best.top1_percent:.2f} %"
    print(f"\nkept: epoch {best.epoch} of {best.epochs}{reached}: {result.weights}")
