"""How a connection to an SFTP server is made: who it must be, and who we are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.intake_limits import read_limits
from dinmo_pipeline.secrets import resolve_setting
from dinmo_pipeline.storages.event_loop import run_in_background
from dinmo_pipeline.storages.sftp.errors import FAULTS, Circumstances, translated
from dinmo_pipeline.storages.sftp.keys import import_host_keys, import_private_key
from dinmo_pipeline.storages.sftp.session import SftpServer

if TYPE_CHECKING:
    from dinmo_pipeline.storages.sftp.spec import Login, SftpServerSpec

_DEFAULT_KNOWN_HOSTS = "~/.ssh/known_hosts"
# An idle firewall forgets a connection after minutes; a dead one is noticed after a minute.
_KEEPALIVE_SECONDS = 15
_KEEPALIVES_UNANSWERED = 4


def log_in(spec: SftpServerSpec, login: Login, project_root: Path) -> SftpServer:
    """Return a connection to the server, which must be the one that the definition trusts. Raises the StorageErrors of a refused login."""
    where = f"{login.address} (storage {spec.name})"
    trust = _trust(spec, project_root)
    proof = _proof(spec, project_root)
    visitor = _Visitor()
    try:
        connection, client, start = run_in_background(_connected(login, visitor, trust, proof, spec.connect_timeout))
    except FAULTS as error:
        circumstances = Circumstances(user=login.username, credentials=proof.shown, host_key=_host_key_advice(login, visitor, trust))
        raise translated(error, f"could not log in to {where}", circumstances) from error
    return SftpServer(connection, client, user=login.username, where=where, start=start, moves=spec.moves, limits=read_limits(project_root))


@dataclass(frozen=True)
class _Trust:
    """Which host keys are accepted: pinned ones, those of a file, or any."""

    keys: Sequence[asyncssh.SSHKey] = ()
    known_hosts: asyncssh.SSHKnownHosts | None = None
    known_hosts_path: Path | None = None

    @property
    def option(self) -> Any:
        return (list(self.keys), [], []) if self.keys else self.known_hosts


@dataclass(frozen=True)
class _Proof:
    """Who we are: what asyncssh needs, and how an error may call it."""

    shown: str
    options: Mapping[str, Any] = field(repr=False)


class _Visitor(asyncssh.SSHClient):
    """Remembers the host key that was not trusted."""

    refused: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.refused = key
        return False


async def _connected(
    login: Login, visitor: _Visitor, trust: _Trust, proof: _Proof, timeout: float
) -> tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClient, str]:
    connection = await asyncssh.connect(
        login.host,
        login.port,
        username=login.username,
        known_hosts=trust.option,
        client_factory=lambda: visitor,
        # What this machine's ~/.ssh/config says must not change where a delivery goes.
        config=None,
        connect_timeout=timeout,
        login_timeout=timeout,
        keepalive_interval=_KEEPALIVE_SECONDS,
        keepalive_count_max=_KEEPALIVES_UNANSWERED,
        # A third faster than the default cipher, and encrypted as well.
        encryption_algs="^aes128-gcm@openssh.com,aes256-gcm@openssh.com",
        compression_algs="none",
        **proof.options,
    )
    try:
        # A name that is no UTF-8 is listed readably; it must not hide all the others.
        client = await asyncio.wait_for(connection.start_sftp_client(path_errors="backslashreplace"), timeout)
        try:
            start = str(await asyncio.wait_for(client.realpath("."), timeout))
        except asyncssh.SFTPError:
            start = "the login directory"
    except BaseException:  # an interrupt, too, must leave no connection open
        connection.abort()
        raise
    return connection, client, start


def _proof(spec: SftpServerSpec, project_root: Path) -> _Proof:
    if spec.private_key is None and spec.password is None:
        return _Proof(shown="the keys of the SSH agent and of ~/.ssh", options={})
    shown, keys, password = [], [], None
    if spec.private_key is not None:
        what = f"the private key of storage {spec.name}"
        passphrase = spec.passphrase.resolve(project_root, what=f"the passphrase of storage {spec.name}") if spec.passphrase else None
        key = import_private_key(spec.private_key.resolve(project_root, what=what), passphrase, what=what)
        keys.append(key)
        shown.append(f"the private key of {_fingerprint(key)}")
    if spec.password is not None:
        password = spec.password.resolve(project_root, what=f"the password of storage {spec.name}")
        shown.append("the password")
    return _Proof(shown=" and ".join(shown), options={"client_keys": keys or None, "password": password, "agent_path": None})


def _trust(spec: SftpServerSpec, project_root: Path) -> _Trust:
    if not spec.verify_host_key:
        return _Trust()
    if spec.host_key is not None:
        what = f"the host_key of storage {spec.name}"
        try:
            return _Trust(keys=import_host_keys(resolve_setting(spec.host_key, project_root, what=what)))
        except ValueError as error:
            raise PermanentStorageError(f"could not use {what}: {error}") from error
    what = f"the known_hosts of storage {spec.name}"
    path = project_root / Path(resolve_setting(spec.known_hosts or _DEFAULT_KNOWN_HOSTS, project_root, what=what)).expanduser()
    try:
        text = path.read_text(encoding="utf-8") if spec.known_hosts is not None or path.exists() else ""
        return _Trust(known_hosts=asyncssh.import_known_hosts(text), known_hosts_path=path)
    except OSError as error:
        raise PermanentStorageError(f"could not read {what}: {path}: {error.strerror}; correct the path, or set host_key") from error
    except ValueError as error:
        raise PermanentStorageError(
            f"could not use {what}: {path} is no file of known host keys: {error}; mend it, or set host_key"
        ) from error


def _host_key_advice(login: Login, visitor: _Visitor, trust: _Trust) -> str:
    shown = (
        f"the server shows {_fingerprint(visitor.refused)}" if visitor.refused is not None else "the server has no host key of a known kind"
    )
    if trust.keys:
        expected = f"host_key is {', '.join(map(_fingerprint, trust.keys))}"
    elif trust.known_hosts is not None and any(trust.known_hosts.match(login.host, "", login.port)):
        expected = f"{trust.known_hosts_path} has another one"
    else:
        expected = f"{trust.known_hosts_path} does not know this host"
    return (
        f"{shown}, {expected}: compare the fingerprint with the server's owner, and if it is right, "
        f"set host_key to what `ssh-keyscan -p {login.port} {login.host}` prints"
    )


def _fingerprint(key: asyncssh.SSHKey) -> str:
    return f"{key.get_algorithm()} {key.get_fingerprint()}"
