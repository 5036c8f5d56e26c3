"""Fetch a file over http, with bounds on its size and its time and a progress bar; what broke off is gone on with."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from gpunet.core.hub import DOWNLOAD_TIMEOUT_S
from gpunet.core.progress import ProgressBar
from gpunet.errors import DownloadError, InvalidArgumentError
from gpunet.zoo.weights.http import SILENCE_S, Patience, blocks, opened
from gpunet.zoo.weights.partial import Partial, validator_of

NGC_VARIABLE = "GPUNET_NGC_URL"
LIMIT_BYTES = 2 << 30
_BLOCK_BYTES = 1 << 18
_TOO_LARGE = "See whether the address is the right one: no file that is expected here is so large."


def ngc_address(url: str) -> str:
    """`url` with scheme and host replaced by those of the environment variable GPUNET_NGC_URL, where that is set.

    For a mirror of NVIDIA's NGC: GPUNET_NGC_URL=http://mirror:8080/ngc turns https://api.ngc.nvidia.com/v2/x into
    http://mirror:8080/ngc/v2/x.

    Raises:
        InvalidArgumentError: the variable holds no http or https address.
    """
    base = os.environ.get(NGC_VARIABLE)
    if not base:
        return url
    try:
        there, asked = urlsplit(base), urlsplit(url)
        valid = there.scheme in ("http", "https") and bool(there.hostname)
    except ValueError:
        valid = False
    if not valid:
        raise InvalidArgumentError(
            f"{NGC_VARIABLE} must be an http or https address, but is {base!r}.", "For example http://mirror:8080."
        )
    return urlunsplit((there.scheme, there.netloc, there.path.rstrip("/") + asked.path, asked.query, ""))


@contextmanager
def fetched(
    url: str,
    path: str | Path,
    *,
    limit_bytes: int = LIMIT_BYTES,
    timeout_s: float = DOWNLOAD_TIMEOUT_S,
    silence_s: float = SILENCE_S,
    headers: Mapping[str, str] | None = None,
    progress: bool = True,
    since_s: float | None = None,
) -> Iterator[Path]:
    """The file at `url`, whole, at `path` for the block; it is deleted afterwards.

    What had arrived when the network failed, or the process was killed, is gone on with the next time, where the
    server says what it sends (ETag, Last-Modified) and knows ranges; else the file is fetched from its beginning.

    Args:
        url: an http or https address.
        path: where the file is to be, in a folder for nothing else; made if need be. The caller holds a lock for it.
        limit_bytes: the largest file to accept.
        timeout_s: the most that the download may take.
        silence_s: the most that the server may take to answer, and may be silent between two blocks. It must send
            1 KiB a second, over a minute; connecting may take 5 s.
        headers: of the request; an authorisation goes to the host of `url` alone.
        progress: show a bar on stderr, where that is a terminal.
        since_s: from when on `timeout_s` counts, by `time.monotonic`; None for now.

    Raises:
        DownloadError: no network, no such host, refused, timed out, an HTTP error, too large, or ended early.
        OSError: the file cannot be written (a full disk, no permission).
    """
    part, patience = Partial(Path(path), url), Patience(url, timeout_s, silence_s, since_s=since_s)
    try:
        _receive(url, part, patience, headers or {}, limit_bytes, progress)
    except OSError:
        part.discard()
        raise
    except BaseException as error:
        if not part.resumable:
            part.discard()
        elif isinstance(error, DownloadError):
            error.hint = "What has arrived is kept: try again, and it goes on from there."
        raise
    try:
        yield part.path
    finally:
        part.discard()


def _receive(
    url: str, part: Partial, patience: Patience, headers: Mapping[str, str], limit_bytes: int, progress: bool
) -> None:
    """Bring `part` to its end."""
    asked = part.headers()
    with opened(url, patience, {**headers, **asked}) as response:
        total = part.rest_bytes(response) if asked else None
        if total is not None or response.status == 200:
            _write(url, part, patience, response, total, limit_bytes, progress)
            return
    if not asked:
        raise DownloadError(
            f"{url} answered {response.status} {response.reason}, and sent no whole file.",
            "See whether the address is that of a file, or ask another mirror.",
        )
    part.discard()
    _receive(url, part, patience, headers, limit_bytes, progress)


def _write(
    url: str, part: Partial, patience: Patience, response: http.client.HTTPResponse, resumed_of: int | None,
    limit_bytes: int, progress: bool,
) -> None:  # fmt: skip
    """Write an answer: the rest of a file of `resumed_of` bytes, or, with None, the whole of one."""
    expected = _length(url, response) if resumed_of is None else resumed_of
    if expected is not None and expected > limit_bytes:
        part.forget()
        raise DownloadError(f"{url} is {expected} bytes long, more than the {limit_bytes} allowed.", _TOO_LARGE)
    with (
        part.restarted(validator_of(response)) if resumed_of is None else part.resumed() as file,
        ProgressBar(f"Downloading {part.path.name}", expected, shown=progress, in_bytes=True) as bar,
    ):
        for block in blocks(url, response, patience, _BLOCK_BYTES):
            file.write(block)
            part.size_bytes = file.tell()
            if part.size_bytes > limit_bytes:
                part.forget()
                raise DownloadError(f"{url} sends more than the {limit_bytes} bytes allowed.", _TOO_LARGE)
            bar.update(part.size_bytes)
    if expected is not None and part.size_bytes != expected:
        raise DownloadError(f"{url} ended early: {part.size_bytes} of {expected} bytes arrived.", "Try again.")


def _length(url: str, response: http.client.HTTPResponse) -> int | None:
    """The length that the server announces; None where it announces none."""
    said = response.headers.get("Content-Length")
    if said is None or response.headers.get("Transfer-Encoding"):
        return None
    if not (said.isascii() and said.isdigit()):
        raise DownloadError(
            f"{url} announces a Content-Length of {said!r}, which is no number.", "Try again, or ask another mirror."
        )
    return int(said)
