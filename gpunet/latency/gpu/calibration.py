"""Fitting the constants of the sheet model on public records: robust least squares of logarithmic errors.

A record counts less, the more its GPU and source have, by the fourth root of their number: 52 figures of one board must
not drown seven of another. Constants are held near their beginnings, so that a GPU left out cannot free one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gpunet.core.files import require
from gpunet.latency.gpu.kernels import KernelTable, joined
from gpunet.latency.gpu.public_records import PublicRecord
from gpunet.latency.gpu.sheet_model import START, network_ms
from gpunet.latency.gpu.sheets import GpuSheet

Constants = Mapping[str, float]
_SCALE, _PRIOR = 0.15, 0.15  # of the loss, and of what holds a constant, in logarithms


@dataclass(frozen=True)
class Problem:
    """Records with their networks' kernels and their GPUs' sheets, grouped by what the model is called with.

    Args:
        records: in order.
        tables: kernels by network.
        sheets: by GPU.
    """

    records: Sequence[PublicRecord]
    tables: Mapping[str, KernelTable]
    sheets: Mapping[str, GpuSheet]

    def only(self, chosen: Callable[[PublicRecord], bool]) -> Problem:
        """The problem of some of its records."""
        return Problem([each for each in self.records if chosen(each)], self.tables, self.sheets)

    def measured_ms(self) -> np.ndarray:
        """Of each record, `n`."""
        return np.array([each.latency_ms for each in self.records])

    def estimated_ms(self, constants: Constants) -> np.ndarray:
        """By the sheet model, `n`."""
        groups: dict[tuple[str, int, str, bool], list[int]] = {}
        for place, each in enumerate(self.records):
            groups.setdefault((each.gpu, each.batch_size, each.precision, each.swish_apart), []).append(place)
        made = np.zeros(len(self.records))
        for (gpu, batch_size, precision, apart), places in groups.items():
            table, starts = joined([self.tables[self.records[place].network] for place in places])
            made[places] = network_ms(table, starts, self.sheets[gpu], batch_size, precision, constants,
                                      swish_apart=apart)  # fmt: skip
        return made

    def weights(self) -> np.ndarray:
        """How much each record counts, `n`."""
        counts: dict[tuple[str, str, bool], int] = {}
        keys = [(each.gpu, each.source_id, each.batch_size > 1) for each in self.records]
        for key in keys:
            counts[key] = counts.get(key, 0) + 1
        return np.array([counts[key] ** -0.25 for key in keys])


def fitted(problem: Problem, start: Constants | None = None, *, steps: int = 10) -> dict[str, float]:
    """The constants that fit the records.

    Args:
        problem: what to fit.
        start: where to begin; by default at the model's beginnings.
        steps: of the solver; each costs as many evaluations as there are constants.
    """
    solve = require("scipy.optimize", "search", purpose="to fit the constants of GPU latency").least_squares
    names = list(START)
    measured, weights = np.log(problem.measured_ms()), problem.weights()
    held = np.log([START[name] for name in names])

    def errors(values: np.ndarray) -> np.ndarray:
        estimated = problem.estimated_ms(dict(zip(names, np.exp(values), strict=True)))
        return np.concatenate([weights * (np.log(estimated) - measured), _PRIOR * (values - held)])

    begin = np.log([(start or START)[name] for name in names])
    found = solve(errors, begin, loss="soft_l1", f_scale=_SCALE, max_nfev=steps, diff_step=1e-3)
    return dict(zip(names, map(float, np.exp(found.x)), strict=True))
