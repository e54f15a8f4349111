"""S3's ways in, what it refuses and how that is said, on a server that checks signatures and rights; and that no secret is ever shown."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dinmo_pipeline.errors import PermanentStorageError, TransientStorageError
from dinmo_pipeline.storages.s3.spec import S3BucketSpec
from dinmo_pipeline_tests.servers.front import Front
from dinmo_pipeline_tests.servers.s3 import BUCKET, REGION, S3Server
from dinmo_pipeline_tests.storages.contract import MIB, content, local
from dinmo_pipeline_tests.storages.refusals import Listener

pytestmark = pytest.mark.xdist_group("s3")

Define = Callable[..., S3BucketSpec]


@pytest.fixture
def define(s3_server: S3Server, tmp_path: Path) -> Define:
    """A bucket's definition, with the keys of `user`; what is given as `secret` is put into a file."""

    def make(user: str = "owner", *, secret: str | None = None, **fields: Any) -> S3BucketSpec:
        key = s3_server.keys[user]
        (tmp_path / "secret").write_text(secret or key.secret_access_key)
        given = {"access_key_id": key.access_key_id, "secret_access_key": {"file": "secret"}, "region": REGION, "bucket": BUCKET, **fields}
        return S3BucketSpec.model_validate({"name": "partner", "endpoint_url": s3_server.url(), **given})

    return make


@pytest.fixture
def listener(s3_server: S3Server, caplog: pytest.LogCaptureFixture) -> Iterator[Listener]:
    """Checks at the end that no secret key was shown."""
    made = Listener(caplog, [key.secret_access_key for key in s3_server.keys.values()])
    yield made
    made.check()


@pytest.mark.parametrize("size", [12, 40 * MIB], ids=["at once", "in parts"])
def test_the_right_to_put_is_enough_to_deliver_and_deliver_again(
    size: int, s3_server: S3Server, define: Define, listener: Listener, tmp_path: Path
) -> None:
    with Front.listening(s3_server.port) as front:
        with define("writer", endpoint_url=f"http://127.0.0.1:{front.own_port}").connect(tmp_path) as storage:
            for byte in (b"1", b"2"):
                storage.make_folder("exports")
                storage.put(local(tmp_path, byte * size), "exports/a b.csv")
        assert {request.method for request in front.requests} <= {"PUT", "POST"}
    found = s3_server.client().get_object(Bucket=BUCKET, Key="exports/a b.csv")
    assert found["Body"].read() == b"2" * size
    assert found["ContentType"] == "text/csv"
    assert found["Metadata"] == {"sha256": hashlib.sha256(b"2" * size).hexdigest()}


@pytest.mark.parametrize(
    ("user", "right", "act"),
    [
        ("reader", "s3:PutObject", lambda storage, path: storage.put(local(path, b"x"), "a.csv")),
        ("reader", "s3:PutObject", lambda storage, path: storage.put(local(path, b"x" * 17 * MIB), "a.csv")),
        ("reader", "s3:DeleteObject", lambda storage, path: storage.delete("a.csv")),
        ("writer", "s3:GetObject and s3:ListBucket", lambda storage, path: storage.stat("a.csv")),
        ("writer", "s3:GetObject", lambda storage, path: storage.read("a.csv", path / "back")),
        ("writer", "s3:ListBucket", lambda storage, path: storage.list(".")),
        ("writer", "s3:GetObject, s3:PutObject and s3:DeleteObject", lambda storage, path: storage.move("a.csv", "b.csv")),
    ],
)
def test_what_needs_another_right_names_it(
    user: str, right: str, act: Callable[[Any, Path], object], s3_server: S3Server, define: Define, listener: Listener, tmp_path: Path
) -> None:
    with define().connect(tmp_path) as owner:
        owner.put(local(tmp_path, b"x"), "a.csv")
    with define(user).connect(tmp_path) as storage:
        message = listener.refusal(PermanentStorageError, lambda: act(storage, tmp_path))
    assert "S3 answered 403" in message
    assert f"to give the access key {s3_server.keys[user].access_key_id} the right {right}" in message


@pytest.mark.parametrize("fields", [{"secret": "another-secret"}, {"access_key_id": "AKIAANOTHER"}])
def test_another_key_is_refused(fields: dict[str, Any], define: Define, listener: Listener, tmp_path: Path) -> None:
    listener.add_secret("another-secret")
    with define(**fields).connect(tmp_path) as storage:
        message = listener.refusal(PermanentStorageError, lambda: storage.put(local(tmp_path, b"x"), "a.csv"))
    assert "S3 did not accept the access key" in message
    assert "correct access_key_id and secret_access_key" in message


