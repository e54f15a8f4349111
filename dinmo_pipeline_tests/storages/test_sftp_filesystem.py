"""SFTP as an fsspec filesystem. Where sshfs's own class does harm, it is tried beside ours: a test that fails there tells what can go."""

from __future__ import annotations

import asyncio
import os
import pickle
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import asyncssh
import fsspec.config
import pytest
from fsspec.asyn import get_loop, sync
from sshfs import SSHFileSystem
from sshfs.pools import SFTPSoftChannelPool

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.storages.event_loop import run_on
from dinmo_pipeline.storages.sftp.channels import Channels
from dinmo_pipeline.storages.sftp.filesystem import SftpFileSystem
from dinmo_pipeline.storages.sftp.spec import SftpServerSpec
from dinmo_pipeline_tests.servers.asyncssh_server import PlainSftp, asyncssh_server
from dinmo_pipeline_tests.servers.openssh import OpenSsh
from dinmo_pipeline_tests.servers.password_sftp import password_sftp
from dinmo_pipeline_tests.storages.contract import MIB
from dinmo_pipeline_tests.storages.definitions import sftp_spec

pytestmark = pytest.mark.xdist_group("sftp")
Plain = Callable[..., SSHFileSystem]


@pytest.fixture
def plain() -> Iterator[Plain]:
    """Makes filesystems of sshfs's class as it is."""
    made: list[SSHFileSystem] = []

    def make(server: OpenSsh, login: str = "plain") -> SSHFileSystem:
        username, key = server.login(login).username, str(server.private_key)
        made.append(SSHFileSystem(server.host, port=server.port, username=username, client_keys=[key], skip_instance_cache=True))
        return made[-1]

    yield make
    for each in made:
        SSHFileSystem._finalize(each.loop, each._pool, each._stack)


@pytest.fixture
def partner() -> Iterator[OpenSsh]:
    with asyncssh_server() as server:
        yield server


@pytest.fixture
def filesystem(partner: OpenSsh, tmp_path: Path) -> Iterator[SftpFileSystem]:
    found = sftp_spec(partner, partner.login("plain")).filesystem(tmp_path)
    yield found
    found.close()


def in_a_child(act: Callable[[], object]) -> tuple[str, float]:
    """What `act` says in a forked child, and how many seconds that took."""
    reading, writing = os.pipe()
    began = time.monotonic()
    if not (child := os.fork()):
        try:
            os.write(writing, repr(act()).encode())
        except RuntimeError as error:
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return os.read(reading, 10_000).decode(), time.monotonic() - began


def test_server_that_nobody_knows_is_refused(partner: OpenSsh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: Plain) -> None:
    assert plain(partner).ls(".") == []
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(PermanentStorageError, match="does not know this host"):
        sftp_spec(partner, partner.login("plain"), host_key=None).filesystem(tmp_path)


@pytest.mark.parametrize("login", ["no_posix_rename", "no_rename"])
def test_move_without_posix_rename_loses_nothing(login: str, openssh_server: OpenSsh, tmp_path: Path, plain: Plain) -> None:
    account = openssh_server.login(login)
    new, old = account.home / "new.csv", account.home / "old.csv"

    def moved(filesystem: SSHFileSystem) -> tuple[bool, bytes]:
        new.write_bytes(b"new")
        old.write_bytes(b"old")
        for path in (new, old):
            path.chmod(0o666)
        with suppress(asyncssh.Error, OSError):
            filesystem.mv(str(new), str(old))
        return new.exists(), old.read_bytes()

    assert moved(plain(openssh_server, login)) == (False, b"old")
    ours = sftp_spec(openssh_server, account).filesystem(tmp_path)
    assert moved(ours) == ((False, b"new") if login == "no_posix_rename" else (True, b"old"))
    ours.close()


