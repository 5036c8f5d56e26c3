"""Files measured in turn, in blocks, and the ratios of their lower quartiles.

All files of a network run in turn, and lower quartiles are compared: whatever else runs on the machine only adds time.
That is repeated in blocks, each short enough for the machine to be in one mood, with the files loaded anew in another
order; a ratio is the median of the blocks', its +- half the distance of their quartiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.runtime import Session
from gpunet.runtime.timing import Measurement, interleave
from gpunet.zoo.file_session import session_from_file


def measured(
    runtime: str,
    files: Mapping[str, Path],
    images: np.ndarray,
    *,
    blocks: int,
    rounds: int,
    runs: int,
    threads: int | None,
    clock: Callable[[], float],
) -> list[dict[str, Measurement]]:
    """Measurements by kind of file, a dict a block; the sessions of one are let go before the next are loaded."""
    how: dict[str, Any] = {"rounds": rounds, "runs_per_round": runs, "clock": clock}
    found = []
    for number in range(blocks):
        found.append(interleave(load_all(runtime, files, threads, first=number), images, **how))
    return found


def load_all(runtime: str, files: Mapping[str, Path], threads: int | None, *, first: int) -> dict[str, Session]:
    """Sessions of the files, loaded in turn from the one numbered `first`.

    Where a network's weights come to lie in memory is worth a percent, and the network loaded first lies best.
    """
    kinds = list(files)
    start = first % len(kinds)
    turned = kinds[start:] + kinds[:start]
    return {kind: session_from_file(files[kind], runtime=runtime, threads=threads) for kind in turned}


def compared(
    name: str,
    runtime: str,
    blocks: Sequence[Mapping[str, Measurement]],
    base: str,
    ratio: Callable[[float, float], float],
) -> dict[str, Any]:
    """What one network measured on one runtime.

    Args:
        name, runtime: of the network and what ran it.
        blocks: see `measured`.
        base: the kind of file that the others are compared with.
        ratio: of the base's time and another's, in this order.
    """
    kinds = [kind for kind in blocks[0] if kind != base]
    ratios = {kind: [ratio(block[base].p25_ms, block[kind].p25_ms) for block in blocks] for kind in kinds}
    quartiles = {kind: np.quantile(each, [0.25, 0.5, 0.75]).tolist() for kind, each in ratios.items()}
    return {
        "model": name,
        "runtime": runtime,
        "ratios": {kind: median for kind, (_, median, _) in quartiles.items()},
        "uncertainties": {kind: (high - low) / 2 for kind, (low, _, high) in quartiles.items()},
        "p25_ms": {kind: min(block[kind].p25_ms for block in blocks) for kind in blocks[0]},
        "blocks": [{kind: each.to_dict() for kind, each in block.items()} for block in blocks],
    }


def geometric_means(ratios: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Over the networks, by the kind of file."""
    chosen = list(ratios)
    return {kind: math.exp(math.fsum(math.log(each[kind]) for each in chosen) / len(chosen)) for kind in chosen[0]}
