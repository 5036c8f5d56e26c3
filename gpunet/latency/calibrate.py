"""Calibration: what the sum of a network's layers still gets wrong, learned from a few networks measured whole.

    S_g    sum of a network's layers of group g, in ms
    y      the network measured whole, in ms
    y  ~  sum over g of a_g S_g

The factors a_g are found by least squares of the relative errors, drawn towards one common factor by a ridge whose
strength is chosen by leaving each network out in turn. With few networks or much noise the common factor is all that is
left, and where what it gains on networks left out is not above that gain's standard error, or there are no networks,
there is no correction at all. The correction is a factor a layer, so that an estimate stays a sum of look-ups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpunet.errors import InvalidArgumentError
from gpunet.latency.layers.keys import LayerKey

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, math.inf)
FEWEST = 4  # networks; fewer say nothing that their own noise does not say too

Network = tuple[Sequence[LayerKey], float]


@dataclass(frozen=True)
class Calibration:
    """Factors by group of layers.

    Args:
        factors: by group, as `group_of` names it.
        common: for groups that no calibration network had.
        networks: how many it was fitted on.
        left_out: for each network, in the order given, the relative error of its estimate when it is left out
            (0.02: two percent too high): by the strength of the ridge that does best, or of the plain sums where these
            stand.
    """

    factors: Mapping[str, float]
    common: float = 1.0
    networks: int = 0
    left_out: tuple[float, ...] = ()

    @property
    def error_percent(self) -> float | None:
        """Mean absolute error of networks left out in turn; None for fewer than four networks."""
        return 100.0 * math.fsum(map(abs, self.left_out)) / len(self.left_out) if self.left_out else None

    @property
    def corrects(self) -> bool:
        """Whether it changes anything; it does not where no correction helped."""
        return bool(self.factors) or self.common != 1.0

    def __str__(self) -> str:
        if self.corrects:
            return f"calibrated on {self.networks} networks, which it estimates within {self.error_percent:.1f} %"
        if self.networks:
            return f"not calibrated: it did not help on {self.networks} networks"
        return "not calibrated: the table holds fewer than four networks measured whole"

    def factor(self, key: LayerKey) -> float:
        """What a layer's latency is multiplied by."""
        return self.factors.get(group_of(key), self.common)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "factors": dict(self.factors), "common": self.common,
            "networks": self.networks, "error_percent": self.error_percent,
        }  # fmt: skip


NONE = Calibration({})


def group_of(key: LayerKey) -> str:
    """The group of layers that shares a factor: the kind; squeeze-excitation and the kinds at the ends apart."""
    if key.kind in ("input", "head"):
        return "ends"
    return f"{key.kind}+se" if getattr(key, "reduced_channels", 0) else key.kind


def calibrate(networks: Iterable[Network], latency_of: Callable[[LayerKey], float]) -> Calibration:
    """Fit factors to networks measured whole.

    Args:
        networks: keys, and the latency measured in ms.
        latency_of: a layer's latency in ms before correction.

    Returns:
        The calibration; `NONE` for fewer than four networks.

    Raises:
        InvalidArgumentError: (a ValueError) a latency is not above 0.
    """
    pairs = list(networks)
    if any(not measured > 0 for _, measured in pairs):
        raise InvalidArgumentError("latencies of calibration networks must be above 0 ms.")
    if len(pairs) < FEWEST:
        return NONE
    groups = sorted({group_of(key) for keys, _ in pairs for key in keys})
    sums = np.zeros((len(pairs), len(groups)))
    for row, (keys, measured) in enumerate(pairs):
        for key in keys:
            sums[row, groups.index(group_of(key))] += latency_of(key) / measured
    uncorrected = sums.sum(axis=1) - 1.0
    errors = {ridge: _left_out_errors(sums, ridge) for ridge in RIDGES}
    ridge = min(RIDGES, key=lambda each: (np.abs(errors[each]).mean(), -each))
    gained = np.abs(uncorrected) - np.abs(errors[ridge])
    if gained.mean() <= gained.std(ddof=1) / math.sqrt(len(pairs)):
        return Calibration({}, 1.0, len(pairs), tuple(uncorrected.tolist()))
    factors, common = _fit(sums, ridge)
    by_group = dict(zip(groups, factors.tolist(), strict=True))
    return Calibration(by_group, common, len(pairs), tuple(errors[ridge].tolist()))


def _fit(sums: np.ndarray, ridge: float) -> tuple[np.ndarray, float]:
    """Factors and the common factor; `sums` is networks x groups, relative to the latency measured."""
    total = sums.sum(axis=1)
    common = float(total.sum() / (total @ total))
    if math.isinf(ridge):
        return np.full(sums.shape[1], common), common
    share = np.maximum(sums.mean(axis=0), 1e-6)  # a group that is a small part of every network moves little
    matrix = sums.T @ sums + ridge * len(sums) * np.diag(share)
    rest = sums.T @ (1.0 - common * total)
    return np.maximum(common + np.linalg.solve(matrix, rest), 0.1 * common), common


def _left_out_errors(sums: np.ndarray, ridge: float) -> np.ndarray:
    """Relative error of each network by factors that were fitted without it."""
    errors = []
    for row in range(len(sums)):
        factors, _ = _fit(np.delete(sums, row, axis=0), ridge)
        errors.append(float(sums[row] @ factors) - 1.0)
    return np.array(errors)
