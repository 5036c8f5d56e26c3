"""The most accurate of many networks within a latency budget, by measuring few of them: ask what to measure, and tell.

Predictions (`gpunet.zoo.timm_zoo.predicted`) are off by a factor of two and more, so that networks predicted to be too
slow are measured too, as far as the worst prediction yet says that they might fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from gpunet.zoo.timm_zoo.predicted import ANCHORS, THOROUGH, USUAL, Prediction, Work, anchors

MOST, MOST_THOROUGH = 64, 400  # measurements
_EAGER, _LEAST_CHANCE = 40, 0.02  # until so many have been measured, errors yet say little: a small chance is tried
_HOPELESS = 4.0  # an anchor this many times over the budget: larger ones are not measured


class MostAccurate:
    """The most accurate network within a budget; ties go to the faster.

    Ten anchors, spread over multiply-adds; then, of the networks more accurate than the best found, the most accurate
    that is predicted to fit, with what is known of its family's error; then such as fit if the prediction is as wrong
    as the worst of the family yet, or of all, and somewhat more; then those of families not seen yet; last, until 40
    have been measured, those that fit with a chance of 2 %. It ends where none is left, or after 64 measurements.

    Args:
        networks: to choose from.
        max_ms: the budget; infinite for none, where the most accurate that runs is the answer.
        known_ms: what has been measured before, by name.
        thorough: predictions are trusted less, and 400 measurements are the most.
    """

    def __init__(
        self, networks: Iterable[Work], max_ms: float, known_ms: Mapping[str, float] | None = None, *,
        thorough: bool = False,
    ) -> None:  # fmt: skip
        self.max_ms, self.floors = max_ms, THOROUGH if thorough else USUAL
        self.most = MOST_THOROUGH if thorough else MOST
        self._left = {each.name: each for each in networks}
        self._measured: dict[str, tuple[Work, float]] = {}
        self._told = 0
        known = {name: latency_ms for name, latency_ms in (known_ms or {}).items() if name in self._left}
        for name, latency_ms in known.items():
            self._take(name, latency_ms)
        count = 0 if max_ms == math.inf else ANCHORS - len(known)  # without a budget there is none to learn
        self._anchors = [each.name for each in anchors(list(self._left.values()), count)]

    def ask(self) -> str | None:
        """The network to measure next; None where none is left that could be the answer."""
        if self._told >= self.most:
            return None
        if self._anchors:
            return self._anchors[0]
        chosen = self._next()
        return None if chosen is None else chosen.name

    def tell(self, name: str, latency_ms: float | None) -> None:
        """What was measured of a network; None where it does not run."""
        self._told += 1
        self._take(name, latency_ms)
        if name in self._anchors:
            hopeless = latency_ms is not None and latency_ms > _HOPELESS * self.max_ms
            self._anchors = [] if hopeless else [each for each in self._anchors if each != name]

    @property
    def best(self) -> str | None:
        """The most accurate that was measured and keeps the budget."""
        fits = [(-each.top1_percent, latency_ms, name) for name, (each, latency_ms) in self._measured.items()
                if latency_ms <= self.max_ms]  # fmt: skip
        return min(fits, default=(0, 0, None))[2]

    def expected(self) -> tuple[int, int]:
        """How many will be measured, by experience, and at most."""
        left = len(self._better())
        return min(left, 2 * self.most // 5 if self.floors is THOROUGH else self.most // 2), min(left, self.most)

    def standing(self) -> str:
        """The best yet, in words."""
        best = self.best
        if best is None:
            return "none fits yet"
        each, latency_ms = self._measured[best]
        return f"best yet {best}, {each.top1_percent:g} %, {latency_ms:.3g} ms"

    def left(self) -> int:
        """How many networks are more accurate than the best, and not measured."""
        return len(self._better())

    def may_fit(self) -> int:
        """How many of those are not ruled out."""
        prediction, eager = self._prediction(), self._told < _EAGER
        return sum(
            self._may_fit(prediction, each, last=not prediction.knows(each))
            or (eager and prediction.chance_within(each, self.max_ms) >= _LEAST_CHANCE)
            for each in self._better()
        )

    def _better(self) -> list[Work]:
        best = self.best
        least = -math.inf if best is None else self._measured[best][0].top1_percent
        return [each for each in self._left.values() if each.top1_percent > least]

    def lowest_floor(self) -> float:
        """Of the networks that were ruled out by estimate, the least share of its prediction that one was held to."""
        prediction = self._prediction()
        return min((prediction.floor(each, self.floors, last=not prediction.knows(each)) for each in self._better()),
                   default=1.0)  # fmt: skip

    def sureness(self) -> float:
        """How likely the best is the best of all, by the errors of predictions yet; 1 where none better is left."""
        prediction = self._prediction()
        return math.prod(1 - prediction.chance_within(each, self.max_ms) for each in self._better())

    def _take(self, name: str, latency_ms: float | None) -> None:
        each = self._left.pop(name)
        if latency_ms is not None:
            self._measured[name] = each, latency_ms

    def _prediction(self) -> Prediction:
        return Prediction(self._measured.values())

    def _next(self) -> Work | None:
        better = self._better()
        if not better:
            return None
        prediction = self._prediction()
        likely = [each for each in better if prediction.likely_ms(each) <= self.max_ms]
        if not likely:
            likely = [each for each in better if self._may_fit(prediction, each)]
        if likely:
            return max(likely, key=lambda each: (each.top1_percent, -prediction.plain_ms(each), each.name))
        unknown = [each for each in better
                   if not prediction.knows(each) and self._may_fit(prediction, each, last=True)]  # fmt: skip
        if unknown:
            return min(unknown, key=lambda each: (prediction.plain_ms(each), each.name))
        return self._by_chance(better, prediction) if self._told < _EAGER else None

    def _by_chance(self, better: list[Work], prediction: Prediction) -> Work | None:
        chances = [(prediction.chance_within(each, self.max_ms), each.top1_percent, each.name, each) for each in better]
        chance, _, _, likeliest = max(chances)
        return likeliest if chance >= _LEAST_CHANCE else None

    def _may_fit(self, prediction: Prediction, work: Work, *, last: bool = False) -> bool:
        return prediction.plain_ms(work) * prediction.floor(work, self.floors, last=last) <= self.max_ms
