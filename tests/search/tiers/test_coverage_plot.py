from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from helpers.estimates import roofline_of
from helpers.spaces import SMALL_SPACE
from PIL import Image

from gpunet.errors import InvalidArgumentError
from gpunet.search.tiers.coverage_plot import discrepancy, draw_coverage
from gpunet.search.tiers.sobol import SobolChunks
from gpunet.search.tiers.stratify import Strata, stratify

SMALL = roofline_of(SMALL_SPACE)


def _strata(sampler: str = "sobol") -> Strata:
    return stratify(SMALL_SPACE, SMALL, bounds_ms=(0.035, 0.05), count=4000, sampler=sampler)


def test_the_picture_has_sobol_beside_uniform(tmp_path: Path):
    draw_coverage(tmp_path / "both.png", _strata(), _strata("uniform"))
    image = Image.open(tmp_path / "both.png").convert("RGB")
    assert image.size == (1650, 1125)
    colours = {tuple(pixel) for pixel in np.unique(np.asarray(image).reshape(-1, 3), axis=0)}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colours
    draw_coverage(tmp_path / "alone.svg", _strata())
    assert "<svg" in (tmp_path / "alone.svg").read_text(encoding="utf-8")


def test_discrepancy_is_that_of_hickernell():
    """One point in the middle of one dimension: 13/12 - 2 + 1; and even points lie below clustered ones."""
    assert discrepancy(np.array([[0.5]])) == pytest.approx((1 / 12) ** 0.5)
    even, random = SobolChunks(2, 0, 256).chunk(0), np.random.default_rng(0).random((256, 2))
    assert discrepancy(even.astype(float)) < discrepancy(random) / 3
    assert discrepancy(random) < discrepancy(random / 2)


def test_what_cannot_be_drawn_is_refused(tmp_path: Path):
    strata = _strata()
    with pytest.raises(InvalidArgumentError, match=r"must end in \.png, \.svg, \.pdf, but got 'picture'"):
        draw_coverage("picture", strata)
    with pytest.raises(InvalidArgumentError, match=r"same bounds, but have \(0\.035, 0\.05\) and \(0\.1,\) ms"):
        draw_coverage(tmp_path / "a.png", strata, dataclasses.replace(strata, bounds_ms=(0.1,)))
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InvalidArgumentError, match=r"cannot write .*a\.png: "):
        draw_coverage(tmp_path / "file" / "a.png", strata)
