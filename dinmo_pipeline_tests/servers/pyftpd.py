"""pyftpdlib's server in a thread, with and without TLS, and with the shortcomings that other people's servers have. Needs no root."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS, FilesystemError
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

from dinmo_pipeline_tests.servers.certificates import make_certificates
from dinmo_pipeline_tests.servers.running import HOST, Login, free_port_range, server_folder

Kind = Literal["modern", "plain", "bare", "windows", "fixed"]
_PASSIVE_PORTS = 30
_ALL_RIGHTS = "elradfmwMT"
_MODERN_COMMANDS = {"MLSD", "MLST", "SIZE", "MDTM"}


@dataclass(frozen=True)
class PyFtpd:
    """The running server. `login` may do all, `no_rename` all but that, and `dropbox` may write and nothing else."""

    host: str
    port: int
    ports: Sequence[int]
    authority: Path | None
    login: Login
    no_rename: Login
    dropbox: Login


class WindowsFiles(AbstractedFS):  # type: ignore[misc]
    """Files as a Windows server shows them: listed in its own form, and never renamed over another one."""

    def rename(self, src: str, dst: str) -> None:
        if Path(dst).exists():
            raise FilesystemError("File already exists")
        super().rename(src, dst)

    def format_list(self, basedir: str, listing: Iterable[str], ignore_err: bool = True) -> Iterator[bytes]:
        for name in listing:
            path = Path(basedir) / name
            # Another client may move the file away while this one is being shown the folder.
            with suppress(FileNotFoundError):
                found = path.stat()
                size = "<DIR>" if path.is_dir() else str(found.st_size)
                yield f"{time.strftime('%m-%d-%y  %I:%M%p', time.gmtime(found.st_mtime))} {size:>20} {name}\r\n".encode()


class FixedFiles(AbstractedFS):  # type: ignore[misc]
    """Files that keep their names, which is told only at the second of the two commands that rename."""

    def rename(self, src: str, dst: str) -> None:
        raise FilesystemError("Renaming is not allowed")


def _handler(kind: Kind, folder: Path) -> tuple[type[Any], Path | None]:
    if kind == "modern":
        certificates = make_certificates(folder)
        options = {"certfile": str(certificates.server), "tls_control_required": True, "tls_data_required": True}
        return type("Modern", (TLS_FTPHandler,), options), certificates.authority
    if kind in {"plain", "fixed"}:
        return type(kind.title(), (FTPHandler,), {"abstracted_fs": FixedFiles if kind == "fixed" else AbstractedFS}), None
    # Neither says how large a file is: what is there must be found in the listing. Nor do they know PASV, only its successor.
    missing = {*_MODERN_COMMANDS, "PASV"}
    commands = {name: value for name, value in FTPHandler.proto_cmds.items() if name not in missing}
    files = WindowsFiles if kind == "windows" else AbstractedFS
    return type(kind.title(), (FTPHandler,), {"proto_cmds": commands, "abstracted_fs": files}), None


@contextmanager
def pyftpd(kind: Kind) -> Iterator[PyFtpd]:
    """The server: `modern` with TLS, `plain` without, `bare` and `windows` with few commands, `fixed` without renaming."""
    with ExitStack() as stack:
        folder = stack.enter_context(server_folder())
        handler, authority = _handler(kind, folder)
        authorizer = DummyAuthorizer()
        logins = []
        for name, rights in (("all", _ALL_RIGHTS), ("no-rename", _ALL_RIGHTS.replace("f", "")), ("dropbox", "ew")):
            home = folder / name
            home.mkdir()
            login = Login(username=name, home=home, start="/", password=secrets.token_urlsafe(24))
            authorizer.add_user(login.username, login.password, str(home), perm=rights)
            logins.append(login)
        passive = free_port_range(_PASSIVE_PORTS)
        handler.authorizer, handler.passive_ports = authorizer, passive
        server = FTPServer((HOST, 0), handler, ioloop=IOLoop())
        stopping = threading.Event()

        def serve() -> None:
            while not stopping.is_set():
                server.serve_forever(timeout=0.05, blocking=False)
            server.close_all()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            port = server.address[1]
            yield PyFtpd(HOST, port, [port, *passive], authority, *logins)
        finally:
            stopping.set()
            thread.join()
