"""kill -9 at chosen moments: what the benchmark counts, in small."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from kill_benchmark.events import completed, killed_after, killed_before, killed_once, moments, single_threaded, spread
from kill_benchmark.publishing import publishing
from kill_benchmark.stages import lost_of
from kill_benchmark.training import training


def write_two(folder: Path) -> None:
    (folder / "one").write_text("1")
    os.replace(folder / "one", folder / "two")


def test_a_process_is_killed_before_each_change_to_a_file(tmp_path: Path) -> None:
    count = moments(lambda: write_two(tmp_path))
    assert count == 2
    (tmp_path / "two").unlink()
    assert killed_before(1, lambda: write_two(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert killed_before(2, lambda: write_two(tmp_path))
    assert [each.name for each in tmp_path.iterdir()] == ["one"]
    assert not killed_before(3, lambda: write_two(tmp_path))
    assert [each.name for each in tmp_path.iterdir()] == ["two"]


def test_one_that_ends_first_is_not_killed() -> None:
    assert not killed_after(600, lambda: None)
    assert killed_after(0, lambda: os.read(os.pipe()[0], 1))


def test_one_is_killed_once_it_has_come_so_far(tmp_path: Path) -> None:
    def run() -> None:
        (tmp_path / "half").write_text("half")
        os.read(os.pipe()[0], 1)

    assert killed_once((tmp_path / "half").exists, run)
    assert (tmp_path / "half").exists()
    assert not killed_once(lambda: False, lambda: None)


def test_threads_are_there_again() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with single_threaded():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_error_of_the_child_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ChildProcessError, match="ended with 1, unkilled"):
        completed(lambda: int("x"))
    assert "invalid literal" in capfd.readouterr().err


@pytest.mark.parametrize(("wanted", "found"), [(None, [1, 2, 3, 4]), (2, [1, 3]), (6, [1, 2, 3, 4, 1, 2])])
def test_moments_are_aimed_at_evenly(wanted: int | None, found: list[int]) -> None:
    assert list(spread(4, wanted)) == found


@pytest.mark.slow
@pytest.mark.parametrize("swaps", [True, False])
def test_a_killed_publisher_leaves_the_old_entry_or_the_new_one(swaps: bool) -> None:
    counts = publishing(12, swaps=swaps)
    assert (counts.killed, counts.faults) == (12, [])
    assert counts.passed


@pytest.mark.slow
def test_a_training_with_loader_processes_is_killed() -> None:
    counts = training(kills=1)
    assert counts.killed == 1
    assert counts.passed, counts.faults


def test_a_lost_winner_is_told_from_one_that_was_measured_outside() -> None:
    won = (3, "digest", True)
    wanted: dict[str, object] = {"tier-0": 2, "tier-1": won}
    assert lost_of("winners", wanted, {"tier-0": won, "tier-1": won}) == []
    assert wanted["tier-0"] == won  # what was made once is made alike again
    assert lost_of("winners", wanted, {"tier-0": (3, "other", True), "tier-1": 1}) == [
        "tier-0: (3, 'other', True) in place of (3, 'digest', True)"
    ]
    assert lost_of("winners", wanted, {"tier-0": won}) == ["tier-1 is not there"]
    assert lost_of("winners", {}, {"tier-0": 0}) == ["tier-0: no winner, and nothing was measured"]