def test_threads_that_share_a_file_read_their_own_blocks(partner: OpenSsh, filesystem: SftpFileSystem, plain: Plain) -> None:
    (partner.login("plain").home / "a.csv").write_bytes(bytes(range(100)))

    def second_block_between(file: Any) -> bytes:
        file.seek(10)
        other = Thread(target=lambda: (file.seek(50), file.read(10)))
        other.start()
        other.join()
        block: bytes = file.read(10)
        return block

    with plain(partner).open("a.csv") as theirs, filesystem.open("a.csv") as ours:
        assert second_block_between(theirs) == bytes(range(60, 70))
        assert second_block_between(ours) == bytes(range(10, 20))
        # What reads on has one position, whoever reads: nothing comes twice.
        assert ours.read(5) == bytes(range(20, 25))
        assert [ours.seek(-5, os.SEEK_END), ours.read(), ours.read(), ours.tell()] == [95, bytes(range(95, 100)), b"", 100]


@pytest.mark.parametrize(("start", "end"), [(0, 2), (2, None), (-2, None), (1, -1), (3, 100)])
def test_part_of_a_file_is_that_part(start: int, end: int | None, partner: OpenSsh, filesystem: SftpFileSystem, plain: Plain) -> None:
    (partner.login("plain").home / "a.csv").write_bytes(b"12345")
    assert plain(partner).cat_file("a.csv", start=start, end=end) == b"12345"
    assert filesystem.cat_file("a.csv", start=start, end=end) == b"12345"[start:end]


def test_file_without_a_folder_is_put_beside_the_others(openssh_server: OpenSsh, tmp_path: Path, plain: Plain) -> None:
    (tmp_path / "a.csv").write_bytes(b"rows")
    with pytest.raises(FileNotFoundError):
        plain(openssh_server).put_file(str(tmp_path / "a.csv"), "bare a.csv")
    ours = sftp_spec(openssh_server, openssh_server.login("plain")).filesystem(tmp_path)
    ours.put_file(str(tmp_path / "a.csv"), "bare a.csv")
    ours.pipe_file("bare b.csv", b"more rows")
    assert {name: ours.info(name)["size"] for name in ("bare a.csv", "bare b.csv")} == {"bare a.csv": 4, "bare b.csv": 9}
    ours.close()


def test_file_that_is_to_be_new_replaces_none(partner: OpenSsh, filesystem: SftpFileSystem, plain: Plain) -> None:
    file = partner.login("plain").home / "a.csv"
    file.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        filesystem.pipe_file("a.csv", b"new", mode="create")
    assert file.read_bytes() == b"old"
    plain(partner).pipe_file("a.csv", b"new", mode="create")
    assert file.read_bytes() == b"new"


def test_staged_file_is_seen_when_it_is_committed(partner: OpenSsh, filesystem: SftpFileSystem, tmp_path: Path) -> None:
    home = partner.login("plain").home
    (home / "a.csv").write_bytes(b"old")
    (tmp_path / "new").write_bytes(b"new")
    staged, other = filesystem.stage(tmp_path / "new", "a.csv"), filesystem.stage(tmp_path / "new", "b.csv")
    assert (home / "a.csv").read_bytes() == b"old"
    filesystem.commit(staged)
    for _ in range(2):
        filesystem.discard(other)
    assert {path.name: path.read_bytes() for path in home.iterdir()} == {"a.csv": b"new"}


class NoPermissions(PlainSftp):
    """Tells of a file its size alone, as version 3 of the protocol allows."""

    def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        return asyncssh.SFTPAttrs(size=4)


class NoSizes(PlainSftp):
    """Tells no file's size."""

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        return asyncssh.SFTPAttrs(permissions=0o100644)


@pytest.mark.parametrize("sftp", [PlainSftp, NoSizes])
def test_file_is_read_to_its_end_whatever_its_size_is_told_to_be(sftp: type[PlainSftp], tmp_path: Path) -> None:
    rows = random.Random(1).randbytes(9 * MIB + 3)
    with asyncssh_server(sftp) as server:
        (server.login("plain").home / "a.csv").write_bytes(rows)
        ours = sftp_spec(server, server.login("plain")).filesystem(tmp_path)
        assert ours.cat_file("a.csv") == rows
        assert ours.cat_file("a.csv", start=5) == rows[5:]
        with ours.open("a.csv") as file:
            assert file.read(7) + file.read() == rows
        ours.close()


