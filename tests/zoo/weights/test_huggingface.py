from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import huggingface_hub
import pytest
import safetensors
import safetensors.torch
import torch
from helpers.checkpoints import NGC_PATH, Server, left_in, send, tiny_entry, tiny_network, tiny_state

from gpunet.errors import ChecksumError, DownloadError
from gpunet.zoo.weights.huggingface import fetched_from_hub
from gpunet.zoo.weights.loading import cache_path, load_weights

_HUB = """
    import logging, sys
    logging.disable()
    from helpers.checkpoints import tiny_entry
    from gpunet.zoo.weights.loading import find_weights
    from gpunet.errors import GpunetError
    for repository, sha256 in zip(sys.argv[1::2], sys.argv[2::2]):
        try:
            print(find_weights(tiny_entry(hf_repo=repository, ngc_url=None, sha256=sha256 or None)))
        except GpunetError as error:
            print(type(error).__name__, str(error).replace("\\n", " | "))
    try:
        print(find_weights(tiny_entry(hf_repo="me/none")))
    except GpunetError as error:
        print(type(error).__name__, error.message)
"""


@pytest.mark.slow
def test_hugging_face(server: Server, cache: Path, tmp_path: Path) -> None:
    """The hub's own client against a loopback hub: found, absent, changed, another network; then NGC."""
    contents = {
        "me/tiny": safetensors.torch.save(tiny_state()),
        "me/other": safetensors.torch.save({"fc.weight": torch.zeros(2)}),
        "me/damaged": b"no safetensors",
    }
    for repository, content in contents.items():

        def answer(handler: BaseHTTPRequestHandler, content: bytes = content) -> None:
            digest = hashlib.sha256(content).hexdigest()
            send(handler, content, ETag=f'"{digest}"', X_Repo_Commit="0123456789" * 4)

        server.answers[f"/{repository}/resolve/main/model.safetensors"] = answer
        server.answers[f"/{repository}/resolve/{'0123456789' * 4}/model.safetensors"] = answer
    paths = os.pathsep.join(sys.path)
    environment = {**os.environ, "PYTHONPATH": paths, "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hub"),
                   "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_OFFLINE": "0"}  # fmt: skip
    arguments = ["me/tiny", "", "me/none", "", "me/tiny", "00ff", "me/other", "", "me/damaged", "", "not a name", ""]
    command = [sys.executable, "-c", textwrap.dedent(_HUB), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    found, absent, changed, other, damaged, unnamed, by_ngc = done.stdout.splitlines()

    assert found == str(cache_path(tiny_entry(hf_repo="me/tiny", ngc_url=None)))
    load_weights(tiny_network(), found)
    with safetensors.safe_open(found, framework="pt") as file:
        assert file.metadata()["source"] == "https://huggingface.co/me/tiny"
    assert "DownloadError tiny: its weights could not be had: Hugging Face repository me/none: model.safe" in absent
    assert "404" in absent
    assert "| Download model.safetensors of https://huggingface.co/me/none by hand and pass weights=FILE" in absent
    assert changed.startswith("ChecksumError ")
    assert "but 00ff is recorded. | The repository me/tiny has changed, or the entry is wrong." in changed
    assert other.startswith("CheckpointError ")
    assert re.search(r"is not of tiny: \d+ missing \(", other)
    assert damaged.startswith("CheckpointError ")
    assert "is not a safetensors file, or is damaged" in damaged
    assert unnamed.startswith("DownloadError tiny: its weights could not be had: Hugging Face repository not a name: ")
    assert by_ngc == str(cache_path(tiny_entry(hf_repo="me/none")))
    assert f"GET {NGC_PATH}" in server.requests


# --------------------------------------------------------------- a file by itself

_RESOLVE = "/me/tiny/resolve/main/model.safetensors"
_COMMIT = "0123456789" * 4


@pytest.fixture
def hub(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serves me/tiny, with a token for who has one; the client's cache is empty."""
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    server.answers[_RESOLVE] = lambda handler: _send(handler, b"content")
    yield server
    getattr(huggingface_hub, "close_session", lambda: None)()  # its first releases keep no session


def _send(handler: BaseHTTPRequestHandler, content: bytes, etag: str = "1") -> None:
    send(handler, content, ETag=f'"{etag}"', X_Repo_Commit=_COMMIT)


def _fetched(folder: Path, timeout_s: float = 60) -> bytes:
    path = folder / "arriving" / "model"
    with fetched_from_hub("me/tiny", "model.safetensors", path, timeout_s=timeout_s, progress=False) as found:
        return found.read_bytes()


def _in_clients_cache(folder: Path, content: bytes) -> None:
    """As the hub's client keeps a file."""
    repository = folder / "hub" / "models--me--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(_COMMIT)
    (repository / "snapshots" / _COMMIT).mkdir(parents=True)
    (repository / "snapshots" / _COMMIT / "model.safetensors").write_bytes(content)


def test_a_file_arrives_and_is_checked(hub: Server, tmp_path: Path) -> None:
    tokens = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        tokens.append(handler.headers.get("Authorization"))
        _send(handler, b"content", hashlib.sha256(b"content").hexdigest())

    hub.answers[_RESOLVE] = answer
    assert _fetched(tmp_path) == b"content"
    assert tokens == ["Bearer hf_secret"] * 2
    assert hub.requests == [f"HEAD {_RESOLVE}", f"GET {_RESOLVE}"]
    assert left_in(tmp_path / "arriving") == []
    assert not (tmp_path / "hub").exists()  # one copy is enough


def test_what_arrives_damaged(hub: Server, tmp_path: Path) -> None:
    hub.answers[_RESOLVE] = lambda handler: _send(handler, b"contemt", hashlib.sha256(b"content").hexdigest())
    with pytest.raises(ChecksumError, match=r"is damaged, or is another file: [^\n]*\nIt was deleted: try again\."):
        _fetched(tmp_path)
    assert left_in(tmp_path / "arriving") == []


def test_what_the_clients_cache_has_is_not_fetched(hub: Server, tmp_path: Path) -> None:
    _in_clients_cache(tmp_path, b"fetched before")
    assert _fetched(tmp_path) == b"fetched before"
    assert hub.requests == [f"HEAD {_RESOLVE}"]
    assert (tmp_path / "hub/models--me--tiny/snapshots" / _COMMIT / "model.safetensors").exists()


def test_where_the_hub_cannot_be_reached_the_clients_cache_counts(
    hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match=r"Hugging Face repository me/tiny: model\.safetensors cannot be had: "):
        _fetched(tmp_path)
    _in_clients_cache(tmp_path, b"fetched before")
    assert _fetched(tmp_path) == b"fetched before"
    assert hub.requests == []


def test_a_hub_that_drips(hub: Server, tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"x", Content_Length="1000", ETag='"1"', X_Repo_Commit=_COMMIT)
        if handler.command == "GET":
            hub.released.wait()

    hub.answers[_RESOLVE] = answer
    with pytest.raises(DownloadError, match=r"took longer than timeout_s=0\.5 allows"):
        _fetched(tmp_path, timeout_s=0.5)
