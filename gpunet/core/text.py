"""Quantities in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """45 -> '45 s', 720 -> '12 min', 9000 -> '2.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
