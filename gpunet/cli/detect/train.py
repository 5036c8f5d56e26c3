"""`gpunet detect train`: a detector on a network of the zoo, on data in COCO's format."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.detect import options as own
from gpunet.cli.options import complete_model, complete_recipe, opt
from gpunet.core import console
from gpunet.core.arguments import checked_number
from gpunet.core.hub import working_offline
from gpunet.core.signals import leaving_with_checkpoint
from gpunet.errors import InvalidArgumentError

if TYPE_CHECKING:
    from gpunet.detection.data.coco import CocoData
    from gpunet.detection.detector import Detector
    from gpunet.train.folder import Standing
    from gpunet.train.score import TrainingResult

_BACKBONE = (
    "a GPUNet, the folder of an entry or run, a spec's JSON file, or a network of timm's that takes pictures of any "
    "size (default: gpunet_2)"
)
_DETECTOR = (
    "change the detector, e.g. pyramid_channels=128; may be repeated (docs: gpunet.detection.DetectorSpec says what)"
)


@command(
    "train",
    said_as={"device": "--on", "pretrained=False gives an untrained network": "--no-pretrained begins untrained"},
    examples=[
        "gpunet detect train --data coco -o gpunet_2_coco",
        "gpunet detect train gpunet_0 --data parts --short-px 480 --long-px 800 --set epochs=24",
        "torchrun --nproc-per-node=8 -m gpunet detect train gpunet_2 --data coco",
    ],
)  # fmt: skip
def train(
    backbone: Annotated[
        str, typer.Argument(metavar="BACKBONE", help=_BACKBONE, autocompletion=complete_model, show_default=False)
    ] = "gpunet_2",
    data: own.Data = None,
    annotations: own.Annotations = None,
    images: own.Images = None,
    validation_annotations: Annotated[
        Path | None, opt("--validation-annotations", metavar="FILE", help="the same of the pictures to score on")
    ] = None,
    validation_images: Annotated[Path | None, opt("--validation-images", metavar="DIR", help="their folder")] = None,
    no_validation: Annotated[bool, opt("--no-validation", help="score on nothing, and keep the last epoch")] = False,
    loader_workers: options.LoaderWorkers = 0,
    max_unreadable: options.MaxUnreadable = 10,
    kind: Annotated[
        Literal["cascade", "faster"], opt("--kind", help="Cascade R-CNN, or plain Faster R-CNN (default: cascade)")
    ] = "cascade",
    short_px: Annotated[int, opt("--short-px", metavar="N", min=1, help="of a scaled picture (default: 800)")] = 800,
    long_px: Annotated[int, opt("--long-px", metavar="N", min=1, help="at most (default: 1333)")] = 1333,
    detector: Annotated[list[str] | None, opt("--detector", metavar="KEY=VALUE", help=_DETECTOR)] = None,
    recipe: Annotated[
        str, opt("--recipe", metavar="NAME|FILE", complete=complete_recipe, help="default: detection")
    ] = "detection",
    changes: Annotated[list[str] | None, opt("--set", metavar="KEY=VALUE", help="change the recipe")] = None,
    epochs: Annotated[int | None, opt("--epochs", metavar="N", min=1, help="instead of the recipe's")] = None,
    batch_size: Annotated[
        int | None, opt("--batch-size", "-b", metavar="N", min=1, help="pictures a step of one process")
    ] = None,
    seed: Annotated[int, opt("--seed", metavar="N", min=0, max=2**63 - 1, help="default: 0")] = 0,
    print_recipe: Annotated[bool, opt("--print-recipe", help="print the recipe as JSON, and do nothing")] = False,
    no_pretrained: Annotated[bool, opt("--no-pretrained", help="begin with an untrained backbone")] = False,
    weights: Annotated[Path | None, opt("--weights", metavar="FILE", help="the backbone's, from a file")] = None,
    timeout_s: options.Timeout = None,
    offline: options.Offline = False,
    out: Annotated[Path | None, opt("--out", "-o", metavar="DIR", help="the run's folder (default: runs/...)")] = None,
    no_resume: Annotated[bool, opt("--no-resume", help="refuse a folder that holds a run")] = False,
    keep: Annotated[int, opt("--keep", metavar="N", min=1, help="checkpoints beside the best (default: 2)")] = 2,
    checkpoint_minutes: Annotated[
        float, opt("--checkpoint-minutes", metavar="N", help="between checkpoints within an epoch (default: 15)")
    ] = 15.0,
    log_every: Annotated[int, opt("--log-every", metavar="STEPS", min=1, help="of metrics.jsonl (default: 50)")] = 50,
    tensorboard: Annotated[bool, opt("--tensorboard", help="write for TensorBoard too")] = False,
    quiet: Annotated[bool, opt("--quiet", help="no progress bar")] = False,
    on: options.On = None,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
) -> None:
    """Train a detector on pictures with boxes, in COCO's format.

    The same command goes on with a run that was killed, or that left with a checkpoint on Ctrl-C or SIGTERM (exit
    codes 130 and 75). The folder holds the detector afterwards: 'gpunet detect eval FOLDER', 'gpunet detect predict
    FOLDER'. On several GPUs: torchrun --nproc-per-node=8 -m gpunet detect train ...
    """
    from gpunet.train.recipes import changed_recipe, recipe_named

    given = {"epochs": epochs, "batch_size": batch_size}
    named = [f"{key}={value}" for key, value in given.items() if value is not None]
    chosen = changed_recipe(recipe_named(recipe), [*named, *(changes or ())])
    if print_recipe:
        print(chosen.to_json(indent=2))
        return
    checked_number("--checkpoint-minutes", checkpoint_minutes, 0, above=True)
    folder = own.folder_of(data, annotations, "train on")
    stem = Path(backbone).name.removesuffix(".json")
    out = out or Path("runs", re.sub(r"[^A-Za-z0-9_.-]+", "_", f"detect-{stem}-{folder.resolve().name}-{chosen.name}"))

    import torch

    from gpunet.detection.backbone import padding_in_words
    from gpunet.detection.data.coco import open_coco
    from gpunet.detection.detector import cascade_rcnn, faster_rcnn
    from gpunet.detection.task import check_recipe
    from gpunet.detection.training import train_detector
    from gpunet.train.folder import check_folder, standing
    from gpunet.train.processes import device_named

    check_recipe(chosen)
    device_named(on)
    check_folder(out)
    pictures = open_coco(folder, "train", annotations=annotations, images=images)
    validation = None if no_validation else open_coco(
        folder, "validation", annotations=validation_annotations, images=validation_images
    )  # fmt: skip
    torch.manual_seed(seed)
    begun = standing(out)
    fresh = begun.position is None and not begun.finished  # else its checkpoint's weights count
    wanted = not no_pretrained and weights is None
    bounds: dict[str, Any] = {} if timeout_s is None else {"timeout_s": timeout_s}
    said = {"frozen_batch_norm": wanted or weights is not None, **_changed(detector or ())}
    with working_offline(offline):
        make = cascade_rcnn if kind == "cascade" else faster_rcnn
        model = make(
            backbone, pictures.classes, wanted and fresh, short_px=short_px, long_px=long_px, zoo=zoo,
            **({"weights": weights} if weights is not None and fresh else {}), **bounds, **said,
        )  # fmt: skip

    def say(stands: Standing) -> None:
        _say(stands, out, model, pictures, chosen.epochs, "untrained" if no_pretrained else "trained")
        if words := padding_in_words(model.backbone.padding(short_px, long_px)):
            console.note(f"{words}, at {short_px} x {long_px} px")

    with leaving_with_checkpoint(out) as interrupted:
        result = train_detector(
            model, chosen, pictures, out, validation=validation, seed=seed, on_start=say, device=on,
            workers=loader_workers, resume=not no_resume, keep=keep, checkpoint_minutes=checkpoint_minutes,
            log_every_steps=log_every, max_unreadable=max_unreadable, tensorboard=tensorboard, progress=not quiet,
            should_stop=interrupted,
        )  # fmt: skip
    if os.environ.get("RANK", "0") == "0":
        _report(out, result, as_json)


def _changed(changes: Sequence[str]) -> dict[str, Any]:
    found = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise InvalidArgumentError(f"--detector takes KEY=VALUE, but got {change!r}.", "E.g. pyramid_channels=128")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def _say(stands: Standing, out: Path, model: Detector, pictures: CocoData, epochs: int, weights: str) -> None:
    what = f"{model.spec.kind} on {model.spec.backbone_name}: {pictures.about()}; {epochs} epochs"
    if stands.finished:
        console.note(f"{out} has finished already: {what}. Nothing is trained.")
    elif stands.position is not None:
        at = f"epoch {stands.position.epoch + 1}, after {stands.position.step} steps"
        console.note(f"going on in {out} from its checkpoint in {at}: {what}")
    else:
        console.note(f"training in {out}, from an {weights} backbone, {what}".replace("an trained", "a trained"))


def _report(out: Path, result: TrainingResult, as_json: bool) -> None:
    if as_json:
        console.print_json({"out": str(out), "weights": str(result.weights), **result.to_dict()})
        return
    rows = [
        (each.epoch, f"{each.train_loss:.4f}", console.percent2(each.ap_percent),
         *(console.percent2((each.coco or {}).get(name)) for name in ("AP50", "AP75")),
         console.percent2(each.raw_ap_percent), f"{each.learning_rate:.3g}", f"{each.images_per_s:.1f}")
        for each in result.scores[-10:]
    ]  # fmt: skip
    columns = ["epoch>", "loss>", "AP %>", "AP50 %>", "AP75 %>", "AP not averaged %>", "learning rate>", "pictures/s>"]
    print(console.table(columns, rows))
    if result.unreadable:
        console.note(f"{len(result.unreadable)} pictures could not be read: {', '.join(result.unreadable[:5])}")
    best = result.best
    reached = "" if best.ap_percent is None else f", AP {best.ap_percent:.2f} %"
    print(f"\nkept: epoch {best.epoch} of {best.epochs}{reached}: {result.weights}")
