"""SFTP servers that refuse, or do not know, what a delivery does not need: its file arrives all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from dinmo_pipeline.errors import TransientStorageError
from dinmo_pipeline_tests.servers.asyncssh_server import asyncssh_server
from dinmo_pipeline_tests.storages.contract import content, local
from dinmo_pipeline_tests.storages.definitions import sftp_spec

pytestmark = pytest.mark.xdist_group("sftp")
UNKNOWN = asyncssh.SFTPOpUnsupported("Unsupported request")
DENIED = asyncssh.SFTPPermissionDenied("Permission denied")
FAILURE = asyncssh.SFTPFailure("Failure")
Answer = Callable[..., Any]


def refusing(**faults: asyncssh.SFTPError) -> type[asyncssh.SFTPServer]:
    """A server that answers these requests so."""

    def answer(fault: asyncssh.SFTPError) -> Answer:
        def refuse(*_arguments: object) -> None:
            raise fault

        return refuse

    return type("Refusing", (asyncssh.SFTPServer,), {name: answer(fault) for name, fault in faults.items()})


def telling(size: int | None, *names: str) -> type[asyncssh.SFTPServer]:
    """A server that tells this size, whatever it has."""

    def answer(name: str) -> Answer:
        def tell(self: asyncssh.SFTPServer, what: object) -> asyncssh.SFTPAttrs:
            told = getattr(asyncssh.SFTPServer, name)(self, what)
            attributes = asyncssh.SFTPAttrs.from_local(told)
            attributes.size = size
            return attributes

        return tell

    return type("Telling", (asyncssh.SFTPServer,), {name: answer(name) for name in names})


SERVERS = {
    "fstat without a size": telling(None, "fstat"),
    "no size at all": telling(None, "fstat", "stat", "lstat"),
    "fstat that is always 0": telling(0, "fstat"),
    "no fstat": refusing(fstat=UNKNOWN),
    "fstat that is denied": refusing(fstat=DENIED),
    "fstat that fails": refusing(fstat=FAILURE),
    "no look at all": refusing(fstat=DENIED, stat=DENIED, lstat=DENIED),
    "no fsync": refusing(fsync=UNKNOWN),
    "fsync that is denied": refusing(fsync=DENIED),
    "no realpath": refusing(realpath=UNKNOWN),
    "realpath that is denied": refusing(realpath=DENIED),
    "no setstat": refusing(setstat=DENIED, fsetstat=DENIED),
    "no statvfs": refusing(statvfs=UNKNOWN),
    "posix-rename that fails": refusing(posix_rename=FAILURE),
    "posix-rename that is denied": refusing(posix_rename=DENIED),
}


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_file_arrives(kind: str, size: int, tmp_path: Path) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with asyncssh_server(SERVERS[kind]) as server:
        account = server.login("plain")
        with sftp_spec(server, account).connect(tmp_path) as storage:
            (account.home / "a.csv").write_bytes(b"old")
            storage.make_folder(".")
            storage.put(local(tmp_path, data), ".a.part")
            if kind != "no look at all":
                storage.move(".a.part", "a.csv")
                assert (account.home / "a.csv").read_bytes() == data
                assert content(storage, tmp_path, "a.csv") == data
            else:
                assert (account.home / ".a.part").read_bytes() == data


def test_file_without_a_size_is_told_and_not_listed(tmp_path: Path) -> None:
    class Sizeless(telling(None, "stat", "lstat")):  # type: ignore[misc]
        async def scandir(self, path: bytes) -> Any:
            async for name in asyncssh.SFTPServer.scandir(self, path):
                name.attrs.size = None
                yield name

    with asyncssh_server(Sizeless) as server:
        account = server.login("plain")
        (account.home / "a.csv").write_bytes(b"rows")
        with sftp_spec(server, account).connect(tmp_path) as storage:
            listing = storage.list(".")
            assert list(listing) == []
            assert [line for line in listing.unread if "a.csv" in line and "no size" in line]
            assert storage.may_be("a.csv", 4)


def test_file_without_a_size_that_is_gone_meanwhile_is_none(tmp_path: Path) -> None:
    class Going(asyncssh.SFTPServer):
        async def scandir(self, path: bytes) -> Any:
            yield asyncssh.SFTPName(b"gone.csv", attrs=asyncssh.SFTPAttrs(permissions=0o100644))

    with asyncssh_server(Going) as server, sftp_spec(server, server.login("plain")).connect(tmp_path) as storage:
        listing = storage.list(".")
        assert (list(listing), listing.unread) == ([], ())


def test_fsync_that_fails_is_no_refusal(tmp_path: Path) -> None:
    with (
        asyncssh_server(refusing(fsync=FAILURE)) as server,
        sftp_spec(server, server.login("plain")).connect(tmp_path) as storage,
        pytest.raises(TransientStorageError),
    ):
        storage.put(local(tmp_path, b"rows"), "a.csv")


def test_file_that_became_shorter_is_told(tmp_path: Path) -> None:
    with (
        asyncssh_server(telling(3, "fstat", "stat")) as server,
        sftp_spec(server, server.login("plain")).connect(tmp_path) as storage,
        pytest.raises(TransientStorageError, match=r"wrote 4 bytes to a.csv .*, then found 3"),
    ):
        storage.put(local(tmp_path, b"rows"), "a.csv")
