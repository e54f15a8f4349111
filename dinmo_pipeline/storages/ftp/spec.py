"""An FTP server as the user defines it, secured by default, and how somebody logs in to it."""

from __future__ import annotations

import ftplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.intake_limits import IntakeLimits, read_limits
from dinmo_pipeline.secrets import Host, Port, SecretField, Setting, resolve_port, resolve_setting
from dinmo_pipeline.storages.base import Storage, StorageSpec
from dinmo_pipeline.storages.ftp.client import PlainFtp, TlsFtp
from dinmo_pipeline.storages.ftp.commands import FtpCommands
from dinmo_pipeline.storages.ftp.errors import FAULTS, Circumstances, translated
from dinmo_pipeline.storages.ftp.session import FtpServer

_PORTS = {"explicit": 21, "implicit": 990, "none": 21}
_ANONYMOUS = "anonymous"
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_NO_TLS = "the server offers no TLS on this port; ask its owner for it, or, in a network that you trust, set `tls: none`"


class FtpServerSpec(StorageSpec):
    """An FTP server; its connections are secured by TLS unless `tls: none` says otherwise."""

    host: Host = Field(description="The server's name or address.")
    port: Port | None = Field(default=None, description="Its port; 21, or 990 with `tls: implicit`, by default.")
    username: Setting | None = Field(default=None, description="Who logs in; anonymous by default.")
    password: SecretField | None = Field(default=None, description="Where the password is.")
    tls: Literal["explicit", "implicit", "none"] = Field(
        default="explicit",
        description="`explicit` secures a plain connection, `implicit` begins secured, `none` shows the password to the network.",
    )
    ca_file: Setting | None = Field(
        default=None, description="The certificates that the server's may be signed by, instead of the system's."
    )
    verify_certificate: bool = Field(default=True, description="False accepts any server, also one that only pretends to be this one.")
    passive: bool = Field(default=True, description="False lets the server open the data connections, which a firewall usually forbids.")
    publish: Literal["temp_name", "direct"] = Field(
        default="temp_name", description="`direct` writes under the final name, for servers that forbid renaming; a reader may see a part."
    )
    connect_timeout: float = Field(default=30, ge=1, description="Seconds until the server must have let us in.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.tls == "none" and (self.ca_file is not None or not self.verify_certificate):
            raise ValueError("with 'tls: none' there is no certificate; remove 'ca_file' and 'verify_certificate'")
        if self.ca_file is not None and not self.verify_certificate:
            raise ValueError("'verify_certificate: false' takes no notice of 'ca_file'; remove one of them")
        if self.password is not None and self.username is None:
            raise ValueError("'password' is that of a 'username', which is missing")
        return self

    @property
    def moves(self) -> bool:
        return self.publish == "temp_name"

    @property
    def address(self) -> str:
        return f"ftp://{self.username or _ANONYMOUS}@{self.host}:{self.port or _PORTS[self.tls]}"

    def resolved_address(self, project_root: Path) -> str:
        return _Login.of(self, project_root).address

    def folder_problem(self, folder: str) -> str | None:
        return f"folder {folder!r} holds a character that no server takes" if set(folder) & {"\0", "\r", "\n"} else None

    def connect(self, project_root: Path) -> Storage:
        login = _Login.of(self, project_root)
        where = f"{login.address} (storage {self.name})"
        password = self.password.resolve(project_root, what=f"the password of storage {self.name}") if self.password else ""
        ftp = self._client(project_root)
        try:
            limits = read_limits(project_root)
            ftp.begin_login(limits, self.connect_timeout)
            commands = self._logged_in(ftp, login, password, where, limits)
        except BaseException:  # an interrupt, too, must leave no connection open
            ftp.close()
            raise
        return FtpServer(commands, user=login.username, where=where, moves=self.moves)

    def _client(self, project_root: Path) -> PlainFtp:
        if self.tls == "none":
            return PlainFtp(timeout=self.connect_timeout, encoding="utf-8")
        return TlsFtp(context=self._tls_context(project_root), implicit=self.tls == "implicit", timeout=self.connect_timeout)

    def _tls_context(self, project_root: Path) -> ssl.SSLContext:
        if not self.verify_certificate:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return context
        if self.ca_file is None:
            return ssl.create_default_context()
        what = f"the ca_file of storage {self.name}"
        value = resolve_setting(self.ca_file, project_root, what=what)
        try:
            if _CERTIFICATE in value:
                return ssl.create_default_context(cadata=value)
            return ssl.create_default_context(cafile=str(project_root / Path(value).expanduser()))
        except ssl.SSLError as error:
            raise PermanentStorageError(f"could not use {what}: it holds no certificate in PEM form; give it the authority's") from error
        except OSError as error:
            raise PermanentStorageError(f"could not read {what}: {value}: {error.strerror}; correct the path") from error

    def _logged_in(self, ftp: PlainFtp, login: _Login, password: str, where: str, limits: IntakeLimits) -> FtpCommands:
        credentials = "the password" if password else "no password"

        @contextmanager
        def step(what: str, advice: str | None = None, *, is_in: bool = False) -> Iterator[None]:
            try:
                yield
            except FAULTS as error:
                refused = isinstance(error, ftplib.error_perm)
                circumstances = Circumstances(user=login.username, credentials=credentials, is_in=is_in)
                raise translated(error, f"could not {what} {where}", circumstances, advice=advice if refused else None) from error

        with step("connect to"):
            ftp.connect(login.host, login.port)
            _keep_alive(ftp.sock)
        if isinstance(ftp, TlsFtp) and self.tls == "explicit":
            with step("secure the connection to", _NO_TLS):
                ftp.auth()
        with step("log in to", is_in=isinstance(ftp, TlsFtp)):
            ftp.login(login.username, password)
        if isinstance(ftp, TlsFtp):
            with step("secure the data connections to", is_in=True):
                ftp.prot_p()
        with step("begin to work with", is_in=True):
            ftp.set_pasv(self.passive)
            ftp.voidcmd("TYPE I")
            features = _features(ftp)
            start = ftp.pwd()
            ftp.end_login()
            return FtpCommands(ftp, features=features, start=start, limits=limits)


@dataclass(frozen=True)
class _Login:
    """The connection fields, read."""

    host: str
    port: int
    username: str

    @classmethod
    def of(cls, spec: FtpServerSpec, project_root: Path) -> Self:
        default = _PORTS[spec.tls]
        return cls(
            host=resolve_setting(spec.host, project_root, what=f"the host of storage {spec.name}"),
            port=resolve_port(spec.port or default, project_root, what=f"the port of storage {spec.name}"),
            username=resolve_setting(spec.username or _ANONYMOUS, project_root, what=f"the username of storage {spec.name}"),
        )

    @property
    def address(self) -> str:
        return f"ftp://{self.username}@{self.host}:{self.port}"


def _features(ftp: ftplib.FTP) -> frozenset[str]:
    try:
        lines = ftp.sendcmd("FEAT").splitlines()[1:-1]
    except ftplib.error_perm:
        return frozenset()
    features = frozenset(line.split()[0].upper() for line in lines if line.split())
    if "UTF8" in features:
        try:
            # Some servers take names in their own encoding until they are told.
            ftp.sendcmd("OPTS UTF8 ON")
        except ftplib.error_perm:
            return features
    return features


def _keep_alive(connection: socket.socket | None) -> None:
    """Keep the control connection: during a long transfer nothing passes here, and a firewall would forget it."""
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
