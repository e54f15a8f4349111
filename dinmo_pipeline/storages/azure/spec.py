"""An Azure Blob container as the user defines it, and how it is opened: which account, with which credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, model_validator

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.intake_limits import read_limits
from dinmo_pipeline.masking import mask_logs
from dinmo_pipeline.secrets import SecretField, Setting
from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.azure.session import READ_AT_ONCE, AzureContainer
from dinmo_pipeline.storages.object_store.contract import ObjectStoreSpec, address_problem

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from dinmo_pipeline.storages.azure.filesystem import AzureFileSystem


class AzureContainerSpec(ObjectStoreSpec):
    """A container of an Azure storage account. Without sas_token, account_key and connection_string, the machine's default credentials."""

    container: Setting = Field(description="The container's name.")
    account_url: Setting | None = Field(default=None, description="The account's address, https://ACCOUNT.blob.core.windows.net.")
    account_name: Setting | None = Field(default=None, description="The account's name, in place of account_url.")
    sas_token: SecretField | None = Field(default=None, description="Where a SAS token of the container is; create and write are enough.")
    account_key: SecretField | None = Field(default=None, description="Where one of the account's keys is.")
    connection_string: SecretField | None = Field(default=None, description="Where a connection string of this account is.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.account_url is None) == (self.account_name is None):
            raise ValueError("write 'account_url' or 'account_name', one of the two")
        given = [f"'{name}'" for name in ("sas_token", "account_key", "connection_string") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are two ways in; keep one of them, or none for default credentials")
        if isinstance(self.account_url, str) and (problem := address_problem(_account_url(self.account_url))) is not None:
            raise ValueError(f"account_url: {problem}")
        return self

    @property
    def address(self) -> str:
        url = _account_url(str(self.account_url)) if self.account_url is not None else _named_account_url(str(self.account_name))
        return f"azure:{url}/{self.container}"

    def resolved_address(self, project_root: Path) -> str:
        return f"azure:{self._url(project_root)}/{self._text('container', self.container, project_root)}"

    def connect(self, project_root: Path) -> AzureContainer:
        container = self._text("container", self.container, project_root)
        answers = Answers(read_limits(project_root))
        filesystem, credentials = self._account(project_root, container, answers, read_at_once=READ_AT_ONCE)
        return AzureContainer(
            name=self.name,
            place=f"{self._url(project_root)}/{container}",
            filesystem=filesystem,
            container=container,
            credentials=credentials,
            answers=answers,
        )

    def filesystem(self, project_root: Path) -> AbstractFileSystem:
        """Return the container as an fsspec filesystem, whose paths begin at its root; `.fs.close()` closes its connections."""
        from fsspec.implementations.dirfs import DirFileSystem

        container = self._text("container", self.container, project_root)
        account, _ = self._account(project_root, container, Answers(read_limits(project_root)))
        return DirFileSystem(container, account, skip_instance_cache=True)

    def _account(self, project_root: Path, container: str, answers: Answers, **options: Any) -> tuple[AzureFileSystem, str]:
        """Return the account's filesystem, which asks for nothing yet, and what messages call the credentials."""
        from dinmo_pipeline.storages.azure.filesystem import AzureFileSystem

        mask_logs()
        url = self._url(project_root)
        credential, credentials = self._credential(url, project_root)
        try:
            filesystem = AzureFileSystem(url, credential, answers=answers, **options)
            # Azure's client looks at the container's name.
            filesystem.service_client.get_container_client(container)
        except ValueError:
            what = f"could not open {url}/{container} (storage {self.name})"
            raise PermanentStorageError(f"{what}: the container's name or {credentials} is of the wrong form; correct it") from None
        return filesystem, credentials

    def _url(self, project_root: Path) -> str:
        if self.account_name is not None:
            return _named_account_url(self._text("account_name", self.account_name, project_root))
        url = _account_url(self._text("account_url", self.account_url or "", project_root))
        if (problem := address_problem(url)) is not None:
            raise PermanentStorageError(f"could not use the account_url of storage {self.name}: {problem}")
        return url

    def _credential(self, url: str, project_root: Path) -> tuple[Any, str]:
        """Return what the client signs with, and what messages call it."""
        if self.sas_token is not None:
            return _read_sas_token(self._text("sas_token", self.sas_token, project_root), self.name)
        if self.account_key is not None:
            return _read_key(self._text("account_key", self.account_key, project_root), url), "the account key"
        if self.connection_string is not None:
            text = self._text("connection_string", self.connection_string, project_root)
            return _read_connection_string(text, url, self.name), "the connection string"
        if urlsplit(url).scheme != "https":
            what = f"could not use the default credentials of storage {self.name}"
            raise PermanentStorageError(f"{what}: they go over https alone; write the account's address with https")
        from azure.identity.aio import DefaultAzureCredential

        return DefaultAzureCredential(), "the default credentials"


def _account_url(text: str) -> str:
    return text.rstrip("/")


def _named_account_url(account: str) -> str:
    return f"https://{account}.blob.core.windows.net"


def _read_key(text: str, url: str) -> Any:
    from azure.core.credentials import AzureNamedKeyCredential

    # Emulators have the account in the path; elsewhere it is the first part of the host's name.
    parts = urlsplit(url)
    return AzureNamedKeyCredential(parts.path.strip("/") or (parts.hostname or "").partition(".")[0], text)


def _read_sas_token(text: str, name: str) -> tuple[Any, str]:
    from azure.core.credentials import AzureSasCredential

    # Portals offer the whole address with the token at its end.
    token = text.rpartition("?")[2]
    fields = parse_qs(token)
    if "sig" not in fields:
        raise PermanentStorageError(f"could not use the sas_token of storage {name}: it has no `sig` and so is no SAS token; ask for one")
    if (ended := _ended(fields)) is not None:
        raise PermanentStorageError(
            f"could not use the sas_token of storage {name}: it was valid until {ended:%Y-%m-%d %H:%M} UTC; ask for a new one"
        )
    known = [f"{word} {fields[field][0]}" for word, field in (("rights", "sp"), ("valid until", "se")) if field in fields]
    return AzureSasCredential(token), f"the SAS token ({', '.join(known)})" if known else "the SAS token"


def _ended(fields: Mapping[str, Sequence[str]]) -> datetime | None:
    """When a token ended that is of no use any more; None where it may be."""
    try:
        end = datetime.fromisoformat(fields["se"][0])
    except (KeyError, ValueError):
        return None
    end = end if end.tzinfo is not None else end.replace(tzinfo=UTC)
    return end.astimezone(UTC) if end < datetime.now(UTC) else None


def _read_connection_string(text: str, url: str, name: str) -> Any:
    from azure.core.credentials import AzureSasCredential
    from azure.storage.blob import BlobServiceClient

    what = f"could not use the connection_string of storage {name}"
    try:
        client = BlobServiceClient.from_connection_string(text)
    except (ValueError, KeyError):
        raise PermanentStorageError(f"{what}: it is of the wrong form; copy it again from the account's access keys") from None
    if _account_url(client.url.partition("?")[0]) != url:
        raise PermanentStorageError(f"{what}: it belongs to another account than {url}; correct one of the two")
    # A SAS token comes as text, which would be shown wherever the filesystem's arguments are.
    return AzureSasCredential(client.credential) if isinstance(client.credential, str) else client.credential
