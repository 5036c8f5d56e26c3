"""A search's report as one HTML page: everything is in it, and nothing is fetched.

Every text that comes from a report is escaped. The page's policy forbids it all connections, so that it stays so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpunet.model.spec import NetworkSpec
from gpunet.report.architecture import KEY, draw_architecture, most_channels, parts_of
from gpunet.report.chart import Chart
from gpunet.report.charts import estimate_chart, progress_chart, sample_chart
from gpunet.report.data import NetworkReport, Report
from gpunet.report.pareto import pareto_chart
from gpunet.report.plot import draw_chart, series_key
from gpunet.report.references import Reference
from gpunet.report.script import SCRIPT, STYLE
from gpunet.report.svg import svg, swatch_svg
from gpunet.report.words import conditions, escape, percent_texts, scaled, tier_colours, time_text

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(report: Report, references: Sequence[Reference] = ()) -> str:
    """The page as text.

    Args:
        report: what the search found.
        references: published figures to stand beside it.
    """
    colours = tier_colours(report)
    progress = [
        _figure(progress_chart(tier, colours[tier.name], number), heading="h3")
        for number, tier in enumerate(report.tiers)
    ]
    sections = (
        _header(report),
        _sentences("To be noted", report.doubts),
        _sentences("Not there yet", report.missing),
        _section("Latency against accuracy", _figure(pareto_chart(report, references))),
        _section("Winners", _winners(report)),
        _section("Tiers and their samples", _tiers(report) + _figure(sample_chart(report))),
        _section(
            "Search progress", f'<div class="pair">{"".join(progress)}</div>' if progress else _empty("No tiers.")
        ),
        _section(
            "Latency estimate against measurement",
            _figure(estimate_chart(report)) + (f'<p class="note">{escape(report.worth)}</p>' if report.worth else ""),
        ),
        _section("Architectures", _architectures(report)),
        _section("Conditions", _conditions(report)),
        "<footer>Made by <code>gpunet report</code>.</footer>",
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(report.title)}</title>\n<style>{STYLE}</style>\n</head>\n'
        f'<body>\n<main>\n{"".join(sections)}\n</main>\n<div id="tip" role="tooltip" hidden></div>\n'
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a column whose name ends in '>' is set flush right, and the first cell of a row is its heading."""
    right = [' class="number"' if name.endswith(">") else "" for name in columns]
    head = "".join(
        f'<th scope="col"{kind}>{escape(name.rstrip(">"))}</th>' for name, kind in zip(columns, right, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(
            f'<th scope="row"{kind}>{escape(cell)}</th>' if not place else f"<td{kind}>{escape(cell)}</td>"
            for place, (cell, kind) in enumerate(zip(row, right, strict=True))
        ) + "</tr>"
        for row in rows
    )  # fmt: skip
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>\n"


def _empty(text: str) -> str:
    return f'<p class="empty">{escape(text)}</p>'


def _details(title: str, body: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{body}</details>"


def _figure(chart: Chart, *, heading: str = "") -> str:
    title = f"<{heading}>{escape(chart.title)}</{heading}>" if heading else ""
    caption = f"<figcaption>{escape(chart.caption)}</figcaption>" if chart.caption else ""
    if not chart.shown:
        return f"<div>{title}{_empty(chart.empty)}</div>"
    legend = "".join(
        f'<li><button type="button" aria-pressed="true" data-toggles="{series_key(number)}">'
        f"{swatch_svg(series)}{escape(series.name)}</button></li>"
        for number, series in enumerate(chart.shown)
    )
    data = _details(f"The figures as a table ({len(chart.rows):,} rows)", table(chart.columns, chart.rows))
    return f'<figure>{title}{caption}<ul class="legend">{legend}</ul>{svg(draw_chart(chart))}{data}</figure>'


def _header(report: Report) -> str:
    trials = sum(len(tier.trials) for tier in report.tiers)
    sampled = sum(tier.sample.count for tier in report.tiers)
    facts = (
        ("tiers", f"{len(report.tiers)}"),
        ("points sampled", f"{sampled:,}"),
        ("trials", f"{trials:,}"),
        ("winners", f"{len(report.networks)}"),
        ("best top-1", f"{max(each.top1_percent for each in report.networks):.1f} %" if report.networks else "-"),
    )
    shown = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return (
        f"<header><h1>{escape(report.title)}</h1>"
        f'<p class="lead">{escape(conditions(report))}</p>'
        f'<p class="lead">{escape(report.data)}; {escape(report.created)}</p>'
        f'<dl class="facts">{shown}</dl></header>\n'
    )


def _sentences(title: str, sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    return _section(title, f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in sentences)}</ul>")


def _winners(report: Report) -> str:
    if not report.networks:
        return _empty("No network has won a tier yet.")
    where = conditions(report)
    rows = [
        (
            network.name,
            network.tier,
            top1,
            _figure_text(network.measured_ms),
            _figure_text(network.spread_ms),
            _figure_text(network.estimated_ms),
            _error_text(network),
            scaled(network.parameters, 1e6),
            scaled(network.multiply_adds, 1e9),
            network.input_px,
        )
        for network, top1 in zip(report.networks, percent_texts([n.top1_percent for n in report.networks]), strict=True)
    ]
    columns = ("network", "tier", "top-1 %>", "measured ms>", "spread ms>", "estimated ms>", "error %>",
               "parameters M>", "multiply-adds G>", "input px>")  # fmt: skip
    note = (
        f"Latencies: {where}. The spread is the upper less the lower quartile of the repeats; the error is against the "
        f"least of them, which is what tables hold. Accuracy: {report.data}."
    )
    return f'{table(columns, rows)}<p class="note">{escape(note)}</p>'


def _figure_text(value_ms: float | None) -> str:
    return time_text(value_ms).removesuffix(" ms")


def _error_text(network: NetworkReport) -> str:
    if network.estimated_ms is None or network.compared_ms is None:
        return "-"
    return f"{100 * (network.estimated_ms / network.compared_ms - 1):+.1f}"


def _tiers(report: Report) -> str:
    if not report.tiers:
        return _empty("The report has no tiers.")
    total = sum(tier.sample.count for tier in report.tiers)
    rows = [
        (
            tier.name,
            f"{tier.low_ms:g}",
            "-" if tier.high_ms is None else f"{tier.high_ms:g}",
            f"{tier.sample.count:,}",
            f"{100 * tier.sample.count / total:.2f}" if total else "-",
            f"{len(tier.trials):,}",
            ", ".join(network.name for network in report.networks if network.tier == tier.name) or "none yet",
        )
        for tier in report.tiers
    ]
    return table(("tier", "from ms>", "to below ms>", "points sampled>", "share %>", "trials>", "winner"), rows)


def _architectures(report: Report) -> str:
    if not report.networks:
        return _empty("No network has won a tier yet: there is nothing to draw.")
    tallest = most_channels(report.networks)
    drawn = "".join(_architecture(each, number, tallest) for number, each in enumerate(report.networks))
    return f'<p class="note">{escape(KEY)}</p>{drawn}'


def _architecture(network: NetworkReport, number: int, tallest: int) -> str:
    said = [
        f"top-1 {network.top1_percent:.2f} %",
        "not measured" if network.measured_ms is None else f"{time_text(network.measured_ms)} measured",
        f"{scaled(network.parameters, 1e6)} M parameters",
        f"{scaled(network.multiply_adds, 1e9)} G multiply-adds",
        f"input {network.input_px} px",
    ]
    caption = f"{network.tier}: {', '.join(said)}. {network.note}".rstrip()
    if network.network is None:  # of another space: its decisions are all that is known of it
        body = table(("decision", "value"), [(name, str(value)) for name, value in network.spec.items()])
    else:
        drawing = draw_architecture(network, number, tallest=tallest)
        body = svg(drawing) + _details("The stages as a table", _stages(network.network))
    return f"<figure><h3>{escape(network.name)}</h3><figcaption>{escape(caption)}</figcaption>{body}</figure>"


def _stages(spec: NetworkSpec) -> str:
    columns = ("part", "layers", "channels>", "kernel>", "stride>", "expansion>", "SE", "activation", "px>",
               "parameters>", "multiply-adds>")  # fmt: skip
    rows = [
        (
            part.title,
            part.tip()[1],
            f"{part.channels}",
            f"{first.kernel_size}" if part.kind != "linear" else "-",
            f"{first.stride}" if part.kind != "linear" else "-",
            f"{part.expansion:g}" if part.kind in ("irb", "fused_irb") else "-",
            "yes" if part.squeezes else "no",
            first.activation or "none",
            f"{first.in_px} → {part.shapes[-1].out_px}",
            f"{sum(shape.parameters for shape in part.shapes):,}",
            f"{sum(shape.multiply_adds for shape in part.shapes):,}",
        )
        for part in parts_of(spec)
        for first in part.shapes[:1]
    ]
    return table(columns, rows)


def _conditions(report: Report) -> str:
    rows = [
        ("chip", report.chip),
        ("board", report.board),
        ("runtime", f"{report.runtime} {report.runtime_version}".rstrip()),
        ("precision", report.precision),
        ("batch size", f"{report.batch_size}"),
        ("data", report.data),
        ("made", report.created),
        *((f"version of {name}", version) for name, version in sorted(report.versions.items())),
    ]
    return table(("condition", "value"), rows)
