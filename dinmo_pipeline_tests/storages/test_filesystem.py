"""`Filesystem`: what any fsspec filesystem is made to promise, and what is refused because it promises nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import fsspec
import fsspec.config
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pydantic import ValidationError

from dinmo_pipeline.errors import PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.masking import masked
from dinmo_pipeline.secrets import remember_secrets
from dinmo_pipeline.storages.filesystem import session
from dinmo_pipeline.storages.filesystem.errors import cause_of
from dinmo_pipeline.storages.filesystem.spec import FilesystemSpec
from dinmo_pipeline.storages.filesystem.ways import filesystem_class, rename_of
from dinmo_pipeline.storages.probe import check_storage
from dinmo_pipeline_tests.storages.contract import content, local


class Copying(MemoryFileSystem):  # type: ignore[misc]
    """A filesystem without a rename, that shows files while they are written: most that are told of nothing."""

    protocol = "copying"
    store: dict[str, Any] = {}  # noqa: RUF012 - as in its parent
    pseudo_dirs = [""]  # noqa: RUF012

    def start_transaction(self) -> None:
        """It takes part in none."""


class Renaming(Copying):
    """Renames over no file, and takes the patterns of `rm` and `mv` at their word."""

    protocol = "renaming"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        if path2 in self.store:
            raise FileExistsError(path2)
        self.store[path2] = self.store.pop(path1)


class Silent(Renaming):
    """Answers a rename that it has not done as one that it has."""

    protocol = "silent"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        return None


class Cached(Renaming):
    """Tells of files what it was told the first time."""

    protocol = "remembering"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        found = self.dircache[path] if path in self.dircache else super().ls(path, detail=True)
        self.dircache[path] = found
        return found


for _kind in (Copying, Renaming, Silent, Cached):
    fsspec.register_implementation(_kind.protocol, _kind, clobber=True)


def spec(url: str, **fields: object) -> FilesystemSpec:
    return FilesystemSpec.model_validate({"name": "any", "url": url, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"url": "sftp://partner/in"}, "use dinmo_pipeline.SftpServer"),
        ({"url": "ssh://partner/in"}, "use dinmo_pipeline.SftpServer"),
        ({"url": "ftp://partner/in"}, "use dinmo_pipeline.FtpServer"),
        ({"url": "gs://bucket/in"}, "use dinmo_pipeline.GcsBucket"),
        ({"url": "gcs://bucket/in"}, "use dinmo_pipeline.GcsBucket"),
        ({"url": "az://container/in"}, "use dinmo_pipeline.AzureContainer"),
        ({"url": "abfs://container/in"}, "use dinmo_pipeline.AzureContainer"),
        ({"url": "s3://bucket/in"}, "use dinmo_pipeline.S3Bucket"),
        ({"url": "file:///in"}, "use dinmo_pipeline.LocalFolder"),
        ({"url": "local:///in"}, "use dinmo_pipeline.LocalFolder"),
        ({"url": "simplecache::smb://nas/in"}, "without caches and chains"),
        ({"url": "filecache::smb://nas/in"}, "without caches and chains"),
        ({"url": "blockcache://nas/in"}, "without caches and chains"),
        ({"url": "zip://in.csv::smb://nas/in.zip"}, "without caches and chains"),
        ({"url": "nas/exports"}, "expected an address of fsspec"),
        ({"url": "http://partner/in"}, "is no storage: nothing can be written or moved there"),
        ({"url": "https://partner/in"}, "is no storage: nothing can be written or moved there"),
        ({"url": "smb://shop:hunter22@nas/exports"}, "it holds a secret"),
        ({"url": "oss://bucket/in?token=hunter22"}, "it holds a secret"),
        ({"url": "smb://nas/in", "options": {"password": "hunter22"}}, "because secrets are never written in YAML"),
        ({"url": "dav://", "options": {"auth": ["shop", "hunter22"]}}, "because secrets are never written in YAML"),
        ({"url": "dav://", "options": {"headers": {"api_key": "hunter22"}}}, "because secrets are never written in YAML"),
    ],
)
def test_address_that_is_not_for_this_kind_says_what_to_do(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        FilesystemSpec.model_validate({"name": "any", **fields})
    assert "hunter22" not in str([each["msg"] for each in caught.value.errors(include_input=False)])


def test_address_names_the_consumer_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_USER", "shop")
    options = {"username": {"env": "NAS_USER"}, "password": {"env": "NAS_PASSWORD"}, "timeout": 5}
    made = spec("smb://nas/exports/", options=options)
    assert made.address == "smb://nas/exports username={env: NAS_USER}"
    assert made.resolved_address(tmp_path) == 'smb://nas/exports username="shop"'


@pytest.mark.parametrize("address", ["https://shop:hunter22@cloud.example/dav", "https://cloud.example/dav?token=hunter22"])
def test_address_that_is_kept_elsewhere_may_hold_no_secret(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD", address)
    made = spec("webdav://in", options={"base_url": {"env": "CLOUD"}})
    for act in (made.resolved_address, made.connect):
        with pytest.raises(PermanentStorageError, match=r"could not use base_url of storage any: \{env: CLOUD\} holds a secret") as caught:
            act(tmp_path)
        assert "hunter22" not in str(caught.value)


def test_secrets_at_any_depth_are_masked_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEP_ONE", "hunter-of-the-first")
    monkeypatch.setenv("DEEP_TWO", "hunter-of-the-second")
    options = {"auth": ["shop", {"env": "DEEP_ONE"}], "headers": {"x-key": {"env": "DEEP_TWO"}}}
    remember_secrets([spec("dav://", options=options)], tmp_path)
    assert masked("hunter-of-the-first, hunter-of-the-second") == "***, ***"


def test_library_that_is_missing_is_named() -> None:
    with pytest.raises(PermanentStorageError, match=r"Please install boxfs.*this project's environment"):
        filesystem_class("box")
    with pytest.raises(PermanentStorageError, match="no fsspec filesystem for nowhere:// is installed"):
        filesystem_class("nowhere")


def test_definitions_load_without_fsspec_and_its_filesystems() -> None:
    code = "import sys, dinmo_pipeline.storages; print([n for n in ('fsspec', 'smbclient', 'webdav4', 'httpx') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("protocol", "renames"),
    [("memory", None), ("copying", None), ("renaming", "mv"), ("smb", "mv"), ("webdav", "mv"), ("hdfs", "mv"), ("webhdfs", "mv")],
)
def test_rename_is_what_the_class_declares_and_no_copy(protocol: str, renames: str | None) -> None:
    assert rename_of(filesystem_class(protocol)) == renames


def test_move_of_the_plain_webdav_class_is_a_copy() -> None:
    from webdav4.fsspec import WebdavFileSystem

    assert rename_of(WebdavFileSystem) is None


def test_filesystem_that_promises_nothing_is_refused_and_read_all_the_same(tmp_path: Path) -> None:
    with spec("copying://in", publish="direct").connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"x"), "a.csv")
    with spec("copying://in").connect(tmp_path) as storage:
        assert content(storage, tmp_path, "a.csv") == b"x"
        for act in (storage.put, storage.upload):
            with pytest.raises(PermanentStorageError, match=r"nothing was written; set `publish: direct`"):
                act(local(tmp_path, b"other"), "a.csv")
        assert content(storage, tmp_path, "a.csv") == b"x"


def test_commit_where_a_file_shows_before_it_is_refused_before_a_row_is_shown(tmp_path: Path) -> None:
    with spec("copying://shown", publish="commit").connect(tmp_path) as storage:
        with pytest.raises(PermanentStorageError, match="shows a file before it is committed, so nothing was written"):
            storage.put(local(tmp_path, b"x"), "a.csv")
        assert storage.list(".") == []


def test_upload_that_was_given_up_is_never_shown(tmp_path: Path) -> None:
    with spec("memory://given-up").connect(tmp_path) as storage:
        upload = storage.upload(local(tmp_path, b"x"), "a.csv")
        assert not storage.exists("a.csv")
        storage.abort(upload)
        assert not storage.exists("a.csv")


def test_move_over_a_file_where_it_renames_over_none(tmp_path: Path) -> None:
    with spec("renaming://in").connect(tmp_path) as storage:
        for name, data in (("star*.csv", b"old"), ("starfish.csv", b"fish"), (".part", b"new")):
            storage.put(local(tmp_path, data), name)
        storage.move(".part", "star*.csv")
        assert content(storage, tmp_path, "star*.csv") == b"new"
        assert content(storage, tmp_path, "starfish.csv") == b"fish"
        storage.delete("star*.csv")
        assert [file.name for file in storage.list(".")] == ["starfish.csv"]


def test_move_that_was_not_done_is_no_success(tmp_path: Path) -> None:
    with spec("silent://in").connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"new"), ".part")
        with pytest.raises(PermanentStorageError, match="the file keeps its temporary name"):
            storage.move(".part", "a.csv")
        assert content(storage, tmp_path, ".part") == b"new"


def test_listing_is_never_one_of_before(tmp_path: Path) -> None:
    with spec("remembering://in").connect(tmp_path) as storage:
        for name in ("a.csv", "b.csv"):
            storage.put(local(tmp_path, b"x"), name)
            assert name in [file.name for file in storage.list(".")]


def test_filesystem_belongs_to_one_connection_and_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANY_TOKEN", "hunter-of-tokens")
    made = spec("renaming://in", options={"token": {"env": "ANY_TOKEN"}})
    one, two = made.filesystem(tmp_path), made.filesystem(tmp_path)
    assert one is not two
    assert "hunter-of-tokens" not in one.to_json() + repr(one) + repr(made)


def test_settings_of_fsspec_change_no_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fsspec.config.conf, "memory", {"global_store": False})
    with spec("memory://settings").connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"x"), "a.csv")
    with spec("memory://settings").connect(tmp_path) as storage:
        assert storage.exists("a.csv")


def test_call_that_never_returns_ends_as_a_fault_that_may_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(session, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(Renaming, "info", lambda *_, **__: released.wait())
    began = time.monotonic()
    with spec("renaming://in").connect(tmp_path) as storage:
        with pytest.raises(TransientStorageError, match="no answer came in time"):
            storage.stat("a.csv")
        with pytest.raises(TransientStorageError, match="no answer came in time"):
            storage.put(local(tmp_path, b"x"), "a.csv")
    released.set()
    assert time.monotonic() - began < 10


def test_write_that_hangs_is_never_completed_by_and_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released, ended, closed = threading.Event(), threading.Event(), list[str]()

    class Hanging:
        def write(self, block: bytes) -> int:
            released.wait()
            return len(block)

        def discard(self) -> None:
            ended.set()

        def close(self) -> None:
            closed.append("closed, and so completed")

    monkeypatch.setattr(session, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(Renaming, "_open", lambda *_, **__: Hanging())
    with spec("renaming://in").connect(tmp_path) as storage, pytest.raises(TransientStorageError, match="no answer came in time"):
        storage.put(local(tmp_path, b"x"), "a.csv")
    released.set()
    assert ended.wait(10)
    assert not closed


def test_slow_connection_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    class Slow(Renaming):
        def __init__(self, **_: Any) -> None:
            released.wait()

    monkeypatch.setattr("dinmo_pipeline.storages.filesystem.spec.filesystem_class", lambda _: Slow)
    with pytest.raises(TransientStorageError, match=r"could not connect to renaming://in .*no answer came in time"):
        spec("renaming://in", connect_timeout=1).connect(tmp_path)
    released.set()


class Answered(Exception):
    """As HTTP libraries tell of an answer."""

    def __init__(self, status: int) -> None:
        self.status_code = status
        super().__init__(f"{status} for https://shop:hunter22@host/in?sig=abc")


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (Answered(401), False),
        (Answered(403), False),
        (Answered(302), False),
        (Answered(404), False),
        (Answered(423), True),
        (Answered(429), True),
        (Answered(503), True),
        (Answered(507), False),
        (PermissionError("no"), False),
        (FileNotFoundError("a"), False),
        (OSError(28, "No space left on device"), False),
        (ConnectionResetError(104, "Connection reset by peer"), True),
        (TimeoutError(), True),
        (NotImplementedError(), False),
        (TypeError("unexpected keyword 'pasword'"), False),
        (RuntimeError("unheard of"), True),
    ],
)
def test_fault_of_a_library_is_translated(error: Exception, transient: bool) -> None:
    cause = cause_of(error)
    assert cause.transient is transient
    assert "hunter22" not in cause.found + cause.advice


@pytest.mark.parametrize("publish", [None, "commit", "temp_name", "direct"])
@pytest.mark.parametrize("protocol", ["memory", "copying", "renaming", "silent"])
def test_trial_finds_what_a_filesystem_cannot_keep(protocol: str, publish: str | None, tmp_path: Path) -> None:
    works: dict[str, set[str | None]] = {
        "memory": {None, "commit", "direct", "temp_name"},
        "copying": {"direct", "temp_name"},
        "renaming": {None, "temp_name", "direct"},
        "silent": {"direct"},
    }
    made = spec(f"{protocol}://trial", publish=publish)
    steps = list(check_storage(made, tmp_path, folder="in"))
    assert (not any(step.fails for step in steps)) is (publish in works[protocol]), steps
    with made.connect(tmp_path) as storage:
        assert list(storage.list("in")) == []


def test_trial_says_how_files_are_published(tmp_path: Path) -> None:
    said = [
        next(step.name for step in check_storage(spec(url, **fields), tmp_path, folder="in") if step.name.startswith("publishes"))
        for url, fields in (("renaming://said", {}), ("memory://said", {}), ("copying://said", {"publish": "direct"}))
    ]
    assert said == [
        "publishes by a temporary name and a rename",
        "publishes by a commit, before which nobody sees the file",
        "publishes under the final name at once: a reader may see a part",
    ]


def test_error_of_a_path_that_leads_out_is_ours(tmp_path: Path) -> None:
    with spec("renaming://in").connect(tmp_path) as storage, pytest.raises(StorageError, match="leaves the storage's url"):
        storage.stat("../other/a.csv")
