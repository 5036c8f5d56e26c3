"""A worker's session in the registry: its requests for work, the responses, and its end."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from gpunet.errors import TrialLostError
from gpunet.search.storage.storage import StudyStorage

# User attributes of a session's trial; see gpunet.search.work.registry.
WORKER = "worker"
PROCESS, HEARTBEAT, HEARTBEAT_S, REQUEST, RESPONSE = "process", "heartbeat", "heartbeat_s", "request", "response"


class WorkerSession:
    """A worker in the registry, from `WorkerRegistry.register` to `close`.

    Args:
        storage: of the study.
        id: of the session.
    """

    def __init__(self, storage: StudyStorage, id: int) -> None:
        self._storage, self.id = storage, id
        self._requests = 0

    def request(self) -> None:
        """Ask for work.

        Raises:
            TrialLostError: (a RuntimeError) the session has expired.
        """
        self._requests += 1
        try:
            self._storage.set_attr(self.id, REQUEST, self._requests)
        except self._storage.optuna.exceptions.UpdateFinishedTrialError:
            raise session_expired() from None

    def response(self) -> Mapping[str, Any] | None:
        """The response to the latest request; None while there is none.

        Raises:
            TrialLostError: (a RuntimeError) the session has expired.
        """
        frozen = self._storage.trial(self.id)
        if frozen.state.is_finished():
            raise session_expired()
        response = frozen.user_attrs[RESPONSE]
        return response if response.get(REQUEST) == self._requests else None

    def heartbeat(self, count: int) -> bool:
        """Show that the worker lives; False if the session has expired."""
        try:
            self._storage.set_attr(self.id, HEARTBEAT, count)
        except self._storage.optuna.exceptions.UpdateFinishedTrialError:
            return False
        return True

    def close(self) -> None:
        """End the session."""
        # Optuna's list of studies compares the values of complete trials, and fails where one has none.
        self._storage.finish(self.id, self._storage.optuna.trial.TrialState.COMPLETE, float(self._requests))


def session_expired() -> TrialLostError:
    """The error of a worker whose session was ended by others."""
    return TrialLostError("this worker's session has expired: its heartbeats did not come through.", "It begins anew.")


def process_name() -> str:
    """Who this is, for people: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"
