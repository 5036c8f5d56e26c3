"""Ask a server over http, with bounds on how long it may take: to connect, to answer, between blocks, and in all.

A socket's own timeout starts anew with every byte, so that a server which drips would never reach it. Here each read
from the socket is given what is left of the bound that ends first.
"""

from __future__ import annotations

import functools
import http.client
import io
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any
from urllib.parse import urlsplit

from gpunet.core.hub import CONNECT_S, is_offline
from gpunet.errors import DownloadError

SILENCE_S = 30.0
LEAST_BYTES_PER_S = 1024
RATE_S = 60.0  # over which the rate is taken
_CHECK_NETWORK = "Check the network and the proxy, and try again."
_RANGE_REFUSED = 416
_MOVED = (301, 302, 303, 307, 308)


class Patience:
    """How long a server may take; every bound is in seconds.

    Args:
        url: for messages.
        timeout_s: for everything together.
        silence_s: for the head of the answer, and between two blocks.
        clock: monotonic.
        since_s: from when on `timeout_s` counts, by the clock; None for now.
    """

    def __init__(
        self, url: str, timeout_s: float, silence_s: float = SILENCE_S, clock: Callable[[], float] = time.monotonic,
        since_s: float | None = None,
    ) -> None:  # fmt: skip
        self._url, self._timeout_s, self._silence_s, self._clock = url, timeout_s, silence_s, clock
        now_s = clock()
        self._ends_s = timeout_s + (now_s if since_s is None else since_s)
        self._answer_due_s: float | None = None
        self._missed = ""  # what is wrong once the answer is overdue
        self.asks()
        self._since_s, self._since_bytes = now_s, 0

    def connects(self) -> None:
        """A connection is to be made: with the proxy's word and the handshake of TLS it is due within CONNECT_S."""
        bound_s = min(CONNECT_S, self._silence_s)
        self._answer_due_s = self._clock() + bound_s
        self._missed = f"could not be connected to within {bound_s:g} s"

    def asks(self) -> None:
        """A request goes out: its answer is due."""
        self._answer_due_s = self._clock() + self._silence_s
        self._missed = f"did not answer within {self._silence_s:g} s"

    def answered(self) -> None:
        """The head of the answer has come: from here on the least rate counts."""
        self._answer_due_s = None
        self._since_s, self._since_bytes = self._clock(), 0

    def left_s(self) -> float:
        """What the next read from the socket may take.

        Raises:
            TimeoutError: nothing is left.
        """
        now_s = self._clock()
        until_s = self._ends_s if self._answer_due_s is None else min(self._ends_s, self._answer_due_s)
        if now_s >= until_s:
            raise TimeoutError
        return min(self._silence_s, until_s - now_s)

    def check_rate(self, arrived_bytes: int) -> None:
        """Raise DownloadError where less than LEAST_BYTES_PER_S came over the last RATE_S; called at every block.

        Args:
            arrived_bytes: since the answer.
        """
        took_s = self._clock() - self._since_s
        if took_s < RATE_S:
            return
        came = arrived_bytes - self._since_bytes
        if came < LEAST_BYTES_PER_S * took_s:
            raise DownloadError(
                f"{self._url} sends {came / took_s:.3g} bytes a second, less than the {LEAST_BYTES_PER_S} expected.",
                _CHECK_NETWORK,
            )
        self._since_s, self._since_bytes = self._clock(), arrived_bytes

    def over(self) -> DownloadError:
        """The error after a TimeoutError: which bound was reached."""
        if self._clock() >= self._ends_s:
            return DownloadError(
                f"{self._url} took longer than timeout_s={self._timeout_s:g} allows.", "Try again, with more time."
            )
        did = f"was silent for {self._silence_s:g} s" if self._answer_due_s is None else self._missed
        return DownloadError(f"{self._url} {did}.", _CHECK_NETWORK)


