from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import Server, full_disk, left_in, send

from gpunet.errors import DownloadError, InvalidArgumentError
from gpunet.zoo.weights.download import fetched, ngc_address

BODY = bytes(range(256)) * 2000
KEPT = "What has arrived is kept: try again, and it goes on from there."


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        yield server


def _fetched(server: Server, folder: Path, **arguments: Any) -> bytes:
    """What /file holds; nothing may be left of it."""
    with fetched(f"{server.url}/file", folder / "file", **arguments) as path:
        content = path.read_bytes()
    assert left_in(folder) == []
    return content


def _refused(server: Server, folder: Path, left: int = 0, **arguments: Any) -> str:
    """The text of the error that fetching /file ends in; so many bytes may be left of the file."""
    with pytest.raises(DownloadError) as caught:
        _fetched(server, folder, **arguments)
    assert left_in(folder) == (["file", "file.json"] if left else [])
    assert not left or (folder / "file").stat().st_size == left
    assert f"{server.url}/file" in caught.value.message
    return str(caught.value)


class Ranges:
    """Answers with `body` as a server does that knows ranges; breaks off where told.

    Attributes:
        asked: the Range of each request.
    """

    def __init__(self, body: bytes = BODY, etag: str = '"1"', **headers: str) -> None:
        self.body, self.headers, self.breaks_off_at = body, {"ETag": etag, **headers}, len(body)
        self.asked: list[str | None] = []

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        said = {**self.headers, "Content_Length": str(len(self.body))}
        if asked is None or handler.headers.get("If-Range") != self.headers["ETag"]:
            send(handler, self.body[: self.breaks_off_at], **said)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        said["Content_Length"] = str(len(self.body) - start)
        whole = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        send(handler, self.body[start : self.breaks_off_at], 206, Content_Range=whole, **said)


def _begun(server: Server, folder: Path, **headers: str) -> Ranges:
    """A server that has broken off after 200,000 bytes, and does so no more."""
    server.answers["/file"] = ranges = Ranges(**headers)
    ranges.breaks_off_at = 200_000
    said = _refused(server, folder, left=200_000)
    assert said == f"{server.url}/file ended early: 200000 of 512000 bytes arrived.\n{KEPT}"
    ranges.breaks_off_at = len(BODY)
    return ranges


# ------------------------------------------------------------------- in one go


