"""The filesystem of GCS as others use it, and what gcsfs' own class does in its place where that would lose something."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import fsspec.config
import gcsfs
import pytest
from aiohttp import ClientConnectorError, ClientTimeout
from gcsfs.core import GCSFileSystem
from google.auth.credentials import AnonymousCredentials

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.intake_limits import IntakeLimits
from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.gcs import transport
from dinmo_pipeline.storages.gcs.filesystem import GcsFileSystem
from dinmo_pipeline.storages.gcs.refusals import OtherBytes, Refused, SentOn
from dinmo_pipeline.storages.gcs.spec import GcsBucketSpec
from dinmo_pipeline.storages.intake import LimitBroken
from dinmo_pipeline_tests.servers.certificates import make_certificates
from dinmo_pipeline_tests.servers.front import Front
from dinmo_pipeline_tests.servers.gcs import BUCKET, GcsServer, TokenServer, token_server
from dinmo_pipeline_tests.servers.lying_ftp import endless
from dinmo_pipeline_tests.servers.lying_http import lying_http
from dinmo_pipeline_tests.servers.running import HOST
from dinmo_pipeline_tests.storages.contract import MIB, local
from dinmo_pipeline_tests.storages.definitions import store_spec
from dinmo_pipeline_tests.waiting import PATIENCE_S

pytestmark = pytest.mark.xdist_group("gcs")

CUT = b"id,note\n1,first\n--==0==--\n2,second\n"
REFUSED = b'{"error": {"errors": [{"reason": "retentionPolicyNotMet"}], "message": "kept until 2030"}}'


def plain(url: str, **options: Any) -> GCSFileSystem:
    """Make gcsfs' core class as it is, but for its retries where they are not what is looked at."""
    return GCSFileSystem(token="anon", endpoint_url=url, use_listings_cache=False, skip_instance_cache=True, **options)


