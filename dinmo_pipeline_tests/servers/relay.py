"""A relay on 127.0.0.2 in front of a server on 127.0.0.1, port for port, that holds, cuts or slows down what a client sends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from dinmo_pipeline_tests.servers.running import HOST

RELAY_HOST = "127.0.0.2"
_WAIT_SECONDS = 120


class Relay:
    """Passes everything on, until it is told otherwise; `let_pass` ends that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._held = threading.Event()
        self._released = threading.Event()
        self.let_pass()

    def let_pass(self) -> None:
        """Go on with what was held, and pass on all that comes."""
        with self._lock:
            self._left: int | None = None
            self._cut = False
            self._pause_s = 0.0
            self._away = False
            self._held.clear()
        self._released.set()

    def hold_after(self, count: int) -> None:
        """Stop passing on what the client sends after `count` more bytes."""
        with self._lock:
            self._left, self._cut = count, False
            self._held.clear()
            self._released.clear()

    def slow_down(self, pause_s: float) -> None:
        """Wait so long before each block of bytes, in both directions."""
        with self._lock:
            self._pause_s = pause_s

    def go_away(self) -> None:
        """Cut all connections now, and refuse new ones."""
        with self._lock:
            self._away = True
        self.hang_up()

    def cut_after(self, count: int) -> None:
        """Hang up all connections after `count` more bytes from the client."""
        with self._lock:
            self._left, self._cut = count, True

    def wait_until_held(self) -> None:
        """Wait for the client to have sent what `hold_after` allows."""
        assert self._held.wait(_WAIT_SECONDS), "the client never sent that much"

    @contextmanager
    def listening(self, ports: Sequence[int]) -> Iterator[Relay]:
        """The relay, in front of these ports."""
        listeners = [socket.create_server((RELAY_HOST, port), backlog=64) for port in ports]
        for listener in listeners:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        try:
            yield self
        finally:
            for listener in listeners:
                # Closing alone does not wake a thread that waits in accept.
                with suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            self.let_pass()
            self.hang_up()

    def _accept(self, listener: socket.socket) -> None:
        port = listener.getsockname()[1]
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    if self._away:
                        raise ConnectionRefusedError
                    server = socket.create_connection((HOST, port))
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._sockets |= {client, server}
                threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        with suppress(OSError):
            while block := source.recv(65536):
                time.sleep(self._pause_s)
                if from_client and not self._may_pass(len(block)):
                    self.hang_up()
                    return
                sink.sendall(block)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _may_pass(self, count: int) -> bool:
        with self._lock:
            if self._left is None:
                return True
            self._left -= count
            if self._left > 0:
                return True
            if self._cut:
                return False
            self._held.set()
        self._released.wait(_WAIT_SECONDS)
        return True

    def hang_up(self) -> None:
        """Cut all connections now."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
