"""Atomic files, locks, checksums, optional packages."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest

from gpunet.core import files
from gpunet.errors import DataError, MissingDependencyError


def test_home_follows_the_environment(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path))
    assert files.home() == tmp_path
    monkeypatch.delenv("GPUNET_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert files.home().name == "gpunet"


def test_a_file_appears_whole_or_not_at_all(tmp_path) -> None:
    path = tmp_path / "deep" / "a.txt"
    files.write_text(path, "old")

    def fail_half_way() -> None:
        with files.atomic_path(path) as part:
            part.write_text("new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_permissions_are_those_of_any_new_file(tmp_path) -> None:
    files.write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert stat.S_IMODE(os.stat(tmp_path / "a").st_mode) == stat.S_IMODE(os.stat(tmp_path / "b").st_mode)


def test_a_lock_can_be_taken_again_after_its_release(tmp_path) -> None:
    for _ in range(2):
        with files.lock(tmp_path / "x" / "table"):
            assert (tmp_path / "x").is_dir()


@pytest.mark.parametrize(
    ("unsaid_s", "timeout_s", "said"), [(60, 0, ""), (0, 0.01, "waiting for it\n")], ids=["no wait", "a wait"]
)
def test_a_lock_that_another_holds(tmp_path, monkeypatch, capsys, unsaid_s, timeout_s, said) -> None:
    monkeypatch.setattr(files, "_UNSAID_S", unsaid_s)
    with (
        files.lock(tmp_path / "table"),
        pytest.raises(TimeoutError),
        files.lock(tmp_path / "table", waiting="waiting for it", timeout_s=timeout_s),
    ):
        pass
    assert capsys.readouterr().err == said


def test_waiting_is_said_before_the_wait_is_over(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(files, "_UNSAID_S", 0)
    held, said = threading.Event(), threading.Event()
    monkeypatch.setattr(files, "note", lambda text: said.set())

    def hold() -> None:
        with files.lock(tmp_path / "table"):
            held.set()
            said.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with files.lock(tmp_path / "table", waiting="waiting for it"):
        assert said.is_set()
    thread.join()


def test_sha256(tmp_path) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "a").write_bytes(data)
    assert files.sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_require_names_the_extra() -> None:
    assert files.require("json", "x", purpose="to test").__name__ == "json"
    with pytest.raises(MissingDependencyError) as caught:
        files.require("gpunet_has_no_such_package", "plots", purpose="to draw")
    assert caught.value.message == "gpunet_has_no_such_package is needed to draw, but it is not installed."
    assert caught.value.hint == "Install it: pip install 'gpunet[plots]'"


def test_require_does_not_hide_a_broken_package(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "broken_package_of_a_user.py").write_text("import nothing_of_this_name")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        files.require("broken_package_of_a_user", "x", purpose="to test")


def test_a_path_that_names_nothing_or_something_else(tmp_path: Path) -> None:
    absent = files.not_a("folder", tmp_path / "none", DataError, "Name one.")
    assert (absent.message, absent.hint) == (f"{tmp_path / 'none'}: there is no such folder.", "Name one.")
    assert absent.exit_code == 4
    other = files.not_a("file", tmp_path, DataError, "Name one.")
    assert (other.message, other.exit_code) == (f"{tmp_path} is no file.", 2)
