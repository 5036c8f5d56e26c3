"""A folder in its place in one step."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from gpunet.core import placing
from gpunet.core.placing import TURN_PART, folders_in, put, remove_parts, swapped, tidied
from gpunet.errors import ExportError


def folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "text").write_text(text)
    return path


@pytest.fixture(params=[True, False], ids=["swaps", "cannot swap"])
def swaps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setattr(placing, "swapped", lambda one, other: False)
    return bool(request.param)


@pytest.mark.usefixtures("swaps")
def test_it_takes_the_place_of_what_is_there(tmp_path: Path) -> None:
    put(folder(tmp_path / ".a.part", "old"), tmp_path / "a")
    assert (tmp_path / "a" / "text").read_text() == "old"
    put(folder(tmp_path / ".b.part", "new"), tmp_path / "a")
    assert (tmp_path / "a" / "text").read_text() == "new"
    assert [path.name for path in folders_in(tmp_path)] == ["a"]


def test_folders_that_swap(tmp_path: Path) -> None:
    one, other = folder(tmp_path / "one", "1"), folder(tmp_path / "other", "2")
    texts = ["2", "1"] if swapped(one, other) else ["1", "2"]  # not every file system can
    assert [(each / "text").read_text() for each in (one, other)] == texts
    assert not swapped(one, tmp_path / "none")


def test_what_cannot_be_moved_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "swapped", lambda one, other: False)
    place = folder(tmp_path / "a", "old")
    with pytest.raises(FileNotFoundError):
        put(tmp_path / ".none.part", place)
    assert (place / "text").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.usefixtures("swaps")
def test_what_a_killed_one_left_of_the_old_is_in_nobodys_way(tmp_path: Path) -> None:
    place, made = folder(tmp_path / "a", "old"), folder(tmp_path / ".b.part", "new")
    folder(tmp_path / ".a.replaced", "older")
    put(made, place)
    assert (place / "text").read_text() == "new"


def test_between_two_steps_the_old_one_is_read_and_put_back(tmp_path: Path) -> None:
    folder(tmp_path / ".a.replaced", "old")
    assert [path.name for path in folders_in(tmp_path)] == [".a.replaced"]
    with tidied(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_killed_ones_left_goes(tmp_path: Path) -> None:
    folder(tmp_path / "a", "new")
    folder(tmp_path / ".a.replaced", "old")
    folder(tmp_path / f".x{TURN_PART}", "half")
    folder(tmp_path / ".export.part", "of somebody at work who needs no turn")
    with tidied(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".export.part", "a"]
    assert (tmp_path / "a" / "text").read_text() == "new"


def test_parts_of_files_and_of_folders_go(tmp_path: Path) -> None:
    folder(tmp_path / ".x.part", "half")
    (tmp_path / ".plan.json.x.part").write_text("half")
    (tmp_path / "plan.json").write_text("whole")
    remove_parts(tmp_path)
    remove_parts(tmp_path / "none")
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_one_after_the_other(tmp_path: Path) -> None:
    seen, entered = [], threading.Event()

    def second() -> None:
        entered.set()
        with tidied(tmp_path):
            seen.append("second")

    thread = threading.Thread(target=second)
    with tidied(tmp_path):
        thread.start()
        entered.wait()
        thread.join(0.05)  # it waits
        seen.append("first")
    thread.join()
    assert seen == ["first", "second"]
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(ExportError, match=r"file: cannot be written: File exists[^$]*that you can write to"),
        tidied(tmp_path / "file"),
    ):
        pass
