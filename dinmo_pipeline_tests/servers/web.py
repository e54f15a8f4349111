"""A web server that keeps what is posted to it, and answers as it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dinmo_pipeline_tests.servers.running import HOST


@dataclass(frozen=True)
class Posted:
    """One request; the names of its headers are in small letters."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class WebServer:
    """`answers` are the statuses of the next requests; 200 when there is none left."""

    url: str
    posted: list[Posted] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@contextmanager
def running_web() -> Iterator[WebServer]:
    """A running one."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.posted.append(Posted(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status = server.answers.pop(0) if server.answers else 200
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{server.url}/elsewhere")
            self.end_headers()
            self.wfile.write(b"no_service" if status >= 400 else b"ok")

        def log_message(self, *_: Any) -> None:
            """Tests say what they need themselves."""

    listening = ThreadingHTTPServer((HOST, 0), Handler)
    server = WebServer(f"http://{HOST}:{listening.server_address[1]}")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
