"""WebDAV servers that lie: what never ends is ended, what is odd of one file is of that alone, and nobody goes where a server sends."""

from __future__ import annotations

import base64
import gzip
import time
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from dinmo_pipeline.errors import LimitError, StorageError
from dinmo_pipeline.masking import masked
from dinmo_pipeline.storages.base import Storage
from dinmo_pipeline.storages.filesystem.spec import FilesystemSpec
from dinmo_pipeline_tests.servers.lying_ftp import ROWS, dripping
from dinmo_pipeline_tests.servers.lying_http import Answer, lying_http
from dinmo_pipeline_tests.servers.lying_webdav import endless_folder, entry, folder_with, multistatus
from dinmo_pipeline_tests.storages.test_lying_servers import refusal, set_limits

HONEST = entry("/dav/raw/honest.csv")


def spec(url: str, root: Path) -> FilesystemSpec:
    """The server by a password, which is written to `root`."""
    (root / "password").write_text("hunter22-of-dav")
    options = {"base_url": f"{url}/dav", "username": "shop", "password": {"file": "password"}}
    return FilesystemSpec.model_validate({"name": "partner", "url": "webdav://", "options": options, "retry_for": 0})


def connected(root: Path, answer: Callable[[str, str], Answer], act: Callable[[Storage], object], pause_s: float = 0.0) -> object:
    """What is done with a connection to a server that answers so."""
    with lying_http(answer, pause_s) as liar, spec(liar.url, root).connect(root) as storage:
        return act(storage)


def told(
    root: Path,
    answer: Callable[[str, str], Answer],
    act: Callable[[Storage], object] = lambda storage: storage.list("raw"),
    kind: type[StorageError] = LimitError,
    pause_s: float = 0.0,
) -> str:
    """What the storage says to a server that answers so; it took little memory."""
    return refusal(lambda: connected(root, answer, act, pause_s), kind)


def file_of(size: object, content: Answer) -> Callable[[str, str], Answer]:
    """One file, said to have so many bytes, and what comes when its content is asked for."""

    def answer(method: str, path: str) -> Answer:
        if method != "PROPFIND":
            return content
        return multistatus(b'<D:multistatus xmlns:D="DAV:">' + entry(path, size) + b"</D:multistatus>")

    return answer


