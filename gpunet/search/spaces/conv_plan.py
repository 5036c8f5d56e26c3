"""The LookupPlan of a ConvSpace: two terms a stage, and variables for what a stage hands on where that is no digit.

channels    those that reach a stage: a digit of the stage before, or derived where that one may be empty
px          the side of the map that reaches a stage: told by the resolution alone where strided layers pad, by kernel
            sizes too where they do not
first, rest a stage's first layer, which sees the channels of another stage; and its further layers, which are
            equal. Two terms, so that no array is over input channels and number of layers at once
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gpunet.latency.layers.convolutional import ConvLayerKey, head_key
from gpunet.latency.layers.keys import IMAGE_CHANNELS
from gpunet.latency.terms import Derived, Layers, LookupPlan, Term
from gpunet.model.shapes import reduced_channels
from gpunet.model.spec import NetworkSpec
from gpunet.search.spaces.space import Digit
from gpunet.search.spaces.stage_choices import StageChoices


@dataclass(frozen=True)
class _Variable:
    """A variable of the plan, and what its indices stand for; one variable may stand for several things."""

    name: str
    values: tuple[Any, ...]


def plan_from_digits(
    digits: Sequence[Digit], stages: Sequence[StageChoices], example: NetworkSpec, num_classes: int
) -> LookupPlan:
    """See `SearchSpace.lookup_plan`.

    Args:
        digits: of the space.
        stages: what they choose from.
        example: any network of the space, for all that the digits do not choose.
        num_classes: of the networks.
    """
    planner = _Planner(digits, example)
    px = planner.digits["resolution_px"]
    planner.term([px], lambda in_px: [(ConvLayerKey("input", IMAGE_CHANNELS, in_px, IMAGE_CHANNELS), 1)])
    channels = planner.digits["stem.filters"]
    kernel, activation = example.stem.kernel_size, example.stem.activation

    def stem(in_px: int, filters: int) -> ConvLayerKey:
        return ConvLayerKey("conv", IMAGE_CHANNELS, in_px, filters, kernel, 2, kernel // 2, activation=activation)

    planner.term([px, channels], lambda in_px, filters: [(stem(in_px, filters), 1)])
    px = planner.derive("stem.out_px", [px], lambda in_px: stem(in_px, 1).out_px)
    for number, choices in enumerate(stages):
        channels, px = planner.stage(number, choices, channels, px)
    planner.term([px, channels], lambda in_px, c_in: [(head_key(example, c_in, in_px, num_classes), 1)])
    return LookupPlan(
        tuple((digit.name, len(digit.values)) for digit in digits), tuple(planner.derived), tuple(planner.terms)
    )


class _Planner:
    """Walks the space from the image to the head, and notes what it passes."""

    def __init__(self, digits: Sequence[Digit], example: NetworkSpec) -> None:
        self.digits = {digit.name: _Variable(digit.name, digit.values) for digit in digits}
        self.example = example
        self.derived: list[Derived] = []
        self.terms: list[Term] = []

    def term(self, variables: Sequence[_Variable], layers: Callable[..., Layers]) -> None:
        """Add a term; `layers` is given the variables' values."""
        self.terms.append(Term(*_by_index(variables, layers)))

    def derive(self, name: str, variables: Sequence[_Variable], value: Callable[..., int]) -> _Variable:
        """The variable of all that `value` makes of the others' values; no new one where an old one tells it."""
        names, at_index = _by_index(variables, value)
        sizes = {variable.name: len(variable.values) for variable in variables}
        table = {at: at_index(*at) for at in itertools.product(*(range(sizes[each]) for each in names))}
        found = sorted(set(table.values()))
        if len(names) == 1 and len(found) == len(table):
            return _Variable(names[0], tuple(table.values()))
        index = {each: number for number, each in enumerate(found)}
        self.derived.append(Derived(name, names, len(found), lambda *at: index[table[at]]))
        return _Variable(name, tuple(found))

    def stage(
        self, number: int, choices: StageChoices, channels: _Variable, px: _Variable
    ) -> tuple[_Variable, _Variable]:
        """Add a stage's terms; returns the channels and the px that it hands on."""
        path = f"stages[{number}]"
        filters = self.digits["stem.filters" if choices.filters is None else f"{path}.filters"]
        layers = self.digits[f"{path}.layers"]
        inside = ["kernel_size", *(["expansion", "squeeze_excitation"] if choices.expansions else []), "activation"]
        form = [self.digits[f"{path}.{name}"] for name in inside]
        padded = self.example.stages[number].pad_strided

        def padding(kernel: int, stride: int) -> int:
            return kernel // 2 if stride == 1 or padded else 0

        @functools.cache
        def key(stride: int, c_in: int, in_px: int, c_out: int, kernel: int, *rest: Any) -> ConvLayerKey:
            (*irb, activation) = rest
            hidden, reduced = 0, 0
            if irb:
                expansion, squeeze = irb
                hidden = self.example.hidden_channels(c_in, expansion)
                reduced = reduced_channels(hidden, expansion) if squeeze else 0
            residual = bool(irb) and stride == 1 and c_in == c_out
            return ConvLayerKey(
                choices.type, c_in, in_px, c_out, kernel, stride, padding(kernel, stride), hidden, reduced, activation,
                residual,
            )  # fmt: skip

        if 0 in choices.layers:
            present = self.derive(f"{path}.present", [layers], lambda count: int(count > 0))
            self.term(
                [px, channels, filters, *form, present],
                lambda in_px, c_in, *args: [(key(choices.stride, c_in, in_px, *args[:-1]), 1)] if args[-1] else [],
            )
        else:
            self.term(
                [px, channels, filters, *form],
                lambda in_px, c_in, *args: [(key(choices.stride, c_in, in_px, *args), 1)],
            )
        if choices.stride == 2:
            kernels = [] if padded else form[:1]

            def out_px(in_px: int, kernel: int = choices.kernel_sizes[0]) -> int:
                return (in_px + 2 * padding(kernel, 2) - kernel) // 2 + 1

            px = self.derive(f"{path}.out_px", [px, *kernels], out_px)
        if choices.layers[-1] > 1:
            self.term(
                [px, filters, *form, layers],
                lambda in_px, c_out, *args: (
                    [(key(1, c_out, in_px, c_out, *args[:-1]), args[-1] - 1)] if args[-1] > 1 else []
                ),
            )
        if 0 in choices.layers and channels != filters:
            filters = self.derive(
                f"{path}.out_channels", [channels, filters, layers], lambda c_in, c_out, count: c_out if count else c_in
            )
        return filters, px


def _by_index(
    variables: Sequence[_Variable], function: Callable[..., Any]
) -> tuple[tuple[str, ...], Callable[..., Any]]:
    """Names of the variables, each once, and the function of their values as one of their indices."""
    names = tuple(dict.fromkeys(variable.name for variable in variables))
    readers = [(names.index(variable.name), variable.values) for variable in variables]
    return names, lambda *at: function(*(values[at[place]] for place, values in readers))
