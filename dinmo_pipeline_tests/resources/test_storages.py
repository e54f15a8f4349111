"""Storages as resources: the definitions' fields and defaults, and no secret anywhere but in the environment."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dinmo_pipeline import resources
from dinmo_pipeline.errors import CallError
from dinmo_pipeline.resources import Filesystem, FtpServer, SftpServer, StorageResource
from dinmo_pipeline.storages import STORAGES

SECRET = "correct horse battery"


@pytest.fixture
def in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTNER_PASSWORD", SECRET)


@pytest.mark.parametrize("name", STORAGES)
def test_resource_has_the_fields_and_defaults_of_the_definition(name: str) -> None:
    defined, resource = STORAGES[name].model_fields, getattr(resources, name).model_fields

    # Messages call it by its kind; the older form of `retry_for` is for old YAML.
    assert set(resource) == set(defined) - {"name", "retries"}
    for field, info in resource.items():
        if not info.is_required():
            assert info.get_default(call_default_factory=True) == defined[field].get_default(call_default_factory=True), field
        assert info.is_required() == defined[field].is_required(), field


@pytest.mark.parametrize("name", STORAGES)
def test_what_is_a_secret_in_a_definition_shows_in_no_repr(name: str) -> None:
    fields = STORAGES[name].model_fields
    hidden = {field for field, info in getattr(resources, name).model_fields.items() if not info.repr}

    assert hidden == {field for field, info in fields.items() if "_read_secret" in f"{info.annotation} {info.metadata}"}


@pytest.mark.usefixtures("in_environment")
def test_secret_is_taken_from_the_environment_and_shown_nowhere() -> None:
    server = SftpServer(host="sftp.partner.example", username="shop", password=dg.EnvVar("PARTNER_PASSWORD"))
    kept: list[StorageResource] = []

    @dg.asset
    def used(partner: SftpServer) -> None:
        kept.append(partner)

    result = dg.materialize([used], resources={"partner": server})

    assert result.success
    [read] = kept
    assert read.definition().model_dump()["password"] == {"env": "PARTNER_PASSWORD", "file": None}
    assert SECRET not in repr(read) + str(read) + repr(read.definition())
    assert server.definition() == read.definition()


@pytest.mark.usefixtures("in_environment")
def test_secret_that_stands_in_the_code_is_refused_and_not_quoted() -> None:
    with pytest.raises(CallError, match=r"password: this is the text itself") as refused:
        SftpServer(host="h", username="u", password="hunter2 in the code")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SftpServer(host="sftp://h", username="u"), "host: write the host's name alone"),
        (lambda: SftpServer(host="h", username="u", known_hosts="f", verify_host_key=False), "takes no notice of"),
        (lambda: SftpServer(host="h", username="u", retry_for="soon"), "retry_for"),
        (lambda: FtpServer(host="h", port=70000), "port"),
        (lambda: Filesystem(url="file:///x"), "LocalFolder"),
    ],
)
def test_fault_is_told_when_the_code_is_loaded(make: Any, words: str) -> None:
    with pytest.raises(CallError, match=words):
        make()


def test_retrying_can_be_turned_off() -> None:
    assert FtpServer(host="h", retry_for="0").definition().retry_for_s == 0


@pytest.mark.usefixtures("in_environment")
def test_setting_may_come_from_the_environment_too() -> None:
    assert str(SftpServer(host=dg.EnvVar("PARTNER_HOST"), username="u").definition().model_dump()["host"]["env"]) == "PARTNER_HOST"
