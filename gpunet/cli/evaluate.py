"""`gpunet eval`: score a network, or an exported file, on labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import complete_model, complete_runtime, opt
from gpunet.core import console
from gpunet.core.arguments import checked_number
from gpunet.core.hub import working_offline
from gpunet.core.progress import ProgressBar
from gpunet.errors import FAILED_EXIT_CODE, InvalidArgumentError

if TYPE_CHECKING:
    from gpunet.train.data.datasets import ImageData
    from gpunet.train.evaluation.evaluate import Evaluation, Runner

_MODELS = (
    "a model of the zoo or of timm's, the folder of an entry or of a training run, a spec's JSON file (with "
    "--weights), or a file: .onnx, .xml, .engine, .plan"
)
_RUNTIME = "for a file: what runs it (default: the best that can)"
_PANEL = "Images, where a file does not say or you want others"
_MOST_PX = 4096  # as a network's spec has it
_Three = tuple[float, float, float]


@dataclass(frozen=True)
class _Images:
    """How images are taken, where the command line says so."""

    input_px: int | None
    crop_pct: float | None
    interpolation: str | None
    mean: _Three | None
    std: _Three | None

    def __post_init__(self) -> None:
        if self.crop_pct is not None:
            checked_number("--crop-pct", self.crop_pct, 0, 1, above=True)
        for value in self.mean or ():
            checked_number("--mean", value, 0, 1)
        for value in self.std or ():
            checked_number("--std", value, 0, above=True)

    def changed(self, config: dict[str, Any]) -> dict[str, Any]:
        """A network's configuration with what the command line says, but for the side."""
        given = {name: getattr(self, name) for name in ("crop_pct", "interpolation", "mean", "std")}
        return {**config, **{name: value for name, value in given.items() if value is not None}}


