"""The picture of a stratification: Sobol points beside uniform ones (paper, Fig. 5), and the tiers.

Above, the same number of points of both kinds in two dimensions of the unit cube, and the centred L2 discrepancy of
growing samples, averaged over pairs of digits: the smaller, the more even. Below, the points in each tier.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet.core.pictures import checked_picture, picture
from gpunet.errors import InvalidArgumentError
from gpunet.search.tiers.sobol import SobolChunks

if TYPE_CHECKING:
    from gpunet.search.tiers.stratify import Strata

SCATTERED = 512
SAMPLES = (32, 64, 128, 256, 512, 1024)
PAIRS = 10
# Colour-blind safe (Okabe and Ito).
_COLOURS = {"uniform": "#d55e00", "sobol": "#0072b2"}
_NAMES = {"uniform": "uniform", "sobol": "Sobol, scrambled"}


def discrepancy(points: np.ndarray) -> float:
    """Centred L2 discrepancy of `n x d` points of the unit cube: the lower, the more even (Hickernell 1998)."""
    count, dimensions = points.shape
    away = np.abs(points - 0.5)
    single = np.prod(1 + 0.5 * away - 0.5 * away**2, axis=1).sum()
    pairs = np.ones((count, count))
    for column, own in zip(points.T, away.T, strict=True):
        pairs *= 1 + 0.5 * own[:, None] + 0.5 * own - 0.5 * np.abs(column[:, None] - column)
    square = (13 / 12) ** dimensions - 2 / count * single + pairs.sum() / count**2
    return float(np.sqrt(max(0.0, square)))


def draw_coverage(path: str | Path, strata: Strata, uniform: Strata | None = None) -> None:
    """Draw the picture into `path`, atomically.

    Args:
        path: ends in .png, .svg or .pdf.
        strata: of Sobol points.
        uniform: of uniform ones, with the same bounds, whose counts stand beside; None to leave them out.

    Raises:
        InvalidArgumentError: the name's ending is not a picture's, the bounds differ, or the file cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    checked_picture(path)
    if uniform is not None and uniform.bounds_ms != strata.bounds_ms:
        raise InvalidArgumentError(
            f"both stratifications must have the same bounds, but have {strata.bounds_ms} and {uniform.bounds_ms} ms."
        )
    dimensions = len(strata.space.digits)
    samples = _samples(dimensions, strata.seed)
    with picture(path, (11, 7.5)) as figure:
        grid = figure.add_gridspec(2, 6, height_ratios=(1.1, 1))
        for place, (sampler, points) in enumerate(samples.items()):
            _scatter(figure.add_subplot(grid[0, 2 * place : 2 * place + 2]), sampler, points, dimensions)
        _discrepancies(figure.add_subplot(grid[0, 4:]), samples, dimensions)
        _tiers(figure.add_subplot(grid[1, :3]), strata, uniform)
        _digits(figure.add_subplot(grid[1, 3:]), strata)


def _samples(dimensions: int, seed: int) -> dict[str, np.ndarray]:
    count = max(SAMPLES)
    uniform = np.random.default_rng(seed).random((count, dimensions), np.float32)
    return {"uniform": uniform, "sobol": SobolChunks(dimensions, seed, count).chunk(0)}


def _scatter(axes: Any, sampler: str, points: np.ndarray, dimensions: int) -> None:
    last = dimensions - 1
    axes.scatter(points[:SCATTERED, 0], points[:SCATTERED, last], s=6, color=_COLOURS[sampler])
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="first digit", ylabel="last digit")
    axes.set_title(f"{SCATTERED} points, {_NAMES[sampler]}")


def _discrepancies(axes: Any, samples: dict[str, np.ndarray], dimensions: int) -> None:
    generator = np.random.default_rng(0)
    pairs = [generator.permutation(dimensions)[:2] for _ in range(PAIRS)]
    for sampler, points in samples.items():
        values = [np.mean([discrepancy(points[:count, pair].astype(float)) for pair in pairs]) for count in SAMPLES]
        axes.loglog(SAMPLES, values, marker="o", color=_COLOURS[sampler], label=_NAMES[sampler])
    axes.set(xlabel="points", ylabel="discrepancy, mean over pairs of digits", title="the lower, the more even")
    axes.grid(alpha=0.25, which="both")
    axes.legend(loc="lower left")


def _tiers(axes: Any, strata: Strata, uniform: Strata | None) -> None:
    both = [strata] if uniform is None else [strata, uniform]
    height = 0.8 / len(both)
    places = np.arange(len(strata.tiers))
    for number, each in enumerate(both):
        shares = 100 * np.array(each.counts) / each.count
        offset = height * (number - (len(both) - 1) / 2)
        bars = axes.barh(places + offset, shares, height, color=_COLOURS[each.sampler], label=_NAMES[each.sampler])
        axes.bar_label(bars, [f"{count:,}" for count in each.counts], padding=3, fontsize=8)
    axes.set_yticks(places, [tier.label for tier in strata.tiers])
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set(xlabel="% of the points", title=f"tiers of {strata.count:,} points by estimated latency")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)


def _digits(axes: Any, strata: Strata) -> None:
    """For each tier, which part of each digit's range its points take: the mean index, from 0 to 1."""
    means = [
        (each * np.arange(each.shape[1])).sum(1) / np.maximum(each.sum(1), 1) / max(1, each.shape[1] - 1)
        for each in strata.coverage
    ]
    image = axes.imshow(np.array(means).T, aspect="auto", vmin=0, vmax=1, cmap="PuOr", interpolation="nearest")
    axes.set_yticks(range(len(strata.tiers)), [tier.label for tier in strata.tiers])
    axes.set(xlabel="digit", title="mean choice of each digit (0: first, 1: last)")
    axes.figure.colorbar(image, ax=axes, fraction=0.05)
