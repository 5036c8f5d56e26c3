"""Files are read once, as long as they stay as they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpunet.core.unchanged import Index, Unchanged


@pytest.fixture
def read() -> tuple[Unchanged[str], list[str]]:
    """A reader for which all files have lain there for an hour, and the texts that it read."""
    texts: list[str] = []

    def make(path: Path, folder: Path) -> str:
        texts.append(path.read_text())
        return texts[-1]

    return Unchanged(make, clock_ns=lambda: 2**62), texts


def test_an_unchanged_file_is_read_once(tmp_path: Path, read: tuple[Unchanged[str], list[str]]):
    reader, texts = read
    path = tmp_path / "a"
    path.write_text("one")
    assert [reader(path, tmp_path) for _ in range(3)] == ["one"] * 3
    assert texts == ["one"]
    assert reader(path, tmp_path / "..") == "one"
    assert len(texts) == 2  # another folder is another question


def test_another_size_time_or_file_is_read_again(tmp_path: Path, read: tuple[Unchanged[str], list[str]]):
    reader, texts = read
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_text("one")
    reader(path, tmp_path)
    path.write_text("three")
    assert reader(path, tmp_path) == "three"
    os.utime(path, ns=(1, 1))
    reader(path, tmp_path)
    assert texts == ["one", "three", "three"]
    other.write_text("other")
    os.utime(other, ns=(1, 1))
    os.replace(other, path)
    assert reader(path, tmp_path) == "other"


def test_a_link_to_another_file_is_read_again(tmp_path: Path, read: tuple[Unchanged[str], list[str]]):
    reader, _ = read
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, ns=(1, 1))
    link = tmp_path / "link"
    link.symlink_to("a")
    assert reader(link, tmp_path) == "a"
    link.unlink()
    link.symlink_to("b")
    assert reader(link, tmp_path) == "b"


def test_a_copy_that_brings_an_old_time_along_has_just_been_written(tmp_path: Path):
    texts: list[str] = []
    reader = Unchanged(lambda path, folder: texts.append(path.read_text()))
    path = tmp_path / "a"
    path.write_text("one")
    os.utime(path, ns=(1, 1))
    for _ in range(2):
        reader(path, tmp_path)
    assert texts == ["one", "one"]


def test_what_is_forgotten_between_two_looks_is_read(tmp_path: Path, read: tuple[Unchanged[str], list[str]]):
    reader, _ = read
    path = tmp_path / "a"
    path.write_text("one")
    reader(path, tmp_path)

    class Forgetful(dict):  # another thread pops the key once it was seen
        def __contains__(self, key: object) -> bool:
            there = super().__contains__(key)
            self.pop(key, None)
            return there

    reader._kept = Forgetful(reader._kept)
    assert reader(path, tmp_path) == "one"


def test_what_was_just_written_or_cannot_be_read_is_not_kept(tmp_path: Path):
    texts: list[str] = []
    reader = Unchanged(lambda path, folder: texts.append(path.read_text()), clock_ns=lambda: 0)
    path = tmp_path / "a"
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            reader(path, tmp_path)
    path.write_text("one")
    reader(path, tmp_path)
    reader(path, tmp_path)
    assert texts == ["one", "one"]


def _indexed(place: Path, made_by: str = "code") -> tuple[Unchanged[str], list[str]]:
    """A reader in a process of its own, as far as it knows, and the names of the files that it read."""
    names: list[str] = []

    def make(path: Path, folder: Path) -> str:
        names.append(path.name)
        return path.read_text()

    index = Index(lambda: place, lambda: made_by, lambda text: {"text": text}, lambda said, path: said["text"])
    return Unchanged(make, clock_ns=lambda: 2**62, index=index), names


def _read_all(reader: Unchanged[str], folder: Path) -> dict[str, str]:
    with reader.indexed(folder):
        return {path.name: reader(path, folder) for path in sorted(folder.iterdir())}


def test_another_process_reads_what_has_changed(tmp_path: Path):
    folder, place = tmp_path / "zoo", tmp_path / "home"
    folder.mkdir()
    for number in range(80):
        (folder / f"{number}").write_text(f"text {number}")
    reader, names = _indexed(place)
    before = _read_all(reader, folder)
    assert len(names) == 80
    again, names = _indexed(place)
    assert (_read_all(again, folder), names) == (before, [])
    (folder / "7").write_text("other!")
    (folder / "8").unlink()
    (folder / "9").unlink()
    (folder / "9").symlink_to("10")
    (folder / "new").write_text("new")
    third, names = _indexed(place)
    found = _read_all(third, folder)
    assert sorted(names) == ["7", "9", "new"]
    assert (found["7"], found["9"], found["new"], "8" in found) == ("other!", "text 10", "new", False)
    os.rename(folder, tmp_path / "elsewhere")
    for reader, of in ((_indexed(place), "elsewhere"), (_indexed(place, made_by="other code"), "elsewhere")):
        _read_all(reader[0], tmp_path / of)
        assert len(reader[1]) == 80  # of another folder, of other code


def test_an_index_that_is_damaged_or_cannot_be_written_is_none(tmp_path: Path):
    folder, place = tmp_path / "zoo", tmp_path / "home"
    folder.mkdir()
    for number in range(80):
        (folder / f"{number}").write_text(f"text {number}")
    _read_all(_indexed(place)[0], folder)
    (path,) = place.iterdir()
    whole = path.read_text()
    for damaged in (whole[:50], "[]", whole.replace('"files":{', '"files":{"x":3,'), whole.replace(str(folder), "/")):
        path.write_text(damaged)
        reader, names = _indexed(place)
        _read_all(reader, folder)
        assert len(names) == 80
    (tmp_path / "file").write_text("no folder")
    reader, names = _indexed(tmp_path / "file")
    assert len(_read_all(reader, folder)) == len(names) == 80
