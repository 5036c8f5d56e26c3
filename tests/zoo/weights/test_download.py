from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from helpers.checkpoints import Server, full_disk, left_in, send

from gpunet.errors import DownloadError, InvalidArgumentError
from gpunet.zoo.weights.download import _Redirects, fetch, ngc_address


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        yield server


def _refused(server: Server, folder: Path, **arguments: float) -> str:
    """The text of the error that fetching /file ends in; nothing may be left of the file."""
    with pytest.raises(DownloadError) as caught:
        fetch(f"{server.url}/file", folder / "file", **arguments)  # type: ignore[arg-type]
    assert left_in(folder) == []
    assert f"{server.url}/file" in caught.value.message
    return str(caught.value)


def test_fetches_the_whole_file(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = body = os.urandom(1_000_000)
    assert fetch(f"{server.url}/file", tmp_path / "new" / "file").read_bytes() == body
    assert left_in(tmp_path / "new") == ["file"]


def test_fetches_without_an_announced_length(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = lambda handler: send(handler, b"abc", Content_Length="")
    assert fetch(f"{server.url}/file", tmp_path / "file").read_bytes() == b"abc"


def test_truncated(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = lambda handler: send(handler, b"x" * 600_000, Content_Length="1000000")
    assert "ended early: 600000 of 1000000 bytes arrived.\nTry again." in _refused(server, tmp_path)


def test_truncated_in_chunks(server: Server, tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"ff\r\nonly this", Content_Length="", Transfer_Encoding="chunked")

    server.answers["/file"] = answer
    assert "broke off: IncompleteRead" in _refused(server, tmp_path)


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_http_errors(server: Server, tmp_path: Path, status: int) -> None:
    server.answers["/file"] = lambda handler: handler.send_error(status)
    assert f"answered {status} " in _refused(server, tmp_path)


def test_too_large_by_its_announcement(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = b"x" * 101
    assert "is 101 bytes long, more than the 100 allowed" in _refused(server, tmp_path, limit_bytes=100)


def test_too_large_unannounced(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = lambda handler: send(handler, b"x" * 101, Content_Length="")
    assert "sends more than the 100 bytes allowed" in _refused(server, tmp_path, limit_bytes=100)


def test_a_length_that_is_no_number(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = lambda handler: send(handler, b"x", Content_Length="-1")
    assert "announces a Content-Length of '-1', which is no number" in _refused(server, tmp_path)


def test_silent_before_the_answer(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = lambda handler: server.released.wait() and None
    assert "was silent for 0.1 s" in _refused(server, tmp_path, timeout_s=0.1)
    assert len(server.requests) == 1


def test_silent_in_the_middle(server: Server, tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"x", Content_Length="1000")
        server.released.wait()

    server.answers["/file"] = answer
    assert "was silent for 0.1 s" in _refused(server, tmp_path, timeout_s=0.1)


def test_an_answer_that_is_not_http(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = lambda handler: handler.wfile.write(b"gopher\r\n\r\n") and None
    assert "cannot be fetched: gopher" in _refused(server, tmp_path)


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DownloadError, match=r"cannot be reached: .*refused.*\nCheck the network and the proxy"):
        fetch(f"http://127.0.0.1:{port}/file", tmp_path / "file")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "nonsense", "http://", "http://[x"]
)
def test_other_schemes(tmp_path: Path, url: str) -> None:
    with pytest.raises(
        DownloadError, match=r"cannot be fetched: (it is not an http or https address|Invalid IPv6 URL)"
    ):
        fetch(url, tmp_path / "file")
    assert left_in(tmp_path) == []


def test_follows_a_redirect(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = lambda handler: send(handler, b"", 302, Location="/elsewhere")
    server.answers["/elsewhere"] = b"here"
    assert fetch(f"{server.url}/file", tmp_path / "file").read_bytes() == b"here"


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "file:///etc/hostname"])
def test_a_redirect_to_another_scheme(server: Server, tmp_path: Path, target: str) -> None:
    server.answers["/file"] = lambda handler: send(handler, b"", 302, Location=target)
    assert target.partition(":")[0] in _refused(server, tmp_path)


def test_a_redirect_from_https_to_http() -> None:
    request = urllib.request.Request("https://example.org/a")
    answer = io.BytesIO()
    with pytest.raises(urllib.error.URLError, match="it redirects to http, not https"):
        _Redirects().redirect_request(request, answer, 302, "", Message(), "http://example.org/b")  # type: ignore[arg-type]
    assert answer.closed


def test_the_environments_proxy(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", server.url)
    server.answers["http://ngc.example/file"] = b"by proxy"
    assert fetch("http://ngc.example/file", tmp_path / "file").read_bytes() == b"by proxy"


def test_a_full_disk(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = b"x" * 1_000_000
    with full_disk(500_000), pytest.raises(OSError, match="File too large"):
        fetch(f"{server.url}/file", tmp_path / "file")
    assert left_in(tmp_path) == []


def test_an_earlier_file_stays_when_the_download_fails(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(DownloadError, match="answered 404 Not Found"):
        fetch(f"{server.url}/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert left_in(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("terminal", "wanted", "seen"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_the_bar_is_for_terminals(server: Server, tmp_path: Path, terminal: bool, wanted: bool, seen: bool) -> None:
    server.answers["/file"] = b"x" * 1_000_000
    call = f"fetch({server.url + '/file'!r}, {str(tmp_path / 'weights.zip')!r}, progress={wanted})"
    command = [sys.executable, "-c", f"from gpunet.zoo.weights.download import fetch; {call}"]
    ours, theirs = os.openpty() if terminal else os.pipe()
    try:
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
        done = subprocess.run(command, stderr=theirs, stdout=subprocess.PIPE, env=environment, check=True, timeout=60)
        os.write(theirs, b".")
        shown = os.read(ours, 1 << 16).decode(errors="replace")
    finally:
        os.close(ours)
        os.close(theirs)
    assert ("Downloading weights.zip" in shown) == seen
    assert done.stdout == b""


def test_ngc_address(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://api.ngc.nvidia.com/v2/models/x/zip?a=1"
    monkeypatch.delenv("GPUNET_NGC_URL", raising=False)
    assert ngc_address(url) == url
    monkeypatch.setenv("GPUNET_NGC_URL", "http://127.0.0.1:8080")
    assert ngc_address(url) == "http://127.0.0.1:8080/v2/models/x/zip?a=1"
    monkeypatch.setenv("GPUNET_NGC_URL", "https://mirror.example/ngc/")
    assert ngc_address(url) == "https://mirror.example/ngc/v2/models/x/zip?a=1"


@pytest.mark.parametrize("value", ["localhost:8080", "ftp://mirror", "https://", "http://[x", "file:///srv"])
def test_ngc_address_refuses(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("GPUNET_NGC_URL", value)
    with pytest.raises(InvalidArgumentError, match="GPUNET_NGC_URL must be an http or https address, but is '"):
        ngc_address("https://api.ngc.nvidia.com/v2/x")
