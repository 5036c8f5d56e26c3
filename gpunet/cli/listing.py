"""`gpunet list`: the zoo's models, or the devices it has figures for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.core import console
from gpunet.core.device import LOCAL
from gpunet.errors import NothingFitsError, UsageError

_ESTIMATED = "With --estimates, in FP16 by TensorRT: "
_LOCAL = "'local' is this machine: its latencies are measured on first use."


_MOST_NAMED = 100  # names that a hint lists


@command("list", panel="Ask", examples=["gpunet list 'gpunet_p*'", "gpunet list --devices"])
def list_models(
    patterns: Annotated[
        list[str] | None, typer.Argument(metavar="PATTERN", help="names, with * and ? for any letters")
    ] = None,
    devices: Annotated[bool, opt("--devices", help="the devices with latency figures instead")] = False,
    baselines: Annotated[bool, opt("--baselines", help="the paper's baselines too")] = False,
    dataset: Annotated[
        str | None, opt("--dataset", metavar="NAME", help="only those with an accuracy on it: digits (default: all)")
    ] = None,
    min_ips: options.MinIps = None,
    licence: options.Licence = None,
    extra_data: options.ExtraData = None,
    family: options.Family = None,
    estimates: Annotated[
        bool, opt("--estimates", help="with --devices: those too whose latencies can be estimated")
    ] = False,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
) -> None:
    """The zoo's models with accuracy, size and resolution, or the devices it has figures for."""
    if devices:
        if patterns:
            raise UsageError(f"--devices lists all, but {patterns[0]!r} is given too.", "Leave one of them out.")
        _devices(zoo, estimates=estimates, as_json=as_json)
        return
    if estimates:
        raise UsageError("--estimates is of devices.", "Add --devices; or: gpunet find -d DEVICE --estimates.")
    from gpunet.model.entry import counted_once
    from gpunet.zoo.catalog import catalog, names_like
    from gpunet.zoo.choice.conditions import Query
    from gpunet.zoo.choice.scope import listed

    query = Query(
        device=LOCAL, include_baselines=baselines, dataset=dataset, min_ips=min_ips, licence=licence,
        extra_data=extra_data, family=family,
    )  # fmt: skip
    known = {entry.name: entry for entry in listed(catalog(zoo).values(), query)}
    entries = [known[name] for name in names_like(known, patterns or None)]
    if not entries:
        if not known:
            raise NothingFitsError(
                "no model keeps these conditions.", "Leave out some of --dataset, --min-ips, --licence, --family, ..."
            )
        there = ", ".join(known) if len(known) <= _MOST_NAMED else f"{len(known):,}; 'gpunet list' names them"
        raise NothingFitsError(f"no model is named like {' or '.join(patterns or ())}.", f"There are {there}.")
    facts: list[dict[str, Any]] = [
        {
            "name": entry.name,
            "title": entry.title,
            "role": entry.role,
            "architecture": entry.architecture,
            "top1_percent": entry.top1_percent,
            "dataset": entry.dataset,
            "licence": entry.licence,
            "extra_data": entry.extra_data,
            "parameters": entry.parameters,
            "multiply_adds": entry.multiply_adds,
            "input_px": entry.input_px,
            "records": len(counted_once(entry.records)),
        }
        for entry in entries
    ]
    if as_json:
        console.print_json(facts)
        return
    rows = [
        (
            each["name"],
            each["role"] if each["architecture"] else f"{each['role']}, figures only",
            console.percent(each["top1_percent"]),
            console.millions(each["parameters"]),
            console.billions(each["multiply_adds"]),
            each["input_px"],
            each["records"],
            each["dataset"],
        )
        for each in facts
    ]
    columns = (
        "model",
        "role",
        "top-1 %>",
        "params M>",
        "multiply-adds G>",
        "input px>",
        "latency records>",
        "top-1 is on",
    )
    print(console.table(columns, rows))


def _devices(zoo: Sequence[str] | None, *, estimates: bool, as_json: bool) -> None:
    from gpunet.core.device import CHIPS
    from gpunet.model.entry import counted_once
    from gpunet.zoo.catalog import catalog
    from gpunet.zoo.choice.estimated import ESTIMATED, estimated_devices

    entries = catalog(zoo).values()
    # Networks that share a latency share its record.
    records = list(dict.fromkeys(record for entry in entries for record in entry.records))
    counted = dict.fromkeys(record for entry in entries for record in counted_once(entry.records))
    aliases = {chip.name: list(chip.aliases) for chip in CHIPS}
    facts: list[dict[str, Any]] = []
    for chip, board in sorted({(record.chip, record.board) for record in records}):
        own = [record for record in records if (record.chip, record.board) == (chip, board)]
        facts.append(
            {
                "chip": chip,
                "board": board,
                "aliases": aliases.get(chip, []),
                "batch_sizes": sorted({record.batch_size for record in own}),
                "precisions": sorted({record.precision for record in own}),
                "runtimes": sorted({f"{record.runtime} {record.runtime_version}".strip() for record in own}),
                "kinds": sorted({record.kind for record in own}),
                "models": len({record.model for record in own}),
                "records": sum((record.chip, record.board) == (chip, board) for record in counted),
            }
        )
    names = estimated_devices() if estimates else []
    if as_json:
        facts += [{"chip": name, "kinds": [ESTIMATED]} for name in names]
        console.print_json(facts)
        return
    rows = [
        (
            fact["chip"],
            fact["board"],
            " ".join(map(str, fact["batch_sizes"])),
            ", ".join(fact["precisions"]),
            ", ".join(fact["runtimes"]),
            ", ".join(fact["kinds"]),
            fact["models"],
            fact["records"],
        )
        for fact in facts
    ]
    columns = ("chip", "board", "batch sizes", "precision", "runtimes", "kind", "models>", "records>")
    print(console.table(columns, rows))
    print(f"\n{console.wrapped(_LOCAL)}")
    if names:
        print(f"\n{console.wrapped(_ESTIMATED + ', '.join(names) + '.')}")
