"""SIGTERM and Ctrl-C as wishes to leave: the run that sees one writes a checkpoint and goes."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def sigterm_asked() -> Iterator[Callable[[], bool]]:
    """Inside the block SIGTERM sets a flag, which the callable reads; in a thread that is not the main one it does not.

    A block around this one hears of it too: this one may look no more when it comes. The handler that stood before
    stands again afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.getsignal(signal.SIGTERM)
    handler = _Asked(before if isinstance(before, _Asked) else None)
    signal.signal(signal.SIGTERM, handler)
    try:
        yield handler.asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def interrupt_asked(said: str) -> Iterator[Callable[[], bool]]:
    """Inside the block the first Ctrl-C sets a flag, which the callable reads, and says so; the next one interrupts.

    Nothing is changed in a thread that is not the main one, nor where SIGINT is ignored or handled by another.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        os.write(2, f"\n{said}\n".encode())  # a print may be under way

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def ignore_interrupts(*_: object) -> None:
    """In a process that serves another: Ctrl-C, which a terminal sends to both, is the other's to decide on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def heed_interrupts() -> None:
    """Let `_thread.interrupt_main` work where a shell began this process in the background, with SIGINT ignored."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Asked:
    def __init__(self, around: _Asked | None) -> None:
        self.asked, self._around = threading.Event(), around

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked.set()
        if self._around is not None:
            self._around(number, frame)
