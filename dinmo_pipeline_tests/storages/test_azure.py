"""Azure's ways in, what it refuses and how that is said, on Azurite; and that no secret is ever shown."""

from __future__ import annotations

import base64
import gzip
import hashlib
import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContentSettings
from pydantic import ValidationError

from dinmo_pipeline.errors import PermanentStorageError, TransientStorageError
from dinmo_pipeline.storages.azure.spec import AzureContainerSpec
from dinmo_pipeline.storages.object_store.contract import ObjectStorage
from dinmo_pipeline_tests.servers.azurite import CONTAINER, Azurite
from dinmo_pipeline_tests.servers.front import Front
from dinmo_pipeline_tests.storages.contract import MIB, content, local
from dinmo_pipeline_tests.storages.refusals import Listener

pytestmark = pytest.mark.xdist_group("azure")

Define = Callable[..., AzureContainerSpec]


@pytest.fixture
def define(azurite_server: Azurite, tmp_path: Path) -> Define:
    """A container's definition; what is given as `sas_token` and the like is put into a file."""

    def make(**fields: Any) -> AzureContainerSpec:
        for name in ("sas_token", "account_key", "connection_string"):
            if name in fields:
                (tmp_path / name).write_text(fields[name] + "\n")
                fields[name] = {"file": name}
        if "account_name" not in fields:
            fields.setdefault("account_url", azurite_server.url())
        return AzureContainerSpec.model_validate({"name": "partner", "container": CONTAINER, **fields})

    return make


@pytest.fixture
def listener(azurite_server: Azurite, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> Iterator[Listener]:
    """Checks at the end that neither the account's key nor the signature of any SAS token that the test made was shown."""
    made = Listener(caplog, [azurite_server.key])
    yield made
    for file in tmp_path.glob("sas_token*"):
        if "sig=" in (text := file.read_text()):
            made.add_secret(text.partition("sig=")[2].partition("&")[0].strip())
    made.check()


# Azure sums up itself what comes in one request.
@pytest.mark.parametrize(("size", "has_md5"), [(12, True), (40 * MIB, False)], ids=["small", "large"])
def test_create_and_write_are_enough_to_deliver_and_deliver_again(
    size: int, has_md5: bool, azurite_server: Azurite, define: Define, listener: Listener, tmp_path: Path
) -> None:
    with Front.listening(azurite_server.port) as front:
        url = f"http://127.0.0.1:{front.own_port}/{azurite_server.account}"
        with define(account_url=url, sas_token=azurite_server.sas_token("cw")).connect(tmp_path) as storage:
            for byte in (b"1", b"2"):
                storage.make_folder("exports")
                storage.put(local(tmp_path, byte * size), "exports/a b.csv")
        assert {request.method for request in front.requests} == {"PUT"}
    with azurite_server.client() as owner:
        blob = owner.get_blob_client(CONTAINER, "exports/a b.csv")
        assert blob.download_blob().readall() == b"2" * size
        found = blob.get_blob_properties()
        assert found.content_settings.content_type == "text/csv"
        assert bytes(found.content_settings.content_md5 or b"") == (hashlib.md5(b"2" * size).digest() if has_md5 else b"")
        assert found.metadata == {"sha256": hashlib.sha256(b"2" * size).hexdigest()}


@pytest.mark.parametrize(
    ("right", "act"),
    [
        ("read", lambda storage, path: storage.stat("a.csv")),
        ("read", lambda storage, path: storage.matches("a.csv", 1, "")),
        ("read", lambda storage, path: storage.read("a.csv", path / "back")),
        ("list", lambda storage, path: storage.list(".")),
        ("delete", lambda storage, path: storage.delete("a.csv")),
        ("read, create, write and delete", lambda storage, path: storage.move("a.csv", "b.csv")),
    ],
)
def test_what_needs_another_right_names_it(
    right: str, act: Callable[[Any, Path], object], azurite_server: Azurite, define: Define, listener: Listener, tmp_path: Path
) -> None:
    with define(sas_token=azurite_server.sas_token("cw")).connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"x"), "a.csv")
        message = listener.refusal(PermanentStorageError, lambda: act(storage, tmp_path))
    assert f"ask the account's owner for {right} on the container" in message
    assert "SAS token (rights cw, valid until" in message


def test_token_without_write_names_the_missing_right(azurite_server: Azurite, define: Define, listener: Listener, tmp_path: Path) -> None:
    with define(sas_token=azurite_server.sas_token("rl")).connect(tmp_path) as storage:
        message = listener.refusal(PermanentStorageError, lambda: storage.put(local(tmp_path, b"x"), "no.csv"))
    assert "deliveries/no.csv (storage partner): Azure answered 403" in message
    assert "ask the account's owner for create and write on the container" in message


