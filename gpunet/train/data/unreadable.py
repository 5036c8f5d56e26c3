"""Images that cannot be read: counted, named, and too many of them."""

from __future__ import annotations

from collections.abc import Iterable

from gpunet.errors import DataError
from gpunet.train.data.loader import Unreadable

_SHOWN = 5


class UnreadableImages:
    """Those that a run has met, each once.

    Args:
        most: how many there may be.
        names: those met before.
    """

    def __init__(self, most: int, names: Iterable[str] = ()) -> None:
        self._most = most
        self._reasons = dict.fromkeys(names, "before")

    @property
    def names(self) -> tuple[str, ...]:
        """In the order they were met."""
        return tuple(self._reasons)

    @property
    def all(self) -> tuple[Unreadable, ...]:
        """Names and reasons."""
        return tuple(self._reasons.items())

    def note(self, met: Iterable[Unreadable]) -> None:
        """Take down what a batch met.

        Raises:
            DataError: (a ValueError) there are too many now.
        """
        self._reasons.update(met)
        if len(self._reasons) > self._most:
            shown = "; ".join(f"{name} ({reason})" for name, reason in self.all[:_SHOWN])
            raise DataError(
                f"more than {self._most} images cannot be read: {shown}{', ...' if len(self.all) > _SHOWN else ''}.",
                "Mend or remove them; or allow more (max_unreadable).",
            )
