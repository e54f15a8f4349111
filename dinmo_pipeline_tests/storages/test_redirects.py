"""Stores that send requests on to another host: nobody goes there, whatever is asked, and it is told in the storage's own errors.

The servers are the standard library's: no real store does what they do.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.storages.azure.spec import AzureContainerSpec
from dinmo_pipeline.storages.base import Storage, StorageSpec
from dinmo_pipeline.storages.gcs.spec import GcsBucketSpec
from dinmo_pipeline.storages.s3.spec import S3BucketSpec
from dinmo_pipeline_tests.servers.gcs import TokenServer, token_server
from dinmo_pipeline_tests.servers.patience import short_pauses
from dinmo_pipeline_tests.servers.running import HOST

__all__ = ["short_pauses"]

pytestmark = pytest.mark.usefixtures("short_pauses")

OBJECT = {"kind": "storage#object", "name": "a.csv", "bucket": "b", "generation": "1", "size": "3", "updated": "2024-01-01T00:00:00Z"}
# TEST-NET-1: a host that is nobody's.
ELSEWHERE = "http://192.0.2.1/latest/meta-data"


@dataclass
class Liar:
    """Answers each request as `answer` says, with a status, headers and a body; `paths` are those of the requests that came."""

    answer: Callable[[str, str], tuple[int, dict[str, str], bytes]]
    paths: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"


@contextmanager
def listening(answer: Callable[[str, str], tuple[int, dict[str, str], bytes]]) -> Iterator[Liar]:
    """A running one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def lie(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            liar.paths.append(self.path)
            status, headers, body = liar.answer(self.command, self.path)
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = lie

        def log_message(self, format: str, *args: Any) -> None:
            return None

    liar = Liar(answer)
    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        liar.port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield liar
        finally:
            server.shutdown()


@contextmanager
def thief() -> Iterator[Liar]:
    """The other host, which takes all."""
    with listening(lambda _method, _path: (200, {"ETag": '"x"'}, b"{}")) as other:
        yield other


def spec(store: str, url: str, root: Path) -> StorageSpec:
    """The definition of a store at this address."""
    (root / "secret").write_text("c2VjcmV0")
    (root / "sas").write_text("sv=2022-11-02&sp=rcwdl&sig=abcd")
    if store == "azure":
        return AzureContainerSpec.model_validate(
            {"name": "p", "account_url": f"{url}/acct", "container": "c", "sas_token": {"file": "sas"}}
        )
    if store == "s3":
        fields = {"bucket": "b", "region": "eu-west-3", "access_key_id": "k", "secret_access_key": {"file": "secret"}}
        return S3BucketSpec.model_validate({"name": "p", **fields, "endpoint_url": url})
    with token_server() as tokens:
        (root / "key.json").write_text(tokens.key_text)
    return GcsBucketSpec.model_validate({"name": "p", "bucket": "b", "service_account_key": {"file": "key.json"}, "endpoint_url": url})


ACTS: dict[str, Callable[[Storage, Path], object]] = {
    "list": lambda storage, root: storage.list("raw"),
    "stat": lambda storage, root: storage.stat("a.csv"),
    "read": lambda storage, root: storage.read("a.csv", root / "copy"),
    "read listed": lambda storage, root: storage.read_listed("a.csv", root / "copy", 3),
    "put": lambda storage, root: storage.put(root / "small", "a.csv"),
    "put in pieces": lambda storage, root: storage.put(root / "large", "a.csv"),
    "move": lambda storage, root: storage.move("a.csv", "b.csv"),
    "delete": lambda storage, root: storage.delete("a.csv"),
}


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with token_server() as server:
        yield server


def refusal(definition: StorageSpec, act: str, root: Path) -> str:
    """What the storage says."""
    (root / "small").write_bytes(b"id\n")
    with (root / "large").open("wb") as stream:
        stream.truncate(9 * 1024 * 1024)
    with definition.connect(root) as storage, pytest.raises(PermanentStorageError) as caught:
        ACTS[act](storage, root)
    assert "sig=" not in str(caught.value)
    return str(caught.value)


def gcs_spec(url: str, tokens: TokenServer, root: Path) -> GcsBucketSpec:
    """A bucket at this address, whose tokens come from a server that is honest."""
    (root / "key.json").write_text(tokens.key_text)
    return GcsBucketSpec.model_validate({"name": "p", "bucket": "b", "service_account_key": {"file": "key.json"}, "endpoint_url": url})


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("store", ["gcs", "azure", "s3"])
def test_redirect_is_not_followed(store: str, act: str, status: int, tokens: TokenServer, tmp_path: Path) -> None:
    with thief() as other, listening(lambda _method, path: (status, {"Location": f"{other.url}{path}"}, b"")) as liar:
        definition = gcs_spec(liar.url, tokens, tmp_path) if store == "gcs" else spec(store, liar.url, tmp_path)
        told = refusal(definition, act, tmp_path)
        assert liar.paths
        assert not other.paths
    assert "sends the request on to another address, which is not followed" in told
    assert store == "s3" or f"the server answered {status}" in told
    assert "(storage p)" in told


def test_redirect_of_the_content_alone_is_not_followed(tokens: TokenServer, tmp_path: Path) -> None:
    with thief() as other:

        def answer(_method: str, path: str) -> tuple[int, dict[str, str], bytes]:
            if "alt=media" in path:
                return 302, {"Location": f"{other.url}/latest/meta-data"}, b""
            return 200, {"Content-Type": "application/json"}, json.dumps(OBJECT).encode()

        with listening(answer) as liar:
            told = refusal(gcs_spec(liar.url, tokens, tmp_path), "read listed", tmp_path)
        assert not other.paths
    assert "is not followed" in told


def test_upload_that_is_to_go_to_another_host_is_not_begun(tokens: TokenServer, tmp_path: Path) -> None:
    def answer(_method: str, _path: str) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Location": f"{ELSEWHERE}/upload", "Content-Type": "application/json"}, b"{}"

    with listening(answer) as liar:
        told = refusal(gcs_spec(liar.url, tokens, tmp_path), "put in pieces", tmp_path)
    assert "the server sends the upload on to 192.0.2.1, which is not followed; correct endpoint_url" in told


def test_redirect_of_a_token_is_not_followed(tokens: TokenServer, tmp_path: Path) -> None:
    with thief() as other, listening(lambda _method, path: (307, {"Location": f"{other.url}{path}"}, b"")) as liar:
        tokens.key["token_uri"] = f"{liar.url}/token"
        told = refusal(gcs_spec(liar.url, tokens, tmp_path), "stat", tmp_path)
        assert liar.paths
        assert not other.paths
    assert "is not followed" in told


@pytest.mark.parametrize("body", [b"", b"no answer", b"<x/>", b"[]", b"{}"], ids=["nothing", "text", "xml", "array", "object"])
@pytest.mark.parametrize("act", ["list", "stat", "read", "read listed", "put", "put in pieces"])
@pytest.mark.parametrize("store", ["gcs", "azure", "s3"])
def test_answer_that_is_none_is_told_in_the_storages_errors(store: str, act: str, body: bytes, tokens: TokenServer, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"id\n")
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(9 * 1024 * 1024)
    with listening(lambda _method, _path: (200, {"Content-Type": "application/xml"}, body)) as liar:
        definition = gcs_spec(liar.url, tokens, tmp_path) if store == "gcs" else spec(store, liar.url, tmp_path)
        with definition.connect(tmp_path) as storage:
            try:
                ACTS[act](storage, tmp_path)
            except Exception as error:  # noqa: BLE001 (each kind is looked at)
                assert type(error).__name__ in {"PermanentStorageError", "TransientStorageError", "LimitError"}, repr(error)  # noqa: PT017
