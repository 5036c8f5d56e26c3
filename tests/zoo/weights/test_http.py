from __future__ import annotations

import contextlib
import io
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler

import pytest
from helpers.checkpoints import Server, send

from gpunet.errors import DownloadError
from gpunet.zoo.weights.http import RATE_S, Patience, _Connections, _Redirects, blocks, opened


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        yield server


def _got(url: str, timeout_s: float = 60, silence_s: float = 60, **headers: str) -> bytes:
    patience = Patience(url, timeout_s, silence_s)
    with opened(url, patience, headers) as response:
        return b"".join(blocks(url, response, patience, 1 << 18))


def _refused(server: Server, **bounds: float) -> str:
    """The text of the error that asking for /file ends in."""
    with pytest.raises(DownloadError) as caught:
        _got(f"{server.url}/file", **bounds)  # type: ignore[arg-type]
    assert f"{server.url}/file" in caught.value.message
    return str(caught.value)


def _dripping(server: Server, body: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """Send byte after byte of `body`, for as long as somebody listens."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        try:
            for byte in body:
                handler.wfile.write(bytes([byte]))
                if server.released.wait(0.01):
                    return
        except ConnectionError:
            pass

    return answer


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_http_errors(server: Server, status: int) -> None:
    server.answers["/file"] = lambda handler: handler.send_error(status)
    assert f"answered {status} " in _refused(server)


def test_silent_before_the_answer(server: Server) -> None:
    server.answers["/file"] = lambda handler: server.released.wait() and None
    assert "did not answer within 0.1 s.\nCheck the network and the proxy" in _refused(server, silence_s=0.1)
    assert len(server.requests) == 1


def test_a_head_that_drips(server: Server) -> None:
    server.answers["/file"] = _dripping(server, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 60_000)
    assert "did not answer within 0.3 s" in _refused(server, silence_s=0.3)


def test_silent_in_the_middle(server: Server) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"x", Content_Length="1000")
        server.released.wait()

    server.answers["/file"] = answer
    assert "was silent for 1 s.\nCheck the network and the proxy" in _refused(server, silence_s=1)


def test_a_body_that_drips(server: Server) -> None:
    """Never silent, and never done."""
    server.answers["/file"] = _dripping(server, b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 60_000)
    assert "took longer than timeout_s=0.5 allows.\nTry again, with more time." in _refused(server, timeout_s=0.5)


def test_the_least_rate() -> None:
    now_s = [0.0]
    patience = Patience("http://x/file", 3600, 30, lambda: now_s[0])
    patience.answered()
    now_s[0] = RATE_S - 1
    patience.check_rate(0)
    now_s[0] = RATE_S
    patience.check_rate(1024 * 60)  # as much as is asked for
    now_s[0] = 2 * RATE_S
    with pytest.raises(
        DownloadError, match=r"http://x/file sends 0\.167 bytes a second, less than the 1024 expected\.\nCheck the net"
    ):
        patience.check_rate(1024 * 60 + 10)


def test_what_is_left_of_patience() -> None:
    now_s = [0.0]
    patience = Patience("http://x/file", 100, 30, lambda: now_s[0])
    assert patience.left_s() == 30
    now_s[0] = 20
    assert patience.left_s() == 10  # the head of an answer may take 30 s in all
    assert patience.over().message == "http://x/file did not answer within 30 s."
    patience.connects()
    assert patience.left_s() == 5
    assert patience.over().message == "http://x/file could not be connected to within 5 s."
    patience.answered()
    assert patience.left_s() == 30
    now_s[0] = 90
    assert patience.left_s() == 10
    now_s[0] = 100
    with pytest.raises(TimeoutError):
        patience.left_s()
    assert patience.over().message == "http://x/file took longer than timeout_s=100 allows."


def test_an_answer_that_is_not_http(server: Server) -> None:
    server.answers["/file"] = lambda handler: handler.wfile.write(b"gopher\r\n\r\n") and None
    assert "cannot be fetched: gopher" in _refused(server)


@pytest.fixture
def deaf() -> Iterator[tuple[str, int]]:
    """The address of a server whose queue is full: who connects to it gets no word."""
    if sys.platform != "linux":
        pytest.skip("other systems refuse where the queue is full")
    with contextlib.ExitStack() as held:
        server = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()


def _resolve(monkeypatch: pytest.MonkeyPatch, places: list[tuple[str, int]], connect_s: float) -> None:
    """Let every name stand for these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *asked, **how: found)
    monkeypatch.setattr("gpunet.zoo.weights.http.CONNECT_S", connect_s)
    monkeypatch.setenv("no_proxy", "ngc.example")


