"""Fetch a file over http once: whole or not at all, with a bound on its size and a progress bar."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit, urlunsplit

from gpunet.core.files import atomic_path
from gpunet.core.hub import CONNECT_S
from gpunet.core.progress import ProgressBar
from gpunet.errors import DownloadError, InvalidArgumentError

NGC_VARIABLE = "GPUNET_NGC_URL"
TIMEOUT_S = 30.0
LIMIT_BYTES = 2 << 30
_BLOCK_BYTES = 1 << 18


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


def fetch(
    url: str,
    path: str | Path,
    *,
    limit_bytes: int = LIMIT_BYTES,
    timeout_s: float = TIMEOUT_S,
    progress: bool = True,
) -> Path:
    """Download `url` to `path`, atomically: after an error there is no file, not even a part of one.

    Proxies are taken from the environment (http_proxy, https_proxy, no_proxy). Redirects stay with http and https, and
    never leave https for http.

    Args:
        url: an http or https address.
        path: where the file is to be; its folder is created.
        limit_bytes: the largest file to accept.
        timeout_s: longest silence of the server between two blocks; connecting may take CONNECT_S at most.
        progress: show a bar on stderr, where that is a terminal.

    Raises:
        DownloadError: no network, no such host, refused, timed out, an HTTP error, too large, or ended early.
        OSError: the file cannot be written (a full disk, no permission).
    """
    path = Path(path)
    with atomic_path(path) as part, open(part, "wb") as file, _opened(url, timeout_s) as response:
        expected = _length(url, response)
        if expected is not None and expected > limit_bytes:
            raise DownloadError(f"{url} is {expected} bytes long, more than the {limit_bytes} allowed.")
        arrived = 0
        for block in _progressing(_blocks(url, response, timeout_s), path.name, expected, progress):
            arrived += len(block)
            if arrived > limit_bytes:
                raise DownloadError(f"{url} sends more than the {limit_bytes} bytes allowed.")
            file.write(block)
        if expected is not None and arrived != expected:
            raise DownloadError(f"{url} ended early: {arrived} of {expected} bytes arrived.", "Try again.")
    return path


def fetch_from_hub(repository: str, filename: str) -> Path:
    """A file of a Hugging Face repository, in the hub client's own cache; HF_ENDPOINT and HF_TOKEN count as ever.

    Where the hub cannot be reached, or HF_HUB_OFFLINE is set, what an earlier download left in that cache is taken.

    Raises:
        DownloadError: neither the hub nor its cache has it.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    endpoint = os.environ.get("HF_ENDPOINT") or None
    failure: Exception | None = None
    try:  # asked first: hf_hub_download takes half a minute to believe that there is no network
        get_hf_file_metadata(hf_hub_url(repository, filename, endpoint=endpoint), timeout=CONNECT_S)
    except Exception as error:  # its HTTP library's errors have no public name that covers all of the hub's releases
        failure = error
    try:
        return Path(hf_hub_download(repository, filename, endpoint=endpoint, local_files_only=failure is not None))
    except Exception as error:
        said = str(failure or error).strip().splitlines()
        reason = said[0] if said else type(failure or error).__name__
        raise DownloadError(f"Hugging Face repository {repository}: {filename} cannot be had: {reason}") from error


class _Connecting(http.client.HTTPConnection):
    """A connection that is made within CONNECT_S, or not."""

    def connect(self) -> None:
        patience_s, self.timeout = self.timeout, CONNECT_S if self.timeout is None else min(self.timeout, CONNECT_S)
        super().connect()
        self.timeout = patience_s
        self.sock.settimeout(patience_s)


class _ConnectingSecurely(http.client.HTTPSConnection, _Connecting):
    """The same over TLS."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connecting, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_ConnectingSecurely, req)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """urllib's redirects, which also follow to ftp and from https to http, without those two."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        allowed = ("https",) if req.type == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            fp.close()
            raise urllib.error.URLError(
                f"it redirects to {urlsplit(newurl).scheme or 'another scheme'}, not {allowed[-1]}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextmanager
def _opened(url: str, timeout_s: float) -> Iterator[http.client.HTTPResponse]:
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it is not an http or https address")
        opener = urllib.request.build_opener(_Redirects, _Http, _Https)
        response = opener.open(urllib.request.Request(url, headers={"User-Agent": "gpunet"}), timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(f"{url} answered {error.code} {error.reason}.") from None
    except TimeoutError:
        raise _silent(url, timeout_s) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _silent(url, timeout_s) from None
        raise DownloadError(f"{url} cannot be reached: {error.reason}.", "Check the network and the proxy.") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DownloadError(f"{url} cannot be fetched: {error or type(error).__name__}.") from None
    with response:
        yield response


def _silent(url: str, timeout_s: float) -> DownloadError:
    return DownloadError(f"{url} was silent for {timeout_s:g} s.", "Check the network and the proxy, and try again.")


def _length(url: str, response: http.client.HTTPResponse) -> int | None:
    """The length that the server announces; None where it announces none."""
    said = response.headers.get("Content-Length")
    if said is None or response.headers.get("Transfer-Encoding"):
        return None
    if not (said.isascii() and said.isdigit()):
        raise DownloadError(f"{url} announces a Content-Length of {said!r}, which is no number.")
    return int(said)


def _blocks(url: str, response: http.client.HTTPResponse, timeout_s: float) -> Iterator[bytes]:
    while True:
        try:
            block = response.read(_BLOCK_BYTES)
        except TimeoutError:
            raise _silent(url, timeout_s) from None
        except (OSError, http.client.HTTPException) as error:
            raise DownloadError(f"{url} broke off: {error or type(error).__name__}.", "Try again.") from None
        if not block:
            return
        yield block


def _progressing(blocks: Iterator[bytes], label: str, total: int | None, wanted: bool) -> Iterator[bytes]:
    """`blocks`, with a bar as they pass, where it is wanted."""
    with ProgressBar(f"Downloading {label}", total, shown=wanted, in_bytes=True) as bar:
        done = 0
        for block in blocks:
            done += len(block)
            bar.update(done)
            yield block
