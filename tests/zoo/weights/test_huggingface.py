from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import textwrap
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import huggingface_hub
import pytest
import safetensors
import safetensors.torch
import torch
from helpers.checkpoints import (
    COMMIT,
    NGC_PATH,
    Server,
    in_clients_cache,
    left_in,
    send,
    send_as_hub,
    tiny_entry,
    tiny_network,
    tiny_state,
)

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


@pytest.fixture(autouse=True)
def tiny(hub: Server) -> None:
    hub.answers[_RESOLVE] = lambda handler: send_as_hub(handler, b"content")


def _fetched(folder: Path, timeout_s: float = 60) -> bytes:
    path = folder / "arriving" / "model"
    with fetched_from_hub("me/tiny", "model.safetensors", path, timeout_s=timeout_s, progress=False) as found:
        return found.read_bytes()


def test_a_file_arrives_and_is_checked(hub: Server, tmp_path: Path) -> None:
    tokens = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        tokens.append(handler.headers.get("Authorization"))
        send_as_hub(handler, b"content", hashlib.sha256(b"content").hexdigest())

    hub.answers[_RESOLVE] = answer
    assert _fetched(tmp_path) == b"content"
    assert tokens == ["Bearer hf_secret"] * 2
    assert hub.requests == [f"HEAD {_RESOLVE}", f"GET {_RESOLVE}"]
    assert left_in(tmp_path / "arriving") == []
    assert not (tmp_path / "hub").exists()  # one copy is enough


def test_what_arrives_damaged(hub: Server, tmp_path: Path) -> None:
    hub.answers[_RESOLVE] = lambda handler: send_as_hub(handler, b"contemt", hashlib.sha256(b"content").hexdigest())
    with pytest.raises(ChecksumError, match=r"is damaged, or is another file: [^\n]*\nIt was deleted: try again\."):
        _fetched(tmp_path)
    assert left_in(tmp_path / "arriving") == []


def test_what_the_clients_cache_has_is_not_fetched(hub: Server, tmp_path: Path) -> None:
    in_clients_cache(tmp_path, "me/tiny", b"fetched before")
    assert _fetched(tmp_path) == b"fetched before"
    assert hub.requests == [f"HEAD {_RESOLVE}"]
    assert (tmp_path / "hub/models--me--tiny/snapshots" / COMMIT / "model.safetensors").exists()


def test_where_the_hub_cannot_be_reached_the_clients_cache_counts(
    hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match=r"Hugging Face repository me/tiny: model\.safetensors cannot be had: "):
        _fetched(tmp_path)
    in_clients_cache(tmp_path, "me/tiny", b"fetched before")
    assert _fetched(tmp_path) == b"fetched before"
    assert hub.requests == []


@pytest.mark.parametrize("asked", ["HEAD", "GET"])
def test_a_hub_that_drips(hub: Server, tmp_path: Path, asked: str) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.command == asked == "HEAD":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nETag: ")
            hub.released.wait()
        send(handler, b"x", Content_Length="1000", ETag='"1"', X_Repo_Commit=COMMIT)
        if handler.command == "GET":
            hub.released.wait()

    hub.answers[_RESOLVE] = answer
    with pytest.raises(DownloadError, match=r"took longer than timeout_s=0\.5 allows"):
        _fetched(tmp_path, timeout_s=0.5)


def test_a_large_file_lies_elsewhere_and_is_asked_for_without_the_token(hub: Server, tmp_path: Path) -> None:
    """The hub's own answer names the SHA-256 and the commit; what it leads to knows neither."""
    tokens = {}
    with Server() as elsewhere:

        def lead(handler: BaseHTTPRequestHandler) -> None:
            tokens[f"hub {handler.command}"] = handler.headers.get("Authorization")
            digest = hashlib.sha256(b"large").hexdigest()
            send(handler, b"", 302, Location=f"{elsewhere.url}/large", ETag='"x"', X_Linked_Etag=f'"{digest}"',
                 X_Repo_Commit=COMMIT)  # fmt: skip

        def answer(handler: BaseHTTPRequestHandler) -> None:
            tokens[f"elsewhere {handler.command}"] = handler.headers.get("Authorization")
            send(handler, b"large")

        hub.answers[_RESOLVE], elsewhere.answers["/large"] = lead, answer
        assert _fetched(tmp_path) == b"large"
    secret = "Bearer hf_secret"
    assert tokens == {"hub HEAD": secret, "hub GET": secret, "elsewhere GET": None}


def test_a_repository_that_moved_on_its_hub(hub: Server, tmp_path: Path) -> None:
    hub.answers["/new/tiny"] = hub.answers[_RESOLVE]
    hub.answers[_RESOLVE] = lambda handler: send(handler, b"", 307, Location="/new/tiny")
    assert _fetched(tmp_path) == b"content"
    assert hub.requests == [f"HEAD {_RESOLVE}", "HEAD /new/tiny", f"GET {_RESOLVE}", "GET /new/tiny"]


def test_one_that_is_closed_says_how_to_come_in(hub: Server, tmp_path: Path) -> None:
    hub.answers[_RESOLVE] = lambda handler: send(handler, b"", 401)
    with pytest.raises(DownloadError, match=r"answered 401 [^\n]*\nIf it is private or gated: `hf auth login`"):
        _fetched(tmp_path)
