"""Synthetic checkpoints in NVIDIA's layout, the zips that hold them, and a loopback server that serves them."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gpunet.model.entry import Entry, WeightsSource
from gpunet.model.network import GPUNet
from helpers import DATA

MEMBER = "0.01ms.pth.tar"
NGC_PATH = "/v2/models/nvidia/dle/tiny_pyt_ckpt/versions/1/zip"
NGC = f"https://api.ngc.nvidia.com{NGC_PATH}"

# One stage of each kind, as small as they come; TINY_LAYOUT is what NVIDIA's code would name its tensors.
TINY_SPEC: dict[str, Any] = {
    "resolution_px": 32,
    "stem": {"filters": 8, "activation": "swish"},
    "stages": [
        {"type": "conv", "filters": 8},
        {"type": "fused_irb", "filters": 8, "stride": 2, "expansion": 2, "pad_strided": False},
        {"type": "irb", "filters": 16, "layers": 2, "stride": 2, "expansion": 2, "squeeze_excitation": True},
    ],
    "head": {"filters": 16},
}


def _norm(prefix: str, channels: int) -> dict[str, tuple[int, ...]]:
    leaves = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{prefix}.{leaf}": (channels,) for leaf in leaves}, f"{prefix}.num_batches_tracked": ()}


def _irb(prefix: str, c_in: int, hidden: int, reduced: int, c_out: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}.conv_pw.weight": (hidden, c_in, 1, 1),
        **_norm(f"{prefix}.bn1", hidden),
        f"{prefix}.conv_dw.weight": (hidden, 1, 3, 3),
        **_norm(f"{prefix}.bn2", hidden),
        f"{prefix}.se.conv_reduce.weight": (reduced, hidden, 1, 1),
        f"{prefix}.se.conv_reduce.bias": (reduced,),
        f"{prefix}.se.conv_expand.weight": (hidden, reduced, 1, 1),
        f"{prefix}.se.conv_expand.bias": (hidden,),
        f"{prefix}.conv_pwl.weight": (c_out, hidden, 1, 1),
        **_norm(f"{prefix}.bn3", c_out),
    }


TINY_LAYOUT: dict[str, tuple[int, ...]] = {
    "network.head: 2.net.0.weight": (8, 3, 3, 3),
    **_norm("network.head: 2.net.1", 8),
    "network.stage: 1 layer3.conv.weight": (8, 8, 3, 3),
    **_norm("network.stage: 1 layer3.bn1", 8),
    "network.stage: 2 layer4.conv_exp.weight": (16, 8, 3, 3),
    **_norm("network.stage: 2 layer4.bn1", 16),
    "network.stage: 2 layer4.conv_pwl.weight": (8, 16, 1, 1),
    **_norm("network.stage: 2 layer4.bn2", 8),
    **_irb("network.stage: 3 layer5", 8, 16, 2, 16),
    **_irb("network.stage: 3 layer6", 16, 32, 4, 16),
    "network. layer7.net.0.weight": (16, 16, 1, 1),
    **_norm("network. layer7.net.1", 16),
    "network. layer7.net.6.weight": (10, 16),
    "network. layer7.net.6.bias": (10,),
}


def layout(name: str) -> dict[str, tuple[int, ...]]:
    """Tensor names and shapes of NVIDIA's checkpoint of a released network, in network order."""
    models = json.loads(gzip.decompress((DATA / "nvidia_layout.json.gz").read_bytes()))
    return {key: tuple(shape) for key, shape in models[name].items()}


def filled(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The synthetic checkpoint behind tests/data/golden_logits.npz: each tensor drawn from its name's CRC-32."""
    return {name: torch.from_numpy(np.asarray(_fill(name, shape))) for name, shape in shapes.items()}


def _fill(name: str, shape: tuple[int, ...]) -> Any:
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    if name.endswith("num_batches_tracked"):
        return np.int64(1)
    if name.endswith("running_var"):
        values = 0.75 + 0.5 * generator.random(shape)
    elif name.endswith("running_mean"):
        values = 0.1 * generator.standard_normal(shape)
    elif len(shape) == 1:
        weight = name.endswith("weight")
        values = 0.9 + 0.2 * generator.random(shape) if weight else 0.05 * generator.standard_normal(shape)
    else:
        values = generator.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))
    return values.astype(np.float32)


