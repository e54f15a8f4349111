"""GCS's ways in, what it refuses and how that is said; and that no secret is ever shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import ValidationError

from dinmo_pipeline.errors import PermanentStorageError, TransientStorageError
from dinmo_pipeline.storages.gcs.spec import GcsBucketSpec
from dinmo_pipeline_tests.servers.front import Front
from dinmo_pipeline_tests.servers.gcs import ACCOUNT, BUCKET, GcsServer, TokenServer
from dinmo_pipeline_tests.servers.relay import Relay
from dinmo_pipeline_tests.storages.contract import MIB, content, local
from dinmo_pipeline_tests.storages.refusals import Listener

pytestmark = pytest.mark.xdist_group("gcs")

Define = Callable[..., GcsBucketSpec]


@pytest.fixture
def define(gcs_server: GcsServer, gcs_relay: Relay, gcs_tokens: TokenServer, tmp_path: Path) -> Define:
    """A bucket's definition; `key` is the text of the service account's key."""

    def make(key: str = gcs_tokens.key_text, **fields: Any) -> GcsBucketSpec:
        (tmp_path / "key.json").write_text(key)
        given = {"bucket": BUCKET, "endpoint_url": gcs_server.url(), "service_account_key": {"file": "key.json"}, **fields}
        return GcsBucketSpec.model_validate({"name": "partner", **given})

    return make


@pytest.fixture
def listener(gcs_tokens: TokenServer, caplog: pytest.LogCaptureFixture) -> Iterator[Listener]:
    """Checks at the end that neither a line of the private key nor a token was shown."""
    made = Listener(caplog, [line for line in gcs_tokens.key["private_key"].splitlines() if "-----" not in line])
    yield made
    for token in gcs_tokens.tokens:
        made.add_secret(token)
    made.check()
    gcs_tokens.refuse = False


@pytest.mark.parametrize("size", [12, 40 * MIB], ids=["at once", "resumable"])
def test_service_account_gets_a_token_and_delivers_with_it(
    size: int, gcs_server: GcsServer, gcs_tokens: TokenServer, define: Define, listener: Listener, tmp_path: Path
) -> None:
    data = b"x" * size
    with Front.listening(gcs_server.port) as front:
        spec = define(endpoint_url=f"http://127.0.0.1:{front.own_port}")
        with spec.connect(tmp_path) as storage:
            storage.put(local(tmp_path, data), "exports/a b.csv")
        assert {request.headers["authorization"] for request in front.requests} == {f"Bearer {gcs_tokens.tokens[-1]}"}
        assert ("uploadType=resumable" in str(front.requests)) == (size > 8 * MIB)
    found = requests.get(f"{gcs_server.url()}/storage/v1/b/{BUCKET}/o/exports%2Fa%20b.csv", timeout=60).json()
    assert found["contentType"] == "text/csv"
    assert int(found["size"]) == size
    assert found["metadata"] == {"sha256": hashlib.sha256(data).hexdigest()}


def test_file_that_was_cut_short_since_its_first_chunks_were_sent_is_refused(define: Define, tmp_path: Path) -> None:
    with define().connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"old"), "cut.csv")
        source = local(tmp_path, b"x" * 40 * MIB)
        upload = storage.upload(source, "cut.csv")
        with source.open("r+b") as stream:
            stream.truncate(40 * MIB - 7)
        with pytest.raises(PermanentStorageError, match="it had 41,943,040 bytes and 41,943,033 could be read"):
            storage.complete(upload)
        assert content(storage, tmp_path, "cut.csv") == b"old"


def test_key_may_be_in_the_environment(
    gcs_tokens: TokenServer, define: Define, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCS_KEY", gcs_tokens.key_text)
    with define(service_account_key={"env": "GCS_KEY"}).connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"x"), "by environment.csv")
        assert content(storage, tmp_path, "by environment.csv") == b"x"


def test_key_that_was_revoked_says_so(gcs_tokens: TokenServer, define: Define, listener: Listener, tmp_path: Path) -> None:
    gcs_tokens.refuse = True
    with define().connect(tmp_path) as storage:
        acts: list[Callable[[], object]] = [
            lambda: storage.put(local(tmp_path, b"x"), "a.csv"),
            lambda: storage.stat("a.csv"),
            lambda: storage.list("."),
            lambda: storage.read("a.csv", tmp_path / "back"),
            lambda: storage.delete("a.csv"),
        ]
        for act in acts:
            message = listener.refusal(PermanentStorageError, act)
            assert f"Google gave no token for the service account {ACCOUNT}; the key was revoked" in message


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda key: "no JSON of the secret", "it is no JSON"),
        (lambda key: json.dumps([key]), "it is not the key of a service account"),
        (lambda key: json.dumps({**key, "type": "authorized_user"}), "it is not the key of a service account"),
        (lambda key: json.dumps({**key, "private_key": key["private_key"][:200]}), "a part of it is missing or damaged"),
        (lambda key: json.dumps({**key, "private_key": 7}), "a part of it is missing or damaged"),
        (lambda key: json.dumps({name: key[name] for name in key if name != "token_uri"}), "a part of it is missing or damaged"),
        (lambda key: json.dumps({name: key[name] for name in key if name != "client_email"}), "a part of it is missing or damaged"),
    ],
)
def test_damaged_key_is_named_and_not_shown(
    damage: Callable[[dict[str, str]], str], expected: str, gcs_tokens: TokenServer, define: Define, listener: Listener, tmp_path: Path
) -> None:
    listener.add_secret("of the secret")
    spec = define(key=damage(gcs_tokens.key))
    message = listener.refusal(PermanentStorageError, lambda: spec.connect(tmp_path))
    assert f"the service_account_key of storage partner: {expected}; have a new JSON key made" in message


def test_missing_bucket_is_named(define: Define, listener: Listener, tmp_path: Path) -> None:
    with define(bucket="no-such").connect(tmp_path) as storage:
        acts: list[Callable[[], object]] = [
            lambda: storage.put(local(tmp_path, b"x"), "a.csv"),
            lambda: storage.put(local(tmp_path, b"x" * 9 * MIB), "a.csv"),
            lambda: storage.stat("a.csv"),
            lambda: storage.list("."),
            lambda: storage.delete("a.csv"),
            lambda: storage.read("a.csv", tmp_path / "back"),
        ]
        for act in acts:
            message = listener.refusal(PermanentStorageError, act)
            assert "no-such" in message
            assert "Google answered 404" in message
            assert "have the bucket made, or correct its name" in message


def answer(reason: str, message: str = "of the server") -> bytes:
    return json.dumps({"error": {"errors": [{"reason": reason}], "message": message}}).encode()


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("size", [12, 9 * MIB], ids=["at once", "resumable"])
@pytest.mark.parametrize(
    ("status", "body", "kind", "expected"),
    [
        (401, answer("authError"), PermanentStorageError, f"did not accept the service account {ACCOUNT}"),
        (403, answer("forbidden"), PermanentStorageError, "the right storage.objects.create, and storage.objects.delete to replace files"),
        (403, answer("retentionPolicyNotMet"), PermanentStorageError, "choose a dated file_name"),
        (403, answer("userProjectMissing"), PermanentStorageError, "wants its readers to pay"),
        (404, answer("notFound", "The specified bucket does not exist."), PermanentStorageError, "have the bucket made"),
        (400, answer("invalid", "Provided CRC32C doesn't match calculated CRC32C"), TransientStorageError, "they changed on the way"),
        (410, answer("gone"), TransientStorageError, "Google answered 410 gone"),
        (429, answer("rateLimitExceeded"), TransientStorageError, "Google answered 429 rateLimitExceeded; Google is busy"),
        (418, b"no JSON", PermanentStorageError, "Google answered 418; look the reason up"),
    ],
)
def test_answers_of_google_are_translated(
    size: int,
    status: int,
    body: bytes,
    kind: Any,
    expected: str,
    gcs_server: GcsServer,
    define: Define,
    listener: Listener,
    tmp_path: Path,
) -> None:
    with Front.listening(gcs_server.port) as front:
        front.fail_writes(50, status, body, content_type="application/json")
        with define(endpoint_url=f"http://127.0.0.1:{front.own_port}").connect(tmp_path) as storage:
            message = listener.refusal(kind, lambda: storage.put(local(tmp_path, b"x" * size), "exports/a.csv"))
    assert "could not write the file" in message
    assert "exports/a.csv (storage partner)" in message
    assert expected in message


def test_default_credentials_that_are_not_there_say_what_to_define(define: Define, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(PermanentStorageError, match="the default credentials were not found; define a service_account_key"):
        define(service_account_key=None).connect(tmp_path)


def test_default_credentials_are_used(gcs_tokens: TokenServer, define: Define, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "default.json").write_text(gcs_tokens.key_text)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "default.json"))
    with define(service_account_key=None).connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"x"), "by default.csv")
        assert content(storage, tmp_path, "by default.csv") == b"x"


def test_folder_that_another_tool_made_is_no_file(gcs_server: GcsServer, define: Define, tmp_path: Path) -> None:
    address = f"{gcs_server.url()}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=marked/"
    requests.post(address, data=b"", timeout=60).raise_for_status()
    with define().connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"x"), "marked/a.csv")
        assert [file.name for file in storage.list("marked")] == ["a.csv"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"endpoint_url": "storage.example"}, "endpoint_url: it is no address"),
        ({"endpoint_url": "https://user:secret@storage.example"}, "endpoint_url: it holds more than an address"),
        ({"service_account_key": '{"private_key": "secret"}'}, "secrets are never written in YAML"),
    ],
)
def test_definition_with_a_fault_says_so(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        GcsBucketSpec.model_validate({"name": "partner", "bucket": "b", **fields})
    messages = " ".join(error["msg"] for error in caught.value.errors())
    assert expected in messages
    assert "secret" not in messages.replace("secrets", "")