@command(
    "eval", said_as={"device": "--on"}, panel="Train",
    examples=["gpunet eval digits_small --data digits", "gpunet eval run0 run0.onnx --data pets --json"],
    renamed={"--device": "--on", "--workers": "--loader-workers"},
)  # fmt: skip
def evaluate(
    models: Annotated[list[str], typer.Argument(metavar="MODEL", help=_MODELS, autocompletion=complete_model)],
    data: options.Data,
    data_root: options.DataRoot = None,
    class_map: options.ClassMap = None,
    split: Annotated[str | None, opt("--split", metavar="NAME", help="default: validation")] = None,
    holdout: options.Holdout = None,
    loader_workers: options.LoaderWorkers = 0,
    max_unreadable: options.MaxUnreadable = 10,
    weights: Annotated[Path | None, opt("--weights", metavar="FILE", help="of a network by name or spec")] = None,
    no_pretrained: Annotated[bool, opt("--no-pretrained", help="score untrained weights")] = False,
    timeout_s: options.Timeout = None,
    offline: options.Offline = False,
    batch_size: Annotated[int, opt("--batch-size", "-b", metavar="N", min=1, help="images a run (default: 32)")] = 32,
    runtime: Annotated[
        str | None, opt("--runtime", "-r", metavar="NAME", complete=complete_runtime, help=_RUNTIME)
    ] = None,
    precision: options.FilePrecision = None,
    threads: options.Threads = None,
    on: options.On = None,
    worst: Annotated[int, opt("--worst", metavar="N", min=0, help="classes and confusions shown (default: 10)")] = 10,
    input_px: Annotated[
        int | None, opt("--input-px", metavar="N", min=8, max=_MOST_PX, help="side of the image", panel=_PANEL)
    ] = None,
    crop_pct: Annotated[
        float | None,
        opt("--crop-pct", metavar="PART", help="of the side, cut from the centre: 1 for all", panel=_PANEL),
    ] = None,
    interpolation: Annotated[
        Literal["bicubic", "bilinear"] | None, opt("--interpolation", help="of the resize", panel=_PANEL)
    ] = None,
    mean: Annotated[
        _Three | None, opt("--mean", metavar="R G B", help="of red, green, blue, from 0 to 1", panel=_PANEL)
    ] = None,
    std: Annotated[_Three | None, opt("--std", metavar="R G B", help="their deviation, above 0", panel=_PANEL)] = None,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
) -> None:
    """Accuracy of networks, and of exported files, on labelled images.

    Networks and exported files (ONNX, OpenVINO IR, engines) go through the same loader: top-1, top-5, classes,
    confusions, throughput. Several are compared side by side.
    """
    from gpunet.zoo.file_session import file_named

    images = _Images(input_px, crop_pct, interpolation, mean, std)
    files = {name: path for name in models if (path := file_named(name)) is not None}
    _check_read(
        {"--weights": weights, "--no-pretrained": no_pretrained, "--timeout": timeout_s, "--offline": offline,
         "--on": on},
        len(files) < len(models), "network",
    )  # fmt: skip
    _check_read({"--runtime": runtime, "--precision": precision, "--threads": threads}, bool(files), "file")

    from gpunet.train.evaluation.evaluate import evaluate as evaluated

    opened = {"root": data_root, "class_map": class_map, "batch_size": batch_size}
    labelled = _labelled(data, split, holdout, opened)
    how: dict[str, dict[str, Any]] = {}
    found: dict[str, Evaluation] = {}
    for name in models:
        loaded = (
            _loaded_file(files[name], images, runtime, precision, threads) if name in files else
            _loaded(
                name, images, on, zoo=zoo, pretrained=not no_pretrained, weights=weights, timeout_s=timeout_s,
                offline=offline,
            )
        )  # fmt: skip
        count = loaded.num_classes or _columns(loaded.run, loaded.config)
        _note_doubts(name, loaded, count, labelled)
        how[name] = loaded.how
        with ProgressBar(name, len(labelled)) as bar:
            found[name] = evaluated(
                loaded.run, labelled, loaded.config, count, batch_size=batch_size, workers=loader_workers,
                max_unreadable=max_unreadable, classes=loaded.classes, on_progress=bar.update,
            )  # fmt: skip
    if as_json:
        console.print_json({name: {**how[name], **each.to_dict()} for name, each in found.items()})
        return
    rows = [
        (name, how[name]["runtime"], how[name]["precision"], f"{each.top1_percent:.2f}",
         console.percent2(each.top5_percent), each.images,
         f"{each.run_images_per_s:.0f}", f"{each.images_per_s:.0f}") for name, each in found.items()
    ]  # fmt: skip
    print(
        console.table(
            ["model", "runtime", "precision", "top-1 %>", "top-5 %>", "images>", "images/s>", "with loading>"], rows
        )
    )
    for name, each in found.items():
        if worst:
            print(f"\n{name}\n{_details(each, worst)}" if len(found) > 1 else f"\n{_details(each, worst)}")
        for image, reason in each.unreadable:
            console.note(f"not counted: {image} ({reason})")


def _check_read(given: dict[str, object], read: bool, of: str) -> None:
    """Refuse options that nothing would read."""
    for option, value in given.items():
        if value and not read:
            raise InvalidArgumentError(f"{option} is of a {of}, but none is named.", f"Leave {option} out.")


def _labelled(data: str, split: str | None, holdout: float | None, how: dict[str, Any]) -> Any:
    from gpunet.train.data.datasets import open_data, open_held_out

    if holdout is None:
        return open_data(data, split=split or "validation", **how)
    if split is not None:
        raise InvalidArgumentError("--holdout makes the split, so none can be named.", "Leave --split out.")
    return open_held_out(data, holdout, **how)[1]


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


@dataclass(frozen=True)
class _Loaded:
    """A network or file that is ready to be scored.

    Args:
        run: images to logits.
        config: how it takes images.
        num_classes: that it tells apart; None to ask it.
        classes: their names, where they are known.
        how: runtime, runtime_version, precision that is computed in; of a file the one that it holds.
        untrained: its weights are said to be drawn at random.
    """

    run: Runner
    config: dict[str, Any]
    num_classes: int | None
    classes: Sequence[str] | None
    how: dict[str, Any]
    untrained: bool


