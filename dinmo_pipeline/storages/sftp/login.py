"""How a connection to an SFTP server is made: who it must be, and who we are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh

from dinmo_pipeline.errors import PermanentStorageError, StorageError
from dinmo_pipeline.secrets import resolve_setting
from dinmo_pipeline.storages.sftp.errors import Circumstances, translated
from dinmo_pipeline.storages.sftp.keys import import_host_keys, import_private_key

if TYPE_CHECKING:
    from dinmo_pipeline.storages.sftp.spec import Login, SftpServerSpec

_DEFAULT_KNOWN_HOSTS = "~/.ssh/known_hosts"
# An idle firewall forgets a connection after minutes; a dead one is noticed after a minute.
_KEEPALIVE_SECONDS = 15
_KEEPALIVES_UNANSWERED = 4


class Handshake:
    """One login: what asyncssh is given, so that the server must be the one that the definition trusts, and what a refusal means."""

    def __init__(self, spec: SftpServerSpec, project_root: Path) -> None:
        self.login = spec.login(project_root)
        self.where = f"{self.login.address} (storage {spec.name})"
        self._timeout = spec.connect_timeout
        self._trust = _trust(spec, project_root)
        self._proof = _proof(spec, project_root)
        self._visitor = _Visitor()

    @property
    def options(self) -> dict[str, Any]:
        """Options of `asyncssh.connect`; they hold secrets."""
        return {
            "port": self.login.port,
            "username": self.login.username,
            "known_hosts": self._trust.option,
            "client_factory": lambda: self._visitor,
            # What this machine's ~/.ssh/config says must not change where a delivery goes.
            "config": None,
            "connect_timeout": self._timeout,
            "login_timeout": self._timeout,
            "keepalive_interval": _KEEPALIVE_SECONDS,
            "keepalive_count_max": _KEEPALIVES_UNANSWERED,
            # A third faster than the default cipher, and encrypted as well.
            "encryption_algs": "^aes128-gcm@openssh.com,aes256-gcm@openssh.com",
            "compression_algs": "none",
            **self._proof.options,
        }

    def refusal(self, error: BaseException) -> StorageError:
        """Return what went wrong while logging in, with the host key that the server showed."""
        advice = _host_key_advice(self.login, self._visitor, self._trust)
        circumstances = Circumstances(user=self.login.username, credentials=self._proof.shown, host_key=advice)
        return translated(error, f"could not log in to {self.where}", circumstances)


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
