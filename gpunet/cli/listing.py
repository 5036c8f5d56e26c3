"""`gpunet list`: the zoo's models, or the devices it has figures for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpunet.cli import options
from gpunet.core import console


def add_parser(commands: Any) -> None:
    """Add `list` to the commands of `gpunet`."""
    summary = "the zoo's models with accuracy, size and resolution, or the devices it has figures for"
    parser = commands.add_parser("list", help=summary, description=f"Print {summary}.")
    parser.add_argument("--devices", action="store_true", help="the devices with latency figures instead")
    parser.add_argument("--baselines", action="store_true", help="the paper's baselines too")
    options.add_zoo(parser)
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print the list that was asked for."""
    if args.devices:
        _devices(args.zoo, as_json=args.json)
        return
    from gpunet.zoo.catalog import catalog

    entries = [entry for entry in catalog(args.zoo).values() if args.baselines or entry.role != "baseline"]
    facts: list[dict[str, Any]] = [
        {
            "name": entry.name,
            "title": entry.title,
            "role": entry.role,
            "architecture": entry.architecture,
            "top1_percent": entry.top1_percent,
            "parameters": entry.parameters,
            "multiply_adds": entry.multiply_adds,
            "input_px": entry.input_px,
            "records": len(entry.records),
        }
        for entry in entries
    ]
    if args.json:
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
        )
        for each in facts
    ]
    columns = ("model", "role", "top-1 %>", "params M>", "multiply-adds G>", "input px>", "latency records>")
    print(console.table(columns, rows))


def _devices(zoo: Sequence[Path] | None, *, as_json: bool) -> None:
    from gpunet.core.device import CHIPS
    from gpunet.zoo.catalog import catalog

    records = [record for entry in catalog(zoo).values() for record in entry.records]
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
                "records": len(own),
            }
        )
    if as_json:
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
    print("\n'local' is this machine: its latencies are measured on first use.")