def test_file_of_which_only_the_size_is_told_may_be_one(tmp_path: Path, plain: Plain) -> None:
    with asyncssh_server(NoPermissions) as server:
        with pytest.raises(TypeError):
            plain(server).info("a.csv")
        ours = sftp_spec(server, server.login("plain")).filesystem(tmp_path)
        assert (ours.info("a.csv")["size"], ours.info("a.csv")["type"]) == (4, "unknown")
        ours.close()


def test_forked_child_makes_a_filesystem_of_its_own(partner: OpenSsh, filesystem: SftpFileSystem, tmp_path: Path) -> None:
    def own() -> list[str]:
        with sftp_spec(partner, partner.login("plain")).connect(tmp_path) as storage:
            return [file.name for file in storage.list(".")]

    (partner.login("plain").home / "a.csv").write_bytes(b"rows")
    assert "fork-safe" in in_a_child(lambda: filesystem.ls("."))[0]
    assert in_a_child(own)[0] == "['a.csv']"
    assert [entry["name"] for entry in filesystem.ls("")] == ["a.csv"]


def test_forked_child_does_not_wait_for_what_it_inherited(filesystem: SftpFileSystem) -> None:
    inherited = (filesystem.loop, filesystem._pool, filesystem._stack)
    assert in_a_child(lambda: SSHFileSystem._finalize(*inherited))[1] > 0.9
    assert in_a_child(lambda: filesystem._finalize(*inherited))[1] < 0.9


def test_configuration_of_this_machine_changes_nothing(partner: OpenSsh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fsspec.config.conf, "sftp", {"port": 1, "known_hosts": None, "username": "somebody"})
    with pytest.raises(ConnectionRefusedError):
        SSHFileSystemAsSftp(partner.host, skip_instance_cache=True)
    ours = sftp_spec(partner, partner.login("plain")).filesystem(tmp_path)
    assert ours.ls(".") == []
    ours.close()


class SSHFileSystemAsSftp(SSHFileSystem):  # type: ignore[misc]
    protocol = "sftp"


def test_filesystem_holds_no_secret(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pa55word")
    with password_sftp("pa55word") as server:
        fields = {"name": "partner", "host": server.host, "port": server.port, "username": server.username, "host_key": server.host_key}
        spec = SftpServerSpec.model_validate({**fields, "password": {"file": "password"}})
        theirs = SSHFileSystem(server.host, port=server.port, username=server.username, password="pa55word", skip_instance_cache=True)
        assert "pa55word" in theirs.to_json() + repr(theirs.storage_options)
        ours, again = spec.filesystem(tmp_path), spec.filesystem(tmp_path)
        assert ours is not again
        copied = pickle.loads(pickle.dumps(ours))
        assert copied.ls(".") == []
        assert b"pa55word" not in pickle.dumps(ours)
        assert "pa55word" not in repr((ours, ours.storage_args, ours.storage_options, vars(ours)))
        with pytest.raises(TypeError):
            ours.to_json()
        for each in (ours, again, copied):
            each.close()


def test_work_that_was_cancelled_is_no_success() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    assert sync(get_loop(), cancelled) is None
    with pytest.raises(CancelledError):
        run_on(get_loop(), cancelled())


def test_work_ends_when_its_caller_is_interrupted(filesystem: SftpFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []

    async def forever() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(True)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("concurrent.futures.Future.result", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_on(filesystem.loop, forever())
    monkeypatch.undo()
    assert filesystem.ls(".") == []
    assert ended == [True]


class WithoutSftp:
    """A connection to a server that lets people in, and gives them no SFTP."""

    def start_sftp_client(self) -> None:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "no SFTP here")


@pytest.mark.parametrize(("pool", "error"), [(SFTPSoftChannelPool, ValueError), (Channels, asyncssh.ChannelOpenError)])
def test_server_without_sftp_is_told_as_such(pool: type[SFTPSoftChannelPool], error: type[Exception]) -> None:
    async def enter() -> None:
        async with pool(WithoutSftp(), max_channels=8).get():
            pass

    with pytest.raises(error):
        asyncio.run(enter())
