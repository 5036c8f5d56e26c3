"""`gpunet train`: a network by a recipe, on labelled images; a run that was killed goes on where it was."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import complete_model, complete_recipe, opt
from gpunet.cli.teaching import check_teacher, teacher_found, teacher_of, with_teacher
from gpunet.core import console
from gpunet.core.arguments import checked_number
from gpunet.core.hub import working_offline
from gpunet.core.signals import leaving_with_checkpoint
from gpunet.errors import ABSENT_EXIT_CODE, InvalidArgumentError
from gpunet.model.entry import TIMM

if TYPE_CHECKING:
    from torch import nn

    from gpunet.train.data.datasets import ImageData
    from gpunet.train.folder import Standing
    from gpunet.train.recipe import Recipe
    from gpunet.train.score import TrainingResult

_MODEL = (
    "a model of the zoo or of timm's, the folder of an entry, or a spec's JSON file (default: a small network for "
    "images of 32 px)"
)
_FINETUNE = (
    "recipe finetune unless another is named, the model's trained weights (or --weights), and a new classifier for the "
    "data's classes"
)
_FRACTION = "train on a part of the images, the same of each class (default: 1)"
_RECIPE = "a name, or a JSON file (default: quick)"
_SET = "change the recipe, e.g. optimization.learning_rate=0.1; may be repeated"
_BATCH_SIZE = "images a step of one process, instead of the recipe's"
_SEED = "of weights, order, augmentation (default: 0)"
_PRETRAINED = "begin with the model's trained weights"
_WEIGHTS = "begin with the weights of a file"
_TEACHER = (
    "distil from this network, instead of the recipe's teacher; 'best-under 20ms' for the most accurate of --zoo "
    "within that latency"
)
_TEACHER_DEVICE = "with 'best-under': where its latency is of (default: local, which is measured)"
_TEACHER_TOP1 = "score the teacher first, and train only if it is that good"
_OUT = "the run's folder (default: runs/...)"
_NAME = "of the entry (default: the folder's)"
_KEEP = "checkpoints beside the best (default: 2)"
_CHECKPOINT_MINUTES = "between checkpoints within an epoch (default: 15)"
_LOG_EVERY = "of metrics.jsonl (default: 50)"


@command(
    "train", panel="Train",
    said_as={"device": "--on",
             "pretrained=False gives an untrained network": "without --finetune and --pretrained it begins untrained"},
    examples=[
        "gpunet train --data digits -o digits_small",
        "gpunet train gpunet_p0 --finetune --data pets --holdout 0.2",
        "gpunet train resnet18.a1_in1k --finetune --data pets --teacher 'best-under 20ms' --zoo runs",
        "torchrun --nproc-per-node=8 -m gpunet train gpunet_0 --data /data/imagenet --recipe gpunet_0",
    ],
    renamed={"--device": "--on", "--workers": "--loader-workers", "--fraction": "--images-fraction"},
)  # fmt: skip
def train(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help=_MODEL, autocompletion=complete_model)] = None,
    data: options.Data = "",
    data_root: options.DataRoot = None,
    class_map: options.ClassMap = None,
    holdout: options.Holdout = None,
    train_split: Annotated[str | None, opt("--train-split", metavar="NAME", help="default: train")] = None,
    validation_split: Annotated[
        str | None, opt("--validation-split", metavar="NAME", help="default: validation")
    ] = None,
    images_fraction: Annotated[float, opt("--images-fraction", metavar="PART", help=_FRACTION)] = 1.0,
    loader_workers: options.LoaderWorkers = 0,
    max_unreadable: options.MaxUnreadable = 10,
    recipe: Annotated[str | None, opt("--recipe", metavar="NAME|FILE", complete=complete_recipe, help=_RECIPE)] = None,
    changes: Annotated[list[str] | None, opt("--set", metavar="KEY=VALUE", help=_SET)] = None,
    epochs: Annotated[int | None, opt("--epochs", metavar="N", min=1, help="instead of the recipe's")] = None,
    batch_size: Annotated[int | None, opt("--batch-size", "-b", metavar="N", min=1, help=_BATCH_SIZE)] = None,
    seed: Annotated[int, opt("--seed", metavar="N", min=0, max=2**63 - 1, help=_SEED)] = 0,
    print_recipe: Annotated[bool, opt("--print-recipe", help="print the recipe as JSON, and do nothing")] = False,
    finetune: Annotated[bool, opt("--finetune", help=_FINETUNE, panel="Weights")] = False,
    pretrained: Annotated[bool, opt("--pretrained", help=_PRETRAINED, panel="Weights")] = False,
    weights: Annotated[Path | None, opt("--weights", metavar="FILE", help=_WEIGHTS, panel="Weights")] = None,
    timeout_s: options.Timeout = None,
    offline: options.Offline = False,
    teacher: Annotated[
        str | None, opt("--teacher", metavar="MODEL", complete=complete_model, help=_TEACHER, panel="Distillation")
    ] = None,
    teacher_device: Annotated[
        str | None,
        opt(
            "--teacher-device",
            metavar="NAME",
            complete=options.complete_device,
            help=_TEACHER_DEVICE,
            panel="Distillation",
        ),
    ] = None,
    teacher_weights: Annotated[
        Path | None, opt("--teacher-weights", metavar="FILE", help="the teacher's weights", panel="Distillation")
    ] = None,
    min_teacher_top1: Annotated[
        float | None, opt("--min-teacher-top1", metavar="PERCENT", help=_TEACHER_TOP1, panel="Distillation")
    ] = None,
    no_distillation: Annotated[
        bool, opt("--no-distillation", help="leave the recipe's teacher out", panel="Distillation")
    ] = False,
    out: Annotated[Path | None, opt("--out", "-o", metavar="DIR", help=_OUT, panel="Run")] = None,
    name: Annotated[str | None, opt("--name", metavar="NAME", help=_NAME, panel="Run")] = None,
    no_resume: Annotated[bool, opt("--no-resume", help="refuse a folder that holds a run", panel="Run")] = False,
    keep: Annotated[int, opt("--keep", metavar="N", min=1, help=_KEEP, panel="Run")] = 2,
    checkpoint_minutes: Annotated[
        float, opt("--checkpoint-minutes", metavar="N", help=_CHECKPOINT_MINUTES, panel="Run")
    ] = 15.0,
    log_every: Annotated[int, opt("--log-every", metavar="STEPS", min=1, help=_LOG_EVERY, panel="Run")] = 50,
    tensorboard: Annotated[bool, opt("--tensorboard", help="write for TensorBoard too", panel="Run")] = False,
    quiet: Annotated[bool, opt("--quiet", help="no progress bar", panel="Run")] = False,
    on: options.On = None,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
) -> None:
    """Train a network by a recipe, on labelled images.

    The same command goes on with a run that was killed, or that left with a checkpoint on Ctrl-C or SIGTERM (exit
    codes 130 and 75). The folder is an entry of the zoo afterwards: 'gpunet eval FOLDER', 'gpunet export FOLDER'. On
    several GPUs: torchrun --nproc-per-node=8 -m gpunet train ...
    """
    from gpunet.train.recipes import changed_recipe, recipe_named

    given = {"epochs": epochs, "batch_size": batch_size}
    named = [f"{key}={value}" for key, value in given.items() if value is not None]
    chosen = changed_recipe(recipe_named(recipe or ("finetune" if finetune else "quick")), [*named, *(changes or ())])
    chosen = with_teacher(chosen, teacher, no_distillation)
    if print_recipe:
        print(chosen.to_json(indent=2))
        return
    _check_weights(model, {"--finetune": finetune, "--pretrained": pretrained, "--weights": weights}, weights)
    check_teacher(chosen, {"--teacher-weights": teacher_weights, "--min-teacher-top1": min_teacher_top1})
    checked_number("--images-fraction", images_fraction, 0, 1, above=True)
    checked_number("--checkpoint-minutes", checkpoint_minutes, 0, above=True)
    if min_teacher_top1 is not None:
        checked_number("--min-teacher-top1", min_teacher_top1, 0, 100)
    if not data:
        raise InvalidArgumentError("there is nothing to train on.", "Name it: --data DIR, or --data digits to try.")
    path = Path("small" if model is None else model)
    stem = path.stem if path.suffix == ".json" else path.name  # a tag of timm's has dots
    out = out or Path("runs", re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{stem}-{data}-{chosen.name}"))
    name = name or out.resolve().name

    import torch

    from gpunet.model.network import GPUNet
    from gpunet.train import engine
    from gpunet.train.folder import check_folder, standing
    from gpunet.train.processes import device_named
    from gpunet.zoo.own import check_new_name

    check_new_name(name, out, zoo)
    device_named(on)
    check_folder(out)
    images, validation = _images(
        data, holdout, train_split, validation_split, root=data_root, class_map=class_map, batch_size=chosen.batch_size
    )
    images = images.fraction(images_fraction, seed=seed)
    chosen = teacher_found(chosen, teacher_device, images, validation, out, zoo)
    torch.manual_seed(seed)
    begun = standing(out)
    fresh = begun.position is None and not begun.finished  # else its checkpoint's weights count
    trained = pretrained or finetune
    with working_offline(offline):
        network = _network(
            model, chosen, images, zoo=zoo, pretrained=trained and fresh and weights is None,
            weights=weights if fresh else None, renewed=finetune, timeout_s=timeout_s,
        )  # fmt: skip
        if chosen.initialization != "timm" and not trained and weights is None and isinstance(network, GPUNet):
            network.initialize(chosen.initialization)
        taught_by = teacher_of(
            chosen, network, out, validation, zoo=zoo, weights=teacher_weights, on=on, workers=loader_workers,
            least_top1=min_teacher_top1, timeout_s=timeout_s,
        )  # fmt: skip
    source = "from scratch" if not trained and weights is None else f"from {weights or _source(network)}"

    def say(stands: Standing) -> None:
        of = "" if images.classes is None else f" of {len(images.classes)} classes"
        what = f"{len(images)} images{of}, {chosen.epochs} epochs, recipe {chosen.name}"
        if stands.finished:
            console.note(f"{out} has finished already: {stem}, {what}. Nothing is trained.")
        elif stands.position is not None:
            at = f"epoch {stands.position.epoch + 1}, after {stands.position.step} steps"
            console.note(f"going on in {out} from its checkpoint in {at}: {stem}, {what}")
        else:
            console.note(f"training {stem} {source} into {out}: {what}")

    classes = _classes(network, images) if trained and not finetune else None
    with leaving_with_checkpoint(out) as interrupted:
        result = engine.train(
            network, chosen, images, out, validation=validation, teacher=taught_by, seed=seed, device=on,
            workers=loader_workers, resume=not no_resume, keep=keep, checkpoint_minutes=checkpoint_minutes,
            log_every_steps=log_every, max_unreadable=max_unreadable, tensorboard=tensorboard,
            classes=classes, progress=not quiet, on_start=say, should_stop=interrupted,
        )  # fmt: skip
    if os.environ.get("RANK", "0") == "0":
        _write_entry(name, network, chosen, images, classes, validation, out, result, seed)
        _report(out, result, as_json)


def _check_weights(model: str | None, given: dict[str, object], weights: Path | None) -> None:
    wrong = next((option for option, value in given.items() if value), None)
    if model is None and wrong:
        raise InvalidArgumentError(
            f"{wrong} is given, but no model that the weights are of.", f"Name it: gpunet train MODEL {wrong} ..."
        )
    if weights is not None and not weights.expanduser().is_file():
        raise InvalidArgumentError(
            f"--weights {weights}: there is no such file.", "Give a safetensors file, or NVIDIA's .pth.tar or zip.",
            exit_code=ABSENT_EXIT_CODE,
        )  # fmt: skip


def _images(
    data: str, holdout: float | None, train_split: str | None, validation_split: str | None, **how: Any
) -> tuple[ImageData, ImageData]:
    from gpunet.train.data.datasets import open_data, open_held_out, open_training_data

    if holdout is None:
        images = open_training_data(data, split=train_split, **how)
        return images, open_data(data, split=validation_split or "validation", **how)
    if train_split or validation_split:
        raise InvalidArgumentError(
            "--holdout makes the splits, so none can be named.", "Leave --train-split and --validation-split out."
        )
    return open_held_out(data, holdout, **how)


def _network(model: str | None, recipe: Recipe, images: ImageData, *, renewed: bool, **how: Any) -> nn.Module:
    kwargs: dict[str, Any] = {"drop_rate": recipe.dropout, "drop_path_rate": recipe.drop_path}
    if images.classes is not None:
        kwargs["num_classes"] = len(images.classes)
    elif renewed:
        raise InvalidArgumentError(
            f"{images.name} does not say which classes it has, so no classifier can be made for them.",
            "Name them: --class-map FILE, a class a line.",
        )
    if model is None:
        from gpunet.model.small import SMALL
        from gpunet.zoo.models import gpunet_from_spec

        return gpunet_from_spec(SMALL, **kwargs)
    from gpunet.zoo.named import network_named

    kwargs = {name: value for name, value in kwargs.items() if name == "num_classes" or value}
    network: Any = network_named(model, timm_too=True, **how, **kwargs)
    if renewed:
        network.reset_classifier(kwargs["num_classes"])
    return network


def _source(network: nn.Module) -> str:
    """Whose weights a network began with."""
    entry: Any = getattr(network, "entry", None)
    if entry is None or entry.role in ("baseline", TIMM):
        return "timm's weights"
    return "NVIDIA's weights" if entry.role == "released" else f"the weights of {entry.name}"


def _classes(network: nn.Module, images: ImageData) -> Sequence[str] | None:
    """Names of the classes that a trained classifier tells apart; None where they are not known, or it is new."""
    from gpunet.model.classes import classes_of

    classes = classes_of(network)
    return classes if classes is not None and len(classes) == len(images.classes or ()) else None


def _write_entry(
    name: str, network: nn.Module, recipe: Recipe, images: ImageData, classes: Sequence[str] | None,
    validation: ImageData, out: Path, result: TrainingResult, seed: int,
) -> None:  # fmt: skip
    from gpunet.model.entry import Accuracy
    from gpunet.model.preprocessing import num_classes_of
    from gpunet.zoo.own import write_entry

    best = result.best
    accuracy = None
    if best.top1_percent:  # none at all is no accuracy that a zoo takes
        how = f"gpunet train, recipe {recipe.name}, seed {seed}, epoch {best.epoch} of {best.epochs} (the best on "
        accuracy = Accuracy(best.top1_percent, validation.name, f"{how}these images)", best.top5_percent)
    note = f"Trained on {images.name} ({len(images)} images)."
    count = num_classes_of(network)
    named = images.for_model(count, classes).classes_by_number(count)
    write_entry(out, name, network, result.weights, accuracy=accuracy, classes=named, note=note)


def _report(out: Path, result: TrainingResult, as_json: bool) -> None:
    best = result.best
    if as_json:
        console.print_json({"out": str(out), "weights": str(result.weights), **result.to_dict()})
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
