"""Percentiles of what was measured, as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PERCENTILES = (50, 90, 99)
COLUMNS = ["mean>", "p50>", "p90>", "p99>", "max>"]


def figures(values: Sequence[float]) -> dict[str, float]:
    """Mean, percentiles and maximum; NaN of nothing."""
    if not len(values):
        return dict.fromkeys(["count", "mean", *(f"p{each}" for each in PERCENTILES), "max"], float("nan")) | {
            "count": 0
        }
    found = {"count": len(values), "mean": float(np.mean(values))}
    found |= {f"p{each}": float(np.percentile(values, each)) for each in PERCENTILES}
    return {**found, "max": float(np.max(values))}


def cells(found: dict[str, float], digits: int = 2, scale: float = 1.0) -> list[str]:
    """A row's cells below `COLUMNS`."""
    return [f"{scale * value:.{digits}f}" for name, value in found.items() if name != "count"]
