"""An HTTP server that lies: it answers as a test tells it to, without end, or a byte at a time. No real store does what it does."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dinmo_pipeline_tests.servers.running import HOST

Answer = tuple[int, dict[str, str], bytes | Iterable[bytes]]
"""Status, headers and body. Of a body in pieces no length is told; status 0 is for pieces that are all of the answer, its head too."""


@dataclass
class LyingHttp:
    """Answers each request as `answer` says, by its method and path; `paths` are those of the requests that came.

    Pieces are sent until the client hangs up, with `pause_s` between.
    """

    answer: Callable[[str, str], Answer]
    pause_s: float = 0.0
    paths: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"


@contextmanager
def lying_http(answer: Callable[[str, str], Answer], pause_s: float = 0.0, *, certificate: Path | None = None) -> Iterator[LyingHttp]:
    """A running one. With a `certificate` and its key in one file it speaks TLS alone, at the same address with https."""
    liar = LyingHttp(answer, pause_s)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def lie(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            liar.paths.append(self.path)
            status, headers, body = liar.answer(self.command, self.path)
            whole = isinstance(body, bytes)
            # The client may hang up at any moment.
            with suppress(OSError):
                if status:
                    self._send_head(status, {"Content-Length": str(len(body)), **headers} if isinstance(body, bytes) else headers)
                if self.command != "HEAD" or not status:
                    self._send_pieces((body,) if isinstance(body, bytes) else body)
            self.close_connection = self.close_connection or not whole

        def _send_head(self, status: int, headers: dict[str, str]) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def _send_pieces(self, pieces: Iterable[bytes]) -> None:
            for number, piece in enumerate(pieces):
                if liar.pause_s and number:
                    time.sleep(liar.pause_s)
                self.wfile.write(piece)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = lie
        # What WebDAV asks.
        do_PROPFIND = do_MKCOL = do_MOVE = do_COPY = lie

        def log_message(self, format: str, *args: Any) -> None:
            return None

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        liar.port = server.server_port
        if certificate is not None:
            secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            secured.load_cert_chain(certificate)
            server.socket = secured.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield liar
        finally:
            server.shutdown()
