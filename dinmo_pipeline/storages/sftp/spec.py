"""An SFTP server as the user defines it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, field_validator, model_validator

from dinmo_pipeline.secrets import Host, Port, Secret, SecretField, Setting, resolve_port, resolve_setting
from dinmo_pipeline.storages.base import Storage, StorageSpec

if TYPE_CHECKING:
    from dinmo_pipeline.storages.sftp.filesystem import SftpFileSystem


@dataclass(frozen=True)
class Login:
    """The connection fields, read."""

    host: str
    port: int
    username: str

    @property
    def address(self) -> str:
        return f"sftp://{self.username}@{self.host}:{self.port}"


class SftpServerSpec(StorageSpec):
    """An SFTP server. Without password and private key the SSH agent and the user's own keys are tried, as `sftp` does."""

    host: Host = Field(description="The server's name or address.")
    port: Port = Field(default=22, description="The port of its SSH server.")
    username: Setting = Field(description="Who logs in.")
    password: SecretField | None = Field(default=None, description="Where the password is; a key is tried before it.")
    private_key: SecretField | None = Field(default=None, description="Where the private key is, in OpenSSH's form or PEM.")
    passphrase: SecretField | None = Field(default=None, description="Where the passphrase of an encrypted private key is.")
    host_key: Setting | None = Field(
        default=None, description="The server's public key, `ssh-ed25519 AAAA…`; several on lines of their own."
    )
    known_hosts: Setting | None = Field(default=None, description="The file of known host keys; ~/.ssh/known_hosts by default.")
    verify_host_key: bool = Field(default=True, description="False accepts any server, also one that only pretends to be this one.")
    publish: Literal["temp_name", "direct"] = Field(
        default="temp_name", description="`direct` writes under the final name, for servers that forbid renaming; a reader may see a part."
    )
    connect_timeout: float = Field(default=30, ge=1, description="Seconds until the server must have let us in.")

    @field_validator("host_key")
    @classmethod
    def _is_a_host_key(cls, value: str | Secret | None) -> str | Secret | None:
        if isinstance(value, str):
            from dinmo_pipeline.storages.sftp.keys import import_host_keys

            import_host_keys(value)
        return value

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.host_key is not None and self.known_hosts is not None:
            raise ValueError("'host_key' and 'known_hosts' both say who the server is; keep one of them")
        if not self.verify_host_key and (self.host_key is not None or self.known_hosts is not None):
            raise ValueError("'verify_host_key: false' takes no notice of 'host_key' and 'known_hosts'; remove it, or them")
        if self.passphrase is not None and self.private_key is None:
            raise ValueError("'passphrase' is that of a 'private_key', which is missing")
        return self

    @property
    def moves(self) -> bool:
        return self.publish == "temp_name"

    @property
    def address(self) -> str:
        return f"sftp://{self.username}@{self.host}:{self.port}"

    def resolved_address(self, project_root: Path) -> str:
        return self.login(project_root).address

    def login(self, project_root: Path) -> Login:
        """Return where to log in and as whom; PermanentStorageError when a reference leads nowhere."""
        return Login(
            host=resolve_setting(self.host, project_root, what=f"the host of storage {self.name}"),
            port=resolve_port(self.port, project_root, what=f"the port of storage {self.name}"),
            username=resolve_setting(self.username, project_root, what=f"the username of storage {self.name}"),
        )

    def folder_problem(self, folder: str) -> str | None:
        return f"folder {folder!r} holds a character that no server takes" if "\0" in folder else None

    def connect(self, project_root: Path) -> Storage:
        # asyncssh takes half a second to load: only for whoever connects.
        from dinmo_pipeline.storages.sftp.session import SftpServer

        return SftpServer(self.filesystem(project_root), moves=self.moves)

    def filesystem(self, project_root: Path) -> SftpFileSystem:
        """Return the server as an fsspec filesystem, logged in; `close` it. Raises the StorageErrors of a refused login."""
        from dinmo_pipeline.storages.sftp.filesystem import SftpFileSystem

        return SftpFileSystem(self, project_root)