def pickled(content: Any, *, legacy: bool = False) -> bytes:
    """What torch.save writes, in its zip format or its older one."""
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def training_checkpoint(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """As NVIDIA's training script saves: the averaged weights beside the others, and its arguments."""
    return {
        "epoch": 449,
        "arch": "GPUNet",
        "state_dict": {f"module.{name}": torch.zeros_like(tensor) for name, tensor in state.items()},
        "state_dict_ema": {f"module.{name}": tensor for name, tensor in state.items()},
        "args": argparse.Namespace(lr=0.06, model="gpunet"),
    }


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip with these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tiny_zip() -> bytes:
    """NGC's zip of the tiny network."""
    return zipped({MEMBER: pickled(training_checkpoint(filled(TINY_LAYOUT))), "README.md": b"a tiny network"})


def tiny_network(**arguments: int) -> GPUNet:
    """The tiny network, in evaluation mode."""
    return GPUNet(TINY_SPEC, **{"num_classes": 10, **arguments}).eval()


def tiny_state(seed: int = 0) -> dict[str, Tensor]:
    """Weights of it, drawn at random, under this project's names."""
    generator = torch.Generator().manual_seed(seed)
    state = tiny_network().state_dict()
    return {k: torch.rand(v.shape, generator=generator) if v.is_floating_point() else v for k, v in state.items()}


def tiny_entry(folder: Path | None = None, **source: str | None) -> Entry:
    """The zoo's entry of the tiny network; `source` overrides where its weights are."""
    given: dict[str, str | None] = {"ngc_url": NGC, "ngc_member": MEMBER, **source}
    return Entry(
        "tiny", "own", "gpunet", None, None, "see NGC", num_classes=10,
        weights=WeightsSource(**given), spec_data=TINY_SPEC, folder=folder,
    )  # fmt: skip


Answer = bytes | Callable[[BaseHTTPRequestHandler], None]


class Server:
    """A loopback server: `answers` by path, bytes or a function of the handler; `requests` it was sent."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.released = threading.Event()  # what a handler may wait for; set when the server stops
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(f"{self.command} {self.path}")
                answer = server.answers.get(self.path)
                if callable(answer):
                    answer(self)
                elif answer is None:
                    self.send_error(404)
                else:
                    send(self, answer)

            do_HEAD = do_POST = do_CONNECT = do_GET

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Server:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    """Answer with `body`; headers override Content-Length, '' leaves one out."""
    handler.send_response(status)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        if value:
            handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    if handler.command != "HEAD":
        with contextlib.suppress(ConnectionError):  # the client may have hung up, as it should
            handler.wfile.write(body)


COMMIT = "0123456789" * 4


def send_as_hub(handler: BaseHTTPRequestHandler, content: bytes, etag: str = "1") -> None:
    """Answer as the Hugging Face hub does for a small file."""
    send(handler, content, ETag=f'"{etag}"', X_Repo_Commit=COMMIT)


def in_clients_cache(folder: Path, repository: str, content: bytes, name: str = "model.safetensors") -> None:
    """A file in `folder`/hub, as the hub's client keeps one."""
    kept = folder / "hub" / f"models--{repository.replace('/', '--')}"
    (kept / "refs").mkdir(parents=True, exist_ok=True)
    (kept / "refs" / "main").write_text(COMMIT)
    (kept / "snapshots" / COMMIT).mkdir(parents=True, exist_ok=True)
    (kept / "snapshots" / COMMIT / name).write_bytes(content)


@contextlib.contextmanager
def full_disk(allowed_bytes: int) -> Iterator[None]:
    """The operating system refuses to let any file of this process grow past `allowed_bytes`."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (allowed_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def left_in(folder: Path) -> list[str]:
    """Names of the files below a folder but lock files, sorted."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
