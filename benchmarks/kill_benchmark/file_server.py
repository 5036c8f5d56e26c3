"""A server of one file, as a process of its own: a process that forks should have no threads.

    python file_server.py FILE

It prints its address. Below /ranges it knows ranges, below /plain it does not and says nothing of what it sends;
below /stall/... the first answer of each address stops in the middle, and later ones are those of /ranges. /sent says
how many bytes of the file it has sent, or begun to.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Handler(BaseHTTPRequestHandler):
    content = b""
    sent_bytes = 0
    counting = threading.Lock()
    stalled: frozenset[str] = frozenset()

    def do_GET(self) -> None:
        if self.path == "/sent":
            self._send(str(_Handler.sent_bytes).encode(), 200, {}, counts=False)
            return
        kind, etag = self.path.split("/")[1], f'"{hashlib.sha256(self.content).hexdigest()}"'
        asked = self.headers.get("Range", "")
        if kind == "plain":
            self._send(self.content, 200, {})
        elif asked and self.headers.get("If-Range") == etag:
            start, end = int(asked.removeprefix("bytes=").removesuffix("-")), len(self.content)
            self._send(self.content[start:], 206, {"ETag": etag, "Content-Range": f"bytes {start}-{end - 1}/{end}"})
        elif kind == "stall" and self.path not in self.stalled:
            _Handler.stalled |= {self.path}
            half = self.content[: len(self.content) // 2]
            self._send(half, 200, {"ETag": etag, "Content-Length": str(len(self.content))})
            threading.Event().wait()
        else:
            self._send(self.content, 200, {"ETag": etag})

    def _send(self, body: bytes, status: int, headers: dict[str, str], *, counts: bool = True) -> None:
        # Before the head: whoever was answered finds it counted.
        with self.counting:
            _Handler.sent_bytes += len(body) if counts else 0
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def main() -> None:
    """Serve until killed."""
    _Handler.content = Path(sys.argv[1]).read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