def test_expired_token_is_told_before_anything_is_asked(
    azurite_server: Azurite, define: Define, listener: Listener, tmp_path: Path
) -> None:
    spec = define(sas_token=azurite_server.sas_token("cw", valid=timedelta(hours=-1)))

    message = listener.refusal(PermanentStorageError, lambda: spec.connect(tmp_path))

    assert message.startswith("could not use the sas_token of storage partner: it was valid until 20")
    assert message.endswith(" UTC; ask for a new one")


def test_whole_address_with_the_token_serves_as_token(azurite_server: Azurite, define: Define, listener: Listener, tmp_path: Path) -> None:
    pasted = f"{azurite_server.url()}/{CONTAINER}?{azurite_server.sas_token('rcw')}"
    with define(sas_token=pasted).connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"x"), "pasted.csv")
        assert content(storage, tmp_path, "pasted.csv") == b"x"


def test_connection_string_serves(azurite_server: Azurite, define: Define, listener: Listener, tmp_path: Path) -> None:
    with define(connection_string=azurite_server.connection_string).connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"x"), "by string.csv")
        assert content(storage, tmp_path, "by string.csv") == b"x"


def test_another_key_is_refused(define: Define, listener: Listener, tmp_path: Path) -> None:
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    listener.add_secret(key)
    with define(account_key=key).connect(tmp_path) as storage:
        message = listener.refusal(PermanentStorageError, lambda: storage.put(local(tmp_path, b"x"), "no.csv"))
    assert "Azure answered 403" in message
    assert "the account key is too old or not enough for it" in message


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"sas_token": "sv=2022&se=2030-01-01-of-the-secret"}, "the sas_token of storage partner: it has no `sig`"),
        ({"account_key": "no base64 of the secret!"}, "the account key is no key"),
        ({"connection_string": "of the secret"}, "the connection_string of storage partner: it is of the wrong form"),
        (
            {"connection_string": "AccountName=other;AccountKey=of/the/secret==;EndpointSuffix=core.windows.net"},
            "the connection_string of storage partner: it belongs to another account than http://127.0.0.1",
        ),
    ],
)
def test_damaged_secret_is_named_and_not_shown(
    fields: dict[str, str], expected: str, define: Define, listener: Listener, tmp_path: Path
) -> None:
    listener.add_secret("of the secret")
    listener.add_secret("of/the/secret")
    listener.add_secret("of-the-secret")

    def deliver() -> None:
        with define(**fields).connect(tmp_path) as storage:
            storage.put(local(tmp_path, b"x"), "no.csv")

    assert expected in listener.refusal(PermanentStorageError, deliver)


def test_missing_container_is_named(azurite_server: Azurite, define: Define, listener: Listener, tmp_path: Path) -> None:
    with define(container="no-such", account_key=azurite_server.key).connect(tmp_path) as storage:
        acts: list[Callable[[], object]] = [
            lambda: storage.put(local(tmp_path, b"x"), "a.csv"),
            lambda: storage.stat("a.csv"),
            lambda: storage.list("."),
            lambda: storage.delete("a.csv"),
            lambda: storage.read("a.csv", tmp_path / "back"),
        ]
        for act in acts:
            message = listener.refusal(PermanentStorageError, act)
            assert "no-such" in message
            assert "Azure answered 404 ContainerNotFound; have the container made, or correct its name" in message


def test_host_that_nobody_knows_is_named(azurite_server: Azurite, define: Define, listener: Listener, tmp_path: Path) -> None:
    spec = define(account_url="http://no-such-host.invalid/shop", account_key=azurite_server.key)
    # Where there is no name service at all, it may answer later.
    either = (PermanentStorageError, TransientStorageError)
    with spec.connect(tmp_path) as storage, pytest.raises(either, match=r"no-such-host\.invalid.*name"):
        storage.put(local(tmp_path, b"x"), "a.csv")


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize(
    ("status", "code", "kind", "expected"),
    [
        # What Azure says where Azurite says AuthorizationFailure: of an expired token and of a wrong key.
        (403, "AuthenticationFailed", PermanentStorageError, "it is wrong or too old; ask the account's owner for a valid one"),
        (403, "UnauthorizedBlobOverwrite", PermanentStorageError, "may create files and not replace them"),
        (409, "BlobImmutableDueToPolicy", PermanentStorageError, "choose a dated file_name"),
        (412, "LeaseIdMissing", PermanentStorageError, "have it released"),
        (400, "Md5Mismatch", TransientStorageError, "the bytes changed on the way"),
        (412, "ConditionNotMet", TransientStorageError, "the file was changed meanwhile"),
        (409, "ContainerBeingDeleted", TransientStorageError, "is being deleted"),
        (503, "ServerBusy", TransientStorageError, "Azure is busy"),
        (418, "SomethingNew", PermanentStorageError, "Azure answered 418 SomethingNew; look the code up"),
    ],
)
def test_answers_that_azurite_never_gives_are_translated(
    status: int, code: str, kind: Any, expected: str, azurite_server: Azurite, define: Define, listener: Listener, tmp_path: Path
) -> None:
    with Front.listening(azurite_server.port) as front:
        url = f"http://127.0.0.1:{front.own_port}/{azurite_server.account}"
        front.fail_writes(9, status, x_ms_error_code=code)
        with define(account_url=url, sas_token=azurite_server.sas_token("c")).connect(tmp_path) as storage:
            message = listener.refusal(kind, lambda: storage.put(local(tmp_path, b"x"), "a.csv"))
    assert expected in message


