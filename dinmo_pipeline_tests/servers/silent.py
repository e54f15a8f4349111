"""A server that takes connections and never says a word."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from dinmo_pipeline_tests.servers.running import HOST


@dataclass
class SilentServer:
    """Where it listens, and the connections that it has taken."""

    port: int
    taken: list[socket.socket] = field(default_factory=list)


@contextmanager
def running_silent() -> Iterator[SilentServer]:
    """A running one."""
    listening = socket.create_server((HOST, 0))
    server = SilentServer(listening.getsockname()[1])

    def take() -> None:
        with suppress(OSError):
            while True:
                server.taken.append(listening.accept()[0])

    threading.Thread(target=take, daemon=True).start()
    try:
        yield server
    finally:
        listening.close()
        for connection in server.taken:
            connection.close()
