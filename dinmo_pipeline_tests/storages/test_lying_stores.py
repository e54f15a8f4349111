"""Object stores that lie: answers that never end, or hardly come, are ended in words, and take little memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count, repeat
from pathlib import Path

import pytest

from dinmo_pipeline.counted_sockets import CountedSocket
from dinmo_pipeline.errors import LimitError, StorageError, TransientStorageError
from dinmo_pipeline.intake_limits import IntakeLimits
from dinmo_pipeline.storages.answers import Answers, CountedAnswer
from dinmo_pipeline.storages.base import Storage
from dinmo_pipeline.storages.intake import LimitBroken, TransferCount
from dinmo_pipeline_tests.servers.gcs import TokenServer, token_server
from dinmo_pipeline_tests.servers.lying_ftp import dripping, endless
from dinmo_pipeline_tests.servers.lying_http import Answer, lying_http
from dinmo_pipeline_tests.servers.patience import short_pauses
from dinmo_pipeline_tests.storages.definitions import store_spec
from dinmo_pipeline_tests.storages.test_lying_servers import refusal, set_limits

__all__ = ["short_pauses"]

pytestmark = pytest.mark.usefixtures("short_pauses")

STORES = ("s3", "gcs", "azure")
ROWS = b"id,updated_at,age\n1,2022-03-15,31\n"
_DATE = "Mon, 01 Jan 2024 00:00:00 GMT"


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with token_server() as server:
        yield server


@dataclass(frozen=True)
class Store:
    """One kind of store, what its honest answers look like, and a project whose storage it is."""

    kind: str
    root: Path
    tokens: TokenServer

    @contextmanager
    def open(self, answer: Callable[[str, str], Answer], pause_s: float = 0.0) -> Iterator[Storage]:
        """A connection to one that answers so."""
        with lying_http(answer, pause_s) as liar, store_spec(self.kind, liar.url, self.tokens, self.root).connect(self.root) as storage:
            yield storage

    def told(
        self,
        act: Callable[[Storage], object],
        answer: Callable[[str, str], Answer],
        kind: type[StorageError] = LimitError,
        pause_s: float = 0.0,
    ) -> str:
        """What is said of that; it took little memory."""
        with self.open(answer, pause_s) as storage:
            return refusal(lambda: act(storage), kind)

    def page(self, names: Iterable[str] = (), more: str | None = None) -> bytes:
        """A page of the listing of the folder `raw`, and the token of the next one."""
        if self.kind == "gcs":
            items = [{"name": f"raw/{name}", "size": "3", "updated": "2024-01-01T00:00:00Z"} for name in names]
            return json.dumps({"items": items, **({} if more is None else {"nextPageToken": more})}).encode()
        if self.kind == "s3":
            facts = "<Size>3</Size><LastModified>2024-01-01T00:00:00Z</LastModified>"
            found = "".join(f"<Contents><Key>raw/{name}</Key>{facts}</Contents>" for name in names)
            token = "" if more is None else f"<IsTruncated>true</IsTruncated><NextContinuationToken>{more}</NextContinuationToken>"
            return f"<ListBucketResult>{found}{token}</ListBucketResult>".encode()
        facts = f"<Last-Modified>{_DATE}</Last-Modified><Content-Length>3</Content-Length><BlobType>BlockBlob</BlobType>"
        found = "".join(f"<Blob><Name>raw/{name}</Name><Properties>{facts}</Properties></Blob>" for name in names)
        start, end = '<EnumerationResults ServiceEndpoint="x" ContainerName="c"><Blobs>', f"</Blobs><NextMarker>{more or ''}</NextMarker>"
        return f"{start}{found}{end}</EnumerationResults>".encode()

    def pages(self, names: Callable[[int], Iterable[str]], most: int | None = None) -> Callable[[str, str], Answer]:
        """Page after page, each with these names by its number, up to `most` of them."""
        numbers = count(1)

        def answer(_method: str, _path: str) -> Answer:
            number = next(numbers)
            return self.answered(self.page(names(number), None if number == most else f"token{number}"))

        return answer

    def answered(self, body: bytes | Iterable[bytes], **headers: str) -> Answer:
        """An answer that is no file."""
        kind = "application/json" if self.kind == "gcs" else "application/xml"
        return 200, {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}, body

    def file(self, size: int, content: bytes | Iterable[bytes], status: int = 200) -> Callable[[str, str], Answer]:
        """One file, said to have so many bytes; asked for its content, it answers that."""
        facts = {"ETag": '"x"', "Last-Modified": _DATE, "x-ms-blob-type": "BlockBlob"}

        def answer(method: str, path: str) -> Answer:
            if self.kind == "gcs" and "alt=media" not in path:
                told = {"name": "a.csv", "bucket": "b", "generation": "1", "size": str(size), "updated": "2024-01-01T00:00:00Z"}
                return self.answered(json.dumps(told).encode())
            if method == "HEAD":
                return 200, {**facts, "Content-Length": str(size)}, b""
            ranged = {"Content-Range": f"bytes 0-{size - 1}/{size}"} if self.kind == "azure" else {}
            return (206 if ranged and status == 200 else status), {**facts, **(ranged if status == 200 else {})}, content

        return answer


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, tokens: TokenServer) -> Store:
    return Store(request.param, tmp_path, tokens)


def listing(storage: Storage) -> object:
    return storage.list("raw")


def read_listed(storage: Storage, root: Path) -> None:
    storage.read_listed("a.csv", root / "copy", len(ROWS))


class TestListings:
    def test_answer_without_end_is_ended(self, store: Store) -> None:
        told = store.told(listing, lambda *_: store.answered(endless(b"<x>" * 10_000)))
        assert "could not list the folder http://127.0.0.1:" in told
        assert "the server's answer is longer than 8,388,608 bytes" in told
        assert "raise answer_bytes in [tool.dinmo.limits] of pyproject.toml" in told

    def test_error_without_end_is_ended(self, store: Store) -> None:
        told = store.told(listing, lambda *_: (403, {}, endless(b"<x>" * 10_000)))
        assert "the server's answer is longer than 8,388,608 bytes" in told

    def test_answer_that_is_packed_a_thousandfold_is_ended(self, store: Store) -> None:
        bomb = gzip.compress(b" " * 1_000_000, 9) * 500
        assert len(bomb) < 1_000_000
        packed = store.answered(bomb, Content_Encoding="gzip")
        # boto3 unpacks nothing.
        told = store.told(listing, lambda *_: packed, StorageError)
        assert store.kind == "s3" or "the server's answer is longer than 8,388,608 bytes" in told

    # boto3 asks for nothing packed.
    @pytest.mark.parametrize("store", ["gcs", "azure"], indirect=True)
    def test_answer_that_is_packed_is_read(self, store: Store) -> None:
        packed = store.answered(gzip.compress(store.page(["a.csv"])), Content_Encoding="gzip")
        with store.open(lambda *_: packed) as storage:
            assert [file.name for file in storage.list("raw")] == ["a.csv"]

    @pytest.mark.parametrize("headers", [False, True])
    def test_answer_that_drips_is_ended(self, headers: bool, store: Store) -> None:
        set_limits(store.root, answer_seconds=1)
        dripped = dripping(b"x" * 10_000)
        answer = (0, {}, chain([b"HTTP/1.1 200 OK\r\nx: "], dripped)) if headers else store.answered(dripped)
        began = time.monotonic()
        told = store.told(listing, lambda *_: answer, pause_s=0.05)
        assert time.monotonic() - began < 10
        assert "the server's answer takes longer than 1 seconds" in told
        assert "raise answer_seconds in [tool.dinmo.limits] of pyproject.toml" in told

    def test_listing_of_slow_pages_is_ended(self, store: Store) -> None:
        set_limits(store.root, listing_seconds=1)
        page = store.pages(lambda number: [f"{number}.csv"])

        def slow(method: str, path: str) -> Answer:
            time.sleep(0.2)
            return page(method, path)

        told = store.told(listing, slow)
        assert "it takes longer than 1 seconds" in told
        assert "raise listing_seconds" in told

    @pytest.mark.parametrize("names", [[], ["a.csv", "b.csv"], ["folder/"]], ids=["empty", "files", "folders"])
    def test_pages_without_end_are_ended(self, names: list[str], store: Store) -> None:
        set_limits(store.root, listing_entries=50)
        told = store.told(listing, store.pages(lambda _: names))
        assert "more than 50 entries lie there" in told
        assert "raise listing_entries" in told

    def test_long_names_are_ended(self, store: Store) -> None:
        set_limits(store.root, listing_bytes=1_000_000)
        told = store.told(listing, store.pages(lambda number: [f"{number}{'n' * 100_000}"]))
        assert "the listing is longer than 1,000,000 bytes" in told
        assert "raise listing_bytes" in told

    def test_document_type_is_refused(self, store: Store) -> None:
        entities = "".join(f'<!ENTITY e{number + 1} "{f"&e{number};" * 10}">' for number in range(8))
        text = (
            f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "xxxxxxxxxx">{entities}]><ListBucketResult><Name>&e8;</Name></ListBucketResult>'
        )
        for status, encoding in ((200, "utf-8"), (403, "utf-8"), (200, "utf-16")):
            answer = (status, {"Content-Type": "application/xml"}, text.encode(encoding))
            told = store.told(listing, lambda *_, answer=answer: answer)
            assert "the answer has a document type, which no store sends; look at what answers there" in told

    @pytest.mark.parametrize("text", ["[" * 500_000, "<x>" * 500_000, '{"items": ' + "9" * 5_000 + "}"], ids=["json", "xml", "number"])
    def test_answer_of_odd_shape_is_told_in_the_storages_errors(self, text: str, store: Store) -> None:
        assert "could not list the folder" in store.told(listing, lambda *_: store.answered(text.encode()), StorageError)


class TestFiles:
    def test_file_without_end_is_ended(self, store: Store) -> None:
        told = store.told(lambda storage: read_listed(storage, store.root), store.file(len(ROWS), endless(b"x" * 65536)), StorageError)
        assert "could not read the file" in told
        assert (store.root / "copy").stat().st_size <= len(ROWS)

    def test_content_that_drips_is_ended(self, store: Store) -> None:
        set_limits(store.root, seconds_per_megabyte=1)
        began = time.monotonic()
        told = store.told(
            lambda storage: read_listed(storage, store.root), store.file(len(ROWS), dripping(ROWS)), StorageError, pause_s=0.05
        )
        assert time.monotonic() - began < 10
        assert "it came slower than a megabyte in 1 seconds" in told
        assert "raise seconds_per_megabyte" in told

    def test_error_without_end_in_place_of_the_content_is_ended(self, store: Store) -> None:
        answer = store.file(2**40, endless(b"x" * 65536), status=403)
        told = store.told(lambda storage: storage.read_listed("a.csv", store.root / "copy", 2**40), answer)
        assert "the server's answer is longer than 8,388,608 bytes" in told or "this machine's disk has" in told

    def test_trailers_without_end_are_ended(self, store: Store) -> None:
        pieces = chain([f"{len(ROWS):x}\r\n".encode(), ROWS, b"\r\n0\r\n"], endless((b"A: " + b"b" * 1000 + b"\r\n") * 60))
        file = store.file(len(ROWS), pieces)

        def answer(method: str, path: str) -> Answer:
            status, headers, content = file(method, path)
            return status, ({**headers, "Transfer-Encoding": "chunked"} if content is pieces else headers), content

        told = store.told(lambda storage: read_listed(storage, store.root), answer, StorageError)
        assert "bytes came, of which" in told or "the server's answer is longer than" in told

    def test_size_of_an_exabyte_is_not_begun(self, store: Store) -> None:
        answer = store.file(2**50, endless(b"x" * 65536))
        told = store.told(lambda storage: read_listed(storage, store.root), answer, StorageError)
        # Azure's client has read a part before it tells the size.
        expected = "is longer than 41,943,040" if store.kind == "azure" else f"shows it with {len(ROWS)} bytes, and the server has more"
        assert expected in told

    def test_size_of_a_large_file_is_told_without_its_content(self, store: Store) -> None:
        with store.open(store.file(2**40, b"")) as storage:
            found = storage.stat("a.csv")
        assert found is not None
        assert found.size == 2**40

    def test_length_of_a_pebibyte_takes_no_memory(self, store: Store) -> None:
        pieces = [ROWS]
        file = store.file(len(ROWS), pieces)

        def answer(method: str, path: str) -> Answer:
            status, headers, content = file(method, path)
            return status, ({**headers, "Content-Length": str(2**50)} if content is pieces else headers), content

        store.told(lambda storage: read_listed(storage, store.root), answer, StorageError)

    @pytest.mark.parametrize("act", ["stat", "put", "put in pieces", "delete"])
    def test_other_answers_are_ended_as_well(self, act: str, store: Store) -> None:
        (store.root / "small").write_bytes(ROWS)
        with (store.root / "large").open("wb") as stream:
            stream.truncate(9 * 1024 * 1024)
        acts: dict[str, Callable[[Storage], object]] = {
            "stat": lambda storage: storage.stat("a.csv"),
            "put": lambda storage: storage.put(store.root / "small", "a.csv"),
            "put in pieces": lambda storage: storage.put(store.root / "large", "a.csv"),
            "delete": lambda storage: storage.delete("a.csv"),
        }
        set_limits(store.root, answer_seconds=1)
        head: Answer = (0, {}, chain([b"HTTP/1.1 200 OK\r\nETag: "], repeat(b"x")))
        told = store.told(acts[act], lambda *_: head, pause_s=0.05)
        assert "the server's answer takes longer than 1 seconds" in told

    @pytest.mark.parametrize("store", ["gcs"], indirect=True)
    def test_server_of_tokens_is_bound_as_well(self, store: Store) -> None:
        set_limits(store.root, answer_seconds=1)
        with lying_http(lambda *_: store.answered(dripping(b"x" * 10_000)), 0.05) as slow:
            store.tokens.key["token_uri"] = f"{slow.url}/token"
            told = store.told(lambda storage: storage.stat("a.csv"), lambda *_: store.answered(b"{}"))
        assert "the server's answer takes longer than 1 seconds" in told

    # Only boto3 waits for that answer.
    @pytest.mark.parametrize("store", ["s3"], indirect=True)
    def test_server_that_hangs_up_after_its_100_is_told(self, store: Store) -> None:
        (store.root / "small").write_bytes(ROWS)
        began = time.monotonic()
        answer: Answer = (0, {}, [b"HTTP/1.1 100 Continue\r\n"])
        store.told(lambda storage: storage.put(store.root / "small", "a.csv"), lambda *_: answer, TransientStorageError)
        assert time.monotonic() - began < 30


class TestMoves:
    @pytest.mark.parametrize("store", ["gcs", "azure"], indirect=True)
    def test_copy_that_is_never_done_is_ended(self, store: Store) -> None:
        set_limits(store.root, answer_seconds=1)
        unfinished = {"done": False, "rewriteToken": "again", "totalBytesRewritten": "0", "objectSize": "10"}
        pending = {"ETag": '"x"', "Last-Modified": _DATE, "x-ms-copy-id": "1", "x-ms-copy-status": "pending", "x-ms-blob-type": "BlockBlob"}

        def answer(method: str, _path: str) -> Answer:
            if store.kind == "gcs":
                return store.answered(json.dumps(unfinished).encode())
            return (202 if method == "PUT" else 200), pending, b""

        told = store.told(lambda storage: storage.move("a.csv", "b.csv"), answer)
        assert "could not move" in told
        assert "the server's answer takes longer than 1 seconds" in told

    @pytest.mark.parametrize("store", ["gcs"], indirect=True)
    def test_store_that_takes_a_byte_of_each_piece_is_refused(self, store: Store) -> None:
        (store.root / "large").write_bytes(b"x" * (9 * 1024 * 1024))
        asked: list[str] = []
        address: list[str] = []

        def answer(method: str, _path: str) -> Answer:
            asked.append(method)
            if method == "POST":
                return 200, {"Location": f"{address[0]}/upload"}, b""
            return 308, {"Range": f"bytes=0-{len(asked)}"}, b""

        with lying_http(answer) as liar, store_spec("gcs", liar.url, store.tokens, store.root).connect(store.root) as storage:
            address.append(liar.url)
            refusal(lambda: storage.put(store.root / "large", "a.csv"), StorageError)
        assert asked.count("PUT") == 1

    def test_long_refusal_is_cut_and_shows_nothing_that_nobody_sees(self, store: Store) -> None:
        code = "E" * 30_000
        bodies = {
            "s3": f"<Error><Code>{code}&#x9b;</Code></Error>".encode(),
            "azure": b"",
            "gcs": json.dumps({"error": {"code": 403, "errors": [{"reason": f"\x1b[2J\n{code}"}]}}).encode(),
        }
        told = store.told(listing, lambda *_: (403, {"x-ms-error-code": code}, bodies[store.kind]), StorageError)
        assert len(told) < 2_100
        assert told.isprintable()


@pytest.mark.parametrize(
    ("head", "is_content"), [(b"HTTP/1.1 200 OK", True), (b"HTTP/1.0 206", True), (b"HTTP/1.1 500", False), (b"HTTP/1.112 500", False)]
)
def test_only_an_answer_that_brings_what_was_asked_for_may_be_long(head: bytes, is_content: bool, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    answers = Answers(IntakeLimits(answer_bytes=100))
    with answers.counted_by(TransferCount(descriptor, IntakeLimits(answer_bytes=100))):
        counted = CountedSocket(FakeConnection(head + b"\r\n" + b"x" * 1000), lambda: CountedAnswer(answers)).makefile("rb")
        if is_content:
            assert len(counted.read()) > 1000
        else:
            with pytest.raises(LimitBroken, match="longer than 100 bytes"):
                counted.read()
    os.close(descriptor)


class FakeConnection:
    """A connection over which this comes."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def gettimeout(self) -> float | None:
        return None

    def settimeout(self, _: float) -> None:
        pass

    def makefile(self, _mode: str, buffering: int) -> io.BytesIO:
        assert buffering == 0
        return io.BytesIO(self._content)
