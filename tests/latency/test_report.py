from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import kendalltau

from gpunet.errors import InvalidArgumentError
from gpunet.latency.reference import Course, Look, ReferencePoint
from gpunet.latency.report import kendall_tau, summarize
from gpunet.latency.report_plot import draw


def test_errors_by_hand():
    found = summarize("way", [1.0, 2.0, 4.0], [1.1, 1.8, 4.0], completed_ms=[0.0, 0.69, 0.0])
    assert found.mape_percent == pytest.approx(100 * 0.2 / 3)
    assert found.bias_percent == pytest.approx(0.0)
    assert found.bias_us == pytest.approx(1000 * -0.1 / 3)
    assert found.worst_percent == pytest.approx(10)
    assert found.kendall_tau == 1
    assert found.completed_percent == pytest.approx(10)
    assert found.to_dict()["estimates_ms"] == (1.1, 1.8, 4.0)


values = st.lists(st.integers(0, 9), min_size=2, max_size=30)


@given(values, st.randoms())
def test_kendalls_tau_is_that_of_scipy(x: list[int], draw: object):
    y = [draw.choice(x) for _ in x]  # type: ignore[attr-defined]
    ours, theirs = kendall_tau(np.array(x), np.array(y)), kendalltau(x, y).statistic
    assert (math.isnan(ours) and math.isnan(theirs)) or ours == pytest.approx(theirs)


@pytest.mark.parametrize(("measured", "estimates"), [([], []), ([1.0], [1.0, 2.0]), ([0.0], [1.0])])
def test_what_is_no_pairs_is_refused(measured: list[float], estimates: list[float]):
    with pytest.raises(InvalidArgumentError, match="must come in pairs"):
        summarize("way", measured, estimates)


def test_the_picture_has_marks_of_every_way(tmp_path: Path):
    measured = [1.0, 3.0, 10.0, 30.0]
    ways = [summarize(name, measured, [factor * y for y in measured]) for name, factor in (("a", 1.2), ("b", 1.01))]
    draw(tmp_path / "fig4.png", measured, ways, title="a test")
    with Image.open(tmp_path / "fig4.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    for expected in ((0xD5, 0x5E, 0x00), (0xE6, 0x9F, 0x00)):
        assert min(sum(abs(a - b) for a, b in zip(expected, colour, strict=True)) for colour in colours) < 120


def test_the_picture_shows_how_the_machines_speed_went(tmp_path: Path):
    summary = summarize("layers", [1.0, 2.0], [1.1, 1.9])
    looks = [ReferencePoint(60.0 * minute, "b", Look(0.1, 10.0 + 3.0 * (minute > 2))) for minute in range(6)]
    for name, course in (("with", Course(looks)), ("without", Course([]))):
        draw(tmp_path / f"{name}.svg", [1.0, 2.0], [summary], title="a test", course=course)
    said = (tmp_path / "with.svg").read_text()
    assert "the reference's large network, 11.5 ms in the median" in said
    assert "minutes; where it moved by more than 5 % (grey)" in said
    assert "reference" not in (tmp_path / "without.svg").read_text()
