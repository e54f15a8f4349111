"""Stores that send requests on to another host: nobody goes there, whatever is asked, and it is told in the storage's own errors.

No real store does what these do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.storages.base import Storage, StorageSpec
from dinmo_pipeline_tests.servers.gcs import TokenServer, token_server
from dinmo_pipeline_tests.servers.lying_http import LyingHttp, lying_http
from dinmo_pipeline_tests.servers.patience import short_pauses
from dinmo_pipeline_tests.storages.definitions import store_spec

__all__ = ["short_pauses"]

pytestmark = pytest.mark.usefixtures("short_pauses")

OBJECT = {"kind": "storage#object", "name": "a.csv", "bucket": "b", "generation": "1", "size": "3", "updated": "2024-01-01T00:00:00Z"}
# TEST-NET-1: a host that is nobody's.
ELSEWHERE = "http://192.0.2.1/latest/meta-data"


@contextmanager
def thief() -> Iterator[LyingHttp]:
    """The other host, which takes all."""
    with lying_http(lambda _method, _path: (200, {"ETag": '"x"'}, b"{}")) as other:
        yield other


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


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("store", ["gcs", "azure", "s3"])
def test_redirect_is_not_followed(store: str, act: str, status: int, tokens: TokenServer, tmp_path: Path) -> None:
    with thief() as other, lying_http(lambda _method, path: (status, {"Location": f"{other.url}{path}"}, b"")) as liar:
        definition = store_spec(store, liar.url, tokens, tmp_path)
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

        with lying_http(answer) as liar:
            told = refusal(store_spec("gcs", liar.url, tokens, tmp_path), "read listed", tmp_path)
        assert not other.paths
    assert "is not followed" in told


def test_upload_that_is_to_go_to_another_host_is_not_begun(tokens: TokenServer, tmp_path: Path) -> None:
    def answer(_method: str, _path: str) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Location": f"{ELSEWHERE}/upload", "Content-Type": "application/json"}, b"{}"

    with lying_http(answer) as liar:
        told = refusal(store_spec("gcs", liar.url, tokens, tmp_path), "put in pieces", tmp_path)
    assert "the server sends the upload on to 192.0.2.1, which is not followed; correct endpoint_url" in told


def test_redirect_of_a_token_is_not_followed(tokens: TokenServer, tmp_path: Path) -> None:
    with thief() as other, lying_http(lambda _method, path: (307, {"Location": f"{other.url}{path}"}, b"")) as liar:
        tokens.key["token_uri"] = f"{liar.url}/token"
        told = refusal(store_spec("gcs", liar.url, tokens, tmp_path), "stat", tmp_path)
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
    with lying_http(lambda _method, _path: (200, {"Content-Type": "application/xml"}, body)) as liar:
        definition = store_spec(store, liar.url, tokens, tmp_path)
        with definition.connect(tmp_path) as storage:
            try:
                ACTS[act](storage, tmp_path)
            except Exception as error:  # noqa: BLE001 (each kind is looked at)
                assert type(error).__name__ in {"PermanentStorageError", "TransientStorageError", "LimitError"}, repr(error)  # noqa: PT017
