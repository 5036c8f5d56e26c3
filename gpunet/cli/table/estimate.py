"""`gpunet table estimate`: the latency of models by a latency table, layer by layer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.table.options import Classes, Table
from gpunet.cli.table.subjects import spec_named
from gpunet.core import console


@command(
    "estimate",
    examples=["gpunet table estimate here.sqlite gpunet_0 gpunet_1", "gpunet table estimate here.sqlite mine.json"],
)
def estimate(
    table: Table,
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL", show_default=False, autocompletion=options.complete_model,
                       help="zoo entries or specs' JSON files"),
    ],
    classes: Classes = 1000,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
) -> None:  # fmt: skip
    """The latency of models by a table, layer by layer."""
    from gpunet.latency.estimate import LayerCosts
    from gpunet.latency.layers.convolutional import keys_from_spec
    from gpunet.latency.table import LatencyTable
    from gpunet.latency.worth import worth_of

    specs = {name: spec_named(name, zoo) for name in models}
    networks = {name: keys_from_spec(spec, num_classes=classes) for name, spec in specs.items()}
    with LatencyTable(table) as opened:
        costs = LayerCosts.from_table(opened)
        conditions, worth = opened.conditions, worth_of(opened, costs)
    found = {name: costs.network(keys) for name, keys in networks.items()}
    missing = [key for keys in networks.values() for key in keys if not costs.is_measured(key)]
    learned = costs.completion if missing else None
    outside = [] if learned is None else learned.outside(list(dict.fromkeys(missing)))
    if as_json:
        by_name = {name: asdict(each) for name, each in found.items()}
        console.print_json({
            "conditions": conditions.to_dict(), "kind": "estimated", "calibration": costs.calibration.to_dict(),
            "completion_error_percent": None if learned is None else learned.error.mean_percent,
            "layers_outside_what_was_measured": [key.text for key in outside], "models": by_name,
        })  # fmt: skip
        return
    rows = [
        (name, console.milliseconds(each.latency_ms), each.layers, each.completed_layers,
         f"{100 * each.completed_ms / each.latency_ms:.0f}") for name, each in found.items()
    ]  # fmt: skip
    print(console.table(["model", "estimated ms>", "layers>", "not measured>", "% of ms not measured>"], rows))
    said = conditions.fingerprint
    print(
        f"\nestimated, not measured: {said.runtime} {said.runtime_version}, {said.precision}, batch "
        f"{conditions.batch_size}, threads {said.threads}, {said.processor}\n"
        f"{costs.calibration if worth.margin_factor is None else f'the table {worth}'}"
    )
    if learned is not None:
        print(f"layers that were not measured are learned from the others: {learned}")
        lacking = [name for name, each in found.items() if each.completed_layers]
        how = "" if worth.margin_factor is None else " --from-records"
        console.note(f"the table takes them by: gpunet table build {table} --models {' '.join(lacking)}{how}")
    if outside:
        console.note(
            f"warning: {len(outside)} layers are larger or smaller than any in the table, such as {outside[0].text!r}: "
            "their figures are extrapolated."
        )
