from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gpunet.core.signals import sigterm_asked


def test_both_of_two_blocks_hear_and_what_stood_before_stands_again() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with sigterm_asked() as outer:
        with sigterm_asked() as inner:
            assert not inner()
            os.kill(os.getpid(), signal.SIGTERM)
            assert inner()
            assert outer()
        with sigterm_asked() as later:
            assert not later()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_handler_of_others_is_left_alone() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with sigterm_asked() as asked:
            os.kill(os.getpid(), signal.SIGTERM)
            assert asked()
        assert heard == []
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_nothing_is_heard() -> None:
    answers: list[bool] = []

    def ask() -> None:
        with sigterm_asked() as asked:
            answers.append(asked())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert answers == [False]


@pytest.mark.slow
def test_the_first_interrupt_is_a_wish_and_the_second_is_heeded_at_once() -> None:
    script = """
import os, signal
from gpunet.core.signals import interrupt_asked
signal.signal(signal.SIGINT, signal.default_int_handler)
with interrupt_asked("leaving") as asked:
    assert not asked()
    os.kill(os.getpid(), signal.SIGINT)
    assert asked()
    if os.fork() == 0:
        os.kill(os.getpid(), signal.SIGINT)  # a child that prepares images goes on
        os._exit(0)
    assert os.wait()[1] == 0
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        print("interrupted")
assert asked()
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
signal.signal(signal.SIGINT, signal.SIG_IGN)
with interrupt_asked("leaving") as asked:
    os.kill(os.getpid(), signal.SIGINT)
    print(asked())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["interrupted", "False"]
    assert done.stderr == "leaving\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_interrupt_while_a_module_loads_ends_the_command_and_is_said_as_asked(
    options: list[str], tmp_path: Path
) -> None:
    (tmp_path / "loading.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n", encoding="utf-8")
    script = (
        f"import signal, sys; sys.path.insert(0, {str(tmp_path)!r}); from gpunet.core import console\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler); console.run(lambda: __import__('loading'))"
    )
    done = subprocess.run([sys.executable, "-c", script, *options], capture_output=True, text=True)
    assert done.returncode == 130
    if options:
        assert json.loads(done.stdout) == {
            "error": "interrupted", "message": "interrupted by Ctrl-C.", "hint": "", "nearest": [],
        }  # fmt: skip
    assert done.stderr == ("" if options else "interrupted\n")
