"""What has arrived of a download, kept for the next try: the bytes, and beside them what they are bytes of.

`x` holds the bytes and `x.json` the address and the validator (RFC 9110: a strong ETag, else Last-Modified) under which
the server sent them. The record is written before the first byte and goes last: bytes without one are thrown away.
"""

from __future__ import annotations

import http.client
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from gpunet.core.files import write_text

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Partial:
    """The beginning of a file at an address.

    Args:
        path: where it is kept; the caller holds a lock for it.
        url: what it is of. What is kept of another address is deleted.
    """

    def __init__(self, path: Path, url: str) -> None:
        self.path, self._record, self._url = path, path.with_name(f"{path.name}.json"), url
        for part in path.parent.glob(f".{path.name}.*.part"):  # of a record, by a killed process
            part.unlink(missing_ok=True)
        self._validator = self._kept_validator()
        self.size_bytes = path.stat().st_size if self._validator and path.exists() else 0
        if not self.size_bytes:
            self.discard()

    def _kept_validator(self) -> str | None:
        try:
            kept = json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        known = isinstance(kept, dict) and kept.get("url") == self._url and isinstance(kept.get("validator"), str)
        return kept["validator"] if known else None

    @property
    def resumable(self) -> bool:
        """Whether the next try can go on from here."""
        return self._validator is not None and self.size_bytes > 0

    def headers(self) -> Mapping[str, str]:
        """Ask for the rest. The last byte is asked for again, so that of a file that is whole there is a rest."""
        if not self.resumable or self._validator is None:
            return {}
        return {"Range": f"bytes={self.size_bytes - 1}-", "If-Range": self._validator}

    def rest_bytes(self, response: http.client.HTTPResponse) -> int | None:
        """The length of the whole file, where the answer is the rest that was asked for; else None."""
        found = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if response.status != 206 or found is None or found[3] == "*" or int(found[1]) != self.size_bytes - 1:
            return None
        whole = int(found[2]) + 1 == int(found[3])
        same = validator_of(response) in (None, self._validator)
        return int(found[3]) if whole and same else None

    def restarted(self, validator: str | None) -> IO[bytes]:
        """The file, empty, to write to from its beginning."""
        self.discard()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._validator = validator
        if validator is not None:
            write_text(self._record, json.dumps({"url": self._url, "validator": validator}))
        return open(self.path, "wb")

    def resumed(self) -> IO[bytes]:
        """The file, to go on writing to, without its last byte."""
        self.size_bytes -= 1
        os.truncate(self.path, self.size_bytes)
        return open(self.path, "ab")

    def forget(self) -> None:
        """Let nothing be gone on with: what arrived is not wanted."""
        self._validator = None

    def discard(self) -> None:
        """Delete it."""
        self.path.unlink(missing_ok=True)
        self._record.unlink(missing_ok=True)
        self.size_bytes, self._validator = 0, None


def validator_of(response: http.client.HTTPResponse) -> str | None:
    """What tells this content from another at its address, fit for If-Range; None where the server says nothing."""
    etag = response.headers.get("ETag")
    if etag is not None and not etag.startswith("W/"):
        return str(etag)
    modified = response.headers.get("Last-Modified")
    return None if modified is None else str(modified)
