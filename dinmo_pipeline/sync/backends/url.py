"""What `DINMO_STATE_URL` may say: a folder of this machine, or a folder of an object store with the vendor's usual credentials."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from dinmo_pipeline.errors import CallError
from dinmo_pipeline.secrets import Secret
from dinmo_pipeline.storages.azure.spec import AzureContainerSpec
from dinmo_pipeline.storages.gcs.spec import GcsBucketSpec
from dinmo_pipeline.storages.object_store.contract import address_problem
from dinmo_pipeline.storages.s3.spec import S3BucketSpec

STATE_URL = "DINMO_STATE_URL"
# The variables of Azure's own command line, of which the first that is set counts; without one, the default credentials.
_AZURE_CREDENTIALS = {
    "AZURE_STORAGE_CONNECTION_STRING": "connection_string",
    "AZURE_STORAGE_SAS_TOKEN": "sas_token",
    "AZURE_STORAGE_KEY": "account_key",
}
_FORMS = "file:///folder, s3://bucket/folder, gs://bucket/folder or https://ACCOUNT.blob.core.windows.net/container/folder"

StateStoreSpec = S3BucketSpec | GcsBucketSpec | AzureContainerSpec


def parse_state_url(url: str) -> Path | tuple[StateStoreSpec, str]:
    """Return a local folder, or an object store and the folder in it. CallError when `url` is no address of state."""
    scheme, _, rest = url.partition("://")
    if scheme == "file" and rest.startswith("/"):
        return Path(unquote(rest))
    bucket, _, folder = rest.partition("/")
    try:
        if scheme == "s3" and bucket:
            return S3BucketSpec(name=STATE_URL, bucket=bucket), folder.strip("/")
        if scheme == "gs" and bucket:
            return GcsBucketSpec(name=STATE_URL, bucket=bucket), folder.strip("/")
        if scheme in ("https", "http"):
            return _parse_azure(url)
    except ValidationError as error:
        raise CallError(f"{STATE_URL}: {error.errors()[0]['msg']}; write {_FORMS}") from None
    # The form that adlfs and DuckDB take leaves the account to another variable, and a state must not move with that.
    hint = " (Azure by its account's whole address)" if scheme in ("az", "abfs", "abfss", "azure") else ""
    raise CallError(f"{STATE_URL}: this is no address of state; write {_FORMS}{hint}")


def _parse_azure(url: str) -> tuple[AzureContainerSpec, str]:
    if (problem := address_problem(url)) is not None:
        raise CallError(f"{STATE_URL}: {problem}; a SAS token belongs into AZURE_STORAGE_SAS_TOKEN")
    parts = urlsplit(url)
    steps = [unquote(step) for step in parts.path.split("/") if step]
    # Emulators have no name of their own for each account: it is the first step of the path.
    account = [steps.pop(0)] if steps and _is_emulator(parts.hostname or "") else []
    if not steps:
        raise CallError(f"{STATE_URL}: the container is missing; write {_FORMS}")
    account_url = "/".join([f"{parts.scheme}://{parts.netloc}", *account])
    credentials = next(({field: Secret(env=variable)} for variable, field in _AZURE_CREDENTIALS.items() if os.environ.get(variable)), {})
    spec = AzureContainerSpec.model_validate({"name": STATE_URL, "account_url": account_url, "container": steps[0], **credentials})
    return spec, "/".join(steps[1:])


def _is_emulator(host: str) -> bool:
    try:
        return host == "localhost" or bool(ip_address(host))
    except ValueError:
        return False
