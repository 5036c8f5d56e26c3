from __future__ import annotations

from pathlib import Path

import pytest
from helpers.report_example import HOSTILE, example_report, small_network, small_report
from PIL import Image

from gpunet.errors import InvalidArgumentError
from gpunet.report.drawing import PALETTE, Block, Dot, Drawing, Line, Words
from gpunet.report.png import save_picture
from gpunet.report.save import save_report


def _colours(path: Path) -> dict[tuple[int, ...], int]:
    with Image.open(path) as image:
        return {colour: count for count, colour in image.convert("RGB").getcolors(1 << 24)}


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


@pytest.mark.slow
def test_every_chart_is_a_picture_with_its_marks(tmp_path: Path):
    html, pictures = save_report(example_report(), tmp_path)
    assert html == tmp_path / "report.html"
    names = ["pareto", "samples", "progress-1", "progress-2", "progress-3", "estimates",
             "architecture-1", "architecture-2", "architecture-3"]  # fmt: skip
    assert [path.name for path in pictures] == [f"report-{name}.png" for name in names]
    assert sorted(tmp_path.iterdir()) == sorted([html, *pictures])
    for path in pictures:
        assert _colours(path)[255, 255, 255] > 1000
    pareto = _colours(pictures[0])
    for colour in PALETTE[:3]:  # a winner's dot has a radius of 6.5 px, at a scale of 1.5
        assert pareto[_rgb(colour)] > 150
    assert _colours(pictures[2])[_rgb(PALETTE[0])] > 300
    assert _colours(pictures[6])[_rgb("#5fa98f")] > 1000


def test_shapes_stand_where_they_are_drawn(tmp_path: Path):
    shapes = (
        Block(10, 10, 30, 20, "#ff0000"), Line(((50, 50), (90, 50)), "#0000ff", 4),
        Dot(20, 70, "diamond", 8, "#00ff00"), Dot(70, 20, "ring", 8, "#00ffff"), Words(50, 90, "$x$ <b>", 12),
    )  # fmt: skip
    save_picture(Drawing("key", "title", 100, 100, shapes), tmp_path / "shapes.png", scale=2)
    with Image.open(tmp_path / "shapes.png") as file:
        image = file.convert("RGB")
    assert image.size == (200, 200)
    for x, y, colour in ((25, 20, "#ff0000"), (70, 50, "#0000ff"), (20, 70, "#00ff00"), (70, 20, "#ffffff"),
                         (5, 5, "#ffffff"), (20, 79, "#ffffff"), (25, 76, "#ffffff")):  # fmt: skip
        assert image.getpixel((2 * x, 2 * y)) == _rgb(colour), (x, y)


def test_pictures_stand_beside_the_page_and_odd_names_are_drawn(tmp_path: Path):
    report = small_report(title=HOSTILE, networks=(small_network("$\\alpha_{$"),), board=HOSTILE)
    html, pictures = save_report(report, tmp_path, html=tmp_path / "other" / "page.html")
    assert html == tmp_path / "other" / "page.html"
    assert {path.parent for path in pictures} == {tmp_path / "other"}
    assert {path.name for path in pictures} >= {"page-pareto.png", "page-architecture-1.png"}


def test_an_empty_report_has_no_pictures(tmp_path: Path):
    assert save_report(small_report((), ()), tmp_path) == (tmp_path / "report.html", ())


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "report-pareto.png").mkdir()
    with pytest.raises(InvalidArgumentError, match=r"cannot write .*report-pareto\.png"):
        save_report(small_report(), tmp_path)
