"""SIGTERM and Ctrl-C as a wish to leave: the run that sees it writes a checkpoint and goes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from gpunet.errors import INTERRUPTED_EXIT_CODE, GpunetError, PreemptedError

INTERRUPTED = GpunetError("interrupted by Ctrl-C.", exit_code=INTERRUPTED_EXIT_CODE).to_dict()  # as --json has it


def json_asked() -> bool:
    """Whether the command line asks for JSON on standard output."""
    return "--json" in sys.argv[1:]


def heed_interrupt(number: int, frame: FrameType | None) -> None:
    """Ctrl-C of a command: KeyboardInterrupt, but while a module loads the end at once: extensions may not bear it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            if json_asked():
                os.write(1, f"{json.dumps(INTERRUPTED, indent=2)}\n".encode())
            else:
                os.write(2, b"interrupted\n")
            os._exit(INTERRUPTED_EXIT_CODE)
        frame = frame.f_back
    raise KeyboardInterrupt


PLAIN = (signal.default_int_handler, heed_interrupt)  # handlers that do no more than interrupt


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
    """Inside the block the first Ctrl-C sets a flag, which the callable reads, then and later; the second interrupts.

    Where Ctrl-C is ignored, or another handler stands, or in a thread that is not the main one, all stays as it is.

    Args:
        said: on standard error at the first.
    """
    asked, owner = threading.Event(), os.getpid()

    def ask(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            return  # a process that prepares images: this one ends it
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        echoed = "\n" if os.isatty(2) else ""  # behind the terminal's ^C
        os.write(2, f"{echoed}{said}\n".encode())  # print would be refused in the midst of another one

    before = signal.getsignal(signal.SIGINT)
    default = threading.current_thread() is threading.main_thread() and before in PLAIN
    if default:
        signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        if default:
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def leaving_with_checkpoint(out: object) -> Iterator[Callable[[], bool]]:
    """A run, whose first Ctrl-C sets the flag that is given, and the second ends it, both with exit code 130.

    Args:
        out: the run's folder.
    """
    with interrupt_asked("leaving with a checkpoint; Ctrl-C once more leaves at once") as interrupted:
        try:
            yield interrupted
        except PreemptedError as left:
            if interrupted():
                left.exit_code = INTERRUPTED_EXIT_CODE
            raise
        except KeyboardInterrupt:
            hint = f"The same command goes on from the last checkpoint: {out}."
            raise PreemptedError("the run was interrupted.", hint, exit_code=INTERRUPTED_EXIT_CODE) from None


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
