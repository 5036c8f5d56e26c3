"""The pictures hold what they should: checked by what was drawn, and that the file is a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpunet.errors import InvalidArgumentError
from gpunet.search import Box, LaMcts, Lattice, RandomSearch, plot_partition, plot_regret
from gpunet.search.optimize.pictures import draw_regret


def searched(domain: Box | Lattice, told: int = 40) -> LaMcts:
    optimizer = LaMcts(domain, leaf_size=8, seed=0)
    for number, point in enumerate(domain.draw(told, np.random.default_rng(0))):
        optimizer.tell(point, None if number % 9 == 8 else -float(np.square(domain.encode(point[None]) - 0.8).sum()))
    return optimizer


@pytest.mark.parametrize("domain", [Box([0, -5], [1, 5]), Lattice([9, 20])], ids=["box", "lattice"])
def test_a_partition_is_drawn(domain: Box | Lattice, tmp_path: Path):
    plot_partition(searched(domain), tmp_path / "partition.svg")
    text = (tmp_path / "partition.svg").read_text(encoding="utf-8")
    assert text.startswith("<?xml")
    assert "<image" in text


def test_regret_is_drawn(tmp_path: Path):
    curves = {"ours": np.random.default_rng(0).random((3, 20)), "theirs": np.ones(10)}
    plot_regret(curves, tmp_path / "regret.png", title="shifted Ackley")
    assert (tmp_path / "regret.png").read_bytes().startswith(b"\x89PNG")
    plot_regret(curves, tmp_path / "regret.pdf", log=False)
    assert (tmp_path / "regret.pdf").read_bytes().startswith(b"%PDF")


def test_failures_do_not_hide_a_curve():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axes = figure.add_subplot()
    draw_regret(axes, {"some": np.array([[np.nan, 3, np.nan, 2], [np.nan, np.nan, 5, 1]]), "one": np.array([4, 2])})
    some, one = axes.lines
    assert some.get_xdata().tolist() == [2, 3, 4]
    assert some.get_ydata().tolist() == [3, 4, 1.5]
    assert one.get_ydata().tolist() == [4, 2]


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda: plot_partition(RandomSearch(Box([0, 0], [1, 1])), "x.png"), "Only a LaMcts .* but got RandomSearch"),
        (lambda: plot_regret({"it": []}, "x.png"), r"A curve must be numbers, .* that of 'it' is \[\]"),
        (lambda: plot_regret({"it": ["a"]}, "x.png"), r"A curve must be numbers, .* that of 'it' is \['a'\]"),
        (lambda: plot_partition(searched(Box([0] * 3, [1] * 3)), "x.png"), "two dimensions can be drawn.* has 3"),
        (lambda: plot_partition(searched(Box([0, 0], [1, 1]), told=0), "x.png"), "none was told"),
        (lambda: plot_regret({}, "x.png"), "a curve to draw, but there is none"),
        (lambda: plot_regret({"it": [1, 2]}, "x.txt"), "must end in .png, .svg, .pdf, but got 'x.txt'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(act, text: str):
    with pytest.raises(InvalidArgumentError, match=text):
        act()
