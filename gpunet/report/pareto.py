"""The Pareto chart of a report: winners, trials, and what others published."""

from __future__ import annotations

from collections.abc import Sequence

from gpunet.core.frontier import Point, frontier
from gpunet.model.dataset_names import IMAGENET
from gpunet.model.entry import TIMM, Match
from gpunet.report.chart import Chart, Mark, Series, padded, reach_without_outliers
from gpunet.report.data import NetworkReport, Report
from gpunet.report.drawing import INK, MUTED
from gpunet.report.references import Reference, is_of_imagenet
from gpunet.report.words import conditions, ms_text, percent_text, percent_texts, tier_colours, time_text, top1_text

_FAINT, _BASELINE, _GREEN, _VERMILION, _CURVE = "#8a8a8a", "#777777", "#009e73", "#d55e00", "#aa4499"
_MOST_NAMED = 12  # of those beyond the axis
_ROOM = 0.1  # of a front's height or length, for a name
_Range = tuple[float, float] | None


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
                top1_text(trial.top1_percent),
                where,
            )
            marks.append(Mark(latency_ms, trial.top1_percent or 0.0, tip))
            rows.append(
                (
                    f"trial {trial.number}",
                    f"trial, {tier.name}",
                    kind,
                    ms_text(latency_ms),
                    percent_text(trial.top1_percent),
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
                 (each.name, f"{time_text(each.latency_ms)} published", top1_text(each.top1_percent), each.conditions),
                 each.name if role == "released" else "")
            for each in found
        ]  # fmt: skip
        rows += [
            (e.name, role, "published", ms_text(e.latency_ms), percent_text(e.top1_percent), e.conditions)
            for e in found
        ]
        series.append(Series(name, "points", tuple(marks), colour, marker, radius))
    measured_ones = [network for network in report.networks if network.measured_ms is not None]
    winners = []
    texts = dict(zip((n.name for n in measured_ones), percent_texts([n.top1_percent for n in measured_ones]),
                     strict=True))  # fmt: skip
    for tier in report.tiers:
        won = [network for network in measured_ones if network.tier == tier.name]
        marks = [Mark(n.measured_ms or 0.0, n.top1_percent, _winner_tip(n, texts[n.name], where), n.name) for n in won]
        winners.append(Series(f"winners, {tier.name}", "points", tuple(marks), colours[tier.name], "circle", 6.5))
    x_range, y_range = _ranges(series, winners)
    series += [*_fronts(measured_ones, references, x_range), *winners]
    rows = [
        (n.name, f"winner, {n.tier}", "measured", ms_text(n.measured_ms), texts[n.name], where) for n in measured_ones
    ] + rows
    of = report.dataset and f", {report.dataset}"
    return Chart(
        "pareto", f"Latency against accuracy: {where}", f"latency, ms ({where})", f"top-1 accuracy, %{of}",
        tuple(series),
        caption=_pareto_caption(report, references, series, x_range, y_range),
        columns=("network", "role", "latency is", "ms>", "top-1 %>", "conditions"), rows=tuple(rows),
        x_range=x_range, y_range=y_range, height=560, empty="No network has both a latency and an accuracy.",
    )  # fmt: skip


def front_chart(
    matches: Sequence[Match], *, title: str, dataset: str, curve: Sequence[Point] = (), curve_name: str = ""
) -> Chart:
    """Recorded latency against accuracy: what a query of the zoo matches, and their front.

    Each has its name beside it; of timm's, which may be hundreds, those of the front that lie apart. Where networks are
    known to be trained with and without distillation, the latter have a front of their own. The axis ends before far
    slower networks, the fastest of which are named below.

    Args:
        matches: at least one, each of known accuracy.
        title: above the picture: the device and the conditions.
        dataset: that the accuracies are of.
        curve: of other networks, the fastest first, drawn as a line that counts for no front, as far as the axis goes.
        curve_name: in the legend.
    """
    points = [Point(match.name, match.latency_ms, match.top1_percent or 0.0) for match in matches]
    front = {point.name: point.latency_ms for point in frontier(points)}
    named = _apart(frontier(points))
    reach = 1.25 if curve else 1.08  # a curve goes on where the others end
    right = reach * reach_without_outliers((point.latency_ms for point in points), front.values())
    series = [_front("frontier", points, _GREEN, right)]
    plain = [point for point, match in zip(points, matches, strict=True) if match.entry.distilled is False]
    if plain and any(match.entry.distilled for match in matches):
        series.insert(0, _front("frontier without distillation", plain, MUTED, right, dashed=True))
    for name, colour, marker, radius in (
        (TIMM, _VERMILION, "circle", 3.5),
        ("published figures only", _BASELINE, "ring", 4.5),
        ("baseline", _BASELINE, "circle", 4.5),
        ("own", "#0072b2", "diamond", 5.5),
        ("released", _GREEN, "star", 8.5),
    ):
        marks = [
            Mark(
                match.latency_ms,
                match.top1_percent or 0.0,
                label=_title_of(match) if name != TIMM or match.name in named else "",
            )
            for match in matches
            if name == (match.entry.role if match.entry.buildable else "published figures only")
        ]
        series.append(Series(name, "points", tuple(marks), colour, marker, radius))
    drawn = _until(curve, right)
    series.append(Series(curve_name, "line", drawn, _CURVE, "diamond", 4.5, dashed=True))
    titled = [*curve, *(Point(_title_of(m), m.latency_ms, m.top1_percent or 0.0) for m in matches)]
    beyond = sorted((point for point in titled if point.latency_ms > right), key=lambda point: point.latency_ms)
    told = [f"{each.name}, {each.latency_ms:g} ms, {each.top1_percent:g} %" for each in beyond[:_MOST_NAMED]]
    told += [f"and {len(beyond) - _MOST_NAMED} more"] if len(beyond) > _MOST_NAMED else []
    return Chart(
        "front", title, "latency in ms (where several records apply, the slowest)",
        f"top-1 accuracy in %, {dataset}", tuple(series), x_range=(0.0, right),
        y_range=padded([*(p.top1_percent for p in points if p.latency_ms <= right), *(mark.y for mark in drawn)]),
        width=900, height=600,
        note=f"Beyond the axis: {'; '.join(told)}." if told else "",
    )  # fmt: skip


