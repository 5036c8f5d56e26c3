"""--timeout, of every command that may download weights."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import huggingface_hub
import pytest
from helpers.checkpoints import Server, left_in, send

from gpunet.cli.main import main
from gpunet.errors import DownloadError, InvalidArgumentError
from gpunet.zoo.catalog import catalog


@pytest.fixture(autouse=True)
def silent_ngc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server in NGC's place, and the hub's, that stops after the first byte; no weights are in the cache."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat.jpg").touch()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"x", Content_Length="1000")
        server.released.wait()

    def hub(handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "GET":
            answer(handler)
        else:
            send(handler, b"", ETag='"1"')

    with Server() as server:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.answers["/timm/test_resnet.r160_in1k/resolve/main/model.safetensors"] = hub
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setenv("GPUNET_NGC_URL", server.url)
        monkeypatch.setenv("GPUNET_HOME", str(tmp_path / "home"))
        for entry in catalog().values():
            if entry.role == "released" and entry.weights is not None:
                server.answers[str(entry.weights.ngc_url).removeprefix("https://api.ngc.nvidia.com")] = answer
        yield


@pytest.mark.parametrize(
    "command",
    [
        "export gpunet_0",
        "export --device gv100 --max-ms 0.7",
        "predict gpunet_0 cat.jpg",
        "eval gpunet_0 --data digits",
        "train gpunet_0 --pretrained --data digits",
        "train --data digits --teacher gpunet_0",
        "train --data digits --teacher test_resnet.r160_in1k",
        "predict test_resnet.r160_in1k cat.jpg --zoo timm",
    ],
)
def test_a_download_ends_when_it_is_told_to(command: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"took longer than --timeout 0\.3 allows"):
        main([*command.split(), "--timeout", "0.3"])
    assert left_in(tmp_path / "home") == []


def test_a_time_limit_that_is_none() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^--timeout must be a finite number above 0, but got 0\.0"):
        main(["export", "gpunet_0", "--timeout", "0"])


@pytest.mark.parametrize("command", ["predict a.onnx cat.jpg", "eval a.onnx --data digits"])
def test_an_exported_file_downloads_nothing(command: str, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").touch()
    with pytest.raises(InvalidArgumentError, match=r"--timeout is (for a network|of a network)"):
        main([*command.split(), "--timeout", "5"])
