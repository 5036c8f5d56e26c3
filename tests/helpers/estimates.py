"""Estimators with made-up but plausible latencies: the benchmark's roofline of each layer's work."""

from __future__ import annotations

from functools import cache

from search_benchmark.estimates import Roofline, roofline_ms, roofline_of

from gpunet.search import PAPER_SPACE

__all__ = ["Roofline", "paper_roofline", "roofline_ms", "roofline_of"]


@cache
def paper_roofline() -> Roofline:
    """About three seconds."""
    return roofline_of(PAPER_SPACE)
