"""A search's report as files: one HTML page, and its pictures as PNG."""

from __future__ import annotations

from pathlib import Path

from gpunet.core.files import require, write_text
from gpunet.errors import ReportError
from gpunet.report.architecture import draw_architecture, most_channels
from gpunet.report.charts import all_charts
from gpunet.report.data import Report
from gpunet.report.html import page
from gpunet.report.plot import draw_chart
from gpunet.report.png import save_picture
from gpunet.report.references import published

PAGE = "report.html"


def save_report(
    report: Report, folder: str | Path, *, html: str | Path | None = None, pictures: bool = True
) -> tuple[Path, tuple[Path, ...]]:
    """Write the page of a report, and its charts as PNG files; all atomically.

    Args:
        report: what a search found.
        folder: where to; made if it is not there.
        html: the page's own path; FOLDER/report.html by default. The pictures stand beside the page.
        pictures: whether to draw the PNG files too.

    Returns:
        The page's path, and those of the pictures.

    Raises:
        MissingDependencyError: (an ImportError) pictures are asked for and matplotlib is not installed.
        ReportError: (a ValueError) the page cannot be written.
    """
    if pictures:
        require("matplotlib", "plots", purpose="to draw the report's pictures")
    path = Path(folder) / PAGE if html is None else Path(html)
    references = published(report)
    try:
        write_text(path, page(report, references))
    except OSError as error:
        raise ReportError(
            f"cannot write {path}: {error.strerror or error}.", "Give a path that you can write to."
        ) from None
    if not pictures:
        return path, ()
    drawings = [draw_chart(chart, alone=True) for chart in all_charts(report, references) if chart.shown]
    tallest = most_channels(report.networks)
    drawings += [
        draw_architecture(network, number, tallest=tallest, alone=True)
        for number, network in enumerate(report.networks)
        if network.network is not None
    ]
    saved = []
    for drawing in drawings:
        picture = path.with_name(f"{path.stem}-{drawing.key}.png")
        save_picture(drawing, picture)
        saved.append(picture)
    return path, tuple(saved)
