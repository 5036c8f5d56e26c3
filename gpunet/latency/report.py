"""How well a table estimates networks: Fig. 4 of the paper, measured anew, with and without each correction.

y_i    network i measured whole, in ms
x_i    its estimate
MAPE   mean of |x_i / y_i - 1|;  bias: mean of x_i / y_i - 1
tau    Kendall's tau-b of x and y: how far the order of the networks is right
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet.core import console
from gpunet.errors import InvalidArgumentError
from gpunet.latency.calibrate import Network, calibrate
from gpunet.latency.estimate import LayerCosts
from gpunet.latency.layers.keys import LayerKey

if TYPE_CHECKING:
    from gpunet.latency.table import LatencyTable


@dataclass(frozen=True)
class ErrorSummary:
    """Errors of one way of estimating, over the same networks.

    Args:
        name: of the way.
        mape_percent, bias_percent: see the module.
        bias_us: mean of estimate minus measurement, in microseconds: the paper's figure (75).
        worst_percent: the largest |x_i / y_i - 1|.
        kendall_tau: see the module; NaN for fewer than two networks.
        completed_percent: the part of the estimates that rests on layers that were not measured.
        estimates_ms: x, network by network.
    """

    name: str
    mape_percent: float
    bias_percent: float
    bias_us: float
    worst_percent: float
    kendall_tau: float
    completed_percent: float
    estimates_ms: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def summarize(
    name: str, measured_ms: Sequence[float], estimates_ms: Sequence[float], *, completed_ms: Sequence[float] = ()
) -> ErrorSummary:
    """The errors of estimates against measurements.

    Args:
        name: of the way of estimating.
        measured_ms: y.
        estimates_ms: x.
        completed_ms: the parts of x that rest on layers that were not measured; none for ().

    Raises:
        InvalidArgumentError: (a ValueError) there are none, or not as many of each, or a measurement is not above 0.
    """
    x, y = np.asarray(estimates_ms, float), np.asarray(measured_ms, float)
    if not len(y) or len(x) != len(y) or not (y > 0).all():
        raise InvalidArgumentError(
            f"estimates and measurements above 0 must come in pairs, but got {len(x)} and {len(y)}."
        )
    relative = x / y - 1.0
    return ErrorSummary(
        name=name,
        mape_percent=float(100.0 * np.abs(relative).mean()),
        bias_percent=float(100.0 * relative.mean()),
        bias_us=float(1000.0 * (x - y).mean()),
        worst_percent=float(100.0 * np.abs(relative).max()),
        kendall_tau=kendall_tau(x, y),
        completed_percent=float(100.0 * np.sum(completed_ms) / x.sum()) if len(completed_ms) else 0.0,
        estimates_ms=tuple(x.tolist()),
    )


def kendall_tau(x: np.ndarray, y: np.ndarray) -> float:
    """Kendall's tau-b: concordant less discordant pairs, over the pairs that are tied in neither; NaN where all are."""
    pairs = np.triu_indices(len(x), 1)
    dx, dy = np.sign(x[pairs[0]] - x[pairs[1]]), np.sign(y[pairs[0]] - y[pairs[1]])
    untied = np.sqrt(float((dx != 0).sum()) * float((dy != 0).sum()))
    return float((dx * dy).sum() / untied) if untied else float("nan")


WAYS = {"lone": "lone layers (the paper's sum)", "context": "layers in context"}
CALIBRATED, COMPLETED = ", calibrated", ", completed"


def error_report(
    table: LatencyTable,
    judged: Sequence[Sequence[LayerKey]],
    measured_ms: Sequence[float],
    *,
    calibrate_on: Sequence[Network] = (),
) -> list[ErrorSummary]:
    """The errors of a table's estimates, with and without each correction.

    Args:
        table: its layers are summed; those that it lacks are completed, and the way's name says so.
        judged: networks, as their keys.
        measured_ms: these networks measured whole.
        calibrate_on: other networks, measured whole; with fewer than four there is no calibrated sum.

    Returns:
        The plain sum of lone layers where the table has measured all of its layers so too, then that of layers in
        context; each as it is, and calibrated where that helps.

    Raises:
        InvalidArgumentError: (a ValueError) see `summarize`.
        MissingDependencyError: (an ImportError) layers are missing, and scikit-learn is not installed.
    """
    figures = table.layers()
    whole = all(key in figures for keys in (*judged, *(keys for keys, _ in calibrate_on)) for key in keys)
    lone = whole and all(each.lone_ms is not None for each in figures.values())
    found = []
    for method in ("lone", "context") if lone else ("context",):
        name = WAYS[method] + ("" if whole else COMPLETED)
        costs = LayerCosts.from_table(table, method=method, complete=not whole, correct=False)
        found.append(_judge(name, costs, judged, measured_ms))
        costs.prepare(key for keys, _ in calibrate_on for key in keys)
        calibration = calibrate(calibrate_on, costs.raw_ms)
        if calibration.corrects:
            costs = costs.corrected_by(calibration)
            found.append(_judge(name + CALIBRATED, costs, judged, measured_ms))
    return found


def _judge(
    name: str, costs: LayerCosts, judged: Sequence[Sequence[LayerKey]], measured_ms: Sequence[float]
) -> ErrorSummary:
    estimates = [costs.network(keys) for keys in judged]
    return summarize(
        name,
        measured_ms,
        [each.latency_ms for each in estimates],
        completed_ms=[each.completed_ms for each in estimates],
    )


def error_table(summaries: Sequence[ErrorSummary]) -> str:
    """Errors of estimates, a line a way of estimating."""
    columns = ["estimate", "MAPE %>", "bias %>", "bias us>", "worst %>", "Kendall tau>", "completed %>"]
    rows = [
        (each.name, f"{each.mape_percent:.2f}", f"{each.bias_percent:+.2f}", f"{each.bias_us:+.0f}",
         f"{each.worst_percent:.1f}", f"{each.kendall_tau:.3f}", f"{each.completed_percent:.0f}") for each in summaries
    ]  # fmt: skip
    return console.table(columns, rows)
