"""Kill a process at one of the moments in which it changes files: before its k-th audited event, SIGKILL.

Python announces what a program does to files (PEP 578). A child made by fork counts those events and kills itself
before the k-th, so that every moment can be aimed at, again and again, on any machine.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

EVENTS = frozenset({
    "open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.link", "os.symlink", "os.truncate",
    "shutil.rmtree", "shutil.copyfile", "tempfile.mkstemp", "tempfile.mkdtemp", "ctypes.dlsym", "ctypes.dlsym/handle",
})  # fmt: skip
_LOOK_S = 0.01
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@contextmanager
def single_threaded() -> Iterator[None]:
    """Within: PyTorch computes with one thread, since threads do not survive a fork."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def moments(run: Callable[[], object]) -> int:
    """How many moments `run` has, which a child runs to its end.

    Raises:
        ChildProcessError: it raised.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        count = _counting(None)
        _leave(run, lambda: os.write(writing, str(count()).encode()))
    os.close(writing)
    with os.fdopen(reading) as said:
        answer = said.read()
    _ended(child)
    return int(answer)


def killed_before(moment: int, run: Callable[[], object]) -> bool:
    """Run in a child that is killed before the moment of this number, from 1; False where it came to its end first.

    Raises:
        ChildProcessError: it raised.
    """
    child = os.fork()
    if child == 0:
        _counting(moment)
        _leave(run, lambda: None)
    return _ended(child)


def killed_after(seconds: float, run: Callable[[], object]) -> bool:
    """Run in a child that is killed after that time; False where it came to its end first.

    Raises:
        ChildProcessError: it raised.
    """
    child = os.fork()
    if child == 0:
        _leave(run, lambda: None)
    timer = threading.Timer(seconds, os.kill, (child, signal.SIGKILL))
    timer.start()
    try:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # it keeps its number until the timer is stopped
    finally:
        timer.cancel()
        timer.join()
    return _ended(child)


def killed_once(reached: Callable[[], bool], run: Callable[[], object]) -> bool:
    """Run in a child that is killed as soon as something is reached; False where it came to its end first.

    Raises:
        ChildProcessError: it raised.
    """
    child = os.fork()
    if child == 0:
        _leave(run, lambda: None)
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if reached():
            os.kill(child, signal.SIGKILL)
            break
        time.sleep(_LOOK_S)
    return _ended(child)


def completed(run: Callable[[], object]) -> None:
    """Run in a child that nobody kills.

    Raises:
        ChildProcessError: it raised.
    """
    killed_before(sys.maxsize, run)


def spread(count: int, wanted: int | None) -> Iterator[int]:
    """The moments to aim at: each of `count` once, or `wanted` of them, evenly, where they are few in turn."""
    if wanted is None:
        yield from range(1, count + 1)
        return
    for number in range(wanted):
        yield 1 + (number * count // wanted if wanted < count else number % count)


def _counting(kill_at: int | None) -> Callable[[], int]:
    seen = 0

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal seen
        if event not in EVENTS or (event == "open" and not (isinstance(args[2], int) and args[2] & _WRITING)):
            return
        seen += 1
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return lambda: seen


def _leave(run: Callable[[], object], at_end: Callable[[], object]) -> None:
    """Of a child: never to its parent's code."""
    code = 1
    try:
        run()
        at_end()
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def _ended(child: int) -> bool:
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    if status:
        raise ChildProcessError(f"the child ended with {os.waitstatus_to_exitcode(status)}, unkilled")
    return False
