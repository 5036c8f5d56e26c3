"""`gpunet find`: which networks satisfy a budget on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.core import console

if TYPE_CHECKING:
    from gpunet.model.entry import Match


@command(
    "find", panel="Ask",
    examples=["gpunet find -d gv100 --max-ms 0.8", "gpunet find -d rtx4090 --min-ips 5000 --zoo timm",
              "gpunet find -d local --max-ms 10 --zoo timm --budget-minutes 3",
              "gpunet find -d l4 --max-ms 1 --estimates",
              "gpunet find -d local --min-top1 80 --json"],
    renamed={"--include-baselines": "--baselines"},
)  # fmt: skip
def find(
    device: options.Device,
    max_ms: Annotated[float | None, opt(metavar="MS", help="latency budget in ms, for the whole batch")] = None,
    min_top1: Annotated[float | None, opt(metavar="PERCENT", help="least top-1 accuracy, in percent")] = None,
    max_params: Annotated[float | None, opt(metavar="N", help="most parameters, counted singly: 15e6")] = None,
    batch_size: options.BatchSize = 1,
    runtime: options.Runtime = None,
    precision: options.Precision = None,
    threads: options.Threads = None,
    include_nominal: options.IncludeNominal = False,
    baselines: options.Baselines = False,
    dataset: options.Dataset = None,
    min_ips: options.MinIps = None,
    licence: options.Licence = None,
    extra_data: options.ExtraData = None,
    family: options.Family = None,
    thorough: options.Thorough = False,
    budget_minutes: options.BudgetMinutes = None,
    estimates: options.Estimates = False,
    confidence: options.Confidence = 0.8,
    gpu_sheet: options.GpuSheet = None,
    refresh: Annotated[
        bool, opt("--refresh", help="on 'local': measure all anew, in place of the figures that are kept")
    ] = False,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
) -> None:
    """Networks that fit a latency budget on a device, the most accurate first.

    Where several records of a network apply, the slowest decides. Accuracies of other images than --dataset's are left
    out, and counted. Nothing fits: the nearest networks are named, and the exit code is 3. On 'local' with --zoo timm
    those are listed that have been measured; where none of them fits, or with --thorough or --budget-minutes, some tens
    are measured, which takes minutes once. With --estimates a GPU that nobody has measured is answered for, too: such
    matches come last, with their intervals.
    """
    from gpunet.zoo.choice.conditions import Query
    from gpunet.zoo.choice.estimated import is_estimated
    from gpunet.zoo.choice.scope import left_out_text, unlicensed_text
    from gpunet.zoo.query import fitting, nothing_fits

    query = Query(
        device=device,
        max_ms=max_ms,
        min_top1=min_top1,
        max_params=max_params,
        batch_size=batch_size,
        runtime=runtime,
        precision=precision,
        threads=threads,
        include_nominal=include_nominal,
        include_baselines=baselines,
        dataset=dataset,
        min_ips=min_ips,
        licence=licence,
        extra_data=extra_data,
        family=family,
        thorough=thorough,
        budget_minutes=budget_minutes,
        estimates=estimates,
        confidence=confidence,
        gpu_sheet=gpu_sheet,
    )
    matches = fitting(query, zoo, refresh=refresh, measuring=True)
    if not matches:
        raise nothing_fits(query, zoo)
    if as_json:
        found = [match.to_dict() for match in matches]
        about = {"device": device, "batch_size": batch_size, "dataset": matches.dataset, "left_out": matches.left_out,
                 "left_out_licences": matches.left_out_licences,
                 "search": matches.search and matches.search.to_dict()}  # fmt: skip
        console.print_json({**about, "matches": found})
        return
    by_ips = min_ips is not None
    sources = console.Footnotes()
    rows: list[tuple[Any, ...]] = []
    for match in matches:
        record = match.record
        rows.append(
            (
                match.name,
                console.percent(match.top1_percent),
                console.millions(match.entry.parameters),
                f"{record.throughput_ips:,.0f}" if by_ips and record.throughput_ips else "",
                record.batch_size,
                f"{console.milliseconds(match.latency_ms)}{_interval(match)}",
                record.kind,
                record.statistic,
                record.board,
                record.precision,
                f"{record.runtime} {record.runtime_version}".strip(),
                sources.number(record.source),
            )
        )
    columns = [
        "model", "top-1 %>", "params M>", "images/s>", "batch>", "ms>", "kind", "statistic", "board", "precision",
        "runtime", "source",
    ]  # fmt: skip
    if not by_ips:  # what is asked in milliseconds is of one batch size
        columns, rows = [*columns[:3], *columns[5:]], [(*row[:3], *row[5:]) for row in rows]
    print(console.table(columns, rows))
    print(f"\nTop-1 is on {matches.dataset}.\n\n{sources}")
    estimated = next((match for match in matches if is_estimated(match)), None)
    if estimated is not None:
        console.note(_said_of_estimates(estimated, device, confidence))
    if matches.left_out:
        console.note(left_out_text(matches.dataset, matches.left_out, shell=True))
    if matches.left_out_licences:
        console.note(unlicensed_text(matches.left_out_licences, shell=True))


def _interval(match: Match) -> str:
    """Of an estimate its bounds, behind the figure."""
    from gpunet.zoo.choice.estimated import is_estimated

    if not is_estimated(match):
        return ""
    low_ms, high_ms = (float(match.record.conditions[name]) for name in ("low_ms", "high_ms"))
    return f" ({low_ms:.3g} to {high_ms:.3g})"


def _said_of_estimates(match: Match, device: str, confidence: float) -> str:
    """What the estimates among the matches rest on, and how to turn one into a measurement."""
    from gpunet.zoo.choice.estimated import how_to_measure

    return (
        f"Nobody measured what is marked as estimated: in brackets the interval that held for {confidence:.0%} of "
        f"{match.record.conditions['rests_on']}. The budget is kept by its upper end. "
        f"{how_to_measure(match.name, device)}"
    )
