"""timm's pretrained networks, whose files come within the same bounds as any other download."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import timm
import torch
from torch import nn

from gpunet.core.files import home
from gpunet.core.hub import DOWNLOAD_TIMEOUT_S
from gpunet.core.json_files import parsed_json
from gpunet.errors import WeightsError
from gpunet.zoo.weights.cache import download_path, keep, tidied, verify, writing
from gpunet.zoo.weights.download import fetched
from gpunet.zoo.weights.huggingface import file_of_hub

_PICKLED = "pytorch_model.bin"
_OF_TIMM = "Name a repository that timm can load."


def timm_network(
    name: str, *, pretrained: bool = True, timeout_s: float = DOWNLOAD_TIMEOUT_S, progress: bool = True,
    **model_kwargs: Any,
) -> nn.Module:  # fmt: skip
    """`timm.create_model(name, pretrained)`: the same network with the same weights.

    Args:
        name: of timm's, or 'hf-hub:USER/NAME', 'hf-hub:USER/NAME@REVISION', 'local-dir:FOLDER'.
        pretrained: with its weights.
        timeout_s: the most that downloading may take, and waiting for another process that is at it.
        progress: show a bar on stderr while weights are downloaded, where stderr is a terminal.
        model_kwargs: see timm.create_model.

    Raises:
        DownloadError: the weights could not be had.
        ChecksumError: what arrived, or is in the cache, is not what was recorded.
        WeightsError: the cache cannot be written.
        RuntimeError, TypeError, ValueError, ...: what timm raises.
    """
    bounds: dict[str, Any] = {"timeout_s": timeout_s, "progress": progress, "since_s": time.monotonic()}
    source, place = timm.models.parse_model_name(name)
    overlay = dict(model_kwargs.pop("pretrained_cfg_overlay", None) or {})
    if source == "hf-hub":
        repository, revision = _split(place)
        config = file_of_hub(repository, ["config.json"], revision=revision, **bounds)
        name, cfg = f"local-dir:{config.parent}", {**_config(config, place), "hf_hub_id": place}
    else:
        known = None if source else timm.models.get_pretrained_cfg(name)
        cfg = {} if known is None else {**known.to_dict(), **overlay}
    file = _file(cfg, bounds) if pretrained else None
    if file is not None:
        # timm's loader of foreign formats reads what stands at the address; a repository holds timm's own.
        own = bool(cfg.get("hf_hub_id")) and cfg.get("custom_load") != "hf"
        overlay |= {"source": "", "file": str(file), **({"custom_load": False} if own else {})}
    if overlay:
        model_kwargs["pretrained_cfg_overlay"] = overlay
    return timm.create_model(name, pretrained=pretrained, **model_kwargs)


def _split(place: str) -> tuple[str, str | None]:
    """The repository and the revision that timm's name of one says."""
    repository, _, revision = place.partition("@")
    return repository, revision or None


def _file(cfg: Mapping[str, Any], bounds: Mapping[str, Any]) -> Path | None:
    """The file of the weights that a configuration of timm's names; None where it names none to fetch."""
    if cfg.get("file") or cfg.get("state_dict"):
        return None
    if cfg.get("hf_hub_id"):
        repository, revision = _split(cfg["hf_hub_id"])
        return file_of_hub(repository, _names(cfg.get("hf_hub_filename") or _PICKLED), revision=revision, **bounds)
    return _file_at(cfg["url"], **bounds) if isinstance(cfg.get("url"), str) and cfg["url"] else None


def _names(name: str) -> list[str]:
    """The file that timm asks for, and first that with the same weights as safetensors."""
    return [f"{name[:-4].replace('pytorch_model', 'model')}.safetensors", name] if name.endswith(".bin") else [name]


def _config(path: Path, place: str) -> dict[str, Any]:
    """Timm's configuration of pretrained weights, in a repository's config.json of either layout.

    Raises:
        WeightsError: it is none, or of a network that timm does not have.
    """
    try:
        said = parsed_json(path.read_bytes())
    except ValueError as error:
        raise WeightsError(f"the config.json of {place} is no JSON: {error}.", _OF_TIMM) from None
    architecture = said.get("architecture") if isinstance(said, dict) else None
    if not isinstance(architecture, str) or not timm.is_model(architecture):
        raise WeightsError(
            f"the config.json of {place} names the architecture {architecture!r}, which timm {timm.__version__} does "
            "not have.", _OF_TIMM,
        )  # fmt: skip
    cfg = said.get("pretrained_cfg", said)
    return {key: cfg[key] for key in ("hf_hub_filename", "custom_load") if key in cfg}


def _file_at(url: str, timeout_s: float, progress: bool, since_s: float) -> Path:
    """A file at an address: from torch's cache, or from ours, where it is kept as it arrived."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", PurePosixPath(urlsplit(url).path).name)
    by_torch = Path(torch.hub.get_dir()) / "checkpoints" / PurePosixPath(urlsplit(url).path).name
    if by_torch.is_file():
        return by_torch
    kept = home() / "weights" / "hub" / hashlib.sha256(url.encode()).hexdigest()[:12] / name
    if not kept.is_file():
        with writing(kept, timeout_s=timeout_s, since_s=since_s):
            if not kept.is_file():  # no other process was faster
                arriving = download_path(kept, kept.suffix[1:])
                with fetched(url, arriving, timeout_s=timeout_s, progress=progress, since_s=since_s) as arrived:
                    keep(kept, arrived)
    return verify(tidied(kept))
