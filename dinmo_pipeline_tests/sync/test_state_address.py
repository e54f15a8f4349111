"""Where state is, by what the environment says, and what is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dinmo_pipeline.errors import CallError, StateError
from dinmo_pipeline.secrets import Secret
from dinmo_pipeline.storages.azure.spec import AzureContainerSpec
from dinmo_pipeline.storages.gcs.spec import GcsBucketSpec
from dinmo_pipeline.storages.s3.spec import S3BucketSpec
from dinmo_pipeline.sync.backends.open import open_state
from dinmo_pipeline.sync.backends.url import parse_state_url
from dinmo_pipeline.sync.service import Delivery
from dinmo_pipeline_tests.sync.disk import Disk

ACCOUNT = "https://shop.blob.core.windows.net"


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    made = Disk(tmp_path / "project")
    made.set_rows({1: "a", 2: "b"})
    return made


def test_address_names_store_and_folder() -> None:
    assert parse_state_url("file:///var/lib/a%20b") == Path("/var/lib/a b")
    assert parse_state_url("s3://shop/a/b/") == (S3BucketSpec(name="DINMO_STATE_URL", bucket="shop"), "a/b")
    assert parse_state_url("gs://shop") == (GcsBucketSpec(name="DINMO_STATE_URL", bucket="shop"), "")
    assert parse_state_url(f"{ACCOUNT}/box/a") == (AzureContainerSpec(name="DINMO_STATE_URL", account_url=ACCOUNT, container="box"), "a")
    emulator = AzureContainerSpec(name="DINMO_STATE_URL", account_url="http://127.0.0.1:10000/shop", container="box")
    assert parse_state_url("http://127.0.0.1:10000/shop/box") == (emulator, "")


def test_azure_is_entered_by_the_first_variable_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_KEY", "key")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sig=secret")
    token = Secret(env="AZURE_STORAGE_SAS_TOKEN")
    expected = AzureContainerSpec(name="DINMO_STATE_URL", account_url=ACCOUNT, container="box", sas_token=token)
    assert parse_state_url(f"{ACCOUNT}/box") == (expected, "")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("/var/lib/shop", "file:///folder"),
        ("file://shop", "file:///folder"),
        ("s3://", "s3://bucket/folder"),
        ("az://box/a", "Azure by its account's whole address"),
        ("sftp://shop@host/a", "no address of state"),
        (ACCOUNT, "the container is missing"),
        (f"{ACCOUNT}/box?sv=2025&sig=hidden", "AZURE_STORAGE_SAS_TOKEN"),
    ],
)
def test_what_is_no_address_of_state_is_refused_with_the_forms(url: str, problem: str) -> None:
    with pytest.raises(CallError, match="DINMO_STATE_URL") as caught:
        parse_state_url(url)
    assert problem in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_local_state_elsewhere_outlives_the_home(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINMO_STATE_URL", f"file://{tmp_path}/elsewhere")
    disk.run()
    shutil.rmtree(disk.home)
    disk.set_rows({1: "a", 2: "B"})

    delivery = disk.run()
    assert isinstance(delivery, Delivery)
    assert (delivery.export.counts.added, delivery.export.counts.updated) == (0, 1)
    assert not (disk.home / "state").exists()


def test_required_state_is_refused_until_it_is_begun(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINMO_REQUIRE_STATE", "1")
    for act in (disk.run, disk.syncs().state):
        with pytest.raises(StateError, match="run `dinmo state init`"):
            act()
    assert disk.files() == []

    assert open_state(disk.project).backend.begin()
    assert not open_state(disk.project).backend.begin()
    assert isinstance(disk.run(), Delivery)


def test_lost_volume_is_noticed(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.run()
    monkeypatch.setenv("DINMO_REQUIRE_STATE", "1")
    assert isinstance(disk.run(), Delivery)
    shutil.rmtree(disk.home)
    with pytest.raises(StateError, match="would send every row again"):
        disk.run()


def test_file_system_without_hard_links_is_refused(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, target: str) -> None:
        raise PermissionError(1, "Operation not permitted", str(source), None, str(target))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StateError, match="cannot create a file exclusively"):
        disk.run()
    assert disk.files() == []