class TestListings:
    @pytest.mark.parametrize(
        ("piece", "limit", "found"),
        [
            (entry("/dav/raw/a.csv") * 1000, {"listing_bytes": 1_000_000}, "the listing is longer than 1,000,000 bytes"),
            (entry("/dav/raw/a.csv") * 1000, {"listing_entries": 500}, "more than 500 entries lie there"),
            (entry("/dav/raw/a", is_folder=True) * 1000, {"listing_entries": 500}, "more than 500 entries lie there"),
            (entry("/elsewhere/a.csv") * 1000, {"listing_entries": 500}, "more than 500 entries lie there"),
            (b"x" * 65536, {"listing_bytes": 1_000_000}, "the listing is longer than 1,000,000 bytes"),
        ],
        ids=["files by bytes", "files", "folders", "files elsewhere", "one text"],
    )
    def test_listing_without_end_is_ended(self, piece: bytes, limit: dict[str, int], found: str, tmp_path: Path) -> None:
        set_limits(tmp_path, **limit)
        said = told(tmp_path, lambda *_: multistatus(endless_folder("/dav/raw", repeat(piece))))
        assert f"could not list the folder raw on webdav:// (storage partner): {found}" in said
        assert f"raise {next(iter(limit))} in [tool.dinmo.limits] of pyproject.toml" in said

    def test_listing_that_drips_is_ended(self, tmp_path: Path) -> None:
        set_limits(tmp_path, listing_seconds=1)
        began = time.monotonic()
        said = told(tmp_path, lambda *_: multistatus(dripping(folder_with("/dav/raw", HONEST) * 100)), pause_s=0.05)
        assert "it takes longer than 1 seconds" in said
        assert time.monotonic() - began < 60

    @pytest.mark.parametrize("layers", [1, 2])
    def test_listing_that_is_packed_a_thousandfold_is_not_unpacked(self, layers: int, tmp_path: Path) -> None:
        packed = gzip.compress(b" " * 300_000_000, 9)
        for _ in range(layers - 1):
            packed = gzip.compress(packed)
        said = told(tmp_path, lambda *_: multistatus(packed, Content_Encoding=", ".join(["gzip"] * layers)), kind=StorageError)
        assert "is no XML" in said

    @pytest.mark.parametrize("status", [200, 207, 403])
    @pytest.mark.parametrize("act", ["stat", "put", "delete", "make_folder"])
    def test_other_answers_without_end_are_ended(self, act: str, status: int, tmp_path: Path) -> None:
        (tmp_path / "small").write_bytes(ROWS)
        acts: dict[str, Callable[[Storage], object]] = {
            "stat": lambda storage: storage.stat("a.csv"),
            "put": lambda storage: storage.put(tmp_path / "small", "a.csv"),
            "delete": lambda storage: storage.delete("a.csv"),
            "make_folder": lambda storage: storage.make_folder("a"),
        }
        told(tmp_path, lambda *_: (status, {}, repeat(b"x" * 65536)), acts[act], StorageError)

    def test_interim_answers_without_end_are_ended(self, tmp_path: Path) -> None:
        set_limits(tmp_path, answer_bytes=100_000)
        said = told(tmp_path, lambda *_: (0, {}, repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)))
        assert "the server's answer is longer than 100,000 bytes" in said

    def test_document_type_is_refused(self, tmp_path: Path) -> None:
        text = f'<!DOCTYPE x [<!ENTITY e "{"x" * 100_000}">]><D:multistatus xmlns:D="DAV:">{"<D:a>&e;</D:a>" * 90}</D:multistatus>'
        for encoding in ("utf-8", "utf-16"):
            said = told(tmp_path, lambda *_, encoding=encoding: multistatus(text.encode(encoding)))
            assert "the answer has a document type, which no server of files sends" in said

    @pytest.mark.parametrize("act", ["list", "delete"])
    def test_answers_inside_of_answers_are_refused(self, act: str, tmp_path: Path) -> None:
        nested = b'<D:multistatus xmlns:D="DAV:">' + b"<D:response><D:href>/dav/raw/a</D:href>" * 100_000

        def answer(method: str, path: str) -> Answer:
            return file_of(3, multistatus(nested))(method, path) if act == "delete" else multistatus(nested)

        began = time.monotonic()
        acts: dict[str, Callable[[Storage], object]] = {"list": lambda storage: storage.list("raw"), "delete": lambda s: s.delete("raw/a")}
        assert "the answer is nested more than 100 levels deep" in told(tmp_path, answer, acts[act])
        assert time.monotonic() - began < 60

    @pytest.mark.parametrize(
        "odd",
        [
            *(entry("/dav/raw/odd.csv", size) for size in ("²", "9" * 5000, "1e3", "0x10", "-1", "3_000", "")),
            entry(""),
            entry("http://[::1/dav/raw/odd.csv"),
            entry("/etc/passwd"),
            entry("/dav/raw/../../etc/odd.csv"),
            entry("/dav/raw/..%2f..%2fetc%2fodd.csv"),
            entry("/dav/raw/deeper/odd.csv"),
            entry("http://192.0.2.1/other/odd.csv"),
        ],
    )
    def test_what_nobody_can_read_of_one_file_is_of_that_file_alone(self, odd: bytes, tmp_path: Path) -> None:
        answer = multistatus(folder_with("/dav/raw", odd, HONEST))
        with lying_http(lambda *_: answer) as liar, spec(liar.url, tmp_path).connect(tmp_path) as storage:
            listing = storage.list("raw")
        assert [file.name for file in listing] == ["honest.csv"]
        assert len(listing.unread) == 1

    @pytest.mark.parametrize("time_told", ["no date", "Mon, 01 Jan 99999 00:00:00 GMT", "9" * 6000, ""])
    def test_time_that_is_none_is_of_that_file_alone(self, time_told: str, tmp_path: Path) -> None:
        answer = multistatus(folder_with("/dav/raw", entry("/dav/raw/odd.csv", modified=time_told, created=time_told), HONEST))
        with lying_http(lambda *_: answer) as liar, spec(liar.url, tmp_path).connect(tmp_path) as storage:
            assert [(file.name, file.modified is None) for file in storage.list("raw")] == [("odd.csv", True), ("honest.csv", False)]

    def test_fact_that_is_missing_may_be_told_in_an_empty_place(self, tmp_path: Path) -> None:
        missing = b"<D:propstat><D:prop><D:getcontentlength/></D:prop><D:status>HTTP/1.1 404 no</D:status></D:propstat>"
        told_twice = HONEST.replace(b"<D:propstat>", missing + b"<D:propstat>", 1)
        answer = multistatus(folder_with("/dav/raw", told_twice))
        with lying_http(lambda *_: answer) as liar, spec(liar.url, tmp_path).connect(tmp_path) as storage:
            assert [(file.name, file.size) for file in storage.list("raw")] == [("honest.csv", 3)]


