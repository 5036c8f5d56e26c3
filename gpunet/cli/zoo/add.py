"""`gpunet zoo add`: put a network into a zoo of one's own, with an accuracy that one measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import complete_model, opt
from gpunet.core import console

_MODEL = "a tag of timm's (TAG@PX where it has several sizes), a model of the zoo, or the folder of a run or entry"
_ACCURACY = "what 'gpunet eval MODEL --data DATA --json' wrote, or an entry's accuracy as JSON"


@command(
    "add",
    examples=["gpunet zoo add resnet18.a1_in1k@288 --accuracy eval.json -o myzoo",
              "gpunet zoo add run0 --accuracy eval.json -o myzoo --name pets_1"],
)  # fmt: skip
def add(
    model: Annotated[str, typer.Argument(metavar="TAG|RUN", help=_MODEL, autocompletion=complete_model)],
    accuracy: Annotated[Path, opt("--accuracy", metavar="FILE", help=_ACCURACY)],
    out: Annotated[Path, opt("--out", "-o", metavar="DIR", help="the folder of your zoo; made if it is not there")],
    name: Annotated[
        str | None, opt("--name", metavar="NAME", help="of the entry (default: a run's own; else NAME-own)")
    ] = None,
    replace: Annotated[bool, opt("--replace", help="in place of another entry of this name")] = False,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
) -> None:
    """Add a network to a zoo of your own, with an accuracy that you measured.

    Preprocessing, classes, licence, sources and latencies go with it, and a run's weights; those of timm's stay where
    timm finds them. 'gpunet find --zoo DIR --dataset NAME' then ranks it with what is scored on the same images.
    """
    from gpunet.zoo.catalog import catalog
    from gpunet.zoo.publishing.add import add_entry

    folder = add_entry(out, model, accuracy, name=name, among=zoo, replace=replace)
    entry = catalog(folder)[folder.name]
    if as_json:
        console.print_json({"folder": str(folder), **entry.to_dict()})
        return
    print(f"{folder}: {entry.name}, top-1 {entry.top1_percent:g} % on {entry.dataset}")