def _loaded(name: str, images: _Images, on: str | None, *, offline: bool, **chosen: Any) -> _Loaded:
    from gpunet import runtime as runtimes
    from gpunet.model.classes import classes_of
    from gpunet.model.origin import UNTRAINED, origin_of
    from gpunet.model.preprocessing import image_config, num_classes_of
    from gpunet.train.evaluation.evaluate import runner_from_model
    from gpunet.zoo.named import network_named

    with working_offline(offline):
        model = network_named(name, timm_too=True, **chosen)
    untrained = origin_of(model).state == UNTRAINED
    config = images.changed(image_config(model, images.input_px))
    torch = runtimes.get("pytorch")
    how = {"runtime": torch.name, "runtime_version": torch.version(), "precision": "fp32"}
    run = runner_from_model(model, device=on)
    return _Loaded(run, config, num_classes_of(model), classes_of(model), how, untrained)


def _loaded_file(
    path: Path, images: _Images, runtime: str | None, precision: str | None, threads: int | None
) -> _Loaded:
    from gpunet.exporters.metadata import facts_of_file
    from gpunet.model.origin import UNTRAINED
    from gpunet.train.evaluation.evaluate import runner_from_session
    from gpunet.zoo.file_session import session_from_file

    session = session_from_file(path, runtime=runtime, precision=precision, threads=threads)
    facts = facts_of_file(path, agreeing=True)
    runner, _ = runner_from_session(session)
    channels, *sides = session.input_shape[1:]
    known = dict(facts.preprocessing or {})
    if None not in sides and channels is not None:
        known["input_size"] = (channels, *sides)
    elif images.input_px is not None:
        known["input_size"] = (channels or 3, images.input_px, images.input_px)
    config = images.changed(known)
    missing = [key for key in ("input_size", "mean", "std", "interpolation", "crop_pct") if key not in config]
    if missing:
        raise InvalidArgumentError(
            f"{path} does not say how it takes images: {', '.join(missing)} unknown.",
            "Pass " + ", ".join(f"--{'input-px' if key == 'input_size' else key.replace('_', '-')}" for key in missing),
        )
    config["input_size"] = tuple(config["input_size"])
    how = {"runtime": session.runtime, "runtime_version": session.runtime_version, "precision": session.precision,
           "file_precision": session.conditions["file_precision"]}  # fmt: skip
    return _Loaded(runner, config, None, facts.classes or None, how, facts.weights.state == UNTRAINED)


def _columns(runner: Runner, config: dict[str, Any]) -> int:
    """How many classes a network answers with, where it does not say."""
    import numpy as np

    return int(runner(np.zeros((1, *config["input_size"]), np.float32)).shape[1])


def _note_doubts(name: str, loaded: _Loaded, count: int, data: ImageData) -> None:
    """Say once what nothing can check, whose numbers the classes have; and what else a figure would not tell."""
    from gpunet.model.classes import numbers_by_name

    if loaded.classes is not None and len(loaded.classes) != count:
        raise InvalidArgumentError(
            f"{name} names {len(loaded.classes)} classes, but answers with {count} numbers.",
            "Its metadata is another network's: export it again.",
            exit_code=FAILED_EXIT_CODE,
        )
    if data.classes is None:
        console.note(f"{data.name} does not name its classes: their numbers are taken for those of {name}.")
    elif loaded.classes is None and len(data.classes) == count and not numbers_by_name(data.classes, count):
        shown = ", ".join(data.classes[:3]) + (", ..." if count > 3 else "")
        console.note(f"{name} does not name its classes: they are taken to be those of {data.name} in order ({shown}).")
    held, computed = loaded.how.get("file_precision"), loaded.how["precision"]
    if held not in (None, computed):
        console.note(f"{name} holds {held}, which is computed in {computed} here.")
    if loaded.untrained:
        console.note(f"The weights of {name} are untrained: its accuracy means nothing.")
