from __future__ import annotations

import os
import signal
import threading

import pytest

from gpunet.core.signals import interrupt_asked, sigterm_asked


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


def test_the_first_interrupt_asks_and_the_second_interrupts(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), interrupt_asked("leaving") as asked:  # noqa: PT012
            os.kill(os.getpid(), signal.SIGINT)
            assert asked()
            assert capfd.readouterr().err == "\nleaving\n"
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with interrupt_asked("leaving") as asked:
            os.kill(os.getpid(), signal.SIGINT)
            assert not asked()
    finally:
        signal.signal(signal.SIGINT, before)
