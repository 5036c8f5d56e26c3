"""Which layers of a search space to measure when not all are: those that its networks have most of."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpunet.errors import InvalidArgumentError

if TYPE_CHECKING:
    from gpunet.latency.layers.keys import LayerKey
    from gpunet.latency.terms import LookupPlan


def choose_keys(plan: LookupPlan, fraction: float, seed: int = 0) -> list[LayerKey]:
    """A part of a space's layers, drawn with chances in proportion to how often its networks have them.

    A stage's further layers repeat, its first does not: they are few, and most of a network's latency is theirs.
    Everything that is not chosen is left to a completion, so all kinds of layers must be among the chosen: each kind
    that has no layer chosen gets one.

    Args:
        plan: the space's.
        fraction: of all its layers, above 0, up to 1.
        seed: fixes the choice.

    Raises:
        InvalidArgumentError: (a ValueError) the fraction is out of range.
    """
    if not 0 < fraction <= 1:
        raise InvalidArgumentError(f"0 < fraction <= 1 must hold, but got {fraction!r}.", "1 is all layers.")
    if fraction == 1:
        return plan.keys()
    counts = plan.expected_counts()
    keys = list(counts)
    places = weighted_sample(list(counts.values()), max(1, round(fraction * len(keys))), seed)
    chosen = dict.fromkeys(keys[place] for place in places)
    kinds = {key.kind for key in chosen}
    for key in keys:
        if key.kind not in kinds:
            kinds.add(key.kind)
            chosen[key] = None
    return list(chosen)


def weighted_sample(weights: Sequence[float], count: int, seed: int) -> list[int]:
    """`count` places drawn without replacement, with chances in proportion to `weights`.

    Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.
    """
    draw = random.Random(seed)
    keyed = [(draw.random() ** (1.0 / weight), place) for place, weight in enumerate(weights) if weight > 0]
    return sorted(place for _, place in sorted(keyed, reverse=True)[:count])