def _until(curve: Sequence[Point], right: float) -> tuple[Mark, ...]:
    """The corners of a line through these points that lie left of `right`, and where it leaves."""
    marks = []
    for before, point in zip((None, *curve), curve, strict=False):
        if point.latency_ms > right:
            if before is not None:
                part = (right - before.latency_ms) / (point.latency_ms - before.latency_ms)
                height = before.top1_percent + part * (point.top1_percent - before.top1_percent)
                marks.append(Mark(right, height))
            break
        marks.append(Mark(point.latency_ms, point.top1_percent, (point.name,), point.name))
    return tuple(marks)


def _apart(front: Sequence[Point]) -> set[str]:
    """Of a front's networks those whose names have room: a part of the front's height or length from the one before."""
    if not front:
        return set()
    length = max(front[-1].latency_ms - front[0].latency_ms, 1e-9)
    height = max(front[-1].top1_percent - front[0].top1_percent, 1e-9)
    found = [front[-1]]
    for point in reversed(front):
        moved = (
            (found[-1].latency_ms - point.latency_ms) / length,
            (found[-1].top1_percent - point.top1_percent) / height,
        )
        if max(moved) > _ROOM:
            found.append(point)
    return {point.name for point in found}


def _title_of(match: Match) -> str:
    if match.entry.role == TIMM:  # without the tag of its weights
        name, at, px = match.name.partition("@")
        return f"{name.partition('.')[0]}{at}{px}"
    return match.entry.title or match.name


def _winner_tip(network: NetworkReport, top1: str, where: str) -> tuple[str, ...]:
    spread = "" if network.spread_ms is None else f", spread {time_text(network.spread_ms)}"
    return (
        f"{network.name}, winner of {network.tier}",
        f"{time_text(network.measured_ms)} measured{spread}",
        f"top-1 {top1} %",
        where,
    )


def _fronts(networks: Sequence[NetworkReport], references: Sequence[Reference], x_range: _Range) -> list[Series]:
    published = [Point(each.name, each.latency_ms, each.top1_percent) for each in references]
    own = [Point(each.name, each.measured_ms or 0.0, each.top1_percent) for each in networks]
    right = x_range[1] if x_range else max((point.latency_ms for point in own), default=0.0) * 1.03
    return [
        _front("front of what was published", published, MUTED, right, dashed=True),
        _front("front of the winners", own, "#0072b2", right),
    ]


def _front(name: str, points: Sequence[Point], colour: str, right: float, *, dashed: bool = False) -> Series:
    """Steps along the front of these points, the last one level as far as `right`."""
    marks = [Mark(point.latency_ms, point.top1_percent) for point in frontier(points) if point.latency_ms <= right]
    if marks:
        marks.append(Mark(right, marks[-1].y))
    return Series(name, "steps", tuple(marks), colour, dashed=dashed)


def _ranges(series: Sequence[Series], winners: Sequence[Series]) -> tuple[_Range, _Range]:
    """Ranges that hold all but what would press the rest together: far slower networks, trials that scored far less."""
    everything = [*series, *winners]
    marks = [mark for each in everything for mark in each.marks]
    if not marks:
        return None, None
    kept = [mark.y for each in everything if not each.faint for mark in each.marks]
    tried = sorted(mark.y for each in series if each.faint for mark in each.marks)
    if tried:
        top, quarter = max([*kept, *tried]), tried[len(tried) // 4]
        kept += [y for y in tried if y >= quarter - 2 * (top - quarter)]
    low, high = padded(kept)
    right = reach_without_outliers((mark.x for mark in marks), (mark.x for each in winners for mark in each.marks))
    return padded([right], zero=True, share=0.03), (low, min(high, 101.0))


def _pareto_caption(
    report: Report,
    references: Sequence[Reference],
    series: Sequence[Series],
    x_range: _Range,
    y_range: _Range,
) -> str:
    said = ["A step is the Pareto front, of measured winners or of published figures."]
    unmeasured = [network.name for network in report.networks if network.measured_ms is None]
    if unmeasured:
        said.append(f"Not measured, and so not shown: {', '.join(unmeasured)}.")
    least = y_range[0] if y_range else 0.0
    low = sum(mark.y < least for each in series for mark in each.marks)
    if low:
        said.append(f"{low} {'trial' if low == 1 else 'trials'} scored less than is shown here; the table has them.")
    slow = [mark.tip[0] for each in series for mark in each.marks if x_range and mark.x > x_range[1] and mark.tip]
    if slow:
        said.append(f"Slower than is shown here: {', '.join(slow)}; the table has them.")
    if not is_of_imagenet(report):
        said.append(
            f"Published accuracies are of {IMAGENET}, those here of {report.dataset}: they are not put side by side."
        )
    if references:
        said.append(
            "Published figures are what others measured, with the versions and boards that their tips name: "
            "they were not measured anew."
        )
    return " ".join(said)
