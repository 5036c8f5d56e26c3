"""The batch sizes that a file takes: an exported network, or an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpunet.core.arguments import checked_integer
from gpunet.errors import InvalidArgumentError


@dataclass(frozen=True)
class BatchProfile:
    """Least, optimal and most images a run; all three equal for a fixed batch.

    Raises:
        InvalidArgumentError: (a ValueError) one is not an integer of 1 or more, or min <= opt <= max does not hold.
    """

    min: int
    opt: int
    max: int

    def __post_init__(self) -> None:
        for size in self.sizes:
            checked_integer("batch_size", size, 1)
        if not self.min <= self.opt <= self.max:
            raise InvalidArgumentError(
                f"min <= opt <= max must hold for batch_size, but got {self.min}, {self.opt}, {self.max}.",
                f"Perhaps {':'.join(map(str, sorted(self.sizes)))} was meant. One integer is a fixed batch.",
            )

    @classmethod
    def parse(cls, batch_size: Any) -> BatchProfile:
        """The profile of `8` or `(1, 8, 64)`; a profile is returned as it is."""
        if isinstance(batch_size, cls):
            return batch_size
        if isinstance(batch_size, (tuple, list)):
            if len(batch_size) != 3:
                raise InvalidArgumentError(
                    f"batch_size must be an integer or three of them (min, opt, max), but got {batch_size!r}.",
                    "For example 1, or (1, 8, 64).",
                )
            return cls(*batch_size)
        return cls(batch_size, batch_size, batch_size)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """(min, opt, max)."""
        return self.min, self.opt, self.max

    @property
    def dynamic(self) -> bool:
        """Whether the batch axis is left open in the file."""
        return self.min != self.max

    @property
    def ends(self) -> tuple[int, ...]:
        """The sizes that a verification tries: least and most."""
        return (self.min, self.max) if self.dynamic else (self.min,)

    def __str__(self) -> str:
        return f"{self.min} to {self.max}, best at {self.opt}" if self.dynamic else str(self.min)