def test_folder_that_another_tool_marked_is_no_file(azurite_server: Azurite, define: Define, tmp_path: Path) -> None:
    with azurite_server.client() as owner:
        owner.get_blob_client(CONTAINER, "marked/inner").upload_blob(b"", metadata={"hdi_isfolder": "true"})
        owner.get_blob_client(CONTAINER, "marked/other/").upload_blob(b"")
    with define(account_key=azurite_server.key).connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"x"), "marked/a.csv")
        assert [file.name for file in storage.list("marked")] == ["a.csv"]
        assert storage.stat("marked/inner") is None


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity"])
def test_blob_comes_as_it_is_stored_whatever_its_encoding_is_called(
    encoding: str, azurite_server: Azurite, define: Define, tmp_path: Path
) -> None:
    stored = gzip.compress(b"id\n1\n" * 100)
    name = f"encoded/{encoding}.csv.gz"
    with azurite_server.client() as owner:
        settings = ContentSettings(content_type="text/csv", content_encoding=encoding)
        owner.get_blob_client(CONTAINER, name).upload_blob(stored, content_settings=settings)
    with define(account_key=azurite_server.key).connect(tmp_path) as storage:
        assert content(storage, tmp_path, name) == stored
        assert isinstance(storage, ObjectStorage)
        found = storage.load(name)
        assert found is not None
        assert found.content == stored
        assert storage.matches(name, len(stored), hashlib.sha256(stored).hexdigest())


def test_default_credentials_over_plain_http_are_refused(define: Define, tmp_path: Path) -> None:
    with pytest.raises(PermanentStorageError, match="default credentials of storage partner: they go over https alone"):
        define().connect(tmp_path)


def test_default_credentials_that_are_not_there_say_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One kind of credentials alone, which looks at these variables and finds none: the others would ask the network.
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    spec = AzureContainerSpec(name="partner", account_name="shop", container=CONTAINER)
    with spec.connect(tmp_path) as storage, pytest.raises(PermanentStorageError, match=r"AZURE_CLIENT_ID, AZURE_TENANT_ID"):
        storage.put(local(tmp_path, b"x"), "a.csv")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "write 'account_url' or 'account_name'"),
        ({"account_url": "https://a.example", "account_name": "a"}, "write 'account_url' or 'account_name'"),
        ({"account_name": "a", "sas_token": {"env": "S"}, "account_key": {"env": "K"}}, "'sas_token' and 'account_key' are two ways in"),
        ({"account_url": "a.example"}, "account_url: it is no address"),
        ({"account_url": "https://a.example/?sv=1&sig=secret"}, "account_url: it holds more than an address"),
        ({"account_name": "a", "sas_token": "sv=1&sig=secret"}, "secrets are never written in YAML"),
    ],
)
def test_definition_that_does_not_agree_with_itself_says_so(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AzureContainerSpec.model_validate({"name": "partner", "container": "c", **fields})
    messages = [error["msg"] for error in caught.value.errors()]
    assert expected in " ".join(messages)
    assert "secret" not in " ".join(messages).replace("secrets", "")


def test_address_is_of_the_account_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCOUNT", "shop")
    by_url = AzureContainerSpec(name="a", account_url="https://shop.blob.core.windows.net/", container="c")
    by_name = AzureContainerSpec(name="a", account_name="shop", container="c")
    by_reference = AzureContainerSpec.model_validate({"name": "a", "account_name": {"env": "ACCOUNT"}, "container": "c"})
    assert by_url.address == by_name.address == "azure:https://shop.blob.core.windows.net/c"
    assert {spec.resolved_address(tmp_path) for spec in (by_url, by_name, by_reference)} == {by_name.address}
    assert "{env: ACCOUNT}" in by_reference.address
