"""LA-MCTS-guided Bayesian optimisation (the paper, section 3.3.1), as ask and tell.

A proposal is made in five steps: the values told are put on a scale that suits a Gaussian process (outcome.py), whose
hyperparameters are fitted from the last ones (surrogate.py); a partition of the space is learned, and UCB selects a
leaf (partition.py); within the leaf, and for every other proposal within a trust region around its best sample too
(TuRBO; Eriksson et al., NeurIPS 2019), the point of the greatest expected improvement is sought (maximize.py);
evaluations under way count as if they had come out as expected, so that many workers are given different points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gpunet.core.arguments import checked_integer, checked_number
from gpunet.errors import InvalidArgumentError
from gpunet.search.optimize.base import Optimizer
from gpunet.search.optimize.domain import Domain, every_point, numbers
from gpunet.search.optimize.features import Features
from gpunet.search.optimize.kernel import Prior
from gpunet.search.optimize.limits import Limits
from gpunet.search.optimize.outcome import OutcomeTransform
from gpunet.search.optimize.partition import LEAF_SIZE, PartitionTree
from gpunet.search.optimize.propose import WHOLE, Proposer
from gpunet.search.optimize.recommend import Recommendation, recommendation
from gpunet.search.optimize.starts.first import first_points, start_of
from gpunet.search.optimize.starts.sobol import Sequence as PointSequence
from gpunet.search.optimize.starts.warm import Source
from gpunet.search.optimize.surrogate import Fit, Surrogate, fit, informative

LISTED = 20_000  # points of a finite domain that are all scored
SIDES = (WHOLE, 0.6, WHOLE, 0.2)  # of the trust region, in turn, as parts of the domain
GREEDY = 4  # proposals of one batch that are sought one by one; the others come from draws of the posterior
FEW_PENDING = 32  # up to so many under way; beside hundreds, the draws are as good, and hundreds wait for them
GROWTH = 1.15  # the transform is chosen anew when there are so many times more samples
REFIT = 64  # the model is fitted anew when there is a sample more for each so many
REBUILD = 1.1  # the tree is learned anew when there are so many times more
LEAST_TO_RECOMMEND = 4  # values from which a model says what of them is noise
LEAST = 1e-3  # an improvement counts from this part of the distance of the best value from the median


class LaMcts(Optimizer):
    """Bayesian optimisation in the leaves of a partition that Monte Carlo tree search selects.

    Args:
        domain: where to look.
        seed: of everything random.
        maximize: whether higher values are better.
        initial: points before the first model (default: 8 on finite domains; in a box two a dimension up to 20, one a
            dimension up to 30, 10 at least).
        budget: how many evaluations there will be, if that is known: the default of `initial` is a fifth of it at most.
        leaf_size: samples that a leaf holds before it is cut.
        exploration: Cp of the UCB, as a fraction of the range of the values.
        partition: False leaves the partition and the trust region out.
        constraints: how many numbers are told with each value that have to be 0 or less (latency over its limit); the
            model learns where they are.

    Raises:
        InvalidArgumentError: `initial` or `leaf_size` is no integer of 2 or more, `exploration` no number or
            `constraints` no integer of 0 or more.
        MissingDependencyError: BoTorch or scikit-learn is not installed (at the first proposal of the model).
    """

    title = "LA-MCTS-guided Bayesian optimisation"
    modules = ("scipy.optimize", "sklearn.cluster", "sklearn.svm")

    def __init__(
        self,
        domain: Domain,
        *,
        seed: int = 0,
        maximize: bool = True,
        initial: int | None = None,
        budget: int | None = None,
        leaf_size: int = LEAF_SIZE,
        exploration: float = 0.1,
        partition: bool = True,
        constraints: int = 0,
    ) -> None:
        super().__init__(domain, seed=seed, maximize=maximize)
        self._given_initial = None if initial is None else checked_integer("initial", initial, 2)
        budget = None if budget is None else checked_integer("budget", budget, 1)
        self.initial = self._given_initial or first_points(domain, budget)
        self.leaf_size = checked_integer("leaf_size", leaf_size, 2)
        hint = "It is a fraction of the range of the values: 0.1, for instance."
        self.exploration, self.partition = checked_number("exploration", exploration, 0, hint=hint), partition
        self._limits = Limits(constraints)
        self._features = Features(domain)
        self._sources: list[Source] = []
        self._sequence = self._start()
        self._fit: Fit | None = None
        self._fitted_rows = 0  # samples at the last fit
        self._chosen_rows = 0  # samples when the transform was last chosen
        self._side = SIDES[0]
        self._improved = False
        self._tree: tuple[PartitionTree, int] | None = None
        self._listed = every_point(domain, LISTED) if domain.finite else None

    @property
    def constraints(self) -> int:
        """How many numbers are told with each value that have to be 0 or less."""
        return self._limits.count

    # ---------------------------------------------------------------- the start

    def plan(self, evaluations: int) -> None:
        """See `Optimizer.plan`: the start takes a fifth of them at most, unless `initial` was given."""
        evaluations = checked_integer("evaluations", evaluations, 1)
        self.initial = self._given_initial or first_points(self.domain, evaluations)

    def warm_start(self, points: ArrayLike, values: ArrayLike) -> None:
        """Say before the first `ask` what is known of points of a finite domain, or of others with the same digits.

        Another tier's trials, published accuracies, a cheap proxy: each source on its own scale, with its own noise, by
        a call of its own. They guide the search as far as what it evaluates bears them out.

        Args:
            points: `n x dimensions`, 4 or more.
            values: n finite numbers, better in the direction of the search.

        Raises:
            InvalidArgumentError: the domain is not finite, they are no such numbers, or a point has been told already.
        """
        if self._points or self._pending:
            raise InvalidArgumentError(
                "A search is warm-started before its first point, but this one has begun.", "Make a new optimiser."
            )
        worth = numbers("values", values)
        self._use(Source(self.domain, points, worth if self.maximize else -worth))
        self._sequence = self._start()

    def _use(self, source: Source) -> None:
        derived = int(self._features.derived.sum()) - len(self._sources)
        own = len(self._features.unordered) - len(self._sources)
        at = self._features.without_sources(source.points)
        source.learn(at, self._features.unordered[:own], derived)
        self._sources.append(source)
        self._features.add(source)

    def _start(self, drawn: int = 0) -> PointSequence:
        return start_of(self.domain, self.seed, self._features, self._sources, drawn)

    def middle(self) -> np.ndarray:
        """The point that is proposed first, where nothing has been told."""
        return self._start().take(1)[0]

    def skip(self, count: int) -> None:
        """Leave out so many of the points of the start."""
        self._sequence.take(count)

    # ---------------------------------------------------------------- proposals

    def _propose(self, n: int) -> np.ndarray:
        missing = min(n, self.initial - len(self._points) - len(self._pending))
        chosen = self._sequence_new(self._sequence, missing) if missing > 0 else self._rows([])
        # Of failures alone nothing can be learned: go on at random until one evaluation comes through.
        if len(chosen) < n and not np.isfinite(self._values).any():
            chosen = np.concatenate([chosen, self._draw_new(n - len(chosen), besides=chosen)])
        if len(chosen) < n:
            chosen = self._by_model(n, chosen)
        return chosen

    def _by_model(self, n: int, chosen: np.ndarray) -> np.ndarray:
        """`chosen`, and points sought by the model up to n."""
        known, features = self._known(), self._features(self.points)
        surrogate, z = self._surrogate(features, known)
        # Where an evaluation under way has come out as expected, there is little left to gain: without this, every
        # worker that asks before the first is done would be sent to the same place.
        surrogate = surrogate.believing(self._features(np.concatenate([self.pending, chosen])))
        if self.domain.finite:  # what noise made of a value is no reason to look around it
            z = surrogate.predict(features)[0]
        ranked, goal = self._limits.ranked(z)
        proposer = Proposer(
            self.domain,
            self._features,
            self._listed,
            self.points,
            features,
            ranked,
            goal,
            self.tree,
            self._generator,
            self._is_new,
        )
        # Seeking one by one costs a maximisation each. Beside hundreds under way a point is hardly better for it than a
        # draw of the posterior, and all of them wait.
        for _ in range(min(n - len(chosen), max(1, GREEDY * FEW_PENDING // max(FEW_PENDING, len(self._pending))))):
            taken = np.concatenate([self.pending, chosen])
            # Turns are told by the number of points, not by a counter: workers that each keep a copy of this optimiser,
            # and a search that goes on after a restart, take them in the same order.
            if not self._improved:  # else go on where that was
                self._side = SIDES[(len(self._points) + len(taken)) % len(SIDES)] if self.partition else SIDES[0]
            point = proposer.best(surrogate, self._side, taken)
            point = self._draw_new(1, besides=chosen) if point is None else point
            chosen = np.concatenate([chosen, point])
            if len(chosen) < n:
                surrogate = surrogate.believing(self._features(point))
        if len(chosen) < n:
            chosen = np.concatenate([chosen, proposer.drawn(surrogate, n - len(chosen), min(SIDES), chosen)])
        if len(chosen) < n:  # the leaf is exhausted: no worker goes without
            chosen = np.concatenate([chosen, self._draw_new(n - len(chosen), besides=chosen)])
        return chosen

    def _known(self) -> np.ndarray:
        """The values told; a failure counts as the worst of them."""
        # Bad enough to stay away from, and no further off the scale than what was seen: the model keeps its resolution.
        values = np.array(self._values)
        return np.where(np.isfinite(values), values, np.nanmin(values))

    def _surrogate(self, features: np.ndarray, known: np.ndarray) -> tuple[Surrogate, np.ndarray]:
        """The model, fitted if there is anything new; and z of all samples."""
        rows = informative(known)
        found = self._fit
        if found is None or self._is_behind(found, known):
            # To choose a transform is to fit under each: dear, and the best one seldom changes.
            choose = found is None or len(known) >= GROWTH * self._chosen_rows
            self._chosen_rows = len(known) if choose else self._chosen_rows
            derived = int(self._features.derived.sum())
            found, _ = fit(features[rows], known[rows], self._features.unordered, found, choose=choose, derived=derived)
            self._fit, self._fitted_rows = found, len(known)
        z, _ = found.outcome(known)
        limits = self._limits.learned(features, self._features)
        return Surrogate(features[rows], z[rows], self._features.unordered, found.theta, limits), z

    def _is_behind(self, found: Fit, known: np.ndarray) -> bool:
        """Whether so much is new that the model is to be fitted anew; or its transform cannot hold what is."""
        news = len(known) - self._fitted_rows
        return news >= max(1, self._fitted_rows // REFIT) or (news > 0 and found.outcome(known)[1] == -math.inf)

    def _worth(self) -> np.ndarray:
        values = super()._worth()
        return np.where(self._limits.kept(), values, math.nan) if self.constraints else values

    @property
    def recommended(self) -> Recommendation | None:
        """The best of what was told by the model, which knows how much of a value is noise; and how sure that is.

        None while there is no `best`. One that keeps all constraints, as far as they were told.
        """
        worth = self._worth()
        if np.isfinite(worth).sum() < LEAST_TO_RECOMMEND:
            return super().recommended
        known, features = self._known(), self._features(self.points)
        surrogate, _ = self._surrogate(features, known)
        outcome = self._fit.outcome if self._fit is not None else OutcomeTransform()
        found = recommendation(self.points, known, features, np.isfinite(worth), surrogate, outcome, self.seed)
        sign = 1 if self.maximize else -1
        low, high = sorted((sign * found.low, sign * found.high))
        return replace(found, told=sign * found.told, expected=sign * found.expected, low=low, high=high)

    @property
    def tree(self) -> PartitionTree:
        """The partition of what has been told; `print` shows it.

        It is learned anew with every tenth part more samples, from those there were then; the others are put in place.
        """
        # A tree is some clusterings and SVMs: learned with every sample, a long search would spend its time on it.
        # The number depends on the count alone, so that a search that goes on after a restart has the same tree.
        count = len(self._points)
        learned = count if count < 10 else math.floor(10 * REBUILD ** math.floor(math.log(count / 10, REBUILD)))
        features, values = self._features.spread(self.points), self._worth()
        if self._tree is None or self._tree[1] != learned:
            size = self.leaf_size if self.partition else max(learned, 2)
            tree = PartitionTree(features[:learned], values[:learned], size, self.exploration, self.seed)
            self._tree = tree, learned
        self._tree[0].update(features, values)
        return self._tree[0]

    # -------------------------------------------------------------------- state

    def tell(self, point: Any, value: float | None, constraints: Sequence[float] | None = None) -> None:
        """See `Optimizer.tell`.

        Args:
            point: a point of the domain.
            value: None if its evaluation failed.
            constraints: as many numbers as the optimiser was made for, each 0 or less where it is kept; None if they
                are not known, of an evaluation that failed.

        Raises:
            InvalidArgumentError: the point is not in the domain, the value is no number, or the constraints are not
                so many.
        """
        limits = self._limits.checked(value, constraints)
        before = np.nanmax(self._worth()) if self.best is not None else np.nan
        super().tell(point, value)
        self._limits.told.append(limits)
        if len(self._points) <= self.initial or np.isnan(before):
            return
        # A gain in the last digit is noise of the training, and no reason to stay in a region of that size.
        worth = self._worth()
        best = np.nanmax(worth)
        self._improved = bool(best - before > LEAST * (best - np.nanmedian(worth)))

    def learned(self) -> dict[str, Any] | None:
        """See `Optimizer.learned`."""
        fit = self._fit
        if fit is None or self.constraints:  # what was learned of limits does not travel
            return None
        return {
            "theta": fit.theta.tolist(), "outcome": [fit.outcome.power, fit.outcome.offset],
            "fitted_rows": self._fitted_rows, "chosen_rows": self._chosen_rows,
        }  # fmt: skip

    def adopt(self, learned: Mapping[str, Any]) -> None:
        """See `Optimizer.adopt`."""
        # Not what is older than our own, nor what was fitted to samples that this copy has not been told: its transform
        # may not hold ours.
        if not self._fitted_rows < learned["fitted_rows"] <= len(self._points) or self.constraints:
            return
        if len(learned["theta"]) != len(Prior.of(len(self._features.unordered)).start()):  # another version's
            return
        self._fit = Fit(np.array(learned["theta"]), OutcomeTransform(*learned["outcome"]))
        self._fitted_rows, self._chosen_rows = learned["fitted_rows"], learned["chosen_rows"]

    def _extra_state(self) -> dict[str, Any]:
        found = self._fit
        return {
            "sources": [each.to_dict() for each in self._sources],
            "sobol_drawn": self._sequence.drawn,
            "theta": None if found is None else found.theta.tolist(),
            "outcome": None if found is None else [found.outcome.power, found.outcome.offset],
            "fitted_rows": self._fitted_rows,
            "chosen_rows": self._chosen_rows,
            "side": self._side,
            "improved": self._improved,
            **self._limits.state(),
        }

    def _load_extra_state(self, state: Mapping[str, Any]) -> None:
        self._features, self._sources = Features(self.domain), []
        for each in state["sources"]:
            self._use(Source(self.domain, each["points"], each["values"]))
        self._sequence = self._start(drawn=state["sobol_drawn"])
        self._fit = (
            None if state["theta"] is None else Fit(np.array(state["theta"]), OutcomeTransform(*state["outcome"]))
        )
        self._fitted_rows, self._chosen_rows = state["fitted_rows"], state["chosen_rows"]
        self._tree = None
        self._side, self._improved = state["side"], state["improved"]
        self._limits.load(dict(state))
