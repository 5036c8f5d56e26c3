"""A network's choices as parameters of Optuna's, for who looks at a study with Optuna's own tools.

gpunet itself reads the trial's vector. Parameters are written with a trial's result: those of trials that have not
ended would be parsed by every reader at each reading (decision 22).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpunet.core.arguments import is_integer, is_number

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from gpunet.search.spaces.space import Digit


def parameters_of(
    optuna: Any, digits: Sequence[Digit], vector: Sequence[int]
) -> dict[str, tuple[float, BaseDistribution]]:
    """By name of the digit: the value as Optuna's storages keep it, and the distribution.

    Args:
        optuna: the package.
        digits: of the space.
        vector: the choice of each.
    """
    found = {}
    for digit, index in zip(digits, vector, strict=True):
        value, distribution = _distributed(optuna.distributions, digit, int(index))
        found[digit.name] = distribution.to_internal_repr(value), distribution
    return found


def _distributed(distributions: Any, digit: Digit, index: int) -> tuple[Any, BaseDistribution]:
    """A value and its distribution: a number's range where choices are ordered, so that plots have an axis of it."""
    values = digit.values
    if not digit.categorical and all(map(is_integer, values)):
        return int(values[index]), distributions.IntDistribution(int(min(values)), int(max(values)))
    if not digit.categorical and all(map(is_number, values)):
        return float(values[index]), distributions.FloatDistribution(float(min(values)), float(max(values)))
    choices = [each if isinstance(each, (str, bool, int, float)) or each is None else repr(each) for each in values]
    return choices[index], distributions.CategoricalDistribution(choices)
