"""`gpunet table`: look into latency tables, check them, merge them, and estimate a model by them."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.cli import options
from gpunet.cli.table import build as table_build
from gpunet.cli.table import report as table_report
from gpunet.cli.table import shards as table_shards
from gpunet.cli.table.subjects import spec_named
from gpunet.core import console
from gpunet.errors import InvalidArgumentError, TableError

if TYPE_CHECKING:
    from gpunet.latency.table import LatencyTable


def add_parser(commands: Any) -> None:
    """Add `table` to the commands of `gpunet`."""
    parser = commands.add_parser(
        "table",
        help="latency tables: build, show, verify, merge, estimate, report",
        description="Latency tables hold the measured layers of one machine, runtime, precision, batch and number of "
        "threads.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    table_build.add_parser(actions)
    table_shards.add_parser(actions)
    show = actions.add_parser("show", help="what a table holds, and under which conditions")
    show.add_argument("table", metavar="TABLE", type=Path)
    show.add_argument("--layers", action="store_true", help="every layer with its figures")
    show.add_argument("--failures", action="store_true", help="layers that could not be measured, with the reason")
    options.add_json(show)
    show.set_defaults(run=run_show)
    verify = actions.add_parser("verify", help="read every page and every row; exit 1 where one is damaged")
    verify.add_argument("tables", metavar="TABLE", type=Path, nargs="+")
    verify.set_defaults(run=run_verify)
    merge = actions.add_parser("merge", help="take the layers of tables over into one; damaged ones as far as they go")
    merge.add_argument("target", metavar="TARGET", type=Path, help="made if it is not there")
    merge.add_argument("sources", metavar="SOURCE", type=Path, nargs="+")
    merge.set_defaults(run=run_merge)
    estimate = actions.add_parser("estimate", help="the latency of models by a table, layer by layer")
    estimate.add_argument("table", metavar="TABLE", type=Path)
    estimate.add_argument("models", metavar="MODEL", nargs="+", help="zoo entries or specs' JSON files")
    estimate.add_argument("--classes", type=int, default=1000, metavar="N", help="of the classifier (default: 1000)")
    options.add_zoo(estimate)
    options.add_json(estimate)
    estimate.set_defaults(run=run_estimate)
    table_report.add_parser(actions)


def run_show(args: argparse.Namespace) -> None:
    """Print a table's conditions and what it holds."""
    from gpunet.latency.table import LatencyTable

    with LatencyTable(args.table) as table:
        if args.json:
            console.print_json(_as_json(table, args))
            return
        print("\n".join(f"{name:<16} {value}" for name, value in table.conditions.to_dict().items()))
        layers, networks, failures = table.layers(), table.networks(), table.failures()
        kinds = Counter(key.kind for key in layers)
        print(f"\n{len(layers)} layers: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common()) or '-'}")
        print(f"{len(networks)} networks measured whole, {len(failures)} layers failed")
        if args.layers:
            columns = ["layer", "ms>", "context ms>", "border ms>", "lone ms>", "spread %>", "repeats>"]
            rows = [
                (key.text, *map(_ms, (each.latency_ms, each.context_ms, each.border_ms, each.lone_ms)),
                 f"{each.spread_percent:.1f}", each.repeats) for key, each in layers.items()
            ]  # fmt: skip
            print(f"\n{console.table(columns, rows)}")
        if args.failures:
            rows = [(key, attempts, reason) for key, (reason, attempts) in failures.items()]
            print(f"\n{console.table(['layer', 'attempts>', 'reason'], rows)}")


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _as_json(table: LatencyTable, args: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {
        "conditions": table.conditions.to_dict(),
        "layer_count": len(table),
        "networks": [{"layers": len(keys), **asdict(figures)} for keys, figures in table.networks()],
        "failures": {key: {"reason": why, "attempts": count} for key, (why, count) in table.failures().items()},
    }
    if args.layers:
        found["layers"] = {text: asdict(figures) for text, figures in table.rows()}
    return found


def run_verify(args: argparse.Namespace) -> None:
    """Check tables; exit 1 where one has faults."""
    from gpunet.latency.schema import DAMAGED_HINT, migrate
    from gpunet.latency.table import LatencyTable

    sound = True
    hints: dict[str, None] = {}
    for path in args.tables:
        count = 0
        try:
            migrate(path)
            with LatencyTable(path) as table:
                faults = table.check()
                count = 0 if faults else len(table)
                if faults:
                    hints[DAMAGED_HINT] = None
        except TableError as error:
            faults = [error.message]
            hints[error.hint] = None
        print(f"{path}: sound, {count} layers" if not faults else f"{path}: NOT SOUND")
        for fault in faults[:20]:
            print(f"  {fault}")
        sound = sound and not faults
    if not sound:
        for hint in filter(None, hints):
            console.note(f"hint: {hint}")
        raise SystemExit(console.FAILED_EXIT_CODE)


def run_merge(args: argparse.Namespace) -> None:
    """Merge tables and say what was done."""
    from gpunet.latency.merge import merge

    report = merge(args.target, args.sources)
    print(
        f"{args.target}: {report.added} layers added, {report.improved} improved, "
        f"{report.kept} kept, {report.networks} networks added"
    )
    for source, count in report.damaged.items():
        console.note(f"warning: {source} is damaged; what could be read of it was taken, {count} rows were left out")


def run_estimate(args: argparse.Namespace) -> None:
    """Estimate models by a table."""
    from gpunet.latency.estimate import LayerCosts
    from gpunet.latency.layers.convolutional import keys_from_spec
    from gpunet.latency.table import LatencyTable

    if args.classes < 1:
        raise InvalidArgumentError(f"--classes must be 1 or more, but got {args.classes}.")
    specs = {name: spec_named(name, args.zoo) for name in args.models}
    networks = {name: keys_from_spec(spec, num_classes=args.classes) for name, spec in specs.items()}
    with LatencyTable(args.table) as table:
        costs = LayerCosts.from_table(table)
        conditions = table.conditions
    found = {name: costs.network(keys) for name, keys in networks.items()}
    missing = [key for keys in networks.values() for key in keys if not costs.is_measured(key)]
    learned = costs.completion if missing else None
    outside = [] if learned is None else learned.outside(list(dict.fromkeys(missing)))
    if args.json:
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
        f"{conditions.batch_size}, threads {said.threads}, {said.processor}\n{costs.calibration}"
    )
    if learned is not None:
        print(f"layers that were not measured are learned from the others: {learned}")
    if outside:
        console.note(
            f"warning: {len(outside)} layers are larger or smaller than any in the table, such as {outside[0].text!r}: "
            "their figures are extrapolated."
        )
