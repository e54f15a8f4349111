"""Python's FTP client, with what servers ask for beyond it: data connections that reuse the TLS session, implicit TLS, EPSV."""

from __future__ import annotations

import ftplib
import io
import socket
import ssl
from typing import Any


class PlainFtp(ftplib.FTP):
    """FTP without encryption. The address in the answer to PASV is ignored, as ftplib does: behind a NAT it is often wrong."""

    def __setattr__(self, name: str, value: Any) -> None:
        # What a server says may be in any encoding; it must not be unreadable for that.
        if name == "file" and isinstance(value, io.TextIOWrapper):
            value.reconfigure(errors="backslashreplace")
        super().__setattr__(name, value)

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
