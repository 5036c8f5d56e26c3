"""What a table's estimates are worth: their error on networks measured whole, each left out of what corrects them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gpunet.errors import InvalidArgumentError, MissingDependencyError, MissingLatencyError, TableError

if TYPE_CHECKING:
    from gpunet.latency.estimate import LayerCosts
    from gpunet.latency.table import LatencyTable

DISTURBED_PERCENT = 10.0  # from a course's fastest tenth to its slowest
UNKNOWN_TOLERANCE_PERCENT = 5.0
MARGIN = "margin_factor"  # the note of a table that was estimated
TOLERATED_ERRORS = 2.0  # times the mean error: nine networks of ten lie within, where errors are normal


@dataclass(frozen=True)
class WholeNetwork:
    """A network measured whole.

    Args:
        layers: how many it has.
        estimated_ms: by a calibration that did not know it.
        measured_ms: at the machine's median speed.
    """

    layers: int
    estimated_ms: float
    measured_ms: float


@dataclass(frozen=True)
class Worth:
    """Of one table.

    Args:
        networks: measured whole; the error is theirs.
        corrects: whether a calibration corrects the estimates.
        spread_percent: how far the machine's speed went while it was measured (`Course.spread_percent`).
        moved_layers: layers measured while it moved.
        margin_factor: of a table that nobody measured: within it either way an estimate holds, four times in five; None
            for measured tables.
        why: it is not known, in words; '' where it is.
    """

    networks: tuple[WholeNetwork, ...] = ()
    corrects: bool = False
    spread_percent: float = 0.0
    moved_layers: int = 0
    margin_factor: float | None = None
    why: str = ""

    @property
    def error_percent(self) -> float | None:
        """Mean of |estimated / measured - 1|; None where it is not known."""
        errors = [abs(each.estimated_ms / each.measured_ms - 1.0) for each in self.networks]
        return None if self.why else 100.0 * sum(errors) / len(errors)

    @property
    def tolerance_percent(self) -> float | None:
        """Within so much of its estimate a network is held to lie; None where the error is not known."""
        if self.margin_factor is not None:
            return 100.0 * (self.margin_factor - 1.0)
        return None if self.error_percent is None else TOLERATED_ERRORS * self.error_percent

    @property
    def exactness(self) -> str:
        """How exact an estimate is, in words; only where that is known."""
        if self.margin_factor is not None:
            return f"a factor of {self.margin_factor:.3g} either way, 4 times in 5"
        return f"{self.error_percent:.1f} % in the mean, up or down"

    @property
    def disturbed(self) -> bool:
        """Whether the machine's speed went so far that the figures rest on what was taken out of them."""
        return self.spread_percent > DISTURBED_PERCENT

    def __str__(self) -> str:
        if self.margin_factor is not None:
            said = f"holds estimates, none measured: a network's holds within {self.exactness}"
        elif self.error_percent is None:
            said = f"its error is not known: {self.why}"
        else:
            how = "corrected by them" if self.corrects else "not corrected, as that does not help"
            said = f"estimates {len(self.networks)} networks within {self.error_percent:.1f} % in the mean, {how}"
        if self.disturbed:
            said += (
                f"; disturbed: the machine's speed went by {self.spread_percent:.0f} % while it was measured, and "
                f"{self.moved_layers} layers were measured while it moved"
            )
        return said

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Worth:
        """What `to_dict` wrote. Raises KeyError or TypeError for anything else."""
        return cls(**{**data, "networks": tuple(WholeNetwork(**each) for each in data["networks"])})

    def check_tier(self, low_ms: float, high_ms: float | None, *, allow_narrow: bool = False) -> None:
        """Raise InvalidArgumentError where a tier is narrower than the estimates are exact.

        Args:
            low_ms, high_ms: its bounds; no upper one is None or infinite. One without a bound at an end is never
                narrow.
            allow_narrow: take it all the same.
        """
        tolerance = self.tolerance_percent
        if allow_narrow or tolerance is None or not low_ms > 0 or high_ms is None:
            return
        width_percent = 100.0 * (high_ms / low_ms - 1.0)
        better = "build a table with more repeats on a quiet machine (gpunet table build --effort 4); "
        if self.margin_factor is not None:
            better = ""
        if width_percent < tolerance:
            raise InvalidArgumentError(
                f"the tier from {low_ms:g} to {high_ms:g} ms is {width_percent:.1f} % wide, but the table's estimates "
                f"are exact to {self.exactness}: chance would decide which networks lie in it.",
                f"Make it wider; {better}or take it as it is: allow_narrow.",
            )


def worth_of(table: LatencyTable, costs: LayerCosts | None = None) -> Worth:
    """What a table is worth, by the networks that it holds.

    Args:
        table: the latency table.
        costs: what it holds, calibrated, where that is known already.
    """
    from gpunet.latency.estimate import LayerCosts, measured_networks

    margin = table.noted(MARGIN)
    if margin is not None:
        return Worth(margin_factor=_margin_factor(table, margin), why="nobody measured it")
    course, layers = table.course(), table.layers()
    moved = sum(course.moved(each.at_s, each.builder) for each in layers.values())
    speed: dict[str, Any] = {"spread_percent": course.spread_percent, "moved_layers": moved}
    try:
        costs = LayerCosts.from_table(table) if costs is None else costs
    except (MissingDependencyError, MissingLatencyError) as error:
        return Worth(**speed, why=error.message)
    calibration = costs.calibration
    if not calibration.left_out:
        return Worth(**speed, why="it holds fewer than four networks measured whole (--networks)")
    known = [pair for pair in measured_networks(table) if costs.completes or all(map(costs.is_measured, pair[0]))]
    networks = tuple(
        WholeNetwork(len(keys), (1.0 + error) * measured_ms, measured_ms)
        for (keys, measured_ms), error in zip(known, calibration.left_out, strict=True)
    )
    return Worth(networks, calibration.corrects, **speed)


def _margin_factor(table: LatencyTable, noted: str) -> float:
    try:
        factor = float(noted)
    except ValueError:
        factor = math.nan
    if not 1.0 <= factor < math.inf:
        raise TableError(
            f"{table.path}: its margin is no factor of 1 or more: {noted!r:.40}.",
            "It is damaged: make it anew, by gpunet table build FILE --from-records.",
        )
    return factor
