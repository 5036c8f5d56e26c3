"""The front of latency and accuracy of many networks, by measuring those that predictions place near it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping

from gpunet.core.frontier import Point, frontier
from gpunet.zoo.timm_zoo.predicted import ANCHORS, THOROUGH, USUAL, Prediction, Work, anchors


class Front:
    """Networks that no other beats in latency and accuracy at once.

    Ten anchors, spread over multiply-adds; then the network whose predicted latency is the furthest below that of
    whatever is at least as accurate and measured; then such as would be below it if their prediction is as wrong as the
    worst of the family yet, or of all, and somewhat more. It ends where none is left: the front stands.

    Args:
        networks: to choose from.
        max_ms: where the front ends; infinite for all of it.
        known_ms: what has been measured before, by name.
        thorough: predictions are trusted less.
    """

    def __init__(
        self, networks: Iterable[Work], max_ms: float = math.inf, known_ms: Mapping[str, float] | None = None, *,
        thorough: bool = False,
    ) -> None:  # fmt: skip
        self.max_ms, self.floors = max_ms, THOROUGH if thorough else USUAL
        self._left = {each.name: each for each in networks}
        self._measured: dict[str, tuple[Work, float]] = {}
        known = {name: latency_ms for name, latency_ms in (known_ms or {}).items() if name in self._left}
        for name, latency_ms in known.items():
            self._take(name, latency_ms)
        self._anchors = [each.name for each in anchors(list(self._left.values()), ANCHORS - len(known))]

    def ask(self) -> str | None:
        """The network to measure next; None where the front stands."""
        if self._anchors:
            return self._anchors[0]
        prediction = self._prediction()
        margins = {each.name: limit_ms / max(prediction.likely_ms(each), 1e-9) for each, limit_ms in self._limits()}
        likely = [(margin, name) for name, margin in margins.items() if margin > 1]
        return max(likely or self._possible(prediction), default=(0, None))[1]

    def tell(self, name: str, latency_ms: float | None) -> None:
        """What was measured of a network; None where it does not run."""
        self._take(name, latency_ms)
        if name in self._anchors:
            too_slow = latency_ms is not None and latency_ms > self.max_ms
            self._anchors = [] if too_slow else [each for each in self._anchors if each != name]

    def expected(self) -> tuple[int, int]:
        """How many will be measured, by experience, and at most."""
        left = len(self._left)
        return min(left, ANCHORS + left * (2 if self.floors is THOROUGH else 1) // 5), left

    def standing(self) -> str:
        """How long the front is yet, in words."""
        points = [Point(name, latency_ms, each.top1_percent) for name, (each, latency_ms) in self._measured.items()]
        return f"{len(frontier(points))} on the front yet"

    def left(self) -> int:
        """How many networks are not measured."""
        return len(self._left)

    def may_fit(self) -> int:
        """How many of those may be on the front, as far as predictions may be wrong."""
        return len(self._possible(self._prediction()))

    def lowest_floor(self) -> float:
        """The least share of its prediction that one of those is held to."""
        prediction = self._prediction()
        return min((prediction.floor(each, self.floors, last=not prediction.knows(each))
                    for each in self._left.values()), default=1.0)  # fmt: skip

    def sureness(self) -> None:
        """Of a front there is none: it has many networks."""

    def _prediction(self) -> Prediction:
        return Prediction(self._measured.values())

    def _possible(self, prediction: Prediction) -> list[tuple[float, str]]:
        found = []
        for each, limit_ms in self._limits():
            floor = prediction.floor(each, self.floors, last=not prediction.knows(each))
            least_ms = max(prediction.plain_ms(each) * floor, 1e-9)
            if least_ms < limit_ms:
                found.append((limit_ms / least_ms, each.name))
        return found

    def _limits(self) -> list[tuple[Work, float]]:
        """Of each network that is not measured the latency above which it is not on the front."""
        # From the most accurate down, the least latency of what is at least as accurate.
        steps: list[tuple[float, float]] = []
        for top1, latency_ms in sorted((-each.top1_percent, ms) for each, ms in self._measured.values()):
            if not steps or latency_ms < steps[-1][1]:
                steps.append((top1, latency_ms))
        found = []
        for each in self._left.values():
            place = bisect_left(steps, (-each.top1_percent, math.inf))
            beaten_ms = steps[place - 1][1] if place else math.inf
            found.append((each, min(beaten_ms, self.max_ms)))
        return found

    def _take(self, name: str, latency_ms: float | None) -> None:
        each = self._left.pop(name)
        if latency_ms is not None:
            self._measured[name] = each, latency_ms
