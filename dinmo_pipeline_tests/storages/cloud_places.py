"""The object stores as places of the contract: each by the credentials that may do all."""

from __future__ import annotations

from pathlib import Path

import pytest

from dinmo_pipeline.storages.azure.spec import AzureContainerSpec
from dinmo_pipeline.storages.gcs.spec import GcsBucketSpec
from dinmo_pipeline.storages.s3.spec import S3BucketSpec
from dinmo_pipeline_tests.servers import azurite, gcs, s3
from dinmo_pipeline_tests.servers.relay import RELAY_HOST
from dinmo_pipeline_tests.storages.places import Place


def azure_container(request: pytest.FixtureRequest, root: Path, folder: str) -> Place:
    """Azurite, by its account's key."""
    server: azurite.Azurite = request.getfixturevalue("azurite_server")
    (root / "key").write_text(server.key)
    fields = {"name": "partner", "container": azurite.CONTAINER, "account_key": {"file": "key"}}
    return Place(
        spec=AzureContainerSpec.model_validate({**fields, "account_url": server.url()}),
        project_root=root,
        folder=folder,
        folders=False,
        relayed=AzureContainerSpec.model_validate({**fields, "account_url": server.url(RELAY_HOST)}),
        relay=request.getfixturevalue("azurite_relay"),
    )


def gcs_bucket(request: pytest.FixtureRequest, root: Path, folder: str) -> Place:
    """The GCS server, as a service account."""
    server: gcs.GcsServer = request.getfixturevalue("gcs_server")
    tokens: gcs.TokenServer = request.getfixturevalue("gcs_tokens")
    (root / "key.json").write_text(tokens.key_text)
    fields = {"name": "partner", "bucket": gcs.BUCKET, "service_account_key": {"file": "key.json"}}
    return Place(
        spec=GcsBucketSpec.model_validate({**fields, "endpoint_url": server.url()}),
        project_root=root,
        folder=folder,
        folders=False,
        relayed=GcsBucketSpec.model_validate({**fields, "endpoint_url": server.url(RELAY_HOST)}),
        relay=request.getfixturevalue("gcs_relay"),
    )


def s3_bucket(request: pytest.FixtureRequest, root: Path, folder: str) -> Place:
    """SeaweedFS, as the bucket's owner."""
    server: s3.S3Server = request.getfixturevalue("s3_server")
    owner = server.keys["owner"]
    (root / "secret").write_text(owner.secret_access_key)
    fields = {
        "name": "partner",
        "bucket": s3.BUCKET,
        "region": s3.REGION,
        "access_key_id": owner.access_key_id,
        "secret_access_key": {"file": "secret"},
    }
    return Place(
        spec=S3BucketSpec.model_validate({**fields, "endpoint_url": server.url()}),
        project_root=root,
        folder=folder,
        folders=False,
        relayed=S3BucketSpec.model_validate({**fields, "endpoint_url": server.url(RELAY_HOST)}),
        relay=request.getfixturevalue("s3_relay"),
    )
