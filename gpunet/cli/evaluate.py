"""`gpunet eval`: score a network, or an exported file, on labelled images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.cli import options
from gpunet.cli.data_options import add_data
from gpunet.core import console
from gpunet.core.progress import ProgressBar
from gpunet.errors import InvalidArgumentError

if TYPE_CHECKING:
    from gpunet.train.evaluation.evaluate import Evaluation, Runner

_WORST = 10

_WORST_HELP = f"classes and confusions shown (default: {_WORST})"


def add_parser(commands: Any) -> None:
    """Add `eval` to the commands of `gpunet`."""
    parser = commands.add_parser(
        "eval",
        help="accuracy of a network, or of an exported file, on labelled images",
        description="Score networks and exported files (ONNX, OpenVINO IR, engines) on labelled images by the same "
        "loader: top-1, top-5, classes, confusions, throughput. Several are compared side by side.",
    )
    parser.add_argument(
        "models", metavar="MODEL", nargs="+",
        help="a model of the zoo or of timm's, the folder of an entry or of a training run, a spec's JSON file (with "
        "--weights), or a file: .onnx, .xml, .engine, .plan",
    )  # fmt: skip
    add_data(parser)
    parser.add_argument("--split", metavar="NAME", default="validation", help="default: validation")
    parser.add_argument("--weights", metavar="FILE", type=Path, help="of a network by name or spec")
    parser.add_argument("--no-pretrained", dest="pretrained", action="store_false", help="score untrained weights")
    parser.add_argument("-b", "--batch-size", metavar="N", type=int, default=32, help="images a run (default: 32)")
    parser.add_argument("-r", "--runtime", metavar="NAME", help="for a file: what runs it (default: the best that can)")
    parser.add_argument("--threads", metavar="N", type=int, help="for a file on a processor (default: all)")
    parser.add_argument("--device", metavar="NAME", help="for a network: cpu, cuda (default: a GPU where there is one)")
    parser.add_argument("--worst", metavar="N", type=int, default=_WORST, help=_WORST_HELP)
    images = parser.add_argument_group("images, where a file does not say or you want others")
    images.add_argument("--input-px", metavar="N", type=int, help="side of the image")
    images.add_argument("--crop-pct", metavar="PART", type=float, help="of the side, cut from the centre: 1 for all")
    images.add_argument("--interpolation", choices=("bicubic", "bilinear"))
    images.add_argument("--mean", metavar="X", type=float, nargs=3, help="of red, green, blue, from 0 to 1")
    images.add_argument("--std", metavar="X", type=float, nargs=3)
    options.add_zoo(parser)
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Score all, and print what they reached."""
    from gpunet.train.data.datasets import open_data
    from gpunet.train.evaluation.evaluate import evaluate

    if args.batch_size < 1 or args.worst < 0:
        raise InvalidArgumentError(
            f"--batch-size must be 1 or more and --worst 0 or more, but got {args.batch_size} and {args.worst}."
        )
    data = open_data(
        args.data, root=args.data_root, split=args.split, class_map=args.class_map, batch_size=args.batch_size
    )
    found: dict[str, Evaluation] = {}
    for name in args.models:
        runner, config, num_classes, classes = _loaded(name, args)
        num_classes = num_classes or _columns(runner, config)
        with ProgressBar(name, len(data)) as bar:
            found[name] = evaluate(
                runner, data, config, num_classes, batch_size=args.batch_size, workers=args.workers,
                max_unreadable=args.max_unreadable, classes=classes, on_progress=bar.update,
            )  # fmt: skip
    if args.json:
        console.print_json({name: each.to_dict() for name, each in found.items()})
        return
    rows = [
        (name, f"{each.top1_percent:.2f}", console.percent2(each.top5_percent), each.images,
         f"{each.run_images_per_s:.0f}", f"{each.images_per_s:.0f}") for name, each in found.items()
    ]  # fmt: skip
    print(console.table(["model", "top-1 %>", "top-5 %>", "images>", "images/s>", "with loading>"], rows))
    for name, each in found.items():
        if args.worst:
            print(f"\n{name}\n{_details(each, args.worst)}" if len(found) > 1 else f"\n{_details(each, args.worst)}")
        for image, reason in each.unreadable:
            console.note(f"not counted: {image} ({reason})")


def _details(found: Evaluation, worst: int) -> str:
    rows = found.class_rows()
    classes = console.table(
        ["class", "images>", "top-1 %>", "precision %>"],
        [(row["class"], row["images"], console.percent2(row["top1_percent"]),
          console.percent2(row["precision_percent"])) for row in rows[:worst]],
    )  # fmt: skip
    shown = f"the {worst} worst of {len(rows)} classes (--json has all)\n" if len(rows) > worst else ""
    pairs = found.confusion_pairs(worst)
    if not pairs:
        return f"{shown}{classes}"
    confusions = console.table(
        ["class", "taken for", "images>", "% of class>"],
        [(row["class"], row["taken_for"], row["images"], console.percent2(row["percent_of_class"])) for row in pairs],
    )
    return f"{shown}{classes}\n\n{confusions}"


def _loaded(name: str, args: argparse.Namespace) -> tuple[Runner, dict[str, Any], int | None, Any]:
    """A network or file: what runs it, how it takes images, its classes and their names, where they are known."""
    from gpunet.model.preprocessing import image_config, num_classes_of
    from gpunet.train.evaluation.evaluate import runner_from_model
    from gpunet.zoo.file_session import file_named

    path = file_named(name)
    if path is not None:
        return _loaded_file(path, args)
    from gpunet.zoo.named import network_named

    model = network_named(
        name, zoo=args.zoo, pretrained=args.pretrained, weights=args.weights, timm_too=True,
    )  # fmt: skip
    config = _changed(image_config(model, args.input_px), args)
    classes = getattr(getattr(model, "entry", None), "classes", None)
    return runner_from_model(model, device=args.device), config, num_classes_of(model), classes


def _loaded_file(path: Path, args: argparse.Namespace) -> tuple[Runner, dict[str, Any], int | None, Any]:
    from gpunet.exporters.metadata import preprocessing_of_file
    from gpunet.train.evaluation.evaluate import runner_from_session
    from gpunet.zoo.file_session import session_from_file

    session = session_from_file(path, runtime=args.runtime, threads=args.threads)
    runner, _ = runner_from_session(session)
    said = preprocessing_of_file(path)
    channels, *sides = session.input_shape[1:]
    known = dict(said or {})
    if None not in sides and channels is not None:
        known["input_size"] = (channels, *sides)
    elif args.input_px is not None:
        known["input_size"] = (channels or 3, args.input_px, args.input_px)
    config = _changed(known, args)
    missing = [key for key in ("input_size", "mean", "std", "interpolation", "crop_pct") if key not in config]
    if missing:
        raise InvalidArgumentError(
            f"{path} does not say how it takes images: {', '.join(missing)} unknown.",
            "Pass " + ", ".join(f"--{'input-px' if key == 'input_size' else key.replace('_', '-')}" for key in missing),
        )
    config["input_size"] = tuple(config["input_size"])
    return runner, config, None, None


def _changed(config: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(args, name) for name in ("crop_pct", "interpolation", "mean", "std")}
    return {**config, **{name: value for name, value in given.items() if value is not None}}


def _columns(runner: Runner, config: dict[str, Any]) -> int:
    """How many classes a network answers with, where it does not say."""
    import numpy as np

    return int(runner(np.zeros((1, *config["input_size"]), np.float32)).shape[1])
