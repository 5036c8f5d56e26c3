"""Find an entry's weights, verify them and load them.

They are looked for in this order: a file given by the caller, the entry's own file, the cache, a zip fetched by hand,
the Hugging Face repository that the entry names, NVIDIA's NGC. What is fetched or converted is kept in
`<home()>/weights` as safetensors with this project's tensor names: see gpunet.zoo.weights.cache. What gpunet downloads
arrives in the folder `downloads` there, what users put there themselves stands in `by-hand`: neither is taken for the
other.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timm.models import adapt_input_conv
from torch import Tensor, nn

from gpunet.core.arguments import checked_number
from gpunet.core.console import note
from gpunet.core.files import home, not_a, sha256_of
from gpunet.core.hub import DOWNLOAD_TIMEOUT_S
from gpunet.errors import CheckpointError, DownloadError, WeightsError
from gpunet.zoo.weights.cache import (
    check_header,
    check_sha256,
    download_path,
    read_safetensors,
    sidecar,
    store,
    tidied,
    verify,
    writing,
    zip_of_old,
)
from gpunet.zoo.weights.checkpoint import read_checkpoint
from gpunet.zoo.weights.download import fetched, ngc_address
from gpunet.zoo.weights.huggingface import fetched_from_hub
from gpunet.zoo.weights.nvidia import convert_state_dict, expected_shapes, faults, is_nvidia
from gpunet.zoo.weights.unwrap import COUNTER, shared_part, unwrapped

if TYPE_CHECKING:
    from gpunet.model.entry import Entry

_log = logging.getLogger(__name__)


def find_weights(
    entry: Entry, weights: str | Path | None = None, *, timeout_s: float = DOWNLOAD_TIMEOUT_S, progress: bool = True
) -> Path:
    """The safetensors file with the weights of `entry`, verified; fetched and converted first where need be.

    Args:
        entry: of the zoo.
        weights: a file to take instead of the entry's: safetensors or a PyTorch checkpoint with this project's
            names, or NVIDIA's `.pth.tar` or zip, which is converted into the cache, once for each content.
        timeout_s: the most that a download may take, and waiting for another process that is at it.
        progress: show a bar on stderr while weights are downloaded, where stderr is a terminal.

    Raises:
        InvalidArgumentError: (a ValueError) timeout_s is not above 0.
        WeightsError: (a RuntimeError) there is no such file, the entry names none, or the cache cannot be written.
        DownloadError: no source could be reached; the hint says where to put a zip fetched by hand.
        ChecksumError: a file is not the one that was recorded.
        CheckpointError: a file is damaged, hostile, or of another network.
    """
    checked_number("timeout_s", timeout_s, 0, above=True)
    if weights is not None:
        return _from_file(entry, Path(weights).expanduser())
    source = entry.weights
    if source is None:
        raise WeightsError(
            f"{entry.name}: its entry names no weights.",
            "Pass weights=FILE, or pretrained=False for an untrained network.",
        )
    failures = []
    if source.file is not None:
        path = (entry.folder or Path()) / source.file
        if path.is_file():
            return _from_file(entry, path, source.sha256)
        failures.append(f"its file {path} does not exist")
    cached = cache_path(entry)
    if cached.exists():
        return verify(tidied(cached))
    bounds: dict[str, Any] = {"timeout_s": timeout_s, "since_s": time.monotonic()}
    with writing(cached, **bounds):
        if cached.exists():  # another process was faster
            return verify(cached)
        if (by_hand := zip_path(entry)).is_file():
            return _convert(entry, by_hand, cached, by_hand.name, whole=True)
        if _from_old_place(entry, cached):
            return cached
        try:
            if source.hf_repo is not None:
                return _from_hub(entry, source.hf_repo, cached, progress=progress, **bounds)
        except DownloadError as error:
            failures.append(error.message.rstrip("."))
        try:
            if source.ngc_url is not None:
                return _from_ngc(entry, source.ngc_url, cached, progress=progress, **bounds)
        except DownloadError as error:
            failures.append(error.message.rstrip("."))
    raise DownloadError(
        f"{entry.name}: its weights could not be had: {'; '.join(failures) or 'its entry names no source'}.",
        _by_hand(entry),
    )


def weights_are_here(entry: Entry) -> bool:
    """Whether `find_weights` finds the entry's weights without a network."""
    source = entry.weights
    if source is None:
        return False
    own = source.file is not None and ((entry.folder or Path()) / source.file).is_file()
    return own or cache_path(entry).exists() or zip_path(entry).is_file()


def cache_path(entry: Entry) -> Path:
    """Where the cache keeps the weights of `entry`, once it has them; entries of one name in two zoos do not meet."""
    source = entry.weights
    places = [] if source is None else [source.sha256, source.hf_repo, source.ngc_url, source.ngc_member]
    return _cache_file(entry, *places)


