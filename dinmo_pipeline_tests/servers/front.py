"""An HTTP server in front of another one: it notes the requests, answers some of them with an error, or changes bytes on the way."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from dinmo_pipeline_tests.servers.running import HOST

_WRITES = {"PUT", "POST"}
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect"}


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class Front:
    """Listens on `own_port` and passes everything on to the server on `server_port`, until told otherwise."""

    server_port: int
    own_port: int = 0
    requests: list[Request] = field(default_factory=list)
    _failures: list[tuple[int, bytes, Mapping[str, str]]] = field(default_factory=list)
    _corrupt: int = 0
    _lost: int = 0
    _dropped: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail_writes(self, count: int, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer the next `count` writes like this, and do not pass them on."""
        self._failures = [(status, body, {name.replace("_", "-"): value for name, value in headers.items()})] * count

    def corrupt_writes(self, count: int) -> None:
        """Change a byte in the bodies of the next `count` writes of content: of 100 kB and more."""
        self._corrupt = count

    def lose_answers(self, count: int) -> None:
        """Pass the next `count` writes on, and answer all the same that they failed."""
        self._lost = count

    def drop_header(self, name: str) -> None:
        """Pass everything on without this header."""
        self._dropped = name.lower()

    def loses(self, method: str) -> bool:
        """Whether the answer to this request is to be lost."""
        with self._lock:
            if method not in _WRITES or self._lost == 0:
                return False
            self._lost -= 1
            return True

    def drops(self, header: str) -> bool:
        """Whether this header is not passed on."""
        return header.lower() in {*_HOP_BY_HOP, self._dropped}

    def reset(self) -> None:
        """Pass everything on, and forget what came."""
        self.requests, self._failures, self._corrupt, self._lost, self._dropped = [], [], 0, 0, ""

    def failure(self, method: str) -> tuple[int, bytes, Mapping[str, str]] | None:
        """What to answer to this request instead of passing it on."""
        with self._lock:
            return self._failures.pop() if method in _WRITES and self._failures else None

    def changed(self, method: str, body: bytes) -> bytes:
        """The body to pass on."""
        with self._lock:
            if method not in _WRITES or len(body) < 100_000 or self._corrupt == 0:
                return body
            self._corrupt -= 1
        middle = len(body) // 2
        return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]

    @classmethod
    @contextmanager
    def listening(cls, server_port: int) -> Iterator[Front]:
        """One that listens, in front of the server on `server_port`."""
        front = cls(server_port)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                front.requests.append(Request(self.command, self.path, dict(self.headers)))
                failure = front.failure(self.command)
                if failure is not None:
                    self._answer(failure[0], list(failure[2].items()), failure[1])
                    return
                server = http.client.HTTPConnection(HOST, front.server_port, timeout=300)
                headers = {name: value for name, value in self.headers.items() if not front.drops(name)}
                server.request(self.command, self.path, front.changed(self.command, body), headers)
                answer = server.getresponse()
                if front.loses(self.command):
                    self._answer(503, [], b"")
                else:
                    self._answer(answer.status, answer.getheaders(), answer.read())
                server.close()

            def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() == "location":
                        # An upload's own address: its chunks come this way too.
                        value = urlsplit(value)._replace(netloc=self.headers["Host"]).geturl()
                    if name.lower() not in _HOP_BY_HOP and (self.command == "HEAD" or name.lower() != "content-length"):
                        self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = pass_on

            def log_message(self, format: str, *args: Any) -> None:
                return None

        with ThreadingHTTPServer((HOST, 0), Handler) as server:
            server.daemon_threads = True
            front.own_port = server.server_port
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield front
            finally:
                server.shutdown()
