"""The charts of a report: Pareto, samples, progress of each tier's search, estimates against measurements."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from gpunet.frontier import Point, frontier
from gpunet.latency.report import summarize
from gpunet.search.report_chart import Chart, Mark, Series, padded
from gpunet.search.report_data import NetworkReport, Report, TierReport
from gpunet.search.report_drawing import INK, MUTED, PALETTE
from gpunet.search.report_references import Reference

_FAINT, _BASELINE = "#8a8a8a", "#777777"


def conditions(report: Report) -> str:
    """What the latencies of a report were measured under, in a line."""
    version = f" {report.runtime_version}" if report.runtime_version else ""
    return f"{report.board}, {report.runtime}{version}, {report.precision}, batch {report.batch_size}"


def tier_colours(report: Report) -> dict[str, str]:
    """A colour for each tier, by its name."""
    return {tier.name: colour for tier, colour in zip(report.tiers, itertools.cycle(PALETTE), strict=False)}


def time_text(value_ms: float | None) -> str:
    """0.8123 -> '0.812 ms'; '-' for none."""
    return "-" if value_ms is None else f"{value_ms:.3g} ms" if value_ms < 100 else f"{value_ms:.1f} ms"


# ------------------------------------------------------------------------------------------------------------- Pareto


def pareto_chart(report: Report, references: Sequence[Reference] = ()) -> Chart:
    """Measured latency against accuracy: winners, trials, and what others published.

    Trials that nobody measured stand at their estimated latency, as a series of their own.
    """
    where, colours = conditions(report), tier_colours(report)
    series, rows = [], []
    trials = [(tier, trial) for tier in report.tiers for trial in tier.complete]
    for measured in (False, True):
        marks = []
        for tier, trial in trials:
            if (trial.measured_ms is not None) is not measured:
                continue
            latency_ms = trial.estimated_ms if trial.measured_ms is None else trial.measured_ms
            kind = "measured" if measured else "estimated"
            tip = (
                f"trial {trial.number}, {tier.name}",
                f"{time_text(latency_ms)} {kind}",
                _top1(trial.top1_percent),
                where,
            )
            marks.append(Mark(latency_ms, trial.top1_percent or 0.0, tip))
            rows.append(
                (
                    f"trial {trial.number}",
                    f"trial, {tier.name}",
                    kind,
                    _ms(latency_ms),
                    _percent(trial.top1_percent),
                    where,
                )
            )
        name = "trials, at measured latency" if measured else "trials, at estimated latency"
        series.append(Series(name, "points", tuple(marks), _FAINT, "circle" if measured else "ring", 3, faint=True))
    for role, name, colour, marker, radius in (
        ("baseline", "published baselines", _BASELINE, "diamond", 4.5),
        ("released", "released GPUNets, published", INK, "star", 7.5),
    ):
        found = [each for each in references if each.role == role]
        marks = [
            Mark(each.latency_ms, each.top1_percent,
                 (each.name, f"{time_text(each.latency_ms)} published", _top1(each.top1_percent), each.conditions),
                 each.name if role == "released" else "")
            for each in found
        ]  # fmt: skip
        rows += [(e.name, role, "published", _ms(e.latency_ms), _percent(e.top1_percent), e.conditions) for e in found]
        series.append(Series(name, "points", tuple(marks), colour, marker, radius))
    measured_ones = [network for network in report.networks if network.measured_ms is not None]
    series += _fronts(measured_ones, references)
    for tier in report.tiers:
        won = [network for network in measured_ones if network.tier == tier.name]
        marks = [Mark(n.measured_ms or 0.0, n.top1_percent, _winner_tip(n, where), n.name) for n in won]
        series.append(Series(f"winners, {tier.name}", "points", tuple(marks), colours[tier.name], "circle", 6.5))
    rows = [
        (n.name, f"winner, {n.tier}", "measured", _ms(n.measured_ms), _percent(n.top1_percent), where)
        for n in measured_ones
    ] + rows
    return Chart(
        "pareto", "Latency against accuracy", f"latency, ms ({where})", "top-1 accuracy, %", tuple(series),
        caption=_pareto_caption(report, references),
        columns=("network", "role", "latency is", "ms>", "top-1 %>", "conditions"), rows=tuple(rows),
        **_ranges(series), height=560, empty="No network has both a latency and an accuracy.",
    )  # fmt: skip


def _winner_tip(network: NetworkReport, where: str) -> tuple[str, ...]:
    spread = "" if network.spread_ms is None else f", spread {time_text(network.spread_ms)}"
    return (
        f"{network.name}, winner of {network.tier}",
        f"{time_text(network.measured_ms)} measured{spread}",
        _top1(network.top1_percent),
        where,
    )


def _fronts(networks: Sequence[NetworkReport], references: Sequence[Reference]) -> list[Series]:
    published = [Point(each.name, each.latency_ms, each.top1_percent) for each in references]
    own = [Point(each.name, each.measured_ms or 0.0, each.top1_percent) for each in networks]
    right = max((point.latency_ms for point in (*published, *own)), default=0.0) * 1.03
    series = []
    for name, points, colour, dashed in (
        ("front of what was published", published, MUTED, True),
        ("front of the winners", own, "#0072b2", False),
    ):
        marks = [Mark(point.latency_ms, point.top1_percent) for point in frontier(points)]
        if marks:
            marks.append(Mark(right, marks[-1].y))
        series.append(Series(name, "steps", tuple(marks), colour, dashed=dashed))
    return series


def _ranges(series: Sequence[Series]) -> dict[str, tuple[float, float]]:
    """Ranges that hold all but the trials that scored so little that they would press the rest together."""
    marks = [mark for each in series for mark in each.marks]
    if not marks:
        return {}
    kept = [mark.y for each in series if not each.faint for mark in each.marks]
    tried = sorted(mark.y for each in series if each.faint for mark in each.marks)
    if tried:
        top, quarter = max([*kept, *tried]), tried[len(tried) // 4]
        kept += [y for y in tried if y >= quarter - 2 * (top - quarter)]
    low, high = padded(kept)
    return {"x_range": padded((mark.x for mark in marks), zero=True, share=0.03), "y_range": (low, min(high, 101.0))}


def _pareto_caption(report: Report, references: Sequence[Reference]) -> str:
    said = ["Measured latency of the winners; a step is the Pareto front."]
    unmeasured = [network.name for network in report.networks if network.measured_ms is None]
    if unmeasured:
        said.append(f"Not measured, and so not shown: {', '.join(unmeasured)}.")
    if references:
        said.append(
            "Published figures are what others measured, with the versions and boards that their tips name: "
            "they were not measured anew."
        )
    return " ".join(said)


# ------------------------------------------------------------------------------------------------------------ samples


def sample_chart(report: Report) -> Chart:
    """Histogram of the estimated latencies of each tier's sample; a bar's area is its share of the points."""
    colours = tier_colours(report)
    series, rows, bounds = [], [], set()
    for tier in report.tiers:
        sample, total = tier.sample, sum(tier.sample.counts)
        marks = []
        for (low, high), count in zip(itertools.pairwise(sample.edges_ms), sample.counts, strict=True):
            density = count / total * sample.count / (high - low) if total else 0.0
            edges = f"{low:.4g} to {high:.4g} ms"
            marks.append(Mark(low, density, (tier.name, edges, f"{count:,} points", f"{density:,.4g} a ms"), "", high))
            rows.append((tier.name, edges, f"{count:,}", f"{density:,.4g}"))
        series.append(Series(f"{tier.name}: {sample.count:,} points", "bars", tuple(marks), colours[tier.name]))
        bounds |= {tier.low_ms, tier.high_ms} - {0.0, None}
    marks = [mark for each in series for mark in each.marks]
    ranges = {}
    if marks:
        right = max(mark.right or mark.x for mark in marks)
        ranges = {"x_range": (min(mark.x for mark in marks), right), "y_range": padded((m.y for m in marks), zero=True)}
    part = [t.name for t in report.tiers if 0 < sum(t.sample.counts) < t.sample.count]
    said = "Estimated latency of the sampled networks; dotted lines are the bounds of the tiers."
    if part:
        said += f" The histogram is of a part of the points, scaled to all of them: {', '.join(part)}."
    return Chart(
        "samples", "Tiers and their samples", "estimated latency, ms", "points a ms", tuple(series), said,
        ("tier", "estimated latency", "points>", "points a ms>"), tuple(rows),
        rules=tuple(sorted(bound for bound in bounds if bound is not None)),
        spans=tuple((t.low_ms, math.inf if t.high_ms is None else t.high_ms, t.name) for t in report.tiers),
        height=360, empty="No tier has a histogram of its sample.", **ranges,
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- progress


def progress_chart(tier: TierReport, colour: str, number: int = 0) -> Chart:
    """Best accuracy so far against the number of trials that ended, beside random search where it is known."""
    found = [trial.top1_percent or 0.0 for trial in tier.complete]
    random = list(tier.random_top1_percent)
    last = max(len(found), len(random))
    series, rows = [], []
    for name, values, each_colour, dashed in (
        ("random search, best so far", random, MUTED, True),
        ("search, best so far", found, colour, False),
    ):
        best = list(itertools.accumulate(values, max))
        rises = [index for index, value in enumerate(best) if index == 0 or value > best[index - 1]]
        said = (f"{tier.name}, {name}", "trial {} of those that ended")
        steps = [Mark(n + 1, best[n], (said[0], said[1].format(n + 1), _top1(best[n]))) for n in rises]
        if steps and steps[-1].x < len(best):
            steps.append(Mark(len(best), best[-1]))
        series.append(Series(name, "steps", tuple(steps), each_colour, radius=3.5, dashed=dashed))
    for index in range(last):
        rows.append((
            str(index + 1),
            _percent(found[index] if index < len(found) else None),
            _percent(max(found[: index + 1]) if index < len(found) else None),
            _percent(max(random[: index + 1]) if index < len(random) else None),
        ))  # fmt: skip
    every = [mark.y for each in series for mark in each.marks]
    ranges = {"x_range": (0.0, last * 1.02 + 0.2), "y_range": padded(every)} if every else {}
    states = [trial.state for trial in tier.trials if trial.state != "complete"]
    said = f"{len(found)} of {len(tier.trials)} trials complete"
    said += "".join(f", {states.count(state)} {state}" for state in sorted(set(states)))
    said += f"; random search: {len(random)} trials." if random else "; random search: not known."
    return Chart(
        f"progress-{number + 1}", f"Search progress, {tier.name} ({tier.label})", "trials that ended", "best top-1, %",
        tuple(series), said, ("trial>", "top-1 %>", "search, best %>", "random, best %>"), tuple(rows),
        width=520, height=320, empty=f"No trial of {tier.name} has ended with an accuracy.", **ranges,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- estimates


def estimate_chart(report: Report) -> Chart:
    """Estimated against measured latency of all networks that have both."""
    colours = tier_colours(report)
    series, pairs, rows = [], [], []
    tried = []
    for tier in report.tiers:
        for trial in tier.complete:
            if trial.measured_ms is not None:
                pair = (f"trial {trial.number}, {tier.name}", trial.measured_ms, trial.estimated_ms)
                tried.append(_estimate_mark(*pair))
                pairs.append(pair)
    series.append(Series("trials", "points", tuple(tried), _FAINT, "circle", 3.5))
    for tier in report.tiers:
        won = [
            (network.name, network.measured_ms, network.estimated_ms)
            for network in report.networks
            if network.tier == tier.name and network.measured_ms is not None and network.estimated_ms is not None
        ]
        pairs += won
        marks = tuple(_estimate_mark(*pair, labelled=True) for pair in won)
        series.append(Series(f"winners, {tier.name}", "points", marks, colours[tier.name], "circle", 6))
    said, ranges = "", {}
    if pairs:
        errors = summarize("", [measured for _, measured, _ in pairs], [estimated for *_, estimated in pairs])
        said = (
            f"{len(pairs)} networks: mean relative error {errors.mape_percent:.1f} %, "
            f"bias {errors.bias_percent:+.1f} %, worst {errors.worst_percent:.1f} %. "
            "On the line, estimate and measurement are equal."
        )
        ends = padded([value for _, *values in pairs for value in values], share=0.08)
        ends = (max(0.0, ends[0]), ends[1])
        ranges = {"x_range": ends, "y_range": ends}
        diagonal = (Mark(ends[0], ends[0]), Mark(ends[1], ends[1]))
        series.insert(0, Series("estimate = measurement", "line", diagonal, MUTED, dashed=True))
        rows = [(name, _ms(y), _ms(x), f"{100 * (x / y - 1):+.1f}") for name, y, x in reversed(pairs)]
    return Chart(
        "estimates", "Latency estimate against measurement", f"measured latency, ms ({conditions(report)})",
        "estimated latency, ms", tuple(series), said, ("network", "measured ms>", "estimated ms>", "error %>"),
        tuple(rows), width=760, height=520, empty="No network has both an estimate and a measurement.", **ranges,
    )  # fmt: skip


def _estimate_mark(name: str, measured_ms: float, estimated_ms: float, *, labelled: bool = False) -> Mark:
    error = f"{100 * (estimated_ms / measured_ms - 1):+.1f} %"
    tip = (name, f"{time_text(measured_ms)} measured", f"{time_text(estimated_ms)} estimated", f"error {error}")
    return Mark(measured_ms, estimated_ms, tip, f"{name} {error}" if labelled else "")


def all_charts(report: Report, references: Sequence[Reference]) -> tuple[Chart, ...]:
    """Every chart of a report, in its order."""
    colours = tier_colours(report)
    progress = [progress_chart(tier, colours[tier.name], number) for number, tier in enumerate(report.tiers)]
    return pareto_chart(report, references), sample_chart(report), *progress, estimate_chart(report)


def _top1(value: float | None) -> str:
    return f"top-1 {_percent(value)} %"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
