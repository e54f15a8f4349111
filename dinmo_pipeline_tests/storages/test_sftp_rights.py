"""What an SFTP server refuses once somebody is in: each message says what, whose, and which right to ask for."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dinmo_pipeline.errors import PermanentStorageError, TransientStorageError
from dinmo_pipeline.storages.sftp import channels
from dinmo_pipeline_tests.servers.disks import small_disk, small_quota
from dinmo_pipeline_tests.servers.openssh import OpenSsh
from dinmo_pipeline_tests.servers.relay import RELAY_HOST, Relay
from dinmo_pipeline_tests.servers.running import need_root
from dinmo_pipeline_tests.storages.contract import MIB, content, local
from dinmo_pipeline_tests.storages.definitions import sftp_spec

pytestmark = pytest.mark.xdist_group("sftp")


def foreign_folder(openssh_server: OpenSsh, name: str, mode: int) -> Path:
    """A folder in the login directory that belongs to root."""
    need_root("a folder of somebody else's")
    folder = openssh_server.login("plain").home / name
    folder.mkdir()
    (folder / "there.csv").write_text("old")
    folder.chmod(mode)
    return folder


def test_folder_without_the_right_to_write_names_user_folder_and_right(openssh_server: OpenSsh, tmp_path: Path) -> None:
    foreign_folder(openssh_server, "readonly", 0o755)
    account = openssh_server.login("plain")
    with sftp_spec(openssh_server, account).connect(tmp_path) as storage:
        acts: list[tuple[Callable[[], object], str]] = [
            (
                lambda: storage.put(local(tmp_path, b"x"), "readonly/.new.part"),
                "the right to create and write files in the folder readonly",
            ),
            (lambda: storage.put(local(tmp_path, b"x"), "readonly/there.csv"), "the right to overwrite the file readonly/there.csv"),
            (lambda: storage.move("readonly/there.csv", "readonly/b.csv"), "the right to rename files in the folder readonly"),
            (lambda: storage.delete("readonly/there.csv"), "the right to delete files in the folder readonly"),
            (lambda: storage.make_folder("readonly/inner"), "the right to make folders in readonly"),
        ]
        for act, said in acts:
            with pytest.raises(PermanentStorageError) as caught:
                act()
            assert f"Permission denied; ask the server's owner to give the user {account.username} {said}" in str(caught.value)
            assert f"on sftp://{account.username}@" in str(caught.value)


def test_folder_without_the_right_to_list_can_be_written_to(openssh_server: OpenSsh, tmp_path: Path) -> None:
    foreign_folder(openssh_server, "blind", 0o333)
    with sftp_spec(openssh_server, openssh_server.login("plain")).connect(tmp_path) as storage:
        storage.make_folder("blind")
        storage.put(local(tmp_path, b"x"), "blind/.a.part")
        storage.move("blind/.a.part", "blind/a.csv")
        assert content(storage, tmp_path, "blind/a.csv") == b"x"
        with pytest.raises(PermanentStorageError, match="the right to list the folder blind"):
            storage.list("blind")


def test_login_directory_that_cannot_be_listed_or_written_is_passed_through(openssh_server: OpenSsh, tmp_path: Path) -> None:
    need_root("a login directory of somebody else's")
    account = openssh_server.login("plain")
    account.home.chmod(0o311)
    try:
        with sftp_spec(openssh_server, account).connect(tmp_path) as storage:
            storage.make_folder("in")
            storage.put(local(tmp_path, b"x"), "in/a.csv")
            assert storage.may_be("in/a.csv", 1)
            storage.delete("in/a.csv")
    finally:
        account.home.chmod(0o755)


def test_file_that_may_not_be_read_says_so(openssh_server: OpenSsh, tmp_path: Path) -> None:
    (foreign_folder(openssh_server, "secret", 0o755) / "there.csv").chmod(0o600)
    with (
        sftp_spec(openssh_server, openssh_server.login("plain")).connect(tmp_path) as storage,
        pytest.raises(PermanentStorageError, match=r"the right to read the file secret/there\.csv"),
    ):
        storage.read("secret/there.csv", tmp_path / "read")


def test_no_right_to_rename_keeps_the_old_file_and_offers_to_write_in_place(openssh_server: OpenSsh, tmp_path: Path) -> None:
    account = openssh_server.login("no_rename")
    with sftp_spec(openssh_server, account).connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"old"), "fixed.csv")
        storage.put(local(tmp_path, b"new"), ".fixed.part")
        with pytest.raises(PermanentStorageError, match="set `publish: direct`") as caught:
            storage.move(".fixed.part", "fixed.csv")
        assert f"give the user {account.username} the right to rename files in the folder ." in str(caught.value)
        assert content(storage, tmp_path, "fixed.csv") == b"old"


def test_missing_folder_says_where_relative_paths_start(openssh_server: OpenSsh, tmp_path: Path) -> None:
    account = openssh_server.login("plain")
    with sftp_spec(openssh_server, account).connect(tmp_path) as storage, pytest.raises(PermanentStorageError) as caught:
        storage.put(local(tmp_path, b"x"), "no/such/a.csv")
    assert f"the folder or file is missing; make it, or correct the path: relative ones start at {account.start}" in str(caught.value)


def test_folder_in_the_place_of_a_file_and_the_other_way_round(openssh_server: OpenSsh, tmp_path: Path) -> None:
    with sftp_spec(openssh_server, openssh_server.login("plain")).connect(tmp_path) as storage:
        storage.make_folder("a folder.csv")
        with pytest.raises(PermanentStorageError, match="a folder stands where the file belongs"):
            storage.put(local(tmp_path, b"x"), "a folder.csv")
        storage.put(local(tmp_path, b"x"), "a file")
        with pytest.raises(PermanentStorageError, match="a folder stands where the file belongs"):
            storage.move("a file", "a folder.csv")
        with pytest.raises(PermanentStorageError, match="a file/inner"):
            storage.make_folder("a file/inner")


def test_name_that_is_too_long_is_not_tried_again(openssh_server: OpenSsh, tmp_path: Path) -> None:
    with (
        sftp_spec(openssh_server, openssh_server.login("plain")).connect(tmp_path) as storage,
        pytest.raises(PermanentStorageError, match="does not take this name"),
    ):
        storage.put(local(tmp_path, b"x"), "n" * 300)


def test_full_disk_is_found_and_not_tried_again(openssh_server: OpenSsh, tmp_path: Path) -> None:
    account = openssh_server.login("plain")
    with small_disk(account, "small", megabytes=2) as folder, sftp_spec(openssh_server, account).connect(tmp_path) as storage:
        with pytest.raises(PermanentStorageError, match=r"the server's disk is full, [0-9,]+ bytes are free"):
            storage.put(local(tmp_path, b"x" * 5 * MIB), f"{folder}/a.csv")
        storage.delete(f"{folder}/a.csv")
        storage.put(local(tmp_path, b"x" * MIB), f"{folder}/a.csv")


def test_quota_that_is_used_up_is_told_as_what_may_be(openssh_server: OpenSsh, tmp_path: Path) -> None:
    account = openssh_server.login("plain")
    with small_quota(account.home / "limited", megabytes=2) as folder, sftp_spec(openssh_server, account).connect(tmp_path) as storage:
        shutil.chown(folder, account.username)
        # OpenSSH has one word for all that its disk refuses, and the disk has room: it may pass.
        with pytest.raises(TransientStorageError, match=r"its disk or a quota may be full"):
            storage.put(local(tmp_path, os.urandom(5 * MIB)), "limited/owned/a.csv")
        storage.delete("limited/owned/a.csv")
        storage.put(local(tmp_path, b"x"), "limited/owned/a.csv")


def test_paths_start_where_the_reference_page_says(openssh_server: OpenSsh, tmp_path: Path) -> None:
    account = openssh_server.login("plain")
    above = account.home.parent / "above"
    above.mkdir(mode=0o777)
    above.chmod(0o777)
    with sftp_spec(openssh_server, account).connect(tmp_path) as storage:
        storage.make_folder("baz")
        for folder, place in (
            (".", account.home),
            ("baz", account.home / "baz"),
            (f"{account.start}/baz", account.home / "baz"),
            ("../above", above),
            (str(above), above),
        ):
            storage.make_folder(folder)
            storage.put(local(tmp_path, folder.encode()), f"{folder}/path.csv")
            assert (place / "path.csv").read_bytes() == folder.encode()
            assert "path.csv" in [file.name for file in storage.list(folder)]


def test_relative_path_of_a_caged_user_starts_at_its_home_and_absolute_ones_at_the_cage(openssh_server: OpenSsh, tmp_path: Path) -> None:
    account = openssh_server.login("chrooted")
    with sftp_spec(openssh_server, account).connect(tmp_path) as storage:
        storage.put(local(tmp_path, b"x"), "/files/absolute.csv")
        storage.put(local(tmp_path, b"x"), "relative.csv")
        with pytest.raises(PermanentStorageError, match=r"missing|right"):
            storage.put(local(tmp_path, b"x"), f"{account.home}/outside.csv")
    assert {"absolute.csv", "relative.csv"} <= {file.name for file in account.home.iterdir()}


def test_link_to_a_file_is_a_file_and_link_to_nothing_is_none(openssh_server: OpenSsh, tmp_path: Path) -> None:
    account = openssh_server.login("plain")
    with sftp_spec(openssh_server, account).connect(tmp_path) as storage:
        storage.make_folder("links")
        storage.put(local(tmp_path, b"123"), "links/target.csv")
        (account.home / "links" / "link.csv").symlink_to("target.csv")
        (account.home / "links" / "broken.csv").symlink_to("nothing.csv")
        assert {file.name: file.size for file in storage.list("links")} == {"target.csv": 3, "link.csv": 3}


def test_name_that_is_no_utf8_does_not_hide_the_others(openssh_server: OpenSsh, tmp_path: Path) -> None:
    account = openssh_server.login("plain")
    with sftp_spec(openssh_server, account).connect(tmp_path) as storage:
        storage.make_folder("latin")
        for name in (b"a.csv", b"caf\xe9.csv"):
            (account.home / "latin" / os.fsdecode(name)).write_text("x")
        assert {file.name for file in storage.list("latin")} == {"a.csv", r"caf\xe9.csv"}


def test_server_that_stops_answering_is_given_up(
    openssh_server: OpenSsh, openssh_relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "IDLE_SECONDS", 1.0)
    monkeypatch.setattr(channels, "CLOSING_SECONDS", 1.0)
    with sftp_spec(openssh_server, openssh_server.login("plain"), host=RELAY_HOST).connect(tmp_path) as storage:
        openssh_relay.hold_after(MIB)
        with pytest.raises(TransientStorageError, match="did not answer in time"):
            storage.put(local(tmp_path, random.Random(1).randbytes(8 * MIB)), "stuck.csv")
        openssh_relay.let_pass()
