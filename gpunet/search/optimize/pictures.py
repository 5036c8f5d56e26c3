"""Pictures of a search: the partition of two dimensions, and regret against evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.core.pictures import picture
from gpunet.errors import InvalidArgumentError
from gpunet.search.optimize.lamcts import LaMcts

_GRID = 300  # points a side, at which a region's leaf is asked for


def plot_partition(optimizer: LaMcts, path: str | Path) -> None:
    """Draw the leaves of a two-dimensional search, shaded by their samples' mean rank, and the samples in them.

    Args:
        optimizer: of a domain of two dimensions, told of at least one value.
        path: ends in .png, .svg or .pdf.

    Raises:
        InvalidArgumentError: the optimiser has no partition, its domain another number of dimensions, nothing was told,
            or the file's name ends otherwise.
        MissingDependencyError: matplotlib is not installed.
    """
    if not isinstance(optimizer, LaMcts):
        raise InvalidArgumentError(
            f"Only a LaMcts has a partition to draw, but got {type(optimizer).__name__}.",
            "plot_regret draws what any optimiser found.",
        )
    if optimizer.domain.dimensions != 2 or optimizer.domain.encode(optimizer.domain.draw(1, _any())).shape[1] != 2:
        raise InvalidArgumentError(
            f"Only two dimensions can be drawn, but the domain has {optimizer.domain.dimensions}.",
            "print(optimizer.tree) shows the tree of any domain.",
        )
    if optimizer.best is None:
        raise InvalidArgumentError("There must be a value to draw, but none was told.", "Tell the optimiser one first.")
    with picture(path, (7, 6)) as figure:
        axes = figure.add_subplot()
        tree, unit = optimizer.tree, optimizer.domain.encode(optimizer.points)
        side = (np.arange(_GRID) + 0.5) / _GRID
        everywhere = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
        worth, selected = np.zeros(_GRID**2), np.zeros(_GRID**2)
        at = optimizer._features.spread(optimizer.domain.decode(everywhere))
        for leaf in tree.leaves():
            inside = tree.inside(leaf, at)
            worth[inside] = leaf.mean
            selected[inside] = leaf is tree.select()
        shape = (_GRID, _GRID)
        axes.imshow(worth.reshape(shape), origin="lower", extent=(0, 1, 0, 1), cmap="Greens", vmin=0, vmax=1.3)
        if selected.min() < selected.max():
            axes.contour(side, side, selected.reshape(shape), levels=[0.5], colors="#1f4e79", linewidths=1.5)
        known = np.isfinite(optimizer.values)
        axes.scatter(*unit[known].T, s=14, color="#333333", label="evaluated")
        if not known.all():
            axes.scatter(*unit[~known].T, s=20, color="#b03030", marker="x", label="failed")
        best = optimizer.domain.encode(optimizer.best[0][None])[0]
        axes.scatter(*best, s=160, color="#e0a000", marker="*", edgecolor="black", label="best", zorder=3)
        axes.set(xlabel="first dimension, scaled", ylabel="second dimension, scaled", xlim=(0, 1), ylim=(0, 1))
        axes.set_title(f"{len(tree.leaves())} leaves, darker is better; the selected one is outlined")
        axes.legend(loc="upper right", framealpha=0.9)


def plot_regret(curves: Mapping[str, np.ndarray], path: str | Path, *, title: str = "", log: bool = True) -> None:
    """Draw the median regret of each optimiser after each evaluation, with a band from quartile to quartile.

    Args:
        curves: by name, `seeds x evaluations` of each evaluation's regret, not of the best so far; NaN for one that
            failed.
        path: ends in .png, .svg or .pdf.
        title: above the picture.
        log: whether regret is drawn on a logarithmic scale.

    Raises:
        InvalidArgumentError: there is no curve, one is no array of numbers, or the file's name ends otherwise.
        MissingDependencyError: matplotlib is not installed.
    """
    if not curves:
        raise InvalidArgumentError(
            "There must be a curve to draw, but there is none.",
            'Give some by name: {"LA-MCTS": best - optimizer.values}.',
        )
    for name, curve in curves.items():
        given = np.asarray(curve)
        if given.dtype.kind not in "biuf" or given.ndim not in (1, 2) or not np.isfinite(given).any():
            raise InvalidArgumentError(
                f"A curve must be numbers, `seeds x evaluations`, but that of {name!r} is {curve!r:.100}.",
                "Regret is the best value there is less each evaluation's.",
            )
    with picture(path, (8, 5)) as figure:
        axes = figure.add_subplot()
        draw_regret(axes, curves, log=log)
        axes.set(xlabel="evaluations", ylabel="regret of the best so far, median and quartiles", title=title)
        axes.legend()


def draw_regret(axes: Any, curves: Mapping[str, np.ndarray], *, log: bool = True) -> None:
    """The lines and bands of `plot_regret` on these axes."""
    for number, (name, curve) in enumerate(curves.items()):
        best = np.fmin.accumulate(np.atleast_2d(np.asarray(curve, dtype=np.float64)), axis=1)
        some = np.isfinite(best).any(axis=0)  # the first ones may have failed
        low, middle, high = np.nanquantile(best[:, some], [0.25, 0.5, 0.75], axis=0)
        evaluations = np.flatnonzero(some) + 1
        axes.plot(evaluations, middle, color=f"C{number}", label=name)
        axes.fill_between(evaluations, low, high, color=f"C{number}", alpha=0.15, linewidth=0)
    if log:
        axes.set_yscale("log")
    axes.grid(alpha=0.25)


def _any() -> np.random.Generator:
    return np.random.default_rng(0)
