"""LA-MCTS as a sampler of Optuna: `optuna.create_study(sampler=LaMctsSampler(seed=0))`.

The class derives from one of an optional package, so it is made when it is first asked for (PEP 562).

What becomes of a trial:

    complete   its value
    pruned     the last value it reported, or a failure if it reported none
    failed     a failure: the model learns to stay away
    running    a point under way: not proposed again, and believed to come out as expected
"""

from __future__ import annotations

import functools
import math
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gpunet.core.arguments import checked_integer
from gpunet.core.files import require
from gpunet.errors import ExhaustedError, InvalidArgumentError
from gpunet.search.optimize.lamcts import LaMcts
from gpunet.search.optimize.optuna_space import OptunaSpace

_PURPOSE = "to sample the trials of a study"
_CONSTRAINTS = "constraints"  # where Optuna keeps those of a trial


class IndependentSamplingWarning(UserWarning):
    """A parameter is sampled at random, since not every trial has it."""


class Guide:
    """An optimiser that is kept abreast of one study's trials; knows trials only by what they hold.

    Args:
        space: distributions by name.
        maximize: the study's direction.
        options: of `LaMcts`.
        alone: whether trials have no other parameters; else a point that was tried may be tried again, with others.
    """

    def __init__(self, space: Mapping[str, Any], maximize: bool, options: Mapping[str, Any], alone: bool) -> None:
        self.space, self.alone = dict(space), alone
        self.constraints = options.get("constraints", 0)
        self._known = OptunaSpace(space, repeats=not alone)
        self.optimizer = LaMcts(self._known.domain, maximize=maximize, **options)
        self.told: set[int] = set()
        self._handed: dict[int, np.ndarray] = {}  # by trial, points whose parameters the study does not show yet
        self._begun = False

    def propose(self, trials: Sequence[Any], number: int) -> dict[str, Any]:
        """Parameters for the trial of this number, by all the others; {} where every point has been tried."""
        under_way: list[Any] = []
        for trial in trials:
            if trial.number in self.told or trial.number == number:
                continue
            handed = self._handed.get(trial.number)
            shown = self._known.point(trial.params) if self._has_all(trial) else None
            if trial.state.is_finished():
                self._handed.pop(trial.number, None)
                if shown is not None:
                    unknown = [math.nan] * self.optimizer.constraints
                    self.optimizer.tell(shown, _value_of(trial), _constraints_of(trial) or unknown)
                    self.told.add(trial.number)
            elif trial.state.name == "RUNNING" and (shown is not None or handed is not None):
                under_way.append(handed if shown is None else shown)
        self.optimizer.expect(under_way)
        if not self._begun:
            self._begun = True
            self._skip_middle()
        try:
            self._handed[number] = self.optimizer.ask()[0]
        except ExhaustedError:
            return {}
        return self._known.values(self._handed[number])

    def reseed(self, seed: int) -> None:
        """Another seed of what is random from now on."""
        self.optimizer.reseed(seed)

    def _skip_middle(self) -> None:
        """Start after the middle of the domain, if another worker or an earlier one has tried it."""
        middle = self._known.point(self._known.values(self.optimizer.middle()))
        tried = np.concatenate([self.optimizer.points, self.optimizer.pending])
        if np.isclose(tried, middle).all(axis=1).any():
            self.optimizer.skip(1)

    def _has_all(self, trial: Any) -> bool:
        """Whether the trial has every parameter, within its present bounds."""
        return all(
            name in trial.params and distribution._contains(distribution.to_internal_repr(trial.params[name]))
            for name, distribution in self.space.items()
        )


def _constraints_of(trial: Any) -> list[float]:
    """What Optuna keeps of a trial's constraints; none for a trial that has none."""
    return list(trial.system_attrs.get(_CONSTRAINTS) or ())


def _counts(trial: Any) -> bool:
    """Whether the trial has a say in which parameters every trial has."""
    return trial.state.name in ("COMPLETE", "PRUNED")


def _has_others(trial: Any, space: Mapping[str, Any]) -> bool:
    """Whether the trial has parameters, of more than one value, besides those of the space."""
    return any(not each.single() for name, each in trial.distributions.items() if name not in space)


def _value_of(trial: Any) -> float | None:
    if trial.state.name == "COMPLETE":
        return trial.value
    if trial.state.name == "PRUNED" and trial.intermediate_values:
        return trial.intermediate_values[max(trial.intermediate_values)]
    return None