def test_missing_bucket_is_named(define: Define, listener: Listener, tmp_path: Path) -> None:
    with define(bucket="no-such").connect(tmp_path) as storage:
        acts: list[Callable[[], object]] = [
            lambda: storage.put(local(tmp_path, b"x"), "a.csv"),
            lambda: storage.put(local(tmp_path, b"x" * 17 * MIB), "a.csv"),
            lambda: storage.stat("a.csv"),
            lambda: storage.list("."),
            lambda: storage.delete("a.csv"),
            lambda: storage.read("a.csv", tmp_path / "back"),
        ]
        for act in acts:
            message = listener.refusal(PermanentStorageError, act)
            assert "S3 answered 404 NoSuchBucket; have the bucket made, or correct its name" in message
            assert "no-such" in message


def test_bucket_of_a_wrong_form_is_named(define: Define, listener: Listener, tmp_path: Path) -> None:
    with define(bucket="no bucket?").connect(tmp_path) as storage:
        message = listener.refusal(PermanentStorageError, lambda: storage.put(local(tmp_path, b"x"), "a.csv"))
    assert "correct the bucket's name, the folder or file_name" in message


def answer(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>of the server</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "code", "kind", "expected"),
    [
        (400, "BadDigest", TransientStorageError, "the bytes changed on the way"),
        (400, "ExpiredToken", PermanentStorageError, "have expired: renew them"),
        (403, "RequestTimeTooSkewed", PermanentStorageError, "this machine's clock is wrong"),
        (400, "AuthorizationHeaderMalformed", PermanentStorageError, "set the region that the bucket is in"),
        (503, "SlowDown", TransientStorageError, "S3 is busy"),
        (507, "XMinioStorageFull", PermanentStorageError, "the server's disk is full"),
        (418, "SomethingNew", PermanentStorageError, "S3 answered 418 SomethingNew; look the code up"),
    ],
)
def test_answers_that_the_server_never_gives_are_translated(
    status: int, code: str, kind: Any, expected: str, s3_server: S3Server, define: Define, listener: Listener, tmp_path: Path
) -> None:
    with Front.listening(s3_server.port) as front:
        front.fail_writes(9, status, answer(code), content_type="application/xml")
        with define(endpoint_url=f"http://127.0.0.1:{front.own_port}").connect(tmp_path) as storage:
            message = listener.refusal(kind, lambda: storage.put(local(tmp_path, b"x"), "a.csv"))
    assert expected in message


def test_upload_that_fails_leaves_no_parts_behind(s3_server: S3Server, define: Define, tmp_path: Path) -> None:
    with Front.listening(s3_server.port) as front:
        with define(endpoint_url=f"http://127.0.0.1:{front.own_port}").connect(tmp_path) as storage:
            front.corrupt_writes(1)
            with pytest.raises(TransientStorageError):
                storage.put(local(tmp_path, b"x" * 40 * MIB), "parts.csv")
        assert [request.method for request in front.requests][-1] == "DELETE"
    # Other tests leave some: those whose connection was cut.
    assert "parts.csv" not in keys_of_uploads(s3_server)


def test_upload_that_is_given_up_leaves_no_parts_behind(s3_server: S3Server, define: Define, tmp_path: Path) -> None:
    with define().connect(tmp_path) as storage:
        upload = storage.upload(local(tmp_path, b"x" * 40 * MIB), "given up.csv")
        assert keys_of_uploads(s3_server).count("given up.csv") == 1
        storage.abort(upload)
    assert "given up.csv" not in keys_of_uploads(s3_server)


def keys_of_uploads(server: S3Server) -> list[str]:
    return [upload["Key"] for upload in server.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]


def test_default_credentials_that_are_not_there_say_what_to_define(define: Define, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    expected = "the default credentials were not found; define access_key_id"
    spec = define(access_key_id=None, secret_access_key=None)
    with spec.connect(tmp_path) as storage, pytest.raises(PermanentStorageError, match=expected):
        storage.put(local(tmp_path, b"x"), "a.csv")


def test_default_credentials_are_used(s3_server: S3Server, define: Define, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.keys["owner"].access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.keys["owner"].secret_access_key)
    with define(access_key_id=None, secret_access_key=None).connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"x"), "by default.csv")
        assert content(storage, tmp_path, "by default.csv") == b"x"


def test_folder_that_another_tool_made_is_no_file(s3_server: S3Server, define: Define, tmp_path: Path) -> None:
    s3_server.client().put_object(Bucket=BUCKET, Key="marked/", Body=b"")
    with define().connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"x"), "marked/a.csv")
        assert [file.name for file in storage.list("marked")] == ["a.csv"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"access_key_id": "a"}, "'access_key_id' and 'secret_access_key' belong together"),
        ({"secret_access_key": {"env": "S"}}, "'access_key_id' and 'secret_access_key' belong together"),
        ({"endpoint_url": "s3.example"}, "endpoint_url: it is no address"),
        ({"access_key_id": "a", "secret_access_key": "secret"}, "secrets are never written in YAML"),
    ],
)
def test_definition_that_does_not_agree_with_itself_says_so(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        S3BucketSpec.model_validate({"name": "partner", "bucket": "b", **fields})
    assert expected in " ".join(error["msg"] for error in caught.value.errors())
