"""The places that storages are tested on, as Dagster resources."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from dagster import EnvVar

from dinmo_pipeline import resources
from dinmo_pipeline.resources import StorageResource
from dinmo_pipeline.secrets import Secret
from dinmo_pipeline.storages import STORAGES
from dinmo_pipeline_tests.servers.cloud_fixtures import *  # noqa: F403
from dinmo_pipeline_tests.servers.fixtures import *  # noqa: F403
from dinmo_pipeline_tests.storages.conftest import PLACES
from dinmo_pipeline_tests.storages.places import Place

KINDS = {
    "local": "LocalFolder",
    "azure": "AzureContainer",
    "gcs": "GcsBucket",
    "s3": "S3Bucket",
    "sftp": "SftpServer",
    "vsftpd-explicit": "FtpServer",
    "smb": "Filesystem",
    "webdav": "Filesystem",
    "memory": "Filesystem",
}


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group(name.partition("-")[0])) for name in KINDS])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """One place of each kind of storage; the fixture's relay is not used."""
    root = tmp_path / "project"
    root.mkdir()
    return PLACES[request.param](request, root, f"in {uuid.uuid4().hex[:12]}")


@pytest.fixture
def storage(place: Place, monkeypatch: pytest.MonkeyPatch) -> StorageResource:
    """The place as a resource; its secrets are in the environment, and relative paths start at its project."""
    monkeypatch.chdir(place.project_root)
    return resource_of(place, monkeypatch)


def resource_of(place: Place, monkeypatch: pytest.MonkeyPatch) -> StorageResource:
    """The resource with the fields of the place's definition."""
    [name] = [name for name, spec in STORAGES.items() if type(place.spec) is spec]
    fields: dict[str, Any] = {}
    for field in getattr(resources, name).model_fields:
        value = getattr(place.spec, field)
        if isinstance(value, Secret):
            text = value.resolve(place.project_root, what=field)
            monkeypatch.setenv(f"TEST_{field.upper()}", text)
            value = EnvVar(f"TEST_{field.upper()}")
        elif isinstance(value, dict):
            # What is deeper inside is written as in YAML.
            value = {name: part.model_dump(exclude_none=True) if isinstance(part, Secret) else part for name, part in value.items()}
        fields[field] = value
    made: StorageResource = getattr(resources, name)(**{field: value for field, value in fields.items() if value is not None})
    return made
