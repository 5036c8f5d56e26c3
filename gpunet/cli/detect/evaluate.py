"""`gpunet detect eval`: COCO's metrics of a detector."""

from __future__ import annotations

from typing import Annotated

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.detect import options as own
from gpunet.cli.options import opt
from gpunet.core import console
from gpunet.core.progress import ProgressBar


@command("eval", said_as={"device": "--on"}, examples=["gpunet detect eval gpunet_2_coco --data coco"])
def evaluate(
    detector: own.Detector,
    data: own.Data = None,
    split: Annotated[str, opt("--split", metavar="NAME", help="default: validation")] = "validation",
    annotations: own.Annotations = None,
    images: own.Images = None,
    batch_size: own.BatchSize = 4,
    loader_workers: options.LoaderWorkers = 0,
    max_unreadable: options.MaxUnreadable = 10,
    on: options.On = None,
    as_json: options.Json = False,
) -> None:
    """COCO's twelve metrics of a detector, and AP of each class.

    Crowds, and boxes outside their picture, count as COCO's own scoring has it. Pictures that cannot be read are named
    on standard error, and not counted.
    """
    from gpunet.detection.data.coco import open_coco
    from gpunet.detection.metrics import METRICS, METRICS_IN_WORDS
    from gpunet.detection.task import evaluated
    from gpunet.detection.training import load_detector
    from gpunet.train.processes import device_named

    folder = own.folder_of(data, annotations, "score on")
    device = device_named(on)
    pictures = open_coco(folder, split, annotations=annotations, images=images)
    model = load_detector(detector)
    pictures = pictures.for_classes(model.classes)
    with ProgressBar(str(detector), len(pictures)) as bar:
        score, unreadable = evaluated(
            model.to(device), pictures, device=device, batch_size=batch_size, workers=loader_workers,
            max_unreadable=max_unreadable, on_progress=bar.update,
        )  # fmt: skip
    for name, reason in unreadable:
        console.note(f"not counted: {name} ({reason})")
    if as_json:
        console.print_json({"detector": str(detector), "data": pictures.name, **score.to_dict()})
        return
    rows = [
        (name, words, console.percent2(score.metrics[name]))
        for name, words in zip(METRICS, METRICS_IN_WORDS, strict=True)
    ]
    print(console.table(("metric", "", "%>"), rows))
    classes = [(name, console.percent2(value)) for name, value in score.ap_by_class.items()]
    print(f"\n{console.table(('class', 'AP %>'), classes)}\n\n{score.pictures} pictures of {pictures.name}")