@functools.cache
def _sampler_class() -> Any:
    optuna: Any = require("optuna", "search", purpose=_PURPOSE)

    class LaMctsSampler(optuna.samplers.BaseSampler):  # type: ignore[misc]
        """Bayesian optimisation in the leaves of a Monte Carlo search tree; for studies of one objective.

        Parameters that not every trial has (conditional ones) are sampled at random, with a warning.

        Args:
            seed: of everything random (default: another one each time).
            warn_independent_sampling: whether to warn of parameters sampled at random.
            constraints_func: of a finished trial, numbers that are 0 or less where a constraint is kept, as of Optuna's
                own samplers; always as many.
            options: `initial`, `leaf_size`, `exploration` of `LaMcts`.

        Raises:
            InvalidArgumentError: the seed or an option is none.
        """

        def __init__(
            self,
            *,
            seed: int | None = None,
            warn_independent_sampling: bool = True,
            constraints_func: Callable[[Any], Sequence[float]] | None = None,
            **options: Any,
        ) -> None:
            seed = None if seed is None else checked_integer("seed", seed, 0)
            self._seed = int(np.random.default_rng(seed).integers(2**31))
            self._options = options
            self._warns = warn_independent_sampling
            self._constraints_func = constraints_func
            self._random = optuna.samplers.RandomSampler(seed=self._seed)
            self._spaces = optuna.search_space.IntersectionSearchSpace(include_pruned=True)
            self.guide: Guide | None = None
            self._study: str | None = None
            self._lock = threading.RLock()  # of `study.optimize(n_jobs=...)`
            space = OptunaSpace({"x": optuna.distributions.FloatDistribution(0, 1)})
            LaMcts(space.domain, seed=self._seed, maximize=True, constraints=0, **options)  # refuses now

        def __getstate__(self) -> dict[str, Any]:
            return {**self.__dict__, "_lock": None}

        def __setstate__(self, state: dict[str, Any]) -> None:
            self.__dict__.update(state, _lock=threading.RLock())

        def reseed_rng(self) -> None:
            # Called before each trial of `study.optimize(n_jobs=...)`, whose threads share the guide.
            with self._lock:
                self._seed = int(np.random.default_rng().integers(2**31))
                self._random.reseed_rng()
                if self.guide is not None:
                    self.guide.reseed(self._seed)

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            if len(study.directions) > 1:
                raise InvalidArgumentError(
                    f"LaMctsSampler needs a study of one objective, but this one has {len(study.directions)}.",
                    "Optimise one of them, with the others as constraints (`constraints_func`).",
                )
            with self._lock:
                spaces = self._spaces.calculate(study)
            return {name: each for name, each in spaces.items() if not each.single()}

        def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
            if not search_space:
                return {}
            with self._lock:
                trials = study.get_trials(deepcopy=False)
                alone = not any(_has_others(each, search_space) for each in trials)
                constraints = max(len(_constraints_of(each)) for each in trials)
                now, guide = (study.study_name, search_space, alone, constraints), self.guide
                if guide is None or (self._study, guide.space, guide.alone, guide.constraints) != now:
                    maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
                    # By the trial's number too, or workers of one seed would all begin with the same points.
                    seed = (self._seed + max(trial.number - 1, 0)) % 2**31
                    options = {"seed": seed, "constraints": constraints, **self._options}
                    guide = Guide(search_space, maximize, options, alone)
                    self.guide, self._study = guide, study.study_name
                return guide.propose(trials, trial.number)

        def after_trial(self, study: Any, trial: Any, state: Any, values: Sequence[float] | None) -> None:
            if self._constraints_func is not None:
                keep = optuna.samplers._base._process_constraints_after_trial
                keep(self._constraints_func, study, trial, state)

        def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
            if self._warns and not distribution.single() and any(map(_counts, study.get_trials(deepcopy=False))):
                guided = self.guide is not None and self.guide.space.get(name) == distribution
                why = "every combination has been tried" if guided else "not every trial has had it"
                warnings.warn(
                    f"The parameter {name!r} of trial {trial.number} is sampled at random: {why}.",
                    IndependentSamplingWarning,
                    stacklevel=2,
                )
            return self._random.sample_independent(study, trial, name, distribution)

    LaMctsSampler.__qualname__ = "LaMctsSampler"  # where pickle finds it, by way of __getattr__
    return LaMctsSampler


def __getattr__(name: str) -> Any:
    if name == "LaMctsSampler":
        return _sampler_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
