from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import textwrap
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import safetensors.torch
import torch
from helpers.checkpoints import NGC_PATH, TINY_SPEC, Server, left_in, send, tiny_entry, tiny_network, tiny_zip

from gpunet.core.files import lock
from gpunet.errors import ChecksumError, DownloadError
from gpunet.zoo.weights.loading import cache_path, find_weights, load_weights


@pytest.mark.slow
def test_two_processes_download_once(server: Server, cache: Path) -> None:
    code = """
        from helpers.checkpoints import tiny_entry
        from gpunet.zoo.weights.loading import find_weights
        print("ready", flush=True)
        input()
        print(find_weights(tiny_entry()), flush=True)
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in "ab"
    ]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        """Keep the first waiting long enough for a second request, which a working lock keeps from coming."""
        server.released.wait(0.5)
        send(handler, tiny_zip())

    server.answers[NGC_PATH] = answer
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert said == [f"{cache_path(tiny_entry())}\n"] * 2
    assert server.requests == [f"GET {NGC_PATH}"]
    assert len(left_in(cache)) == 2


def _leftovers(cache: Path) -> None:
    """What killed processes leave: of the tiny network's weights, and of another's, perhaps at work."""
    downloads = cache / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    mine = cache_path(tiny_entry())
    (cache / f".{mine.name}.k1ll3d.part").write_bytes(b"half")
    (cache / f".{mine.name}.sha256.k1ll3d.part").write_bytes(b"half")
    (downloads / f"{mine.stem}.zip").write_bytes(tiny_zip()[:1000])
    (downloads / f"{mine.stem}.safetensors").write_bytes(b"of another source")
    (downloads / f".{mine.stem}.zip.json.k1ll3d.part").write_bytes(b"{")
    (downloads / "another-0123456789ab.zip").write_bytes(b"half")


def test_what_a_killed_process_left_is_deleted(server: Server, cache: Path) -> None:
    _leftovers(cache)
    path = find_weights(tiny_entry())
    assert left_in(cache) == ["another-0123456789ab.zip", path.name, f"{path.name}.sha256"]
    load_weights(tiny_network(), path)


def test_what_a_process_left_that_was_killed_once_it_was_done_is_deleted(server: Server, cache: Path) -> None:
    path = find_weights(tiny_entry())
    _leftovers(cache)
    with lock(path):  # another process is at it
        assert find_weights(tiny_entry()) == path
    assert len(left_in(cache)) == 8
    assert find_weights(tiny_entry()) == path
    assert left_in(cache) == ["another-0123456789ab.zip", path.name, f"{path.name}.sha256"]


def test_waiting_for_another_process_is_said(server: Server, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = cache_path(tiny_entry())
    with (
        lock(path),
        pytest.raises(
            DownloadError, match=rf"another process has been making {path} for longer than timeout_s=1\.1 allows"
        ),
    ):
        find_weights(tiny_entry(), timeout_s=1.1)
    assert capsys.readouterr().err == f"waiting for another process, which makes {path}\n"
    assert server.requests == []


@pytest.mark.parametrize("change", ["a byte", "shorter", "empty"])
def test_a_damaged_cache_file(server: Server, cache: Path, change: str) -> None:
    path = find_weights(tiny_entry())
    content = path.read_bytes()
    state = safetensors.torch.load(content)
    damaged = {"a byte": content[:-1] + bytes([content[-1] ^ 1]), "shorter": content[:-1], "empty": b""}[change]
    path.write_bytes(damaged)
    with pytest.raises(ChecksumError, match="is damaged, or is another file: its SHA-256 is ") as caught:
        find_weights(tiny_entry())
    assert str(path) in caught.value.message
    assert caught.value.hint == f"Delete it, and it is fetched or converted again: {path}"

    path.unlink()
    again = safetensors.torch.load_file(find_weights(tiny_entry()))
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize(
    ("sidecar", "said"),
    [
        (None, "has no SHA-256 beside it in tiny-"),
        (b"", "but nothing is recorded"),
        (b"\xff\xfe", "cannot be read: 'utf-8' codec"),
        (b"0" * 64 + b"  x\n", "but 0000000000000000000000000000000000000000000000000000000000000000 is recorded"),
    ],
    ids=["missing", "empty", "no text", "wrong"],
)
def test_a_damaged_checksum(server: Server, cache: Path, sidecar: bytes | None, said: str) -> None:
    path = find_weights(tiny_entry())
    beside = Path(f"{path}.sha256")
    beside.unlink() if sidecar is None else beside.write_bytes(sidecar)
    with pytest.raises(ChecksumError) as caught:
        find_weights(tiny_entry())
    assert said in caught.value.message
    assert caught.value.hint == f"Delete it, and it is fetched or converted again: {path}"


def test_a_cache_file_that_cannot_be_read(server: Server, cache: Path) -> None:
    path = find_weights(tiny_entry())
    path.unlink()
    path.mkdir()
    with pytest.raises(ChecksumError, match=r"cannot be read: Is a directory\.\nDelete it"):
        find_weights(tiny_entry())


def test_entries_of_one_name_do_not_share_a_file(cache: Path) -> None:
    entries = [
        tiny_entry(),
        tiny_entry(ngc_url="https://example.org/zip"),
        tiny_entry(hf_repo="me/tiny"),
        dataclasses.replace(tiny_entry(), spec_data={**TINY_SPEC, "head": {"filters": 24}}),
    ]
    assert len({cache_path(entry) for entry in entries}) == len(entries)
    assert cache_path(dataclasses.replace(tiny_entry(), name="a+b")).parent == cache


def test_a_cache_that_can_only_be_read_is_read(server: Server, cache: Path) -> None:
    """Neither a lock nor anything else is written where the weights are there already."""
    path = find_weights(tiny_entry())
    for each in cache.glob("*.lock"):
        each.unlink()
    before = sorted(os.listdir(cache))
    assert find_weights(tiny_entry()) == path
    assert sorted(os.listdir(cache)) == before