def zip_path(entry: Entry) -> Path:
    """Where NVIDIA's zip for `entry`, fetched by hand, is looked for."""
    cached = cache_path(entry)
    return cached.parent / "by-hand" / f"{cached.stem}.zip"


def load_weights(
    model: nn.Module, source: Entry | str | Path, *, timeout_s: float = DOWNLOAD_TIMEOUT_S, progress: bool = True
) -> Path:
    """Load weights into `model`, in place; every tensor must be there with its shape, and no other.

    As timm does, a model with another number of classes than the file keeps its fresh classifier (with 0, it has none),
    and the file's first convolution, of 3 channels, is adapted to a model with other `in_chans`.

    Args:
        model: a GPUNet, or a timm model; its `pretrained_cfg` names its first convolution and classifier.
        source: a safetensors file with the model's own tensor names, or an entry: see find_weights.
        timeout_s, progress: see find_weights.

    Returns:
        the file that was loaded.

    Raises:
        CheckpointError: the file is damaged, or is not of this network; names the tensors.
        WeightsError: see find_weights.
    """
    if isinstance(source, (str, Path)):
        path = Path(source).expanduser()
    else:
        path = find_weights(source, timeout_s=timeout_s, progress=progress)
    state, wanted = _named_as(model.state_dict(), read_safetensors(path), path), model.state_dict()
    config = getattr(model, "pretrained_cfg", None) or {}
    for name in _names(config.get("first_conv", "conv_stem")):
        _adapt_input(state, wanted, f"{name}.weight", path)
    fresh = {}
    for name in _names(config.get("classifier", "classifier")):
        weight, own = state.get(f"{name}.weight"), wanted.get(f"{name}.weight")
        if weight is not None and (own is None or (own.ndim == weight.ndim and own.shape[:1] != weight.shape[:1])):
            for leaf in (f"{name}.weight", f"{name}.bias"):
                state.pop(leaf, None)
                if leaf in wanted:
                    fresh[leaf] = wanted[leaf]
            _log.info("%s: %s is not taken, it has another number of classes", path.name, name)
    state.update(fresh)
    learned = {name for name, _ in model.named_parameters()}  # a mask may be infinite
    empty = [
        name
        for name, value in state.items()
        if value.is_floating_point() and not (value.isfinite() if name in learned else ~value.isnan()).all()
    ]
    if empty:
        raise CheckpointError(
            f"{path} holds values that are no numbers (NaN, or infinite) in {empty[0]} and {len(empty) - 1} other "
            "tensors.",
            "The training that wrote it had failed by then: take an earlier checkpoint.",
        )
    wrong = faults({k: tuple(v.shape) for k, v in state.items()}, {k: tuple(v.shape) for k, v in wanted.items()})
    kinds = [k for k, v in state.items() if k in wanted and v.is_floating_point() != wanted[k].is_floating_point()]
    if wrong or kinds:
        raise CheckpointError(
            f"{path} does not fit the model: {wrong or f'{kinds[0]} is {state[kinds[0]].dtype}'}.",
            "Is it the file of another model, or was the model changed before loading?",
        )
    model.load_state_dict(state)
    return path


# -------------------------------------------------------------------- sources


def _from_file(entry: Entry, path: Path, sha256: str | None = None) -> Path:
    """A file given by the caller or the entry: as it is where it is safetensors, else converted into the cache."""
    if not path.is_file():
        raise not_a("file", path, WeightsError, "Give a safetensors file, or NVIDIA's .pth.tar or zip.")
    try:
        found = sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from None
    if sha256 is not None:
        check_sha256(path, found, sha256, f"Fetch it again, or correct the entry {entry.name}.")
    if path.suffix == ".safetensors":
        if sidecar(path).exists():
            verify(path, found, f"Fetch it again; or, if it is right, delete {sidecar(path)}.")
        check_header(path)
        return path
    cached = _cache_file(entry, found)
    if cached.exists():
        return verify(tidied(cached))
    with writing(cached):
        return verify(cached) if cached.exists() else _convert(entry, path, cached, path.name, sha256=found)


def _from_old_place(entry: Entry, cached: Path) -> bool:
    """Make the cache file of a zip where earlier versions kept downloads, and looked for zips fetched by hand."""
    old = zip_of_old(cached)
    if not old.is_file():
        return False
    where = f"{old}, where earlier versions of gpunet kept zips,"
    try:
        _convert(entry, old, cached, old.name, whole=True)
    except (CheckpointError, OSError) as error:
        if isinstance(error, OSError) and error.filename != str(old):  # the cache cannot be written
            raise
        reason = f"{error.strerror}." if isinstance(error, OSError) else error.message
        note(f"{where} is passed over, and can be deleted: {reason}")
        return False
    note(f"{where} holds the weights of {entry.name}: they were taken from it, and it can be deleted.")
    return True


