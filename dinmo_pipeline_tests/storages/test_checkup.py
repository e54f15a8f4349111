"""Trying a storage: what a delivery needs decides, and what it can do without is told with what that spoils."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from dinmo_pipeline.storages.azure.spec import AzureContainerSpec
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.storages.probe import Step, check_storage
from dinmo_pipeline.storages.s3.spec import S3BucketSpec
from dinmo_pipeline_tests.servers import azurite, s3
from dinmo_pipeline_tests.servers.running import free_port
from dinmo_pipeline_tests.storages.definitions import sftp_spec
from dinmo_pipeline_tests.storages.places import Place

Maker = Callable[[pytest.FixtureRequest, Path, str], StorageSpec]


def azure(request: pytest.FixtureRequest, root: Path, rights: str) -> StorageSpec:
    server: azurite.Azurite = request.getfixturevalue("azurite_server")
    (root / "sas").write_text(server.sas_token(rights))
    fields = {"name": "partner", "container": azurite.CONTAINER, "account_url": server.url(), "sas_token": {"file": "sas"}}
    return AzureContainerSpec.model_validate(fields)


def s3_bucket(request: pytest.FixtureRequest, root: Path, user: str) -> StorageSpec:
    server: s3.S3Server = request.getfixturevalue("s3_server")
    key = server.keys[user]
    (root / "secret").write_text(key.secret_access_key)
    fields = {"name": "partner", "bucket": s3.BUCKET, "region": s3.REGION, "endpoint_url": server.url(), "access_key_id": key.access_key_id}
    return S3BucketSpec.model_validate({**fields, "secret_access_key": {"file": "secret"}})


WRITERS = [
    pytest.param(azure, "cw", ["for list on", "for read on", "for delete on"], marks=pytest.mark.xdist_group("azure"), id="azure"),
    pytest.param(s3_bucket, "writer", ["s3:ListBucket", "s3:GetObject", "s3:DeleteObject"], marks=pytest.mark.xdist_group("s3"), id="s3"),
]
READERS = [
    pytest.param(azure, "rl", marks=pytest.mark.xdist_group("azure"), id="azure"),
    pytest.param(s3_bucket, "reader", marks=pytest.mark.xdist_group("s3"), id="s3"),
]


def tried(spec: StorageSpec, root: Path, folder: str) -> dict[str, Step]:
    return {step.name: step for step in check_storage(spec, root, folder=folder)}


def test_storage_with_every_right_passes_and_is_left_as_it_was(place: Place) -> None:
    steps = tried(place.spec, place.project_root, place.folder)

    assert [step.problem for step in steps.values()] == [None] * len(steps)
    with place.connect() as storage:
        told = {"rename", storage.publishes}
        assert [name for name in steps if name not in told] == ["connect", "folder", "write and verify", "list", "read back", "delete"]
        assert storage.list(place.folder) == []


@pytest.mark.parametrize(("make", "rights", "asked_for"), WRITERS)
def test_rights_that_a_delivery_can_do_without_are_named_with_what_they_spoil(
    make: Maker, rights: str, asked_for: list[str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    steps = tried(make(request, tmp_path, rights), tmp_path, f"checkup {uuid.uuid4().hex[:12]}")

    assert not any(step.fails for step in steps.values())
    assert steps["write and verify"].problem is None
    for name, right, spoiled in zip(
        ("list", "read back", "delete"), asked_for, ("inboxes", "if_missing: full", "the trial's file checkup"), strict=True
    ):
        assert right in (steps[name].problem or "")
        assert spoiled in (steps[name].spoils or "")


@pytest.mark.parametrize(("make", "rights"), READERS)
def test_missing_right_to_write_fails_and_ends_it(make: Maker, rights: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    steps = tried(make(request, tmp_path, rights), tmp_path, "checkup")

    assert steps["write and verify"].fails
    assert "read back" not in steps


@pytest.mark.xdist_group("sftp")
def test_folder_that_may_not_be_listed_takes_deliveries(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server = request.getfixturevalue("openssh_server")
    account = server.login("plain")
    folder = account.home / uuid.uuid4().hex
    tried(sftp_spec(server, account), tmp_path, folder.name)
    folder.chmod(0o300)
    try:
        steps = tried(sftp_spec(server, account), tmp_path, folder.name)
    finally:
        folder.chmod(0o755)
    assert [step.name for step in steps.values() if step.problem is not None] == ["list"]
    assert not steps["list"].fails


@pytest.mark.xdist_group("sftp")
def test_root_that_cannot_be_written_to_tells_which_folder_to_name(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server = request.getfixturevalue("openssh_server")
    spec = sftp_spec(server, server.login("chrooted"))
    (failed,) = [step for step in check_storage(spec, tmp_path, folder="/", known_folders=["files"]) if step.fails]
    assert "name the folder that files are to lie in with --folder; activations deliver to files" in (failed.problem or "")
    assert not any(step.fails for step in check_storage(spec, tmp_path, folder="/files"))


def test_object_store_that_is_away_fails_to_connect_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    fields = {"name": "partner", "bucket": "b", "region": "eu-west-3", "endpoint_url": f"http://127.0.0.1:{free_port()}"}
    spec = S3BucketSpec.model_validate({**fields, "access_key_id": "key", "secret_access_key": {"file": "secret"}})
    steps = list(check_storage(spec, tmp_path, folder="in"))
    assert [(step.name, step.fails) for step in steps] == [("connect", True)]
    assert "nothing listens there" in (steps[0].problem or "")