def test_the_addresses_of_a_host_share_the_time_to_connect(
    deaf: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    given_s: list[float] = []

    class Noting(socket.socket):
        def settimeout(self, value: float | None) -> None:
            given_s.append(value or 0.0)
            super().settimeout(value)

    monkeypatch.setattr(socket, "socket", Noting)
    _resolve(monkeypatch, [deaf] * 4, 0.4)
    with pytest.raises(DownloadError, match=r"could not be connected to within 0\.4 s"):
        _got("http://ngc.example/file")
    assert 0 < sum(given_s) <= 0.4


def test_one_address_that_says_nothing_leaves_time_for_the_next(
    server: Server, deaf: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/file"] = b"here"
    host, _, port = server.url.removeprefix("http://").partition(":")
    _resolve(monkeypatch, [deaf, (host, int(port))], 0.6)
    assert _got("http://ngc.example/file") == b"here"


def test_a_name_without_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve(monkeypatch, [], 1)
    with pytest.raises(DownloadError, match="cannot be reached: its name has no address"):
        _got("http://ngc.example/file")


def test_urllibs_own_connections_are_not_used() -> None:
    opener = urllib.request.build_opener(_Connections(Patience("http://x/file", 1)))
    both = (urllib.request.HTTPHandler, urllib.request.HTTPSHandler)
    assert [type(each) for each in opener.handlers if isinstance(each, both)] == [_Connections]


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DownloadError, match=r"cannot be reached: .*refused.*\nCheck the network and the proxy"):
        _got(f"http://127.0.0.1:{port}/file")


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "nonsense", "http://", "http://[x"]
)
def test_other_schemes(url: str) -> None:
    with pytest.raises(
        DownloadError, match=r"cannot be fetched: (it is not an http or https address|Invalid IPv6 URL)"
    ):
        _got(url)


def test_tls_that_is_none(server: Server) -> None:
    server.answers["/file"] = b""
    url = server.url.replace("http:", "https:")
    with pytest.raises(DownloadError, match=rf"{url}/file cannot be reached: .*SSL"):
        _got(f"{url}/file")


def test_tls_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the connection and leaves its handshake unanswered."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}/file"
        with pytest.raises(DownloadError, match=r"took longer than timeout_s=0\.2 allows"):
            _got(url, timeout_s=0.2)


def test_follows_a_redirect(server: Server) -> None:
    server.answers["/file"] = lambda handler: send(handler, b"", 302, Location="/elsewhere")
    server.answers["/elsewhere"] = b"here"
    assert _got(f"{server.url}/file") == b"here"


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "file:///etc/hostname"])
def test_a_redirect_to_another_scheme(server: Server, target: str) -> None:
    server.answers["/file"] = lambda handler: send(handler, b"", 302, Location=target)
    assert target.partition(":")[0] in _refused(server)


def test_a_redirect_from_https_to_http() -> None:
    request = urllib.request.Request("https://example.org/a")
    answer = io.BytesIO()
    with pytest.raises(urllib.error.URLError, match="it redirects to http, not https"):
        _Redirects().redirect_request(request, answer, 302, "", Message(), "http://example.org/b")  # type: ignore[arg-type]
    assert answer.closed


def test_what_a_redirect_holds_is_not_read(server: Server) -> None:
    """A redirect that never ends, to something that is there."""
    sent = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"x", 302, Location="/elsewhere", Content_Length="1000000000")
        sent.set()
        server.released.wait()

    server.answers["/file"], server.answers["/elsewhere"] = answer, b"here"
    assert _got(f"{server.url}/file") == b"here"
    assert sent.wait(10)  # the server may still be at it when the other answer is here


def test_an_authorisation_goes_to_no_other_host(server: Server) -> None:
    came: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        came.append(handler.headers.get("Authorization"))
        send(handler, b"here")

    with Server() as other:
        other.answers["/there"] = server.answers["/here"] = answer
        server.answers["/far"] = lambda handler: send(handler, b"", 302, Location=f"{other.url}/there")
        server.answers["/near"] = lambda handler: send(handler, b"", 302, Location="/here")
        for path in ("/here", "/near", "/far"):
            assert _got(f"{server.url}{path}", Authorization="Bearer secret") == b"here"
    assert came == ["Bearer secret", "Bearer secret", None]


def test_the_environments_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", server.url)
    server.answers["http://ngc.example/file"] = b"by proxy"
    assert _got("http://ngc.example/file") == b"by proxy"


def test_a_proxy_to_https_that_drips(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer to CONNECT comes within the bounds too."""
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("https_proxy", server.url)
    server.answers["ngc.example:443"] = _dripping(server, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 60_000)
    with pytest.raises(DownloadError, match=r"https://ngc\.example/file could not be connected to within 0\.3"):
        _got("https://ngc.example/file", silence_s=0.3)


def test_a_proxy_to_https_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not there for as long as a server may take to answer, but as one that cannot be connected to."""
    monkeypatch.setattr("gpunet.zoo.weights.http.CONNECT_S", 0.2)
    monkeypatch.setenv("no_proxy", "")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(DownloadError, match=r"could not be connected to within 0\.2 s\.\nCheck the network and"):
            _got("https://ngc.example/file")
