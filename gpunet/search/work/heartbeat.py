"""Heartbeats: a thread that gives them, and a watch over those of others.

A heartbeat is a counter, not a time: whoever watches it measures by its own clock how long it stands still, so that no
two machines' clocks are ever compared.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from gpunet.errors import StudyUnavailableError


class ExpiryWatch:
    """Signs of life that must change, and since when they have not, by one clock.

    Args:
        grace_s: how long they may stand still.
        clock: seconds, monotonic.
    """

    def __init__(self, grace_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.grace_s, self.clock = grace_s, clock
        self._seen: dict[int, tuple[Any, float]] = {}

    def has_expired(self, key: int, sign: Any, since_s: float = -math.inf, least_s: float = 0.0) -> bool:
        """Whether the sign of life has been the same for longer than that, as seen from here.

        Args:
            key: of what is watched.
            sign: what must change.
            since_s: by the clock: before it, signs may have been given and not come through.
            least_s: that it may stand still, whatever `grace_s` is.
        """
        now = self.clock()
        before = self._seen.get(key)
        if before is None or before[0] != sign:
            self._seen[key] = sign, now
            return False
        return now - max(before[1], since_s) > max(self.grace_s, least_s)


class _Living(Protocol):
    def heartbeat(self, count: int) -> bool: ...


class Heartbeat(threading.Thread):
    """Gives a session's heartbeats from a thread of its own, as long as the block lasts.

    Args:
        session: whose; it has just been registered.
        every_s: between two heartbeats.
        clock: seconds, monotonic.

    Attributes:
        expired: set once the session was found expired.
        confirmed_s: by the clock, when it last began a heartbeat that came through: nobody lets the session expire in
            the time of three heartbeats from then on.
    """

    def __init__(self, session: _Living, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(name="gpunet-heartbeat", daemon=True)
        self._session, self._every_s, self._clock = session, every_s, clock
        self.confirmed_s = -math.inf
        self._ended = threading.Event()
        self.expired = threading.Event()

    def run(self) -> None:
        """Give heartbeats until told to stop, or expired."""
        count = 0
        while not self._ended.wait(self._every_s):
            count += 1
            began_s = self._clock()
            with suppress(StudyUnavailableError):  # the next one may come through
                if not self._session.heartbeat(count):
                    self.expired.set()
                    return
                self.confirmed_s = began_s

    def __enter__(self) -> Heartbeat:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self.join(timeout=2 * self._every_s + 5)
