"""Fetch files of Hugging Face repositories, within the same bounds as any other download.

The hub's client says where a file is, and its cache is read; it fetches nothing, as it cannot be told when to stop.
HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and HF_HOME count as ever.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gpunet.core.files import home, sha256_of, write_text
from gpunet.core.hub import CONNECT_S, is_offline
from gpunet.errors import DownloadError
from gpunet.zoo.weights.cache import check_sha256, download_path, keep, tidied, verify, writing
from gpunet.zoo.weights.download import fetched
from gpunet.zoo.weights.http import Patience, opened

_LOG_IN = "If it is private or gated: `hf auth login`, or set HF_TOKEN."


@dataclass(frozen=True)
class _Known:
    """What the hub says of a file.

    Args:
        url: where it is.
        etag: SHA-256 of a large file, git's SHA-1 of a small one; '' where the hub does not say.
        commit: of its revision; None where the hub does not say.
    """

    url: str
    etag: str
    commit: str | None


@contextmanager
def fetched_from_hub(
    repository: str, filename: str, path: Path, *, timeout_s: float, progress: bool, since_s: float | None = None
) -> Iterator[Path]:
    """A file of a Hugging Face repository, for the block: from the hub client's cache, else fetched to `path`.

    Where the hub cannot be reached, what the client's cache has is taken.

    Args:
        repository: 'USER/NAME'.
        filename: in the repository.
        path, timeout_s, progress, since_s: see gpunet.zoo.weights.download.fetched.

    Raises:
        DownloadError: neither the hub nor the client's cache has it, or the download failed.
        ChecksumError: what arrived has not the SHA-256 that the hub names.
    """
    since_s = time.monotonic() if since_s is None else since_s
    try:
        known = _known(repository, filename, None, timeout_s, since_s)
    except DownloadError:
        cached = _in_clients_cache(repository, filename, None)
        if cached is None:
            raise
    else:
        cached = _in_clients_cache(repository, filename, known.commit)
    if cached is not None:
        yield cached
        return
    with _fetched(known, path, timeout_s, progress, since_s) as arrived:
        yield arrived


def file_of_hub(
    repository: str, filenames: Sequence[str], *, revision: str | None = None, timeout_s: float, progress: bool,
    since_s: float | None = None,
) -> Path:  # fmt: skip
    """A file of a Hugging Face repository: from the hub client's cache, or from ours, where it is kept as it arrived.

    The hub is asked each time, whether its file is still the same; where it cannot be reached, what is here is taken.

    Args:
        repository: 'USER/NAME'.
        filenames: in the repository; the first that it has is meant.
        revision: a branch, a tag or a commit; None for the newest.
        timeout_s, progress, since_s: see gpunet.zoo.weights.download.fetched; waiting for another process counts too.

    Raises:
        DownloadError: neither the hub nor a cache has it, or the download failed.
        ChecksumError: what arrived, or is in the cache, is not what was recorded.
        WeightsError: the cache cannot be written.
    """
    since_s = time.monotonic() if since_s is None else since_s
    failure: DownloadError | None = None
    for name in filenames:
        kept = _folder(repository, revision) / re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        try:
            known = _known(repository, name, revision, timeout_s, since_s)
        except DownloadError as error:
            if (found := _in_clients_cache(repository, name, revision)) is not None:
                return found
            if kept.is_file():
                return verify(tidied(kept))
            if failure is None or failure.status is not None:
                failure = error
        else:
            found = _in_clients_cache(repository, name, known.commit)
            return _brought(known, kept, timeout_s, progress, since_s) if found is None else found
    raise failure or DownloadError(f"Hugging Face repository {repository}: no file of it was asked for.")


def _brought(known: _Known, kept: Path, timeout_s: float, progress: bool, since_s: float) -> Path:
    """Our copy, fetched where there is none or the hub's is another."""
    said = kept.with_name(f"{kept.name}.etag")

    def current() -> bool:
        return kept.is_file() and said.is_file() and known.etag in ("", said.read_text(encoding="utf-8"))

    if not current():
        with writing(kept, timeout_s=timeout_s, since_s=since_s):
            if not current():  # no other process was faster
                said.unlink(missing_ok=True)
                with _fetched(known, download_path(kept, kept.suffix[1:]), timeout_s, progress, since_s) as arrived:
                    keep(kept, arrived)
                write_text(said, known.etag)
    return verify(tidied(kept))


def _folder(repository: str, revision: str | None) -> Path:
    key = hashlib.sha256(json.dumps([repository, revision]).encode()).hexdigest()[:12]
    return home() / "weights" / "hub" / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', repository)}-{key}"


@contextmanager
def _fetched(known: _Known, path: Path, timeout_s: float, progress: bool, since_s: float) -> Iterator[Path]:
    with fetched(known.url, path, timeout_s=timeout_s, headers=_token(), progress=progress, since_s=since_s) as arrived:
        if re.fullmatch("[0-9a-f]{64}", known.etag):
            check_sha256(arrived, sha256_of(arrived), known.etag, "It was deleted: try again.")
        yield arrived


def _known(repository: str, filename: str, revision: str | None, timeout_s: float, since_s: float) -> _Known:
    """Ask the hub, once: its client would try for half a minute."""
    from huggingface_hub import constants, hf_hub_url

    try:
        if is_offline():
            hint = f"Leave offline out, pass weights=FILE, or fetch it beforehand: hf download {repository}."
            raise DownloadError("offline nobody is asked.", hint)
        if constants.HF_HUB_OFFLINE:
            raise DownloadError("the hub's client is offline (HF_HUB_OFFLINE).")
        url = hf_hub_url(repository, filename, revision=revision, endpoint=os.environ.get("HF_ENDPOINT") or None)
        # Of a large file the hub's own answer says more than that of the place where it lies.
        with opened(url, Patience(url, timeout_s, CONNECT_S, since_s=since_s), _token(), method="HEAD") as answer:
            etag = answer.headers.get("X-Linked-Etag") or answer.headers.get("ETag") or ""
            return _Known(url, etag.removeprefix("W/").strip('"'), answer.headers.get("X-Repo-Commit"))
    except (DownloadError, ValueError) as error:  # a ValueError: no name that a repository can have
        said = error.message if isinstance(error, DownloadError) else str(error)
        failure = DownloadError(f"Hugging Face repository {repository}: {filename} cannot be had: {said}")
        if isinstance(error, DownloadError):
            failure.status, failure.hint = error.status, _LOG_IN if error.status in (401, 403) else error.hint
        raise failure from error


def _token() -> Mapping[str, str]:
    from huggingface_hub.utils import build_hf_headers

    return {key.title(): value for key, value in build_hf_headers().items() if key.lower() == "authorization"}


def _in_clients_cache(repository: str, filename: str, revision: str | None) -> Path | None:
    """Of this commit or branch; without one, of the newest that the cache knows."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(repository, filename, revision=revision)
    except ValueError:  # no name that a repository, or a file in one, can have
        return None
    return Path(found) if isinstance(found, str) else None
