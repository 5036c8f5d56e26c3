"""Fetch a file of a Hugging Face repository, within the same bounds as any other download."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpunet.core.files import sha256_of
from gpunet.core.hub import CONNECT_S
from gpunet.errors import DownloadError
from gpunet.zoo.weights.cache import check_sha256
from gpunet.zoo.weights.download import fetched


@contextmanager
def fetched_from_hub(repository: str, filename: str, path: Path, *, timeout_s: float, progress: bool) -> Iterator[Path]:
    """A file of a Hugging Face repository, for the block: from the hub client's cache, else fetched to `path`.

    HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE count as ever. Where the hub cannot be reached, what the client's cache
    has is taken.

    Args:
        repository: 'USER/NAME'.
        filename: in the repository.
        path, timeout_s, progress: see gpunet.zoo.weights.download.fetched.

    Raises:
        DownloadError: neither the hub nor the client's cache has it, or the download failed.
        ChecksumError: what arrived has not the SHA-256 that the hub names.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    failure: Exception | None = None
    try:  # the client itself takes half a minute to believe that there is no network
        url = hf_hub_url(repository, filename, endpoint=os.environ.get("HF_ENDPOINT") or None)
        known = get_hf_file_metadata(url, timeout=CONNECT_S)
        cached = _in_clients_cache(repository, filename, known.commit_hash)
    except Exception as error:  # its HTTP library's errors have no public name that covers all of the hub's releases
        failure, cached = error, _in_clients_cache(repository, filename, None)
    if cached is not None:
        yield cached
        return
    if failure is not None:
        said = str(failure).strip().splitlines()
        reason = said[0] if said else type(failure).__name__
        raise DownloadError(f"Hugging Face repository {repository}: {filename} cannot be had: {reason}") from failure
    token = {key.title(): value for key, value in build_hf_headers().items() if key.lower() == "authorization"}
    with fetched(url, path, timeout_s=timeout_s, headers=token, progress=progress) as arrived:
        if re.fullmatch("[0-9a-f]{64}", known.etag or ""):  # of a large file; of a small one it is git's
            check_sha256(arrived, sha256_of(arrived), str(known.etag), "It was deleted: try again.")
        yield arrived


def _in_clients_cache(repository: str, filename: str, commit: str | None) -> Path | None:
    """Of this commit; without one, of the newest that the cache knows."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.utils import HFValidationError

    try:
        found = try_to_load_from_cache(repository, filename, revision=commit)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None
