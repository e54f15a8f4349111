"""An FTP server that lies: it says what a test tells it to, without end, or a byte at a time. No real server does what it does."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import repeat

from dinmo_pipeline_tests.servers.running import HOST

ROWS = b"id,updated_at,age\n1,2022-03-15,31\n"


@dataclass
class LyingFtp:
    """What it says: its greeting, the lines of MLSD, the bytes of RETR (`contents` by the end of a path), answers to other commands.

    `commands` are those that came. What is given as an iterable is sent piece by piece, with `pause_s` between.
    """

    port: int = 0
    greeting: Iterable[bytes] = (b"220 welcome\r\n",)
    listing: Iterable[bytes] = ()
    content: Iterable[bytes] = (ROWS,)
    contents: dict[str, Iterable[bytes]] = field(default_factory=dict)
    answers: dict[str, Iterable[bytes]] = field(default_factory=dict)
    pause_s: float = 0.0
    passive_host: str = HOST
    tls: ssl.SSLContext | None = None
    commands: list[str] = field(default_factory=list)
    sent_bytes: int = 0

    def answer(self, name: str) -> Iterable[bytes]:
        """What it says to a command that sends no data."""
        usual = {
            "USER": b"331 password\r\n",
            "PASS": b"230 in\r\n",
            "FEAT": b"211-features\r\n MLST type*;size*;modify*;\r\n MLSD\r\n211 end\r\n",
            "PWD": b'257 "/"\r\n',
            "TYPE": b"200 binary\r\n",
            "SIZE": f"213 {len(ROWS)}\r\n".encode(),
            "CWD": b"250 there\r\n",
            "MKD": b'257 "made"\r\n',
            "RNFR": b"350 to what\r\n",
            "RNTO": b"250 done\r\n",
            "DELE": b"250 gone\r\n",
            "QUIT": b"221 bye\r\n",
        }
        return self.answers.get(name) or (usual.get(name, b"550 no\r\n"),)

    def send(self, connection: socket.socket, pieces: Iterable[bytes]) -> None:
        """Send them all, or as many as are taken."""
        for number, piece in enumerate(pieces):
            if self.pause_s and number:
                time.sleep(self.pause_s)
            connection.sendall(piece)
            self.sent_bytes += len(piece)


def endless(piece: bytes) -> Iterable[bytes]:
    """The same again and again."""
    return repeat(piece)


def dripping(text: bytes) -> Iterable[bytes]:
    """Byte by byte."""
    return [text[index : index + 1] for index in range(len(text))]


def file_line(name: str, facts: str = f"type=file;size={len(ROWS)};modify=20220315120000;") -> bytes:
    """A line of MLSD."""
    return f"{facts} {name}\r\n".encode("utf-8", "surrogateescape")


@contextmanager
def lying_ftp(**says: object) -> Iterator[LyingFtp]:
    """A running one, without TLS unless it is given one that begins at once; anybody may log in."""
    server = LyingFtp(**says)  # type: ignore[arg-type]
    listening = socket.create_server((HOST, 0))
    server.port = listening.getsockname()[1]

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection = listening.accept()[0]
                threading.Thread(target=_speak, args=(server, connection), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server
    finally:
        listening.close()


def _speak(server: LyingFtp, connection: socket.socket) -> None:
    if server.tls is not None:
        with suppress(OSError):
            connection = server.tls.wrap_socket(connection, server_side=True)
    with suppress(OSError, ValueError), connection, connection.makefile("rb") as lines:
        server.send(connection, server.greeting)
        passive: socket.socket | None = None
        for line in lines:
            command = line.decode().strip()
            server.commands.append(command)
            name = command.partition(" ")[0].upper()
            if name == "PASV":
                passive = socket.create_server((HOST, 0))
                port = passive.getsockname()[1]
                where = ",".join([*server.passive_host.split("."), str(port >> 8), str(port & 255)])
                connection.sendall(f"227 here ({where})\r\n".encode())
            elif name in {"MLSD", "RETR", "STOR"} and passive is not None:
                _transfer(server, connection, passive, command)
                passive = None
            else:
                server.send(connection, server.answer(name))
                if name == "QUIT":
                    return


def _transfer(server: LyingFtp, connection: socket.socket, passive: socket.socket, command: str) -> None:
    name, _, path = command.partition(" ")
    connection.sendall(b"150 data follows\r\n")
    with passive:
        passive.settimeout(30)
        data = passive.accept()[0]
    ended = b"226 done\r\n"
    with data:
        try:
            if name == "STOR":
                while data.recv(65536):
                    pass
            else:
                content = next((each for end, each in server.contents.items() if path.endswith(end)), server.content)
                server.send(data, (server.listing if path.endswith("raw") else ()) if name == "MLSD" else content)
        except OSError:
            ended = b"426 broken off\r\n"
    connection.sendall(ended)
