"""A Google Cloud Storage bucket as the user defines it, and how it is opened: as which service account."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.intake_limits import read_limits
from dinmo_pipeline.masking import mask_logs
from dinmo_pipeline.secrets import SecretField, Setting
from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.gcs.errors import cause_of
from dinmo_pipeline.storages.gcs.session import GcsBucket
from dinmo_pipeline.storages.object_store.contract import LOOK, ObjectStoreSpec, address_problem

if TYPE_CHECKING:
    from dinmo_pipeline.storages.gcs.filesystem import GcsFileSystem

_EMULATOR = "STORAGE_EMULATOR_HOST"
_SCOPES = ["https://www.googleapis.com/auth/devstorage.read_write"]


class GcsBucketSpec(ObjectStoreSpec):
    """A bucket of Google Cloud Storage. Without a service account's key, the machine's default credentials."""

    bucket: Setting = Field(description="The bucket's name.")
    service_account_key: SecretField | None = Field(default=None, description="Where the JSON key of a service account is.")
    endpoint_url: Setting | None = Field(default=None, description="The address of another server than Google's.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if isinstance(self.endpoint_url, str) and (problem := address_problem(self.endpoint_url)) is not None:
            raise ValueError(f"endpoint_url: {problem}")
        return self

    @property
    def address(self) -> str:
        return _address(None if self.endpoint_url is None else str(self.endpoint_url), str(self.bucket))

    def resolved_address(self, project_root: Path) -> str:
        return _address(self._optional_text("endpoint_url", self.endpoint_url, project_root), self._bucket(project_root))

    def connect(self, project_root: Path) -> GcsBucket:
        filesystem, credentials = self._open(project_root)
        bucket = self._bucket(project_root)
        endpoint = self._optional_text("endpoint_url", self.endpoint_url, project_root)
        place = f"{endpoint.rstrip('/')}/{bucket}" if endpoint else f"gs://{bucket}"
        if "/" in bucket or not (bucket[:1].isalnum() and bucket[-1:].isalnum()):
            raise PermanentStorageError(f"could not open {place} (storage {self.name}): correct the bucket's name")
        return GcsBucket(name=self.name, bucket=bucket, place=place, filesystem=filesystem, credentials=credentials)

    def filesystem(self, project_root: Path) -> GcsFileSystem:
        """Return the bucket's server as a filesystem of fsspec, for paths `bucket/key`: with this storage's credentials and limits."""
        return self._open(project_root)[0]

    def _open(self, project_root: Path) -> tuple[GcsFileSystem, str]:
        endpoint = self._optional_text("endpoint_url", self.endpoint_url, project_root)
        if endpoint is not None and (problem := address_problem(endpoint)) is not None:
            raise PermanentStorageError(f"could not use the endpoint_url of storage {self.name}: {problem}")
        credential, credentials = self._credential(project_root)
        from dinmo_pipeline.storages.gcs.filesystem import GcsFileSystem

        mask_logs()
        answers = Answers(read_limits(project_root))
        return GcsFileSystem(credentials=credential, answers=answers, endpoint_url=endpoint), credentials

    def _credential(self, project_root: Path) -> tuple[Any, str]:
        """Return what the client signs with, and what messages call it."""
        key = self._optional_text("service_account_key", self.service_account_key, project_root)
        if key is not None:
            return _read_key(key, self.name)
        import google.auth
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import GoogleAuthError

        if self.endpoint_url is None and os.environ.get(_EMULATOR):
            # As Google's own client does: emulators know nobody.
            return AnonymousCredentials(), "no credentials"

        credentials = "the default credentials"
        try:
            return google.auth.default(scopes=_SCOPES)[0], credentials
        except GoogleAuthError as error:
            cause = cause_of(error, LOOK, credentials=credentials)
            found = f": {cause.found}; {cause.advice}" if cause else ""
            raise PermanentStorageError(f"could not open the bucket of storage {self.name}{found}") from None

    def _bucket(self, project_root: Path) -> str:
        return self._text("bucket", self.bucket, project_root)


def _address(endpoint: str | None, bucket: str) -> str:
    return f"gs:{endpoint.rstrip('/')}/{bucket}" if endpoint else f"gs:{bucket}"


def _read_key(text: str, name: str) -> tuple[Any, str]:
    from google.oauth2.service_account import Credentials

    what = f"could not use the service_account_key of storage {name}"
    advice = "have a new JSON key made for the service account, and keep the whole file"
    # What these raise holds the text of the key, so it is not passed on.
    try:
        info = json.loads(text)
    except ValueError:
        raise PermanentStorageError(f"{what}: it is no JSON; {advice}") from None
    if not isinstance(info, dict) or info.get("type") != "service_account":
        raise PermanentStorageError(f"{what}: it is not the key of a service account; {advice}")
    try:
        credentials = Credentials.from_service_account_info(info, scopes=_SCOPES)
    except (ValueError, TypeError, KeyError):
        raise PermanentStorageError(f"{what}: a part of it is missing or damaged; {advice}") from None
    return credentials, f"the service account {info['client_email']}"
