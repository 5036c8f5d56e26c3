"""What charts, tables and tips of a report share: figures in words, and the colours of the tiers."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence

from gpunet.core.text import printable, told_apart
from gpunet.report.data import Report
from gpunet.report.drawing import PALETTE


def escape(text: str) -> str:
    """A text of anybody's for a page: nothing in it is markup, a control or a turn of the writing's direction."""
    return html.escape(printable(text, keep="\n"))


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


def scaled(count: int, unit: float) -> str:
    """12704472 in units of 1e6 -> '12.70'; below one, three figures."""
    value = count / unit
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}"


def top1_text(value: float | None) -> str:
    """81.234 -> 'top-1 81.23 %'."""
    return f"top-1 {percent_text(value)} %"


def percent_text(value: float | None) -> str:
    """81.234 -> '81.23'; '-' for none."""
    return "-" if value is None else f"{value:.2f}"


def percent_texts(values: Sequence[float | None]) -> list[str]:
    """As `percent_text`; of those that would read alike, three digits."""
    return told_apart(values, percent_text, lambda value: f"{value:.3f}")


def ms_text(value: float | None) -> str:
    """0.81234 -> '0.8123'; '-' for none."""
    return "-" if value is None else f"{value:.4g}"
