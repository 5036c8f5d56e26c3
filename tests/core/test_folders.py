"""Folders that appear whole or not at all."""

from __future__ import annotations

import pytest

from gpunet.core.folders import atomic_folder, staging
from gpunet.errors import ExportError


def ours(path) -> bool:
    return (path / "mark").exists()


def fail_halfway(path) -> None:
    with atomic_folder(path, ours=ours) as made:
        (made / "mark").write_text("half")
        raise KeyError("interrupted")


def make(path, text, mark="mark"):
    with atomic_folder(path, ours=ours) as made:
        (made / mark).write_text(text)


def test_a_folder_appears_when_all_is_there(tmp_path):
    make(tmp_path / "a" / "b", "one")
    assert (tmp_path / "a" / "b" / "mark").read_text() == "one"
    assert [each.name for each in (tmp_path / "a").iterdir()] == ["b"]


def test_our_own_is_replaced_and_an_empty_one_too(tmp_path):
    make(tmp_path / "net", "one")
    (tmp_path / "net" / "more").write_text("old")
    make(tmp_path / "net", "two")
    assert {each.name: each.read_text() for each in (tmp_path / "net").iterdir()} == {"mark": "two"}
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty", "three")
    assert (tmp_path / "empty" / "mark").exists()


def test_an_error_leaves_what_was_there(tmp_path):
    make(tmp_path / "net", "one")
    with pytest.raises(KeyError):
        fail_halfway(tmp_path / "net")
    assert (tmp_path / "net" / "mark").read_text() == "one"
    assert [each.name for each in tmp_path.iterdir()] == ["net"]


def test_what_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("cat")
    (tmp_path / "file").write_text("text")
    for name in ("photos", "file"):
        with pytest.raises(ExportError, match=rf"{name} is there already and was not made by this export"):
            make(tmp_path / name, "one")
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("text")
    with (
        pytest.raises(ExportError, match=r"file/net.*cannot be written: Not a directory[^$]*that you can write to"),
        staging(tmp_path / "file" / "net"),
    ):
        pass
