"""`gpunet table show`: what a latency table holds, and under which conditions it was measured."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.cli.table.options import Table
from gpunet.core import console

if TYPE_CHECKING:
    from gpunet.latency.table import LatencyTable
    from gpunet.latency.worth import Worth


@command("show", examples=["gpunet table show here.sqlite", "gpunet table show here.sqlite --failures"])
def show(
    table: Table,
    layers: Annotated[bool, opt("--layers", help="every layer with its figures")] = False,
    failures: Annotated[bool, opt("--failures", help="layers that could not be measured, with the reason")] = False,
    as_json: options.Json = False,
) -> None:
    """What a table holds, and under which conditions."""
    from gpunet.latency.table import LatencyTable
    from gpunet.latency.worth import worth_of

    with LatencyTable(table) as opened:
        worth = worth_of(opened)
        if as_json:
            console.print_json(_as_json(opened, worth, layers=layers))
            return
        print(f"{opened.path}: {worth}\n")
        print("\n".join(f"{name:<16} {value}" for name, value in opened.conditions.to_dict().items()))
        known, networks, failed = opened.layers(), opened.networks(), opened.failures()
        kinds = Counter(key.kind for key in known)
        print(f"\n{len(known)} layers: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common()) or '-'}")
        print(f"{len(networks)} networks measured whole, {len(failed)} layers failed")
        course = opened.course()
        if course.points:
            print(
                f"the reference was looked at {len(course.points)} times; the machine's speed lay within "
                f"{worth.spread_percent:.0f} %, and {worth.moved_layers} layers were measured while it moved"
            )
    if layers:
        columns = ["layer", "ms>", "context ms>", "border ms>", "lone ms>", "spread %>", "repeats>"]
        rows = [
            (key.text, *map(_ms, (each.latency_ms, each.context_ms, each.border_ms, each.lone_ms)),
             f"{each.spread_percent:.1f}", each.repeats) for key, each in known.items()
        ]  # fmt: skip
        print(f"\n{console.table(columns, rows)}")
    if failures:
        rows = [(key, attempts, reason) for key, (reason, attempts) in failed.items()]
        print(f"\n{console.table(['layer', 'attempts>', 'reason'], rows)}")


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _as_json(table: LatencyTable, worth: Worth, *, layers: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "conditions": table.conditions.to_dict(),
        "layer_count": len(table),
        "worth": str(worth),
        "error_percent": worth.error_percent,
        "disturbed": worth.disturbed,
        "reference": [
            {"at_s": each.at_s, "builder": each.builder, **asdict(each.look)} for each in table.course().points
        ],
        "networks": [{"layers": len(keys), **asdict(figures)} for keys, figures in table.networks()],
        "failures": {key: {"reason": why, "attempts": count} for key, (why, count) in table.failures().items()},
    }
    if layers:
        found["layers"] = {text: asdict(figures) for text, figures in table.rows()}
    return found