def test_fetches_the_whole_file(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = BODY
    with fetched(f"{server.url}/file", tmp_path / "new" / "file") as path:
        assert path == tmp_path / "new" / "file"
        assert path.read_bytes() == BODY
    assert left_in(tmp_path) == []


def test_fetches_without_an_announced_length(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = lambda handler: send(handler, b"abc", Content_Length="")
    assert _fetched(server, tmp_path) == b"abc"


def test_truncated(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = lambda handler: send(handler, b"x" * 600_000, Content_Length="1000000")
    assert "ended early: 600000 of 1000000 bytes arrived.\nTry again." in _refused(server, tmp_path)


def test_truncated_in_chunks(server: Server, tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"ff\r\nonly this", Content_Length="", Transfer_Encoding="chunked")

    server.answers["/file"] = answer
    assert "broke off: IncompleteRead" in _refused(server, tmp_path)


def test_too_large_by_its_announcement(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = b"x" * 101
    assert "is 101 bytes long, more than the 100 allowed.\nSee whether the address" in _refused(
        server, tmp_path, limit_bytes=100
    )


def test_too_large_unannounced(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = lambda handler: send(handler, b"x" * 101, Content_Length="", ETag='"1"')
    assert "sends more than the 100 bytes allowed.\nSee whether the address" in _refused(
        server, tmp_path, limit_bytes=100
    )


def test_a_length_that_is_no_number(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = lambda handler: send(handler, b"x", Content_Length="-1")
    assert "announces a Content-Length of '-1', which is no number.\nTry again" in _refused(server, tmp_path)


@pytest.mark.parametrize("status", [206, 416])
def test_an_answer_to_a_range_that_nobody_asked_for(server: Server, tmp_path: Path, status: int) -> None:
    server.answers["/file"] = lambda handler: send(handler, b"x", status)
    assert f"answered {status} " in (said := _refused(server, tmp_path))
    assert ", and sent no whole file.\nSee whether the address is that of a file" in said


def test_a_full_disk(server: Server, tmp_path: Path) -> None:
    """The space is given back."""
    server.answers["/file"] = Ranges()
    with full_disk(300_000), pytest.raises(OSError, match="File too large"):
        _fetched(server, tmp_path)
    assert left_in(tmp_path) == []


# --------------------------------------------------------------- going on with it


def test_goes_on_where_it_broke_off(server: Server, tmp_path: Path) -> None:
    ranges = _begun(server, tmp_path)
    assert _fetched(server, tmp_path) == BODY
    assert ranges.asked == [None, "bytes=199999-"]


def test_goes_on_by_the_date_where_there_is_no_strong_etag(server: Server, tmp_path: Path) -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    server.answers["/file"] = lambda handler: send(
        handler, BODY[:1000], Content_Length="512000", ETag='W/"1"', Last_Modified=date
    )
    _refused(server, tmp_path, left=1000)
    assert json.loads((tmp_path / "file.json").read_text())["validator"] == date


def test_what_is_whole_is_asked_for_its_last_byte_alone(server: Server, tmp_path: Path) -> None:
    """As a process leaves it that is killed while it converts."""
    server.answers["/file"] = ranges = Ranges()
    with fetched(f"{server.url}/file", tmp_path / "file"):
        for name in ("file", "file.json"):
            os.link(tmp_path / name, tmp_path / f"{name}.kept")
    for name in ("file", "file.json"):
        os.rename(tmp_path / f"{name}.kept", tmp_path / name)
    assert _fetched(server, tmp_path) == BODY
    assert ranges.asked == [None, "bytes=511999-"]


def test_another_content_is_fetched_from_its_beginning(server: Server, tmp_path: Path) -> None:
    _begun(server, tmp_path)
    server.answers["/file"] = changed = Ranges(BODY[::-1], '"2"')
    assert _fetched(server, tmp_path) == BODY[::-1]
    assert changed.asked == ["bytes=199999-"]  # If-Range: the answer was the whole at once


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, {"Content_Range": "bytes 199999-511999/512000", "ETag": '"2"'}),
        (206, {"Content_Range": "bytes 0-511999/512000"}),
        (206, {"Content_Range": "bytes 199999-300000/512000"}),
        (206, {"Content_Range": "bytes 199999-511999/*"}),
        (206, {}),
        (416, {"Content_Range": "bytes */1000"}),
        (204, {}),
    ],
    ids=["another ETag", "from the beginning", "not to the end", "of unknown length", "no range", "416", "204"],
)
def test_an_answer_that_is_not_the_rest(server: Server, tmp_path: Path, status: int, headers: dict[str, str]) -> None:
    """Then it is asked for again, whole."""
    ranges = _begun(server, tmp_path)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Range"):
            send(handler, b"" if status == 204 else b"wrong", status, **headers)
        else:
            ranges(handler)

    server.answers["/file"] = answer
    assert _fetched(server, tmp_path) == BODY


def test_a_server_without_ranges(server: Server, tmp_path: Path) -> None:
    _begun(server, tmp_path)
    server.answers["/file"] = lambda handler: send(handler, BODY, ETag='"1"')
    assert _fetched(server, tmp_path) == BODY


def test_the_rest_breaks_off_before_its_first_byte(server: Server, tmp_path: Path) -> None:
    ranges = _begun(server, tmp_path)
    ranges.breaks_off_at = 0
    assert "ended early: 199999 of 512000" in _refused(server, tmp_path, left=199_999)
    ranges.breaks_off_at = len(BODY)
    assert _fetched(server, tmp_path) == BODY


def test_the_rest_is_not_larger_than_allowed_either(server: Server, tmp_path: Path) -> None:
    _begun(server, tmp_path)
    assert "is 512000 bytes long, more than the 300000" in _refused(server, tmp_path, limit_bytes=300_000)


def test_an_error_keeps_what_has_arrived(server: Server, tmp_path: Path) -> None:
    ranges = _begun(server, tmp_path)
    server.answers["/file"] = lambda handler: handler.send_error(503)
    assert f"answered 503 Service Unavailable.\n{KEPT}" in _refused(server, tmp_path, left=200_000)
    server.answers["/file"] = ranges
    assert _fetched(server, tmp_path) == BODY


def test_a_dripping_server_is_left_and_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.answers["/file"] = ranges = Ranges()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, BODY[:100_000], Content_Length=str(len(BODY)), **ranges.headers)
        server.released.wait()

    server.answers["/file"] = answer
    said = _refused(server, tmp_path, left=100_000, timeout_s=2.0)
    assert f"took longer than timeout_s=2 allows.\n{KEPT}" in said
    server.answers["/file"] = ranges
    assert _fetched(server, tmp_path) == BODY
    assert ranges.asked == ["bytes=99999-"]


@pytest.mark.parametrize(
    "record", [None, b"", b"[]", b"\xff", b'{"url": "http://other/file", "validator": "1"}', b'{"url": "URL"}']
)
def test_bytes_of_which_nothing_is_known_are_thrown_away(server: Server, tmp_path: Path, record: bytes | None) -> None:
    server.answers["/file"] = ranges = Ranges()
    (tmp_path / "file").write_bytes(b"of something else")
    (tmp_path / ".file.json.k1ll3d.part").write_bytes(b"{")
    if record is not None:
        (tmp_path / "file.json").write_bytes(record.replace(b"URL", f"{server.url}/file".encode()))
    assert _fetched(server, tmp_path) == BODY
    assert ranges.asked == [None]


# ------------------------------------------------------------------ what is seen


@pytest.mark.parametrize(
    ("terminal", "wanted", "seen"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_the_bar_is_for_terminals(server: Server, tmp_path: Path, terminal: bool, wanted: bool, seen: bool) -> None:
    server.answers["/file"] = b"x" * 1_000_000
    call = f"fetched({server.url + '/file'!r}, {str(tmp_path / 'weights.zip')!r}, progress={wanted})"
    code = f"from gpunet.zoo.weights.download import fetched\nwith {call}: pass"
    ours, theirs = os.openpty() if terminal else os.pipe()
    try:
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
        done = subprocess.run(
            [sys.executable, "-c", code], stderr=theirs, stdout=subprocess.PIPE, env=environment, check=True, timeout=60
        )
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
