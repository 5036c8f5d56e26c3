"""`gpunet detect predict`: what a detector finds in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.detect import options as own
from gpunet.cli.options import opt
from gpunet.cli.predict import pictures_of
from gpunet.core import console
from gpunet.core.arguments import checked_number
from gpunet.core.progress import ProgressBar
from gpunet.errors import FAILED_EXIT_CODE, DataError


@command(
    "predict", said_as={"device": "--on"},
    examples=["gpunet detect predict gpunet_2_coco street.jpg --draw found",
              "gpunet detect predict gpunet_2_coco photos/ --min-score 0.3 --json"],
)  # fmt: skip
def predict(
    detector: own.Detector,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="pictures, or folders of pictures")],
    draw: Annotated[
        Path | None, opt("--draw", metavar="DIR", help="a folder for the pictures with the boxes drawn in")
    ] = None,
    min_score: Annotated[
        float, opt("--min-score", metavar="PART", help="of the boxes that are told, from 0 to 1 (default: 0.5)")
    ] = 0.5,
    on: options.On = None,
    as_json: options.Json = False,
) -> None:
    """The objects that a detector finds in pictures: class, score, and box in px of the picture.

    Pictures that cannot be read are named on standard error, and passed over.
    """
    from gpunet.detection.prediction import drawn, objects_in, places_in, save_picture
    from gpunet.detection.training import load_detector
    from gpunet.model.decoding import read_picture
    from gpunet.train.processes import device_named

    checked_number("--min-score", min_score, 0, 1)
    device = device_named(on)
    paths = pictures_of(images)
    model = load_detector(detector).to(device)
    places = {} if draw is None else places_in(draw, paths)
    told: list[dict[str, Any]] = []
    rows: list[tuple[object, ...]] = []
    unreadable: dict[Path, str] = {}
    with ProgressBar("predicting", len(paths), shown=len(paths) > 4) as bar:
        for done, path in enumerate(paths, start=1):
            try:
                picture = read_picture(path)
            except DataError as error:
                unreadable[path] = error.message.partition("as a picture: ")[2].rstrip(".") or error.message
                continue
            found = objects_in(model, picture, device=device, min_score=min_score)
            if path in places:
                save_picture(drawn(picture, found), places[path])
            told.append({"image": str(path), "objects": [each.to_dict() for each in found],
                         "drawn": str(places[path]) if path in places else None})  # fmt: skip
            rows += [
                (path, each.class_name, f"{100 * each.score:.1f}", *(f"{side:.0f}" for side in each.box_px))
                for each in found
            ] or [(path, "nothing", "", "", "", "", "")]
            bar.update(done)
    for path, reason in unreadable.items():
        console.note(f"passed over: {path} ({reason})")
    if not told:
        raise DataError(
            f"none of the {len(paths)} pictures can be read.", "JPEG, PNG, WebP and others can.",
            exit_code=FAILED_EXIT_CODE,
        )  # fmt: skip
    if as_json:
        console.print_json({
            "detector": str(detector), "images": told,
            "unreadable": [{"image": str(path), "reason": reason} for path, reason in unreadable.items()],
        })  # fmt: skip
        return
    print(console.table(("picture", "class", "%>", "left>", "top>", "right>", "bottom>"), rows))
    if draw is not None:
        console.note(f"drawn: {draw}")
