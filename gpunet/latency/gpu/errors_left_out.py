"""Intervals that are earned: how far estimates were off on GPUs, or families, that they knew nothing of.

Errors are logarithms of measured over estimated, of records whose GPU (for the V100's layers: family) was left out of
all that was fitted. Each GPU counts as much as any other, however many records it has. An interval is the estimate
divided and multiplied by one factor, which covers the asked share of them; no side is favoured.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.core.arguments import checked_number
from gpunet.core.files import write_text

FILE = Path(__file__).parent / "data" / "calibration.json"
# Methods, from the one that knows most to the one that knows least.
ANCHORED, LAYERS, TRANSFERRED, SHEET, UNTRIED = "anchored", "layer records", "transferred", "sheet", "sheet, untried"
_SHARES = tuple(share / 100 for share in range(1, 100))


@dataclass(frozen=True)
class Calibration:
    """What is fitted, and how far it was off where it was not.

    Args:
        constants: of the sheet model.
        form: of the V100's layers.
        factors: by method and kind of network, the factor of each share of _SHARES.
        tried: in words, what the factors of a method rest on.
        trust: of an anchor: how much of its own error one measurement takes away from others of its GPU, 0 to 1.
    """

    constants: Mapping[str, float]
    form: Mapping[str, float]
    factors: Mapping[str, Mapping[str, Sequence[float]]]
    tried: Mapping[str, str]
    trust: float

    def factor(self, method: str, kind: str, confidence: float) -> float:
        """What an estimate is divided and multiplied by, so that this share of left-out figures lies between."""
        checked_number("confidence", confidence, _SHARES[0], _SHARES[-1])
        known = self.factors[method]
        grid = known.get(kind) or known["convolutional"]
        return float(np.exp(np.interp(confidence, _SHARES, np.log(grid))))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "constants": dict(self.constants), "form": dict(self.form), "trust": self.trust,
            "factors": {method: {kind: list(grid) for kind, grid in known.items()}
                        for method, known in self.factors.items()},
            "tried": dict(self.tried),
        }  # fmt: skip


@functools.cache
def calibration() -> Calibration:
    """What the package carries."""
    data = json.loads(FILE.read_text(encoding="utf-8"))
    return Calibration(data["constants"], data["form"], data["factors"], data["tried"], data["trust"])


def write_calibration(path: Path, made: Calibration) -> None:
    """Write it, atomically."""
    write_text(path, json.dumps(made.to_dict(), indent=1) + "\n")


def weighted_quantiles(errors: Sequence[float], units: Sequence[str], shares: Sequence[float]) -> list[float]:
    """Of absolute errors the quantiles, every unit (a GPU, a family) counting as much as any other.

    Args:
        errors: `n`.
        units: whose each error is, `n`.
        shares: of the quantiles, 0 to 1.
    """
    counts = {unit: units.count(unit) for unit in set(units)}
    order = np.argsort(np.abs(errors))
    weights = np.array([1.0 / counts[units[place]] for place in order])
    # One more unit, of which nothing is known: few units make a wide interval.
    reached = np.cumsum(weights) / (weights.sum() + 1.0)
    sorted_errors = np.abs(np.asarray(errors, float))[order]
    return [float(sorted_errors[min(np.searchsorted(reached, share), len(order) - 1)]) for share in shares]


def factors_of(errors: Sequence[float], units: Sequence[str]) -> list[float]:
    """The factor of each share that is kept, from logarithmic errors and whose they are."""
    return [round(math.exp(each), 4) for each in weighted_quantiles(list(errors), list(units), _SHARES)]
