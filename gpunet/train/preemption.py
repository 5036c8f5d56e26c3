"""SIGTERM as a wish to leave: the run that sees it writes a checkpoint and goes."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def sigterm_asked() -> Iterator[Callable[[], bool]]:
    """Inside the block SIGTERM sets a flag, which the callable reads; in a thread that is not the main one it does not.

    The handler that stood before stands again afterwards.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
