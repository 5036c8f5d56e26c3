"""`gpunet predict`: what a network, or an exported file, makes of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.core import console
from gpunet.core.hub import working_offline
from gpunet.core.progress import ProgressBar
from gpunet.errors import ABSENT_EXIT_CODE, FAILED_EXIT_CODE, DataError, InvalidArgumentError

if TYPE_CHECKING:
    from gpunet.zoo.prediction import Prediction, Predictor

_MODEL_HELP = (
    "a model of the zoo or of timm's, the folder of an entry or of a training run, a spec's JSON file (with "
    "--weights), or a file: .onnx, .xml, .engine, .plan"
)


@command(
    "predict", said_as={"device": "--on"}, panel="Deploy",
    examples=["gpunet predict gpunet_1 cat.jpg", "gpunet predict gpunet_1.onnx photos/ --top-k 1 --json"],
)  # fmt: skip
def predict(
    model: Annotated[
        str, typer.Argument(metavar="MODEL|FILE|RUN", help=_MODEL_HELP, autocompletion=options.complete_model)
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="pictures, or folders of pictures")],
    top_k: Annotated[int, opt("--top-k", "-k", metavar="N", min=1, help="classes of each picture (default: 5)")] = 5,
    weights: options.Weights = None,
    no_pretrained: Annotated[bool, opt("--no-pretrained", help="ask the untrained network")] = False,
    timeout_s: options.Timeout = None,
    offline: options.Offline = False,
    runtime: Annotated[
        str | None,
        opt(
            "--runtime",
            "-r",
            metavar="NAME",
            complete=options.complete_runtime,
            help="for an ONNX file: what runs it (default: the best that can)",
        ),
    ] = None,
    precision: options.FilePrecision = None,
    threads: options.Threads = None,
    on: options.On = None,
    batch_size: Annotated[int, opt("--batch-size", "-b", metavar="N", min=1, help="images a run (default: 8)")] = 8,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
) -> None:
    """The classes that a network sees in pictures, the likeliest first, with their probabilities.

    Pictures are prepared as the network's own entry or file says. Those that cannot be read are named on standard
    error, and passed over.
    """
    paths = pictures_of(images)
    predictor = _predictor(
        model, weights=weights, pretrained=not no_pretrained, timeout_s=timeout_s, offline=offline,
        runtime=runtime, precision=precision, threads=threads, on=on, zoo=zoo,
    )  # fmt: skip
    found: dict[Path, list[Prediction]] = {}
    unreadable: dict[Path, str] = {}
    with ProgressBar("predicting", len(paths), shown=len(paths) > batch_size) as bar:
        for batch, failed in _prepared(predictor, paths, batch_size):
            unreadable |= failed
            if batch:
                import numpy as np

                answers = predictor.predict_prepared(np.stack(list(batch.values())), top_k=top_k)
                found |= dict(zip(batch, answers, strict=True))
            bar.update(len(found) + len(unreadable))
    for path, reason in unreadable.items():
        console.note(f"passed over: {path} ({reason})")
    if not found:
        raise DataError(
            f"none of the {len(paths)} pictures can be read.", "JPEG, PNG, WebP and others can.",
            exit_code=FAILED_EXIT_CODE,
        )  # fmt: skip
    if unreadable:
        console.note(f"{len(unreadable)} of {len(paths)} pictures could not be read.")
    if predictor.untrained:
        console.note("The weights are untrained: the answers mean nothing.")
    if as_json:
        console.print_json(_report(model, predictor, found, unreadable))
        return
    rows = [
        (path, f"{100 * each.probability:.1f}", each.class_name) for path, answers in found.items() for each in answers
    ]
    print(console.table(("picture", "%>", "class"), rows))


def _report(
    model: str, predictor: Predictor, found: dict[Path, list[Prediction]], unreadable: dict[Path, str]
) -> dict[str, Any]:
    session = predictor.session
    return {
        "model": model, "runtime": session.runtime, "runtime_version": session.runtime_version,
        "precision": session.precision,
        "images": [
            {"image": str(path), "predictions": [each.to_dict() for each in answers]} for path, answers in found.items()
        ],
        "unreadable": [{"image": str(path), "reason": reason} for path, reason in unreadable.items()],
    }  # fmt: skip


def pictures_of(given: Sequence[Path]) -> list[Path]:
    """The pictures of a command line, each once, with those of its folders."""
    from gpunet.exporters.images import pictures_in

    paths: list[Path] = []
    for path in given:
        if not path.exists():
            raise InvalidArgumentError(
                f"{path}: there is no such picture or folder.", "IMAGE is a picture's file, or a folder of pictures.",
                exit_code=ABSENT_EXIT_CODE,
            )  # fmt: skip
        paths += pictures_in(path) if path.is_dir() else [path]
    return list(dict.fromkeys(paths))


def _predictor(
    model: str, *, weights: Path | None, pretrained: bool, timeout_s: float | None, offline: bool,
    runtime: str | None, precision: str | None, threads: int | None, on: str | None, zoo: Sequence[str] | None,
) -> Predictor:  # fmt: skip
    from gpunet.zoo.file_session import file_named
    from gpunet.zoo.prediction import load_exported, predictor_of

    path = file_named(model)
    for_networks = {
        "--weights": weights, "--on": on, "--no-pretrained": None if pretrained else True, "--timeout": timeout_s,
        "--offline": True if offline else None,
    }  # fmt: skip
    for_files = {"--runtime": runtime, "--precision": precision}
    wrong = [name for name, value in (for_networks if path else for_files).items() if value is not None]
    if wrong:
        raise InvalidArgumentError(
            f"{wrong[0]} is for {'a network' if path else 'an exported file'}, but MODEL is {model!r}.", "Leave it out."
        )
    if path is not None:
        return load_exported(path, runtime=runtime, precision=precision, threads=threads)
    from gpunet.zoo.named import network_named

    with working_offline(offline):
        network = network_named(
            model, zoo=zoo, pretrained=pretrained, weights=weights, timm_too=True, timeout_s=timeout_s
        )
    return predictor_of(network, on=on, threads=threads)


def _prepared(
    predictor: Predictor, paths: Sequence[Path], batch_size: int
) -> Iterator[tuple[dict[Path, Any], dict[Path, str]]]:
    """Prepared images by path, a batch at a time; and why others could not be read."""
    for start in range(0, len(paths), batch_size):
        batch: dict[Path, Any] = {}
        failed: dict[Path, str] = {}
        for path in paths[start : start + batch_size]:
            try:
                batch[path] = predictor.prepared(path)
            except DataError as error:
                failed[path] = error.message.partition("as a picture: ")[2].rstrip(".") or error.message
        yield batch, failed
