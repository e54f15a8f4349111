"""The places that the contract runs on. A storage joins by one function that makes its Place, and one line in PLACES."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from dinmo_pipeline.storages.azure import AzureContainerSpec
from dinmo_pipeline.storages.gcs import GcsBucketSpec
from dinmo_pipeline.storages.local import LocalFolderSpec
from dinmo_pipeline.storages.s3 import S3BucketSpec
from dinmo_pipeline.storages.sftp import SftpServerSpec
from dinmo_pipeline_tests.servers import azurite, gcs, s3
from dinmo_pipeline_tests.servers.fixtures import (
    azurite_relay,
    azurite_server,
    gcs_relay,
    gcs_server,
    gcs_tokens,
    openssh_relay,
    openssh_server,
    s3_relay,
    s3_server,
)
from dinmo_pipeline_tests.servers.openssh import OpenSsh
from dinmo_pipeline_tests.servers.relay import RELAY_HOST
from dinmo_pipeline_tests.storages.places import Place

__all__ = [
    "azurite_relay",
    "azurite_server",
    "gcs_relay",
    "gcs_server",
    "gcs_tokens",
    "openssh_relay",
    "openssh_server",
    "s3_relay",
    "s3_server",
]


def local_folder(request: pytest.FixtureRequest, root: Path, folder: str) -> Place:
    return Place(spec=LocalFolderSpec(name="partner", path="out"), project_root=root, folder=folder, disk=root / "out" / folder)


def sftp(login: str, **options: object) -> Callable[[pytest.FixtureRequest, Path, str], Place]:
    """OpenSSH, as this account."""

    def make(request: pytest.FixtureRequest, root: Path, folder: str) -> Place:
        server: OpenSsh = request.getfixturevalue("openssh_server")
        account = server.login(login)
        fields = {
            "name": "partner",
            "port": server.port,
            "username": account.username,
            "private_key": {"file": str(server.private_key)},
            "host_key": server.host_key,
            **options,
        }
        return Place(
            spec=SftpServerSpec.model_validate({**fields, "host": server.host}),
            project_root=root,
            folder=folder,
            disk=account.home / folder,
            relayed=SftpServerSpec.model_validate({**fields, "host": RELAY_HOST}),
            relay=request.getfixturevalue("openssh_relay"),
        )

    return make


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
    """moto's server, as the bucket's owner."""
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


PLACES: dict[str, Callable[[pytest.FixtureRequest, Path, str], Place]] = {
    "local": local_folder,
    "azure": azure_container,
    "gcs": gcs_bucket,
    "s3": s3_bucket,
    "sftp": sftp("plain"),
    "sftp-chrooted": sftp("chrooted"),
    "sftp-without-posix-rename": sftp("no_posix_rename"),
    "sftp-direct": sftp("no_rename", publish="direct"),
}


# A server runs in one worker only: those of one place stay together.
@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group(name.partition("-")[0])) for name in PLACES])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each of PLACES in turn, with a folder of this test's own."""
    root = tmp_path / "project"
    root.mkdir()
    return PLACES[request.param](request, root, f"test {uuid.uuid4().hex[:12]}")