def ours(url: str, limits: IntakeLimits | None = None) -> GcsFileSystem:
    return GcsFileSystem(credentials=AnonymousCredentials(), answers=Answers(limits or IntakeLimits()), endpoint_url=url)


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither asks again."""
    monkeypatch.setattr(transport, "RETRY_SECONDS", 0)
    monkeypatch.setattr(GCSFileSystem, "_request", GCSFileSystem._request.__wrapped__)


@pytest.fixture
def fs(gcs_server: GcsServer) -> Iterator[GcsFileSystem]:
    made = ours(gcs_server.url())
    yield made
    made.close()


class TestUse:
    @pytest.mark.parametrize("size", [0, 12, 9 * MIB], ids=["empty", "small", "in pieces"])
    def test_file_is_put_looked_at_read_and_removed(self, size: int, fs: GcsFileSystem, tmp_path: Path) -> None:
        path, data = f"{BUCKET}/use {size}/a b%.csv", os.urandom(size)
        fs.put_file(local(tmp_path, data), path)
        assert fs.info(path)["size"] == size
        assert fs.ls(f"{BUCKET}/use {size}", detail=False) == [path]
        assert fs.cat_file(path) == data
        assert not size or fs.cat_file(path, 3, 7) == data[3:7]
        fs.get_file(path, tmp_path / "made" / "copy")
        assert (tmp_path / "made" / "copy").read_bytes() == data
        fs.cp_file(path, f"{path}.copy")
        fs.rm_file(path)
        with pytest.raises(FileNotFoundError, match=r"404 .*GET deliveries/use .*b%\.csv"):
            fs.look(path)
        with pytest.raises(FileNotFoundError):
            fs.info(path)

    def test_open_file_is_written_and_read(self, fs: GcsFileSystem) -> None:
        data = os.urandom(12 * MIB)
        with fs.open(f"{BUCKET}/opened.bin", "wb") as stream:
            stream.write(data)
        with fs.open(f"{BUCKET}/opened.bin", "rb") as stream:
            stream.seek(6 * MIB)
            assert stream.read() == data[6 * MIB :]

    @pytest.mark.parametrize("size", [12, 9 * MIB], ids=["small", "in pieces"])
    def test_staged_file_is_seen_when_it_is_committed(self, size: int, fs: GcsFileSystem, tmp_path: Path) -> None:
        path = f"{BUCKET}/staged {size}.csv"
        fs.discard(fs.stage(local(tmp_path, b"x" * size), path))
        staged = fs.stage(local(tmp_path, b"x" * size), path)
        assert not fs.exists(path)
        fs.commit(staged)
        assert fs.cat_file(path) == b"x" * size

    def test_upload_whose_caller_is_interrupted_is_given_up(self, tmp_path: Path) -> None:
        asked, given_up = list[str](), threading.Event()

        def answer(method: str, path: str) -> tuple[int, dict[str, str], bytes]:
            asked.append(method)
            if method == "POST":
                return 200, {"Location": f"{liar.url}/upload"}, b"{}"
            if method == "PUT":
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                given_up.wait(PATIENCE_S)
            given_up.set()
            return 499, {}, b""

        with lying_http(answer) as liar:
            with pytest.raises(KeyboardInterrupt):
                ours(liar.url).stage(local(tmp_path, b"x" * 9 * MIB), "b/a.csv")
            assert given_up.wait(PATIENCE_S)
        assert asked == ["POST", "PUT", "DELETE"]

    def test_write_if_writes_over_what_it_expects(self, fs: GcsFileSystem) -> None:
        path = f"{BUCKET}/conditional"
        first = fs.write_if(path, b"1", None, metadata={"writer": "a"})
        assert fs.write_if(path, b"2", None, metadata={"writer": "b"}) is None
        assert fs.write_if(path, b"3", first, metadata={"writer": "c"}) not in (None, first)
        assert fs.write_if(path, b"4", first, metadata={"writer": "d"}) is None
        assert fs.cat_file(path) == b"3"

    def test_child_after_a_fork_makes_its_own(self, fs: GcsFileSystem, gcs_server: GcsServer) -> None:
        fs.pipe_file(f"{BUCKET}/forked", b"x")
        with ProcessPoolExecutor(1, get_context("fork")) as pool:
            assert pool.submit(_read_in_child, gcs_server.url()).result(60) == b"x"
        assert fs.cat_file(f"{BUCKET}/forked") == b"x"

    def test_no_instance_is_shared(self, gcs_server: GcsServer) -> None:
        assert ours(gcs_server.url()) is not ours(gcs_server.url())

    def test_configuration_of_fsspec_changes_nothing(self, gcs_server: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
        elsewhere = {"endpoint_url": "http://192.0.2.1", "requester_pays": "somebody", "cache_timeout": 1000}
        monkeypatch.setitem(fsspec.config.conf, "gs", elsewhere)
        assert plain(gcs_server.url()).requester_pays == "somebody"
        made = ours(gcs_server.url())
        made.pipe_file(f"{BUCKET}/configured", b"x")
        assert made.requester_pays is False
        assert made.cat_file(f"{BUCKET}/configured") == b"x"
        google = GcsFileSystem(credentials=AnonymousCredentials(), answers=Answers(IntakeLimits()), endpoint_url=None)
        assert google._location == "https://storage.googleapis.com"

    def test_default_class_which_asks_by_grpc_is_not_used(self, fs: GcsFileSystem) -> None:
        assert not isinstance(fs, gcsfs.GCSFileSystem)
        assert isinstance(gcsfs.GCSFileSystem, type)
        assert gcsfs.GCSFileSystem is not GCSFileSystem


class TestWay:
    @pytest.mark.usefixtures("short_pauses")
    def test_server_must_show_a_certificate_that_is_trusted(
        self, gcs_tokens: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known = make_certificates(tmp_path)
        with lying_http(lambda *_: (200, {}, b"{}"), certificate=known.server) as liar:
            spec = store_spec("gcs", liar.url.replace("http:", "https:"), gcs_tokens, tmp_path)
            with spec.connect(tmp_path) as storage, pytest.raises(PermanentStorageError, match=r"no safe connection: .*certificate"):
                storage.list("raw")
            assert not liar.paths
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(known.authority))
            with spec.connect(tmp_path) as storage:
                assert storage.list("raw") == []

    def test_proxy_of_this_machine_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with lying_http(lambda *_: (200, {}, b'{"name": "a", "size": "3"}')) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            assert ours("http://store.invalid").look("b/a")["size"] == 3
            assert proxy.paths == ["http://store.invalid/storage/v1/b/b/o/a"]
            monkeypatch.setenv("NO_PROXY", "store.invalid")
            monkeypatch.setattr(transport, "RETRY_SECONDS", 0)
            with pytest.raises(ClientConnectorError):
                ours("http://store.invalid").look("b/a")


def _read_in_child(url: str) -> bytes:
    content: bytes = ours(url).cat_file(f"{BUCKET}/forked")
    return content


class TestSecrets:
    def test_key_is_in_nothing_that_is_shown_or_kept(self, gcs_server: GcsServer, gcs_tokens: TokenServer, tmp_path: Path) -> None:
        (tmp_path / "key.json").write_text(gcs_tokens.key_text)
        fields = {"name": "p", "bucket": BUCKET, "endpoint_url": gcs_server.url(), "service_account_key": {"file": "key.json"}}
        made = GcsBucketSpec.model_validate(fields).filesystem(tmp_path)
        made.pipe_file(f"{BUCKET}/secrets", b"x")
        try:
            as_json = made.to_json()
        except TypeError as error:
            as_json = str(error)
        shown = " ".join((repr(made), str(made), repr(made.storage_options), repr(made.storage_args), as_json))
        secrets = [line for line in gcs_tokens.key["private_key"].splitlines() if "-----" not in line] + gcs_tokens.tokens
        assert not [secret for secret in secrets if secret in shown]
        with pytest.raises(TypeError, match="holds a credential"):
            pickle.dumps(made)

    def test_token_that_is_refused_is_asked_for_anew_once(self, tmp_path: Path) -> None:
        with token_server() as tokens:

            def answer(_method: str, _path: str) -> tuple[int, dict[str, str], bytes]:
                return (200, {}, b'{"name": "a", "size": "0"}') if len(tokens.tokens) == 2 else (401, {}, b"")

            with lying_http(answer) as liar:
                spec = store_spec("gcs", liar.url, tokens, tmp_path)
                assert isinstance(spec, GcsBucketSpec)
                assert spec.filesystem(tmp_path).look("b/a")["size"] == 0
                tokens.tokens.append("a third")
                with pytest.raises(Refused, match="401"):
                    spec.filesystem(tmp_path).look("b/a")


@pytest.mark.usefixtures("once")
class TestWhereGcsfsLosesSomething:
    def test_line_that_is_its_separator_cuts_a_file(self, fs: GcsFileSystem, gcs_server: GcsServer, tmp_path: Path) -> None:
        path = f"{BUCKET}/separator.csv"
        plain(gcs_server.url()).put_file(local(tmp_path, CUT), path)
        assert fs.cat_file(path) == b"id,note\n1,first"

        ways: list[Callable[[bytes], object]] = [
            lambda data: fs.put_file(local(tmp_path, data), path),
            lambda data: fs.pipe_file(path, data),
            lambda data: fs.commit(fs.stage(local(tmp_path, data), path)),
            lambda data: _write(fs, path, data),
        ]
        for way in ways:
            for data in (CUT, CUT.replace(b"\n", b"\r\n")):
                way(data)
                assert fs.cat_file(path) == data

    def test_bytes_that_change_on_the_way_are_taken(self, gcs_server: GcsServer, tmp_path: Path) -> None:
        data, path = b"x" * 200_000, f"{BUCKET}/changed.csv"
        with Front.listening(gcs_server.port) as front:
            front.corrupt_writes(2)
            url = f"http://{HOST}:{front.own_port}"
            plain(url).pipe_file(path, data)
            with pytest.raises((OtherBytes, Refused)):
                ours(url).pipe_file(path, data)

    def test_reason_of_a_refusal_is_lost(self, gcs_server: GcsServer) -> None:
        with Front.listening(gcs_server.port) as front:
            front.fail_writes(2, 403, REFUSED)
            url = f"http://{HOST}:{front.own_port}"
            with pytest.raises(OSError, match="Forbidden") as theirs:
                plain(url).pipe_file(f"{BUCKET}/refused", b"x")
            with pytest.raises(PermissionError) as caught:
                ours(url).pipe_file(f"{BUCKET}/refused", b"x")
        assert "retentionPolicyNotMet" not in str(theirs.value)
        assert caught.value.reason == "retentionPolicyNotMet"  # type: ignore[attr-defined]

    def test_redirect_is_followed(self) -> None:
        with lying_http(lambda *_: (200, {}, b'{"name": "a", "generation": "1"}')) as other:
            with lying_http(lambda _method, path: (307, {"Location": f"{other.url}{path}"}, b"")) as liar:
                plain(liar.url).call("GET", "b/b/o/a")
                assert len(other.paths) == 1
                with pytest.raises(SentOn):
                    ours(liar.url).look("b/a")
            assert len(other.paths) == 1

    def test_answer_without_end_is_taken(self) -> None:
        with lying_http(lambda *_: (200, {}, endless(b" " * 65536))) as liar:
            taking = plain(liar.url)
            with pytest.raises(TimeoutError):
                asyncio.run_coroutine_threadsafe(asyncio.wait_for(taking._call("GET", "b/b/o/a"), 1), taking.loop).result()
            with pytest.raises(LimitBroken, match="longer than 100,000 bytes"):
                ours(liar.url, IntakeLimits(answer_bytes=100_000)).look("b/a")

    def test_server_that_takes_nothing_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "ANSWER_SECONDS", 1)
        with socket.create_server((HOST, 0)) as deaf:
            url = f"http://{HOST}:{deaf.getsockname()[1]}"
            waiting = plain(url, requests_timeout=ClientTimeout(total=None, sock_connect=1, sock_read=1))
            data = bytes(40 * MIB)
            with pytest.raises(TimeoutError) as caught:
                asyncio.run_coroutine_threadsafe(asyncio.wait_for(waiting._pipe_file("b/a", data), 4), waiting.loop).result()
            assert type(caught.value) is TimeoutError
            began = time.monotonic()
            with pytest.raises(TimeoutError, match="takes nothing of the request"):
                (giving_up := ours(url)).run(giving_up._pipe_file("b/a", data))
            assert time.monotonic() - began < 20

    def test_half_of_a_file_stays_of_a_write_that_fails(self, fs: GcsFileSystem, gcs_server: GcsServer) -> None:
        for number, made in enumerate((plain(gcs_server.url()), fs)):
            for size in (12, 8 * MIB):
                with pytest.raises(RuntimeError, match="in the middle"):
                    _fail(made, f"{BUCKET}/half {number} {size}", size)
        assert len(fs.ls(f"{BUCKET}", detail=False, prefix="half 0")) == 2
        assert fs.ls(f"{BUCKET}", detail=False, prefix="half 1") == []


def _write(made: GcsFileSystem, path: str, content: bytes) -> None:
    with made.open(path, "wb") as stream:
        stream.write(content)


def _fail(made: GCSFileSystem, path: str, size: int) -> None:
    with made.open(path, "wb") as stream:
        stream.write(b"x" * size)
        raise RuntimeError("in the middle")


def test_gcsfs_asks_again_and_again_and_ours_for_some_seconds(gcs_server: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "RETRY_SECONDS", 0.6)
    with Front.listening(gcs_server.port) as front:
        front.fail_writes(100, 503)
        with pytest.raises(Refused, match="503"):
            ours(f"http://{HOST}:{front.own_port}").pipe_file(f"{BUCKET}/again", b"x")
        assert len(front.requests) <= 2
        assert GCSFileSystem.retries == 6
