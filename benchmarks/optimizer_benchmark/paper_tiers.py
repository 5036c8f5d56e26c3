"""Latency tiers of the paper's search space, 41 digits, with accuracy models whose best network is known.

    top1(x) = model(x) + noise          percent; NOISE_PERCENT is what two trainings of one network differ by

saturation  Width, depth, expansion and kernel of each stage bring less the more there is of them, as does resolution
            (Tan and Le, "EfficientNet", ICML 2019: they pay off together). Stages that do not fit their neighbours,
            and a field of view that does not fit the resolution, cost accuracy: effects of up to five digits at once.
hidden      A network drawn from the tier is the best. What falls short of it in a digit costs much, what goes beyond it
            little, and by thirds of the digits drawn at random the costs multiply: three-way interactions. Its best is
            exact by construction.
fitted      top1 = a - b macs^-p - c parameters^-q - d px^-r, with the exponents and factors that fit the public
            accuracies of convolutional networks in timm's results best; and effects of single digits and of random
            pairs as large as what the law leaves unexplained there.

The best of `saturation` and `fitted` is that of a search with the model itself: evolution with thousands of networks a
round until it stands still, from several starts. What an optimiser finds beyond it has a regret below 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from search_benchmark.estimates import quantiles_ms, roofline_of

from gpunet.errors import InvalidArgumentError
from gpunet.search import PAPER_SPACE, Tier
from gpunet.search.tiers.network_features import NetworkFeatures
from gpunet.zoo.timm_zoo.tables import network_rows

MODELS = ("saturation", "hidden", "fitted")
TIERS = {"small": (0.01, 0.03), "middle": (0.2, 0.3)}  # parts of the space's networks, by estimated latency
NOISE_PERCENT = 0.15
_RESIDUAL_PERCENT = 0.7  # of the fitted model's own effects
_ROUND, _STILL, _STARTS = 2000, 12, 3  # of the search for the best

Model = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class PaperTier:
    """A tier and its accuracy model.

    Attributes:
        tier: where to look.
        top1_percent: of `n x 41` vectors, without noise.
        best_percent: the greatest there is, as far as known.
    """

    tier: Tier
    top1_percent: Model
    best_percent: float

    def regret(self, point: np.ndarray) -> float:
        """Percent below the best, without noise."""
        return self.best_percent - float(self.top1_percent(np.atleast_2d(point))[0])


@functools.cache
def paper_tier(model: str, tier: str, seed: int, best_percent: float | None = None) -> PaperTier:
    """The problem of a model, a tier and a seed, which draws the model's constants.

    Args:
        model, tier: by their names.
        seed: of the constants.
        best_percent: the best, where it is known: to search for it takes seconds.

    Raises:
        InvalidArgumentError: there is no such model or tier.
    """
    if model not in MODELS or tier not in TIERS:
        raise InvalidArgumentError(
            f"There is no tier {tier!r} with a model {model!r}.",
            f"Tiers: {', '.join(TIERS)}. Models: {', '.join(MODELS)}.",
        )
    domain = _tier(tier)
    generator = np.random.default_rng([seed, MODELS.index(model)])
    if model == "hidden":
        best = domain.draw(1, generator)[0]
        found = hidden(best, generator)
        return PaperTier(domain, found, float(found(best[None])[0]))
    found = saturation(generator) if model == "saturation" else fitted(_features(), generator)
    return PaperTier(domain, found, best_of(domain, found) if best_percent is None else best_percent)


@functools.cache
def _tier(name: str) -> Tier:
    estimator = roofline_of(PAPER_SPACE)
    return Tier(PAPER_SPACE, estimator, *quantiles_ms(PAPER_SPACE, estimator, TIERS[name]))


@functools.cache
def _features() -> NetworkFeatures:
    return NetworkFeatures(PAPER_SPACE.lookup_plan())


# ---------------------------------------------------------------------- models


class _Values:
    """What the digits stand for: the same digit of all stages that have it, `n x stages`, NaN where there is none."""

    def __init__(self, vectors: np.ndarray) -> None:
        self._columns = {digit.name: number for number, digit in enumerate(PAPER_SPACE.digits)}
        self._vectors = np.asarray(vectors, dtype=np.int64)
        self.px = self.of("resolution_px")
        self.stem = self.of("stem.filters")

    def of(self, name: str) -> np.ndarray:
        """Values of one digit, n floats; 0 and 1 for what is no number."""
        column = self._columns[name]
        values = PAPER_SPACE.digits[column].values
        table = [float(number if isinstance(value, str) else value) for number, value in enumerate(values)]
        return np.array(table)[self._vectors[:, column]]

    def staged(self, name: str) -> np.ndarray:
        """Values in each of the six inverted stages, `n x 6`."""
        return np.column_stack([self.of(f"stages[{number}].{name}") for number in range(1, 7)])


def saturation(generator: np.random.Generator) -> Model:
    """See the module."""
    worth = generator.uniform(0.6, 1.4, 6) * np.array([0.6, 0.8, 1.0, 1.1, 1.2, 1.0])
    swish, squeeze = generator.uniform(-0.1, 0.35, 6), generator.uniform(-0.1, 0.4, 6)
    kernel = generator.uniform(-0.2, 0.3, 6)
    steep, pace = generator.uniform(0.25, 0.55), generator.uniform(1.3, 1.8)
    sight = generator.uniform(0.9, 1.2)

    def top1_percent(vectors: np.ndarray) -> np.ndarray:
        values = _Values(vectors)
        layers, filters = values.staged("layers"), values.staged("filters")
        expansion, wide = values.staged("expansion"), values.staged("kernel_size") > 3
        present = layers > 0
        gain = np.log1p(layers) * (1 + 0.35 * np.log(np.maximum(filters, 1) / 64)) * (0.6 + 0.1 * expansion)
        gain = gain * (1 + swish * (values.staged("activation") > 0) + squeeze * values.staged("squeeze_excitation"))
        capacity = (np.where(present, gain * (1 + kernel * wide), 0) * worth).sum(axis=1)
        found = 84 - 26 * np.exp(-steep * capacity / 4) - 7 * np.exp(-(values.px - 160) / 130)
        # Filters rise from stage to stage by an even factor; where they do not, the narrower one is in the way.
        ratio = np.log(filters[:, 1:] / filters[:, :-1])
        both = present[:, 1:] & present[:, :-1]
        found -= 1.2 * np.where(both, np.square(ratio - np.log(pace)), 0).sum(axis=1)
        # Deep and narrow, or wide and shallow, trains worse than both in measure; worse so with a wide expansion.
        uneven = np.log1p(layers) - 0.9 * np.log(np.maximum(filters, 1) / 32)
        found -= 0.12 * np.where(present, np.square(uneven) * (expansion / 4), 0).sum(axis=1)
        reach = (layers * np.where(wide, 4, 2) * np.array([4, 8, 16, 16, 32, 32])).sum(axis=1)
        return found - 1.5 * np.square(np.log(reach / values.px) - sight)

    return top1_percent


def hidden(best: np.ndarray, generator: np.random.Generator) -> Model:
    """See the module: the network `best` is the best."""
    sizes = np.array([len(digit.values) for digit in PAPER_SPACE.digits])
    categorical = np.array([digit.categorical for digit in PAPER_SPACE.digits])
    weights = generator.gamma(1.0, 1.0, len(sizes))
    weights *= 9 / weights.sum()  # percent
    beyond = generator.uniform(0.2, 0.5, len(sizes))
    groups = generator.permutation(len(sizes))[: len(sizes) // 3 * 3].reshape(-1, 3)
    scales = generator.gamma(1.0, 1.0, len(groups))
    scales *= 6 / scales.sum()

    def top1_percent(vectors: np.ndarray) -> np.ndarray:
        away = (vectors - best) / np.maximum(sizes - 1, 1)
        away = np.where(categorical, np.where(away != 0, -1.0, 0.0), away)
        cost = np.where(away < 0, -np.expm1(3 * away), beyond * away)
        together = 1 - np.prod(1 - np.clip(cost[:, groups], 0, 1), axis=2)
        return 80 - cost @ weights - together @ scales

    return top1_percent


def fitted(features: NetworkFeatures, generator: np.random.Generator) -> Model:
    """See the module."""
    law = scaling_law()
    digits = PAPER_SPACE.digits
    effects = [generator.normal(size=len(digit.values)) for digit in digits]
    pairs = [generator.choice(len(digits), 2, replace=False) for _ in range(len(digits))]
    tables = [generator.normal(size=(len(digits[one].values), len(digits[two].values))) for one, two in pairs]
    effects = [np.cumsum(each) / np.sqrt(len(each)) for each in effects]  # of neighbouring values alike

    def residual(vectors: np.ndarray) -> np.ndarray:
        found = sum(each[vectors[:, column]] for column, each in enumerate(effects))
        return found + sum(
            0.5 * table[vectors[:, one], vectors[:, two]] for (one, two), table in zip(pairs, tables, strict=True)
        )

    sample = residual(PAPER_SPACE.lattice().draw(4000, np.random.default_rng(0)))
    center, scale = sample.mean(), _RESIDUAL_PERCENT / sample.std()

    def top1_percent(vectors: np.ndarray) -> np.ndarray:
        vectors = np.asarray(vectors, dtype=np.int64)
        logs = features(vectors)[:, :2] - np.log([1e9, 1e6])
        return law(np.column_stack([logs, np.log(_Values(vectors).px)])) + scale * (residual(vectors) - center)

    return top1_percent


@functools.cache
def scaling_law() -> Model:
    """Top-1 in percent by ln of multiply-adds in billions, parameters in millions, and px: fitted to timm's results.

    Least squares over networks of up to 10 billion multiply-adds that were trained on ImageNet-1k alone and are
    convolutional by name.
    """
    from scipy.optimize import nnls

    families = (
        "efficientnet", "tf_efficientnet", "regnet", "mobilenet", "tf_mobilenet", "resnet", "rexnet", "ghostnet",
        "mixnet", "tf_mixnet", "fbnet", "mnasnet", "hardcorenas", "lcnet", "tinynet", "gernet",
    )  # fmt: skip
    rows = [
        [float(row[name]) for name in ("multiply_adds_billions", "parameters_millions", "input_px", "top1_percent")]
        for row in network_rows()
        if row["tag"].startswith(families) and row["pretraining"] == "imagenet-1k" and row["extra_data"] != "yes"
        and row["multiply_adds_billions"] and row["top1_percent"] and float(row["multiply_adds_billions"]) <= 10
    ]  # fmt: skip
    table = np.array(rows)
    logs, top1 = np.log(table[:, :3]), table[:, 3]
    found = []
    for powers in np.stack(np.meshgrid(*[[0.15, 0.3, 0.6, 1.0]] * 3), axis=-1).reshape(-1, 3):
        # a - sum of falling powers, with factors that are not negative: more of anything never costs accuracy.
        matrix = np.column_stack([np.ones(len(logs)), -np.exp(-powers * logs)])
        factors, loss = nnls(matrix, top1)
        found.append((loss, powers, factors))
    _, powers, factors = min(found, key=lambda each: each[0])
    return lambda rows: factors[0] - np.exp(-powers * rows) @ factors[1:]


# -------------------------------------------------------------------- the best


def best_of(tier: Tier, model: Model) -> float:
    """The greatest of a model in a tier that a long search finds with the model itself."""
    return max(_climbed(tier, model, seed) for seed in range(_STARTS))


def _climbed(tier: Tier, model: Model, seed: int) -> float:
    generator = np.random.default_rng(seed)
    alive = tier.draw(_ROUND, generator)
    worth = model(alive)
    sizes = np.array(tier.choices)
    still, best = 0, -np.inf
    while still < _STILL:
        keep = np.argsort(-worth, kind="stable")[: _ROUND // 10]
        alive, worth = alive[keep], worth[keep]
        parents = alive[generator.integers(len(alive), size=(2, _ROUND))]
        children = np.where(generator.random((_ROUND, 1)) < 0.5, parents[0], parents[1])
        crossed = generator.random(children.shape) < 0.3
        children = np.where(crossed, parents[1], children)
        moved = generator.random(children.shape) < generator.choice([0.5, 1, 2, 4], size=(_ROUND, 1)) / len(sizes)
        children = np.where(moved, generator.integers(sizes, size=children.shape), children)
        children = tier.space.canonical(children)
        children = np.unique(children[tier.contains(children)], axis=0)
        alive = np.concatenate([alive, children])
        worth = np.concatenate([worth, model(children)])
        alive, first = np.unique(alive, axis=0, return_index=True)
        worth = worth[first]
        found = float(worth.max())
        still = 0 if found > best + 1e-4 else still + 1
        best = max(best, found)
    return best
