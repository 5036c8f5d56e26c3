"""The leader lease: the right to propose networks for all workers, held by one of them at a time.

It is a trial of the study NAME/workers. Its attribute "lease" says how often it has been acquired, and which session
holds it: two facts in one attribute, so that no reader sees one without the other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress

from gpunet.search.storage.storage import StudyStorage
from gpunet.search.work.session import HEARTBEAT

KIND, LEASE = "kind", "lease"


class LeaderLease:
    """The lease while it is held: until it is released, or another finds its holder expired.

    Args:
        storage: of the study.
        trial_id: of the lease.
        count: how often it has been acquired, this time included: by it a holder knows its own.
        renewal_s: between two renewals.
        clock: seconds, monotonic.
    """

    def __init__(
        self, storage: StudyStorage, trial_id: int, count: int, renewal_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._storage, self._trial_id, self._count = storage, trial_id, count
        self._renewal_s, self._clock, self._renewed_s, self._renewals = renewal_s, clock, clock(), 0

    def is_held(self) -> bool:
        """Whether nobody has taken it away."""
        token = self._storage.trial(self._trial_id)
        return token.state.name == "RUNNING" and token.user_attrs[LEASE][0] == self._count

    def renew(self) -> bool:
        """Show that its holder is at work, where it is time to; False if it has been taken away, as far as that shows.

        A heartbeat of its own, beside the session's: a leader that answers hundreds is busy for long, and one whose
        session was ended by mistake must not lose what it is doing.
        """
        if self._clock() - self._renewed_s < self._renewal_s:
            return True
        self._renewed_s, self._renewals = self._clock(), self._renewals + 1
        try:
            self._storage.set_attr(self._trial_id, HEARTBEAT, self._renewals)
        except self._storage.optuna.exceptions.UpdateFinishedTrialError:
            return False
        return True

    def release(self) -> None:
        """Let others have it."""
        # Held by nobody before it waits: whoever acquires it next may die before it has said who it is, and this
        # session, whose heartbeat goes on, must not seem to hold it.
        with suppress(self._storage.optuna.exceptions.UpdateFinishedTrialError):
            self._storage.set_attr(self._trial_id, LEASE, [self._count, None])
            self._storage.requeue(self._trial_id)
