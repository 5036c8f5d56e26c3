"""Bounds on downloads, and the hub's client, which fetches datasets, where there is no network.

Alone it would try for half a minute, and print each try.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

CONNECT_S = 5.0  # a server that is there has answered by then
_HUB_DATASETS = ("hfds/", "hfids/")  # how the names of timm's datasets begin that come from the hub
DOWNLOAD_TIMEOUT_S = 3600.0  # 2 GB at 5 Mbit/s; what has arrived is kept
_OFFLINE: ContextVar[bool] = ContextVar("offline", default=False)


@contextmanager
def working_offline(wanted: bool = True) -> Iterator[None]:
    """Within, where it is wanted: nothing is asked for over a network; what is kept here counts alone."""
    token = _OFFLINE.set(wanted or _OFFLINE.get())
    try:
        yield
    finally:
        _OFFLINE.reset(token)


def is_offline() -> bool:
    """Whether `working_offline` holds."""
    return _OFFLINE.get()


@contextmanager
def asking_hub_once() -> Iterator[None]:
    """Within: the hub's client prints no attempts, and where the hub cannot be reached takes what its cache has.

    By itself it tries each file six times, for half a minute.
    """
    from huggingface_hub import constants, get_hf_file_metadata
    from huggingface_hub.errors import HfHubHTTPError

    offline, logger = constants.HF_HUB_OFFLINE, logging.getLogger("huggingface_hub")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)
        try:
            if is_offline():
                constants.HF_HUB_OFFLINE = True
            elif not offline:
                get_hf_file_metadata(os.environ.get("HF_ENDPOINT") or constants.ENDPOINT, timeout=CONNECT_S)
        except HfHubHTTPError:
            pass  # it answered
        except Exception:  # its HTTP library's errors have no public name that covers all of the hub's releases
            constants.HF_HUB_OFFLINE = True
        datasets = sys.modules.get("datasets")  # takes the constant over when it is imported
        if datasets is not None:
            datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
        if (datasets := sys.modules.get("datasets")) is not None:
            datasets.config.HF_HUB_OFFLINE = offline
        logger.setLevel(level)


def opening_dataset(name: str) -> AbstractContextManager[None]:
    """Within `asking_hub_once` for a dataset of timm's that comes from the hub; else nothing changes."""
    return asking_hub_once() if name.lower().startswith(_HUB_DATASETS) else nullcontext()
