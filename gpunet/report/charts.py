"""The charts of a report: Pareto, samples, progress of each tier's search, estimates against measurements."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from gpunet.latency.report import summarize
from gpunet.report.chart import Chart, Mark, Series, padded
from gpunet.report.data import Report, TierReport
from gpunet.report.drawing import MUTED
from gpunet.report.pareto import pareto_chart
from gpunet.report.parts import ENDED_STATES
from gpunet.report.references import Reference
from gpunet.report.words import conditions, ms_text, percent_text, tier_colours, time_text, top1_text

_TRIALS = "#8a8a8a"
_IN_WORDS = {"fail": "failed"}


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
    x_range = (min(mark.x for mark in marks), max(mark.right or mark.x for mark in marks)) if marks else None
    y_range = padded((mark.y for mark in marks), zero=True) if marks else None
    part = [t.name for t in report.tiers if 0 < sum(t.sample.counts) < t.sample.count]
    said = "Estimated latency of the sampled networks; dotted lines are the bounds of the tiers."
    if part:
        said += f" The histogram is of a part of the points, scaled to all of them: {', '.join(part)}."
    return Chart(
        "samples", "Tiers and their samples", "estimated latency, ms", "points a ms", tuple(series), said,
        ("tier", "estimated latency", "points>", "points a ms>"), tuple(rows),
        rules=tuple(sorted(bound for bound in bounds if bound is not None)),
        spans=tuple((t.low_ms, math.inf if t.high_ms is None else t.high_ms, t.name) for t in report.tiers),
        height=360, empty="No tier has a histogram of its sample.", x_range=x_range, y_range=y_range,
    )  # fmt: skip


def progress_chart(tier: TierReport, colour: str, number: int = 0) -> Chart:
    """Best accuracy so far against the number of trials that ended, beside random search where it is known."""
    ended = [trial for trial in tier.trials if trial.state in ENDED_STATES]
    found = [trial.top1_percent if trial.state == "complete" else None for trial in ended]
    best, random_best = _running_best(found), _running_best(tier.random_top1_percent)
    series = [
        _best_so_far("random search, best so far", random_best, tier.name, MUTED, dashed=True),
        _best_so_far("search, best so far", best, tier.name, colour),
    ]
    last = max(len(best), len(random_best))
    rows = [
        (str(index + 1), *(percent_text(each) for each in row))
        for index, row in enumerate(itertools.zip_longest(found, best, random_best))
    ]
    every = [mark.y for each in series for mark in each.marks]
    complete = sum(trial.state == "complete" for trial in tier.trials)
    states = [trial.state for trial in tier.trials if trial.state != "complete"]
    said = f"{complete} of {len(tier.trials)} trials complete"
    said += "".join(f", {states.count(state)} {_IN_WORDS.get(state, state)}" for state in sorted(set(states)))
    said += f"; random search: {len(random_best)} trials." if random_best else "; random search: not known."
    return Chart(
        f"progress-{number + 1}", f"Search progress, {tier.name} ({tier.label})", "trials that ended", "best top-1, %",
        tuple(series), said, ("trial>", "top-1 %>", "search, best %>", "random, best %>"), tuple(rows),
        width=520, height=320, empty=f"No trial of {tier.name} has ended with an accuracy.",
        x_range=(0.0, last * 1.02 + 0.2), y_range=padded(every) if every else None,
    )  # fmt: skip


def _running_best(found: Sequence[float | None]) -> list[float | None]:
    """The best up to each; None before the first."""
    best: list[float | None] = []
    for value in found:
        before = best[-1] if best else None
        best.append(value if before is None or (value is not None and value > before) else before)
    return best


def _best_so_far(name: str, best: Sequence[float | None], tier: str, colour: str, *, dashed: bool = False) -> Series:
    steps: list[Mark] = []
    for number, value in enumerate(best, start=1):
        if value is not None and (not steps or value > steps[-1].y):
            steps.append(
                Mark(number, value, (f"{tier}, {name}", f"trial {number} of those that ended", top1_text(value)))
            )
    if steps and steps[-1].x < len(best):
        steps.append(Mark(len(best), steps[-1].y))
    return Series(name, "steps", tuple(steps), colour, radius=3.5, dashed=dashed)


def estimate_chart(report: Report) -> Chart:
    """Estimated against measured latency of all networks that have both."""
    colours = tier_colours(report)
    series, pairs, rows = [], [], []
    tried = []
    for tier in report.tiers:
        for trial in tier.complete:
            if trial.compared_ms is not None:
                pair = (f"trial {trial.number}, {tier.name}", trial.compared_ms, trial.estimated_ms)
                tried.append(_estimate_mark(*pair))
                pairs.append(pair)
    series.append(Series("trials", "points", tuple(tried), _TRIALS, "circle", 3.5))
    drawn = [
        (f"network {number} of the table ({each.layers} layers)", each.measured_ms, each.estimated_ms)
        for number, each in enumerate(report.whole)
    ]
    pairs += drawn
    marks = tuple(_estimate_mark(*pair) for pair in drawn)
    series.append(Series("the table's networks", "points", marks, _TRIALS, "diamond", 3.5))
    for tier in report.tiers:
        won = [
            (network.name, network.compared_ms, network.estimated_ms)
            for network in report.networks
            if network.tier == tier.name and network.compared_ms is not None and network.estimated_ms is not None
        ]
        pairs += won
        marks = tuple(_estimate_mark(*pair, labelled=True) for pair in won)
        series.append(Series(f"winners, {tier.name}", "points", marks, colours[tier.name], "circle", 6))
    said, ends = "", None
    if pairs:
        errors = summarize("", [measured for _, measured, _ in pairs], [estimated for *_, estimated in pairs])
        said = (
            f"{len(pairs)} networks: mean relative error {errors.mape_percent:.1f} %, "
            f"bias {errors.bias_percent:+.1f} %, worst {errors.worst_percent:.1f} %. "
            "On the line, estimate and measurement are equal. Measured is the least of the repeats, as in the table."
        )
        ends = padded([value for _, *values in pairs for value in values], share=0.08)
        ends = (max(0.0, ends[0]), ends[1])
        diagonal = (Mark(ends[0], ends[0]), Mark(ends[1], ends[1]))
        series.insert(0, Series("estimate = measurement", "line", diagonal, MUTED, dashed=True))
        rows = [(name, ms_text(y), ms_text(x), f"{100 * (x / y - 1):+.1f}") for name, y, x in reversed(pairs)]
    return Chart(
        "estimates", "Latency estimate against measurement", f"measured latency, ms ({conditions(report)})",
        "estimated latency, ms", tuple(series), said, ("network", "measured ms>", "estimated ms>", "error %>"),
        tuple(rows), width=760, height=520, empty="No network has both an estimate and a measurement.",
        x_range=ends, y_range=ends,
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
