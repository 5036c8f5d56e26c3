"""What a part of the benchmark found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass
class Counts:
    """Of one part.

    Args:
        part: its name.
        killed: how often a process was killed.
        lost: how often what was whole before was not there, or not whole, afterwards.
        left_over: files that nobody removed in the next run.
        doubled: what was there twice, or done again though it was done.
        faults: each in words.
    """

    part: str
    killed: int = 0
    lost: int = 0
    left_over: int = 0
    doubled: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all is as if nothing had happened."""
        return not (self.lost or self.left_over or self.doubled or self.faults)

    def to_dict(self) -> dict[str, object]:
        """Plain JSON types."""
        return asdict(self)

    def row(self) -> tuple[object, ...]:
        """For a table."""
        return self.part, self.killed, self.lost, self.left_over, self.doubled, "PASS" if self.passed else "FAIL"
