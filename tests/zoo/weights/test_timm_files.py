"""timm's networks from a loopback hub: the same weights as timm's own download, kept, gone on with, bounded in time."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch
from helpers.checkpoints import COMMIT, Server, in_clients_cache, left_in, pickled, send, send_as_hub

from gpunet.errors import ChecksumError, DownloadError, WeightsError
from gpunet.zoo.named import network_named
from gpunet.zoo.weights.timm_files import timm_network

TAG = "test_resnet.r160_in1k"
PATH = f"/timm/{TAG}/resolve/main/"


def weights(seed: int = 0, **arguments: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return timm.create_model("test_resnet", **arguments).state_dict()


def serve(hub: Server, path: str, content: bytes, etag: str = "1") -> None:
    hub.answers[path] = lambda handler: send_as_hub(handler, content, etag)


def same(model: torch.nn.Module, state: dict[str, torch.Tensor]) -> bool:
    found = model.state_dict()
    return found.keys() == state.keys() and all(torch.equal(found[name], each) for name, each in state.items())


def test_a_network_is_fetched_once_and_asked_about_each_time(
    hub: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = weights()
    serve(hub, PATH + "model.safetensors", safetensors.torch.save(state))
    assert same(timm_network(TAG), state)
    assert same(timm_network(TAG), state)
    asked = f"HEAD {PATH}model.safetensors"
    assert hub.requests == [asked, asked.replace("HEAD", "GET"), asked]
    assert left_in(cache) == [f"model.safetensors{suffix}" for suffix in ("", ".etag", ".sha256")]
    fresh = timm_network(TAG, num_classes=7, in_chans=1)
    assert torch.equal(fresh.state_dict()["layer1.0.conv1.weight"], state["layer1.0.conv1.weight"])

    hub.requests.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert same(timm_network(TAG), state)
    assert hub.requests == []
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    serve(hub, PATH + "model.safetensors", safetensors.torch.save(weights(1)), etag="2")
    assert same(timm_network(TAG), weights(1))

    next(cache.rglob("model.safetensors")).write_bytes(b"")
    with pytest.raises(ChecksumError, match=r"is damaged, or is another file"):
        timm_network(TAG)


def test_what_the_clients_cache_has_is_not_fetched(hub: Server, cache: Path, tmp_path: Path) -> None:
    serve(hub, PATH + "model.safetensors", b"not asked for")
    in_clients_cache(tmp_path, f"timm/{TAG}", safetensors.torch.save(weights()))
    assert same(timm_network(TAG), weights())
    assert not cache.exists()


def test_a_repository_without_safetensors(hub: Server) -> None:
    serve(hub, PATH + "pytorch_model.bin", pickled(weights()))
    assert same(timm_network(TAG), weights())
    hub.answers.clear()
    assert same(timm_network(TAG), weights())
    hub.requests.clear()
    with pytest.raises(DownloadError, match=r"repository timm/test_vit\.r160_in1k: \S+ cannot be had: .* answered 404"):
        timm_network("test_vit.r160_in1k")
    assert len(hub.requests) == 2


@pytest.mark.parametrize("pretrained", [True, False])
def test_a_repository_of_ones_own_at_a_revision(hub: Server, tmp_path: Path, pretrained: bool) -> None:
    """Either layout of config.json; the file that it names."""
    cfg = {"num_classes": 5, "input_size": [3, 32, 32], "first_conv": "conv1", "classifier": "fc", "custom_load": True,
           "hf_hub_filename": "best/mine.safetensors"}  # fmt: skip
    config = {"architecture": "test_resnet", "num_classes": 5, "pretrained_cfg": cfg}
    serve(hub, "/me/mine/resolve/v2/config.json", json.dumps(config).encode())
    if pretrained:
        serve(hub, "/me/mine/resolve/v2/best/mine.safetensors", safetensors.torch.save(weights(num_classes=5)))
    model = timm_network("hf-hub:me/mine@v2", pretrained=pretrained)
    assert list(model.pretrained_cfg["input_size"]) == [3, 32, 32]
    assert model.num_classes == 5
    assert same(model, weights(num_classes=5)) == pretrained


def test_weights_at_an_address(hub: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    hub.answers["/a%20b/x-1234.pth"] = pickled({"state_dict": weights()})
    overlay = {"hf_hub_id": None, "url": f"{hub.url}/a%20b/x-1234.pth"}
    assert same(timm_network("test_resnet", pretrained_cfg_overlay=overlay), weights())
    hub.answers.clear()
    assert same(timm_network("test_resnet", pretrained_cfg_overlay=overlay), weights())
    next(cache.rglob("x-1234.pth")).unlink()
    by_torch = tmp_path / "torch/hub/checkpoints/x-1234.pth"
    by_torch.parent.mkdir(parents=True)
    by_torch.write_bytes(pickled(weights(1)))
    assert same(timm_network("test_resnet", pretrained_cfg_overlay=overlay), weights(1))


def test_a_download_that_broke_off_is_gone_on_with(hub: Server, cache: Path) -> None:
    content, ranges = safetensors.torch.save(weights()), []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        headers = {"ETag": '"1"', "X_Repo_Commit": COMMIT}
        if handler.command == "HEAD":
            send(handler, content, **headers)
        elif asked := handler.headers.get("Range"):
            ranges.append(asked)
            send(handler, content[999:], 206, Content_Range=f"bytes 999-{len(content) - 1}/{len(content)}", **headers)
        else:
            send(handler, content[:1000], **{**headers, "Content_Length": str(len(content))})

    hub.answers[PATH + "model.safetensors"] = answer
    with pytest.raises(DownloadError, match=r"What has arrived is kept: try again, and it goes on from there\."):
        timm_network(TAG)
    assert same(timm_network(TAG), weights())
    assert ranges == ["bytes=999-"]
    assert left_in(cache) == [f"model.safetensors{suffix}" for suffix in ("", ".etag", ".sha256")]


def test_one_that_never_ends_is_bounded_in_time(hub: Server) -> None:
    """As a teacher too."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"x", Content_Length="1000", ETag='"1"')
        if handler.command == "GET":
            hub.released.wait()

    hub.answers[PATH + "model.safetensors"] = answer
    with pytest.raises(DownloadError, match=r"took longer than timeout_s=0\.5 allows"):
        network_named(TAG, timm_too=True, timeout_s=0.5)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (b"[]", "config.json of me/mine names the architecture None"),
        (b"{", "config.json of me/mine is no JSON"),
        (b'{"architecture": "no_such"}', "config.json of me/mine names the architecture 'no_such', which timm"),
        (json.dumps({"architecture": "test_resnet", "hf_hub_filename": "../../../evil"}).encode(), "answered 404"),
    ],
)
def test_a_repository_that_is_none(hub: Server, tmp_path: Path, config: bytes, said: str) -> None:
    serve(hub, "/me/mine/resolve/main/config.json", config)
    with pytest.raises(WeightsError) as caught:
        network_named("hf-hub:me/mine", timm_too=True)
    assert re.search(said, str(caught.value))
    assert not list(tmp_path.rglob("evil*"))
