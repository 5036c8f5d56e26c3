"""Completion: latencies of layers that were not measured, learned from those that were.

    w_j     work of a layer: multiply-adds, values moved, ... (`LayerKey.work`)
    r       roofline: sum over j of c_j w_j, c_j >= 0, fitted for each kind of layer to relative errors
    f       features: the logarithms of a key's numbers and of its work, its other fields as 0 and 1
    latency = r exp(g(f)),  g: extremely randomised trees on log(latency / r)

Physics gives the trend, which holds outside the measured range too; the trees learn what it leaves over, such as a
kernel that a runtime has for some widths and not for others. Layers far from what all others teach were measured in a
bad moment of the machine more often than not; they are left out of a second fit, and named by `suspects`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpunet.core.files import require
from gpunet.errors import InvalidArgumentError
from gpunet.latency.layers.keys import LayerKey

FEWEST = 30  # measured layers; fewer teach nothing
TREES = 200
OUTLIER = 6.0  # median absolute deviations of the error


@dataclass(frozen=True)
class HeldOutError:
    """How far predictions are from layers that took no part in them.

    Args:
        mean_percent: mean of |predicted / measured - 1|.
        median_percent, p90_percent: quantiles of it.
        layers: how many.
    """

    mean_percent: float
    median_percent: float
    p90_percent: float
    layers: int


class Completion:
    """A fitted completion; `complete_from` makes one.

    Attributes:
        error: of held-out layers.
        by_kind: the same for each kind of layer.
    """

    def __init__(self, features: _Features, rooflines: _Rooflines, trees: Any, log_errors: Mapping[LayerKey, float]):
        self._features, self._rooflines, self._trees = features, rooflines, trees
        self._log_errors = dict(log_errors)
        self.error = _summary(self._log_errors)
        kinds = sorted({key.kind for key in self._log_errors})
        self.by_kind = {
            kind: _summary({key: each for key, each in self._log_errors.items() if key.kind == kind}) for kind in kinds
        }

    def predict(self, keys: Sequence[LayerKey]) -> np.ndarray:
        """Latencies of layers in ms, n float64."""
        rooflines = self._rooflines.of(keys)
        found: np.ndarray = rooflines * np.exp(self._trees.predict(self._features.of(keys, rooflines)))
        return found

    def outside(self, keys: Sequence[LayerKey]) -> list[LayerKey]:
        """Those of these layers that are larger or smaller in some number than any that was learned from."""
        return [key for key in keys if not self._features.covers(key)]

    def suspects(self, percent: float = 15.0) -> list[LayerKey]:
        """Measured layers that are `percent` or more from what all the others say, the farthest first."""
        limit = np.log1p(percent / 100.0)
        return sorted(
            (key for key, each in self._log_errors.items() if abs(each) > limit),
            key=lambda key: -abs(self._log_errors[key]),
        )

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {each.mean_percent:.1f} % of {each.layers}" for kind, each in self.by_kind.items())
        return f"held-out error {self.error.mean_percent:.1f} % of {self.error.layers} layers ({kinds})"


def complete_from(measured: Mapping[LayerKey, float], *, seed: int = 0) -> Completion:
    """Learn from measured layers.

    Args:
        measured: latency in ms by key; the run itself ('input') counts as one.
        seed: of the trees.

    Raises:
        InvalidArgumentError: (a ValueError) fewer than 30 layers, or a latency that is not above 0.
        MissingDependencyError: (an ImportError) scikit-learn is not installed.
    """
    require("sklearn", "search", purpose="to complete a latency table")
    keys, latency = list(measured), np.array(list(measured.values()), float)
    if len(keys) < FEWEST:
        raise InvalidArgumentError(f"a completion needs {FEWEST} measured layers or more, but got {len(keys)}.")
    if not (latency > 0).all():
        raise InvalidArgumentError("latencies must be above 0 ms.")
    features = _Features(keys)
    kept = np.ones(len(keys), bool)
    log_errors = np.zeros(len(keys))
    for _ in range(2):
        rooflines = _Rooflines([key for key, keep in zip(keys, kept, strict=True) if keep], latency[kept])
        base = rooflines.of(keys)
        matrix, target = features.of(keys, base), np.log(latency / base)
        trees, held_out = _fit(matrix[kept], target[kept], seed)
        log_errors[kept] = held_out - target[kept]
        if not kept.all():
            log_errors[~kept] = trees.predict(matrix[~kept]) - target[~kept]
        deviation = np.median(np.abs(log_errors - np.median(log_errors)))
        kept = np.abs(log_errors) <= max(OUTLIER * deviation, 0.05)
        if kept.sum() < FEWEST:
            break
    return Completion(features, rooflines, trees, dict(zip(keys, log_errors.tolist(), strict=True)))


def _fit(matrix: np.ndarray, target: np.ndarray, seed: int) -> tuple[Any, np.ndarray]:
    """Trees, and for each row the prediction of those that did not see it: a third of 200, so there are always some."""
    from sklearn.ensemble import ExtraTreesRegressor

    trees = ExtraTreesRegressor(TREES, min_samples_leaf=2, bootstrap=True, oob_score=True, random_state=seed)
    trees.fit(matrix, target)
    return trees, np.asarray(trees.oob_prediction_)


def _summary(log_errors: Mapping[LayerKey, float]) -> HeldOutError:
    errors = 100.0 * np.abs(np.expm1(np.array(list(log_errors.values()))))
    return HeldOutError(float(errors.mean()), float(np.median(errors)), float(np.quantile(errors, 0.9)), len(errors))


class _Rooflines:
    """Coefficients of work by kind, and over all kinds for those that were hardly measured."""

    def __init__(self, keys: Sequence[LayerKey], latency: np.ndarray) -> None:
        work = _work(keys)
        kinds = np.array([key.kind for key in keys])
        self._all = _nonnegative(work, latency)
        self._own = {
            kind: _nonnegative(work[kinds == kind], latency[kinds == kind])
            for kind in sorted(set(kinds.tolist()))
            if (kinds == kind).sum() >= 3 * work.shape[1]
        }
        self._least = float(latency.min()) / 10.0

    def of(self, keys: Sequence[LayerKey]) -> np.ndarray:
        """Rooflines in ms, never 0."""
        work = _work(keys)
        kinds = np.array([key.kind for key in keys])
        found = work @ self._all
        for kind, coefficients in self._own.items():
            found[kinds == kind] = work[kinds == kind] @ coefficients
        return np.maximum(found, self._least)


def _nonnegative(work: np.ndarray, latency: np.ndarray) -> np.ndarray:
    from scipy.optimize import nnls

    scale = np.maximum(work.max(axis=0), 1.0)
    found: np.ndarray = nnls(work / scale / latency[:, None], np.ones(len(latency)))[0] / scale
    return found


def _work(keys: Sequence[LayerKey]) -> np.ndarray:
    return np.array([dataclasses.astuple(key.work()) for key in keys], float).reshape(len(keys), -1)


class _Features:
    """Keys as rows of numbers; what a key's family has as fields is known from the keys that were measured."""

    def __init__(self, keys: Sequence[LayerKey]) -> None:
        self._numbers: dict[str, tuple[float, float]] = {}
        self._words: dict[tuple[str, str], None] = {}
        for key in keys:
            for name, value in _fields(key).items():
                if isinstance(value, str):
                    self._words.setdefault((name, value))
                else:
                    low, high = self._numbers.get(name, (value, value))
                    self._numbers[name] = (min(low, value), max(high, value))

    def covers(self, key: LayerKey) -> bool:
        """Whether every number of a key lies within those of the keys that were measured."""
        for name, value in _fields(key).items():
            if isinstance(value, str):
                if (name, value) not in self._words:
                    return False
            elif name not in self._numbers or not self._numbers[name][0] <= value <= self._numbers[name][1]:
                return False
        return True

    def of(self, keys: Sequence[LayerKey], rooflines: np.ndarray) -> np.ndarray:
        """`n x features`."""
        rows = [_fields(key) for key in keys]
        columns = [np.log1p([float(row.get(name, 0)) for row in rows]) for name in self._numbers]
        columns += [np.array([row.get(name) == value for row in rows], float) for name, value in self._words]
        return np.column_stack([*columns, np.log1p(_work(keys)), np.log(rooflines)])


def _fields(key: Any) -> dict[str, Any]:
    return {each.name: getattr(key, each.name) for each in dataclasses.fields(key)}
