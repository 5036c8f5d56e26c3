"""Measurement: a latency, its spread and its conditions, as frozen data; JSON both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from gpunet.core.arguments import checked_number
from gpunet.core.json_files import parsed_json
from gpunet.core.versions import body_of
from gpunet.errors import InvalidArgumentError

MEASUREMENT_VERSION = 1
NOISY_PERCENT = 15.0
NOISY_OVER_LEAST = 4 / 3
NOISY_WAITED_PERCENT = 10.0
MOVED_PERCENT = 5.0


@dataclass(frozen=True)
class Measurement:
    """A latency in milliseconds for a whole batch, with its spread and its conditions.

    Args:
        latency_ms: median of the repeats.
        mean_ms, min_ms, p25_ms, p90_ms, p99_ms: their mean, least, lower quartile, 90th and 99th percentile.
        spread_percent: (upper - lower quartile) / median, in percent.
        repeats: timed runs.
        warmup: untimed runs before them.
        conditions: processor, machine, system, runtime, runtime_version, precision, threads, batch_size, input_shape,
            gpunet_version, date (UTC), the runtime's own settings; waited_percent: the share of the time in which
            its threads were ready and had no processor, None where the system does not say; reference: version,
            small_ms and large_ms of the two networks beside it (`gpunet.runtime.reference`); gpu_clocks on a GPU
            (`gpunet.core.gpu`); and moved_percent: by how much the machine's speed changed meanwhile.
    """

    latency_ms: float
    mean_ms: float
    min_ms: float
    p25_ms: float
    p90_ms: float
    p99_ms: float
    spread_percent: float
    repeats: int
    warmup: int
    conditions: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in _FIGURES:
            checked_number(f"measurement: {name}", getattr(self, name), 0)
        if not isinstance(self.conditions, Mapping):
            raise InvalidArgumentError(f"measurement: conditions must be an object, but got {self.conditions!r}.")

    @property
    def batch_size(self) -> int:
        """Images a run."""
        return int(self.conditions["batch_size"])

    @property
    def throughput_ips(self) -> float:
        """Images a second at the median, one batch after the other."""
        return 1000.0 * self.batch_size / self.latency_ms

    @property
    def noisy(self) -> bool:
        """Whether the machine was not quiet.

        So it is where the middle half of the repeats spans more than 15 % of the median, where the median is more than
        a third above the least, where the threads waited for a processor for more than 10 % of the time, or where the
        machine moved. The first two see what comes and goes: a quiet machine stays within 2 to 8 % and a fifth, and
        beyond the bounds a median moves from one run to the next by more than networks of neighbouring tiers differ.
        The third sees what stays: programs that compute all along make every repeat slow alike.
        """
        return (
            self.spread_percent > NOISY_PERCENT
            or self.latency_ms > NOISY_OVER_LEAST * self.min_ms
            or self._condition("waited_percent") > NOISY_WAITED_PERCENT
            or self.moved
        )

    @property
    def moved(self) -> bool:
        """Whether the machine's speed changed by more than 5 % while this was measured, by the reference beside it."""
        return self.moved_percent > MOVED_PERCENT

    @property
    def moved_percent(self) -> float:
        """By how much it changed; 0 where nobody looked."""
        return self._condition("moved_percent")

    def _condition(self, name: str) -> float:
        """A number among the conditions; 0 where nobody wrote it."""
        value = self.conditions.get(name)
        return value if isinstance(value, (int, float)) else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"measurement_version": MEASUREMENT_VERSION, **asdict(self), "conditions": dict(self.conditions)}

    def to_json(self, indent: int | None = None) -> str:
        """JSON text; `from_json` gives an equal measurement back."""
        return json.dumps(self.to_dict(), indent=indent)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Measurement:
        """The measurement that `to_dict` wrote.

        Raises:
            InvalidArgumentError: (a ValueError) naming the version or the key that is at fault.
        """
        body = body_of(data, "measurement", "measurement_version", MEASUREMENT_VERSION, error=InvalidArgumentError)
        odd = sorted(set(body) ^ {each.name for each in fields(cls)})
        if odd:
            raise InvalidArgumentError(f"measurement: {odd[0]} is {'unknown' if odd[0] in body else 'missing'}.")
        return cls(**body)

    @classmethod
    def from_json(cls, text: str) -> Measurement:
        """The measurement that `to_json` wrote; InvalidArgumentError for text that is not JSON too."""
        try:
            return cls.from_dict(parsed_json(text))
        except json.JSONDecodeError as error:
            raise InvalidArgumentError(f"measurement: not JSON: {error}") from None

    def __str__(self) -> str:
        said = self.conditions
        return (
            f"{self.latency_ms:.3g} ms (median of {self.repeats}, spread {self.spread_percent:.0f} %), batch "
            f"{said.get('batch_size')}, {said.get('precision')}, {said.get('runtime')} {said.get('runtime_version')}"
        )


_FIGURES = tuple(each.name for each in fields(Measurement) if each.name != "conditions")