def _from_hub(entry: Entry, repository: str, cached: Path, **bounds: Any) -> Path:
    name, at = "model.safetensors", f"https://huggingface.co/{repository}"
    arriving = download_path(cached, "safetensors")
    with fetched_from_hub(repository, name, arriving, **bounds) as path:
        digest = sha256_of(path)
        if entry.weights is not None and entry.weights.sha256 is not None:
            check_sha256(
                path, digest, entry.weights.sha256, f"The repository {repository} has changed, or the entry is wrong."
            )
        state = read_safetensors(path)
        _check_network(entry, state, path)
        return store(cached, state, entry=entry.name, source=at, source_sha256=digest)


def _from_ngc(entry: Entry, url: str, cached: Path, **bounds: Any) -> Path:
    address = ngc_address(url)
    with fetched(address, download_path(cached, "zip"), **bounds) as path:
        try:
            return _convert(entry, path, cached, url, whole=True)
        except CheckpointError as error:
            raise CheckpointError(
                f"{error.message} It came from {address} and was deleted.", _by_hand(entry)
            ) from error


def _convert(
    entry: Entry, path: Path, cached: Path, source: str, *, sha256: str | None = None, whole: bool = False
) -> Path:
    """The checkpoint at `path` as safetensors at `cached`; `whole`: it must have the entry's classes and channels."""
    state = read_checkpoint(path, entry.weights.ngc_member if entry.weights is not None else None)
    if is_nvidia(state):
        if entry.spec is None:
            raise CheckpointError(
                f"{path} is a GPUNet of NVIDIA's, but {entry.name} is none.", "Give weights of this model."
            )
        try:
            state = convert_state_dict(state, entry.spec)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error.message}", error.hint) from None
    if whole:
        _check_network(entry, state, path)
    return store(cached, state, entry=entry.name, source=source, source_sha256=sha256 or sha256_of(path))


def _by_hand(entry: Entry) -> str:
    """What to do where weights cannot be fetched."""
    last = "pass weights=FILE; pretrained=False gives an untrained network."
    if entry.weights is not None and entry.weights.ngc_url is not None:
        return f"Download {entry.weights.ngc_url} by hand and put the zip at {zip_path(entry)}, or {last}"
    if entry.weights is not None and entry.weights.hf_repo is not None:
        return f"Download model.safetensors of https://huggingface.co/{entry.weights.hf_repo} by hand and {last}"
    return f"P{last[1:]}"


def _cache_file(entry: Entry, *parts: str | None) -> Path:
    network = entry.architecture if entry.spec is None else entry.spec.sha256
    key = hashlib.sha256(json.dumps([network, *parts]).encode()).hexdigest()[:12]
    return home() / "weights" / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', entry.name)}-{key}.safetensors"


def _check_network(entry: Entry, state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that are not wholly those of the entry's network."""
    if entry.spec is None:
        return
    shapes = expected_shapes(entry.spec, num_classes=entry.num_classes, in_chans=entry.in_chans)
    expected = {name: shape for name, shape in shapes.items() if name in state or not name.endswith(COUNTER)}
    wrong = faults({name: tuple(tensor.shape) for name, tensor in state.items()}, expected)
    if wrong:
        raise CheckpointError(f"{path} is not of {entry.name}: {wrong}.", "Is it the file of another model?")


def _named_as(wanted: Mapping[str, Tensor], state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """`state` under the model's names, with the counters of BatchNorm that some training scripts leave out."""
    if not set(state) <= set(wanted):
        try:
            state = unwrapped(state)
        except KeyError as error:
            raise CheckpointError(f"{path} holds {error} twice, with and without a prefix.") from None
    own = {name.partition(".")[0] for name in wanted}
    while (first := shared_part(state)) and first not in own:  # a wrapper of one's own
        state = {name[len(first) + 1 :]: value for name, value in state.items()}
    return {**{name: value for name, value in wanted.items() if name.endswith(f".{COUNTER}")}, **state}


def _adapt_input(state: dict[str, Tensor], wanted: Mapping[str, Tensor], name: str, path: Path) -> None:
    """Adapt the first convolution's weight, of 3 channels, to the model's number of them."""
    weight, own = state.get(name), wanted.get(name)
    if weight is None or own is None or weight.ndim != 4 or own.ndim != 4 or weight.shape[1] == own.shape[1]:
        return
    if weight.shape[1] != 3:
        raise CheckpointError(
            f"{path}: {name} takes {weight.shape[1]} channels and the model {own.shape[1]}; only 3 can be adapted.",
            f"Create the model with in_chans={weight.shape[1]}.",
        )
    state[name] = adapt_input_conv(own.shape[1], weight)


def _names(value: str | Sequence[str] | None) -> Sequence[str]:
    return (value,) if isinstance(value, str) else value or ()