@contextmanager
def opened(
    url: str, patience: Patience, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> Iterator[http.client.HTTPResponse]:
    """The answer to GET `url`: of status 2xx, or 416 where a range was asked for.

    With HEAD a redirect to another host is an answer too, as what stands beside it is what was asked for.

    Proxies are taken from the environment (http_proxy, https_proxy, no_proxy). Redirects stay with http and https,
    never leave https for http, and take an authorisation to no other host.

    Raises:
        DownloadError: no network, no such host, refused, timed out, or an HTTP error; or `working_offline`.
    """
    if is_offline():
        raise DownloadError(f"{url} is not asked: offline nobody is.", "Leave offline out, or pass weights=FILE.")
    patience.asks()
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it is not an http or https address")
        opener = urllib.request.build_opener(_Redirects, _Statuses, _Connections(patience))
        asked = {"User-Agent": "gpunet", **(headers or {})}
        response = opener.open(urllib.request.Request(url, headers=asked, method=method))
    except urllib.error.HTTPError as error:
        error.close()
        refused = DownloadError(f"{url} answered {error.code} {error.reason}.")
        refused.status = error.code
        raise refused from None
    except TimeoutError:
        raise patience.over() from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise patience.over() from None
        raise DownloadError(f"{url} cannot be reached: {error.reason}.", "Check the network and the proxy.") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DownloadError(f"{url} cannot be fetched: {error or type(error).__name__}.") from None
    patience.answered()
    with response:
        yield response


def blocks(url: str, response: http.client.HTTPResponse, patience: Patience, size_bytes: int) -> Iterator[bytes]:
    """What the answer holds, as it comes, in blocks of at most `size_bytes`.

    Raises:
        DownloadError: the server broke off, or a bound of `patience` was reached.
    """
    arrived = 0
    while True:
        try:
            block = response.read1(size_bytes)
        except TimeoutError:
            raise patience.over() from None
        except (OSError, http.client.HTTPException) as error:
            raise DownloadError(f"{url} broke off: {error or type(error).__name__}.", "Try again.") from None
        if not block:
            return
        arrived += len(block)
        patience.check_rate(arrived)
        yield block


class _Bounded(io.RawIOBase):
    """Reads from a socket, each within what is left of a patience."""

    def __init__(self, raw: Any, sock: socket.socket, patience: Patience) -> None:
        self._raw, self._sock, self._patience = raw, sock, patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._patience.left_s())
        return int(self._raw.readinto(buffer))

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, patience: Patience, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp: Any = io.BufferedReader(_Bounded(self.fp.detach(), sock, patience))


class _Connecting(http.client.HTTPConnection):
    """A connection that is made within CONNECT_S, through a proxy too, or not."""

    def __init__(self, patience: Patience, host: str, **kwargs: Any) -> None:
        super().__init__(host, **kwargs)
        self._patience = patience
        self.response_class: Any = functools.partial(_Response, patience)
        self._create_connection: Any = self._connected

    def connect(self) -> None:
        self._patience.connects()
        self.timeout = self._patience.left_s()
        super().connect()
        self._patience.asks()
        self.sock.settimeout(self._patience.left_s())

    def _connected(self, address: tuple[str, int], *_: object) -> socket.socket:
        """As `socket.create_connection`, whose time begins anew with each address of a host: here all share it."""
        places = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
        last: OSError = OSError("its name has no address")
        for tried, (family, kind, protocol, _name, place) in enumerate(places):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self._patience.left_s() / (len(places) - tried))
                sock.connect(place)
            except OSError as error:
                sock.close()
                last = error
            else:
                return sock
        raise last


class _ConnectingSecurely(_Connecting, http.client.HTTPSConnection):
    """The same over TLS."""


class _Connections(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """In place of urllib's two: connections that keep a patience."""

    def __init__(self, patience: Patience) -> None:
        super().__init__()
        self._patience = patience

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_Connecting, self._patience), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_ConnectingSecurely, self._patience), req)


class _Statuses(urllib.request.HTTPErrorProcessor):
    """urllib's errors but for 416, as whoever asks for a range asks again without, and for where HEAD is sent away."""

    def http_response(self, request: urllib.request.Request, response: Any) -> Any:
        moved = request.get_method() == "HEAD" and response.status in _MOVED
        away = moved and urlsplit(response.headers.get("Location", "")).netloc not in ("", request.host)
        if away or response.status == _RANGE_REFUSED:
            return response
        return super().http_response(request, response)

    https_response = http_response


class _Redirects(urllib.request.HTTPRedirectHandler):
    """urllib's redirects without those to ftp and from https to http, and without reading what a redirect holds."""

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
        fp.close()  # urllib would read it, however long
        if urlsplit(newurl).scheme not in allowed:
            raise urllib.error.URLError(
                f"it redirects to {urlsplit(newurl).scheme or 'another scheme'}, not {allowed[-1]}"
            )
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None:
            request.method = req.get_method()
            if urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
                request.headers.pop("Authorization", None)
        return request
