"""A loopback hub: the endpoints that create a repository and commit to it, and the files that were committed."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import huggingface_hub
import pytest

from helpers.checkpoints import Server, send

SHA = "0123456789" * 4


class Hub:
    """A `Server` that plays the hub; every file goes the regular way, as small ones do there.

    Attributes:
        files: committed content by its path in the repository.
        commits: the header of each commit.
        created: what was asked for with each repository.
        tokens: the authorisations that came.
        refusal: the status that every request is refused with; None to serve.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.commits: list[dict[str, Any]] = []
        self.created: list[dict[str, Any]] = []
        self.tokens: set[str | None] = set()
        self.refusal: int | None = None
        self.server = Server()
        serve: dict[str, Callable[[bytes], Any]] = {
            "/api/repos/create": self._create,
            "/api/validate-yaml": self._validate,
            "/api/models/me/net/preupload/main": self._preupload,
            "/api/models/me/net/commit/main": self._commit,
        }
        for path, answer in serve.items():
            self.server.answers[path] = self._answer(answer)

    @property
    def commit_url(self) -> str:
        """What the hub says of the commit."""
        return f"{self.server.url}/me/net/commit/{SHA}"

    def _answer(self, make: Callable[[bytes], Any]) -> Callable[[BaseHTTPRequestHandler], None]:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
            self.tokens.add(handler.headers.get("Authorization"))
            if self.refusal is not None:
                send(handler, b'{"error": "no"}', self.refusal)
            else:
                send(handler, json.dumps(make(body)).encode())

        return answer

    def _create(self, body: bytes) -> dict[str, Any]:
        self.created.append(json.loads(body))
        return {"url": f"{self.server.url}/me/net"}

    def _validate(self, body: bytes) -> dict[str, Any]:
        assert json.loads(body)["content"].startswith("---\n")
        return {"warnings": [], "errors": []}

    def _preupload(self, body: bytes) -> dict[str, Any]:
        named = [each["path"] for each in json.loads(body)["files"]]
        return {"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in named]}

    def _commit(self, body: bytes) -> dict[str, Any]:
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "header":
                self.commits.append(line["value"])
            else:
                assert (line["key"], line["value"]["encoding"]) == ("file", "base64")
                self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return {"commitUrl": self.commit_url, "commitOid": SHA}


@contextlib.contextmanager
def loopback_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub that serves, in the place of the hub's client's own."""
    hub = Hub()
    with hub.server:
        monkeypatch.setenv("HF_ENDPOINT", hub.server.url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        yield hub
        getattr(huggingface_hub, "close_session", lambda: None)()  # its first releases keep no session
