"""Python's FTP client, with what servers ask for beyond it: data connections that reuse the TLS session, implicit TLS, EPSV.

And with what they may not do: answer without end, or so slowly that nobody waits for it.
"""

from __future__ import annotations

import ftplib
import io
import socket
import ssl
import time
from typing import Any

from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits
from dinmo_pipeline.storages.intake import broken

_BLOCK = 8 * 1024


class PlainFtp(ftplib.FTP):
    """FTP without encryption. The address in the answer to PASV is ignored, as ftplib does: behind a NAT it is often wrong.

    TimeoutError where a reply has not come, whole, when its time is over; LimitBroken where it is too long.
    """

    reply_seconds: float = 0
    """How long a whole reply may take, once the login is over."""
    _limits = DEFAULT_LIMITS
    _login_ends: float | None = None

    def begin_login(self, limits: IntakeLimits, seconds: float) -> None:
        """Take no more of the server than this, and until `end_login` no longer than so many seconds for all replies together."""
        self._limits, self._login_ends = limits, time.monotonic() + seconds

    def end_login(self) -> None:
        """Give each reply `reply_seconds` from now on."""
        self._login_ends = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "file" and isinstance(value, io.TextIOWrapper):
            value.close()
            value = _Replies(self)
        super().__setattr__(name, value)

    def getmultiline(self) -> str:
        assert isinstance(self.file, _Replies)
        ends = time.monotonic() + (self.reply_seconds or self.timeout) if self._login_ends is None else self._login_ends
        self.file.begin(ends, self._limits.reply_bytes)
        return super().getmultiline()

    def makepasv(self) -> tuple[str, int]:
        try:
            return super().makepasv()
        except ftplib.error_perm:
            assert self.sock is not None
            return ftplib.parse229(self.sendcmd("EPSV"), self.sock.getpeername())


class TlsFtp(ftplib.FTP_TLS, PlainFtp):
    """FTP over TLS, explicit or implicit. `context` verifies or does not; ftplib's own default would not."""

    def __init__(self, *, context: ssl.SSLContext, implicit: bool, timeout: float) -> None:
        super().__init__(context=context, timeout=timeout, encoding="utf-8")
        self._implicit = implicit

    def connect(self, host: str = "", port: int = 0, timeout: float = -999, source_address: tuple[str, int] | None = None) -> str:
        if not self._implicit:
            return super().connect(host, port, timeout, source_address)
        self.host, self.port = host, port
        self.sock = self.context.wrap_socket(socket.create_connection((host, port), self.timeout), server_hostname=host)
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        assert isinstance(self.sock, ssl.SSLSocket)
        try:
            # vsftpd refuses a data connection that does not prove to come from the same client.
            return self.context.wrap_socket(connection, server_hostname=self.host, session=self.sock.session), size
        except BaseException:  # an interrupt, too, must leave no connection open
            connection.close()
            raise


class _Replies:
    """The lines of one connection, in place of the file that ftplib reads them from; it knows no end of their time and of their size."""

    def __init__(self, ftp: ftplib.FTP) -> None:
        self._ftp = ftp
        self._received = b""
        self._ends = 0.0
        self._most_bytes = self._bytes = 0

    def begin(self, ends: float, most_bytes: int) -> None:
        """Limit the next reply: it must have come at the moment `ends`, and may have so many bytes."""
        self._ends, self._most_bytes, self._bytes = ends, most_bytes, 0

    def readline(self, most: int) -> str:
        """Return the next line with its end, or `most` bytes of it.

        What is left where the server has hung up. LimitBroken of too long a reply.
        """
        while (end := self._received.find(b"\n", 0, most) + 1) == 0 and len(self._received) < most:
            assert self._ftp.sock is not None
            more = self._receive(self._ftp.sock)
            if not more:
                end = len(self._received)
                break
            self._received += more
        end = end or most
        line, self._received = self._received[:end], self._received[end:]
        self._bytes += len(line)
        if self._bytes > self._most_bytes:
            raise broken(f"the server's reply is longer than {self._most_bytes:,} bytes", "reply_bytes")
        # What a server says may be in any encoding; it must not be unreadable for that.
        return line.decode("utf-8", "backslashreplace")

    def _receive(self, connection: socket.socket) -> bytes:
        before, left = connection.gettimeout(), self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        connection.settimeout(left)
        try:
            return connection.recv(_BLOCK)
        finally:
            connection.settimeout(before)

    def close(self) -> None:
        """Forget what was received; the connection is closed by ftplib."""
        self._received = b""
