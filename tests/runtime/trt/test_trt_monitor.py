from __future__ import annotations

import signal
import threading

import pytest

from gpunet.runtime.trt.monitor import Progress, Tracker, interruptible


def _ticks() -> object:
    times = iter(range(100))
    return lambda: float(next(times))


def test_nested_phases_share_their_parents_step() -> None:
    seen: list[Progress] = []
    tracker = Tracker(seen.append, clock=_ticks())  # type: ignore[arg-type]
    tracker.start("build", None, 4)
    assert tracker.fraction() == 0
    assert tracker.step("build", 0)
    tracker.start("optimize", "build", 2)
    tracker.step("optimize", 0)
    assert tracker.fraction() == pytest.approx((1 + 0.5) / 4)
    tracker.finish("optimize")
    tracker.step("build", 1)
    assert tracker.fraction() == 0.5
    tracker.finish("build")
    assert tracker.fraction() == 0
    assert [(each.phase, each.step, each.steps) for each in seen] == [
        ("build", 0, 4), ("build", 1, 4), ("optimize", 0, 2), ("optimize", 1, 2), ("build", 2, 4),
    ]  # fmt: skip
    assert [each.elapsed_s for each in seen] == [1, 2, 3, 4, 5]


def test_a_builder_that_counts_oddly_does_no_harm() -> None:
    tracker = Tracker()
    tracker.start("build", None, 0)
    assert tracker.step("build", 7)
    assert tracker.fraction() == 1
    assert tracker.step("never started", 0)
    tracker.finish("never started")


def test_what_the_callback_raises_is_kept_and_cancels() -> None:
    def fail(progress: Progress) -> None:
        raise ValueError(progress.phase)

    tracker = Tracker(fail)
    tracker.start("build", None, 2)
    assert isinstance(tracker.error, ValueError)
    assert not tracker.step("build", 0)


def _interrupted(tracker: Tracker) -> None:
    with interruptible(tracker):
        signal.raise_signal(signal.SIGINT)
        assert tracker.cancelled  # the block goes on: only its end raises


def test_an_interrupt_cancels_and_is_raised_at_the_end() -> None:
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tracker = Tracker()
    try:
        with pytest.raises(KeyboardInterrupt):
            _interrupted(tracker)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_applications_own_handler_is_left_alone() -> None:
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append("mine"))
    tracker = Tracker()
    try:
        with interruptible(tracker):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == ["mine"]
    assert not tracker.cancelled


def test_other_threads_set_no_handler() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with interruptible(Tracker()):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
