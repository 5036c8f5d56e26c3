"""Nothing is measured while the same run trains on the same cores: a measurement waits until its workers have left.

Each stage waits for the processes that it starts. But one whose parent was killed may live for seconds more, and others
may join from outside: a worker is found in its study's registry, fine-tuning by the lock that it holds.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable

from filelock import FileLock, Timeout

from gpunet.core.machine import process_has_ended
from gpunet.errors import StudyError
from gpunet.populate.context import Context
from gpunet.populate.place import StateFolder
from gpunet.populate.search_stage import study_name, study_of
from gpunet.populate.tier_stage import is_done, tiers_of
from gpunet.search.storage.storage import WORKERS
from gpunet.search.work.registry import WorkerRegistry

_LOOK_S = 0.5


def training_lock(place: StateFolder) -> FileLock:
    """Held by whoever fine-tunes for a folder of state."""
    return FileLock(place.folder / ".training.lock", timeout=0)


def wait_until_nothing_trains(context: Context, sleep: Callable[[float], None] = time.sleep) -> None:
    """Return when nothing of this run trains on this machine.

    Args:
        context: of the run; told who is waited for.
        sleep: seconds; tests pass their own.

    Raises:
        PreemptedError: this process was asked to leave meanwhile.
    """
    with contextlib.ExitStack() as opened:
        registries = _registries(context, opened)
        told: list[str] = []
        while busy := _training_here(context, registries):
            if busy != told:
                context.say(f"[measuring] waits for what trains on this machine: {', '.join(busy)}")
                told = busy
            context.leave_if_asked("measuring")
            sleep(_LOOK_S)


def _training_here(context: Context, registries: list[WorkerRegistry]) -> list[str]:
    """Processes of this run that train on this machine, in words."""
    here = f"{socket.gethostname()}:"
    found = [
        f"worker {each.process}"
        for registry in registries
        for each in registry.workers()
        if each.process.startswith(here) and not process_has_ended(each.process)
    ]
    try:
        with training_lock(context.place):
            return found
    except Timeout:
        return [*found, "fine-tuning"]


def _registries(context: Context, opened: contextlib.ExitStack) -> list[WorkerRegistry]:
    """Of the studies that there are."""
    found = []
    for tier in tiers_of(context) if is_done(context) else ():
        for random in (False, True):
            with contextlib.suppress(StudyError):
                storage = study_of(context, tier.number, random=random).storage
                opened.callback(storage.close)
                name = f"{study_name(context, tier.number, random=random)}{WORKERS}"
                found.append(WorkerRegistry(storage, storage.made_study(name)[0], context.plan.search.grace_s))
    return found