class TestFiles:
    def test_file_without_end_is_ended(self, tmp_path: Path) -> None:
        endless: Answer = (200, {}, repeat(b"x" * 65536))
        for read in (lambda s: s.read("a.csv", tmp_path / "copy"), lambda s: s.read_listed("a.csv", tmp_path / "copy", 3)):
            assert "the listing shows it with 3 bytes, and the server has more" in told(tmp_path, file_of(3, endless), read)
        assert (tmp_path / "copy").stat().st_size == 0

    def test_content_that_drips_is_ended(self, tmp_path: Path) -> None:
        set_limits(tmp_path, seconds_per_megabyte=1)
        answer = file_of(len(ROWS), (200, {}, dripping(ROWS)))
        began = time.monotonic()
        said = told(tmp_path, answer, lambda storage: storage.read("a.csv", tmp_path / "copy"), pause_s=0.05)
        assert "it came slower than a megabyte in 1 seconds" in said
        assert time.monotonic() - began < 60

    def test_packed_file_is_kept_as_it_is_stored(self, tmp_path: Path) -> None:
        packed = gzip.compress(ROWS)
        answer = file_of(len(packed), (200, {"Content-Encoding": "gzip"}, packed))
        connected(tmp_path, answer, lambda storage: storage.read("a.csv.gz", tmp_path / "copy"))
        assert (tmp_path / "copy").read_bytes() == packed

    def test_limit_that_was_broken_is_of_that_action_alone(self, tmp_path: Path) -> None:
        answers: Iterator[Answer] = chain(
            [multistatus(endless_folder("/dav/raw", repeat(HONEST * 1000)))], repeat(multistatus(folder_with("/dav/raw", HONEST)))
        )
        set_limits(tmp_path, listing_entries=500)
        with lying_http(lambda *_: next(answers)) as liar, spec(liar.url, tmp_path).connect(tmp_path) as storage:
            with pytest.raises(LimitError):
                storage.list("raw")
            assert [file.name for file in storage.list("raw")] == ["honest.csv"]

    def test_cookies_are_not_kept(self, tmp_path: Path) -> None:
        answer = multistatus(folder_with("/dav/raw", HONEST), Set_Cookie=f"a={'x' * 1000}; Path=/")
        with lying_http(lambda *_: answer) as liar, spec(liar.url, tmp_path).connect(tmp_path) as storage:
            storage.list("raw")
            assert list(storage._fs.client.http.cookies.jar) == []

    def test_login_that_a_server_repeats_is_masked(self, tmp_path: Path) -> None:
        with lying_http(lambda *_: (500, {}, b"")) as liar, spec(liar.url, tmp_path).connect(tmp_path):
            repeated = base64.b64encode(b"shop:hunter22-of-dav").decode()
            assert repeated.rstrip("=") not in masked(f"HTTP/1.1 500 no Basic {repeated}")
