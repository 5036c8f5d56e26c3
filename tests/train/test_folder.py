from __future__ import annotations

from pathlib import Path

import pytest
from helpers.runs import digits, recipe, run

from gpunet.errors import PreemptedError, TrainingError
from gpunet.train.checkpoint import Position
from gpunet.train.folder import Standing, check_folder, standing


def test_how_far_a_run_is(tmp_path: Path) -> None:
    seen: list[Standing] = []
    assert standing(tmp_path / "out") == Standing(None, False)
    asked = iter([False])
    with pytest.raises(PreemptedError):
        run(tmp_path / "out", data=digits(96), should_stop=lambda: next(asked, True), on_start=seen.append)
    for _ in range(2):
        run(tmp_path / "out", data=digits(96), on_start=seen.append)
    assert seen == [Standing(None, False), Standing(Position(0, 2), False), Standing(Position(2), True)]
    assert standing(tmp_path / "out") == seen[-1]


def test_a_run_that_is_none_of_this_call_is_not_told(tmp_path: Path) -> None:
    run(tmp_path, how=recipe(epochs=1), data=digits(32))
    seen: list[Standing] = []
    with pytest.raises(TrainingError, match="holds another run"):
        run(tmp_path, data=digits(32), on_start=seen.append)
    assert seen == []


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "kept").mkdir()
    check_folder(tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("name", ["/proc/x", "{}/file", "{}/file/run", "{}/" + 300 * "x"])
def test_a_folder_that_cannot_be_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match=r"cannot be the folder of a run: .*\nGive a folder .*: -o DIR"):
        check_folder(Path(name.format(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
