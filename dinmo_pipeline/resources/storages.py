"""Storages as Dagster resources, with the names, fields and defaults of the YAML components; a secret comes from the environment.

The fields stand here once more so that editors and type checkers know them; a test compares them with the definitions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from dagster import ConfigurableResource, EnvVar
from pydantic import Field, ValidationError, model_validator

from dinmo_pipeline.errors import CallError
from dinmo_pipeline.storages import STORAGES
from dinmo_pipeline.storages.base import StorageSpec

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class StorageResource(ConfigurableResource[Any]):
    """A place that files are written to. Each kind is a class of its own; `FileIOManager` takes any.

    `retry_for` is how long a server that is away is tried again, with growing pauses; "0" is never.
    """

    retry_for: str = "15 minutes"

    @model_validator(mode="before")
    @classmethod
    def _agrees(cls, values: Any) -> Any:
        """Refuse what the definition of this kind of storage refuses, when the code is loaded."""
        if isinstance(values, Mapping):
            cls._definition(values)
        return values

    def definition(self) -> StorageSpec:
        """Return the storage as a definition in YAML would be. CallError where a secret is not one of the environment's."""
        return self._definition({name: getattr(self, name) for name in type(self).model_fields})

    def filesystem(self) -> AbstractFileSystem:
        """Return the storage as a filesystem of fsspec that is safe to use: see `StorageFileSystem`."""
        from dinmo_pipeline.resources.storage_filesystem import StorageFileSystem

        return StorageFileSystem(self.definition(), Path.cwd())

    def open(self, path: str, mode: str = "rb", **options: Any) -> IO[Any]:
        """Open a file as `open` does. One that is written appears when it is closed, and not when its `with` block ends in an error."""
        opened: IO[Any] = self.filesystem().open(path, mode, **options)
        return opened

    @classmethod
    def _definition(cls, values: Mapping[str, Any]) -> StorageSpec:
        # What is a secret has no place in a repr either.
        secret = {name for name, field in cls.model_fields.items() if not field.repr}
        given = {name: _read(name, value, secret=name in secret) for name, value in values.items() if value is not None}
        if given.get("retry_for") == "0":
            given["retry_for"] = 0
        try:
            return STORAGES[cls.__name__].model_validate({"name": cls.__name__, **given})
        except ValidationError as error:
            # Not pydantic's own text, which shows the values: one of them may be a secret in the wrong place.
            raise CallError(f"{cls.__name__}: {model_problems(error)}") from None


def model_problems(error: ValidationError) -> str:
    """Say which fields of a model are wrong and why, without their values."""
    found = ((".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, ")) for problem in error.errors())
    return "; ".join(f"{field}: {words}" if field else words for field, words in found)


def _read(name: str, value: Any, *, secret: bool) -> Any:
    """Return a field's value as YAML would have it: a reference in place of a secret, or of what the environment still has to tell."""
    if isinstance(value, EnvVar):
        return {"env": value.env_var_name}
    if not secret:
        return value
    # What an EnvVar became, once Dagster has read it.
    for variable, text in os.environ.items():
        if text == value:
            return {"env": variable}
    raise CallError(
        f"{name}: this is the text itself, which Dagster would keep and show in its UI; put it into an environment variable, and write "
        'dg.EnvVar("NAME") for it'
    )


class AzureContainer(StorageResource):
    """A container of an Azure storage account. Without sas_token, account_key and connection_string, the machine's default credentials."""

    container: str
    account_url: str | None = None
    account_name: str | None = None
    sas_token: str | None = Field(default=None, repr=False)
    account_key: str | None = Field(default=None, repr=False)
    connection_string: str | None = Field(default=None, repr=False)


class Filesystem(StorageResource):
    """Any fsspec address, such as `smb://` or `webdav://`; the package that knows it must be installed.

    A secret among `options` is `{"env": "NAME"}`.
    """

    url: str
    options: dict[str, Any] = Field(default_factory=dict)
    publish: str | None = None
    connect_timeout: float = 30


class FtpServer(StorageResource):
    """An FTP server, over TLS unless `tls` is "none"."""

    host: str
    port: int | None = None
    username: str | None = None
    password: str | None = Field(default=None, repr=False)
    tls: Literal["explicit", "implicit", "none"] = "explicit"
    ca_file: str | None = None
    verify_certificate: bool = True
    passive: bool = True
    publish: Literal["temp_name", "direct"] = "temp_name"
    connect_timeout: float = 30


class GcsBucket(StorageResource):
    """A bucket of Google Cloud Storage. Without service_account_key, the machine's default credentials."""

    bucket: str
    service_account_key: str | None = Field(default=None, repr=False)
    endpoint_url: str | None = None


class LocalFolder(StorageResource):
    """A folder of this machine; a relative `path` starts at the folder that the process runs in."""

    path: str


class S3Bucket(StorageResource):
    """A bucket of S3, or of a server that speaks its protocol. Without access_key_id, the machine's default credentials."""

    bucket: str
    access_key_id: str | None = None
    secret_access_key: str | None = Field(default=None, repr=False)
    region: str | None = None
    endpoint_url: str | None = None


class SftpServer(StorageResource):
    """An SFTP server. Without password and private_key the SSH agent and the user's own keys are tried, as `sftp` does."""

    host: str
    port: int = 22
    username: str
    password: str | None = Field(default=None, repr=False)
    private_key: str | None = Field(default=None, repr=False)
    passphrase: str | None = Field(default=None, repr=False)
    host_key: str | None = None
    known_hosts: str | None = None
    verify_host_key: bool = True
    publish: Literal["temp_name", "direct"] = "temp_name"
    connect_timeout: float = 30
