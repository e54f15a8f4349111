"""SMB by `Filesystem`: what fsspec's own class does there, and what ours makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dinmo_pipeline.errors import PermanentStorageError, TransientStorageError
from dinmo_pipeline_tests.servers.relay import RELAY_HOST, Relay
from dinmo_pipeline_tests.servers.samba import Samba
from dinmo_pipeline_tests.storages.contract import content, local, publish
from dinmo_pipeline_tests.storages.filesystem_places import smb_spec
from dinmo_pipeline_tests.storages.refusals import Listener

pytestmark = pytest.mark.xdist_group("smb")


@pytest.fixture
def heard(samba_server: Samba, caplog: pytest.LogCaptureFixture) -> Iterator[Listener]:
    listener = Listener(caplog, [samba_server.login.password, samba_server.other.password])
    yield listener
    listener.check()


def test_two_accounts_on_one_server_are_two(samba_server: Samba, tmp_path: Path) -> None:
    first, second = (smb_spec(samba_server, tmp_path, account=each) for each in (samba_server.login, samba_server.other))
    with first.connect(tmp_path) as one, second.connect(tmp_path) as two:
        publish(one, tmp_path, b"x", "./one.csv")
        publish(two, tmp_path, b"x", "./two.csv")
    owners = [(samba_server.disk / name).owner() for name in ("one.csv", "two.csv")]
    assert owners == [samba_server.login.username, samba_server.other.username]


def test_connections_of_one_moment_are_clients_of_their_own(samba_server: Samba, tmp_path: Path) -> None:
    made = smb_spec(samba_server, tmp_path, connect_timeout=20)

    def look(_: int) -> object:
        with made.connect(tmp_path) as storage:
            return storage.exists("none.csv") or [each.client_guid for each in vars(storage._fs)["_connections"].values()]

    # One name for all has Samba hang up, or leave a login unanswered, now and then.
    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(look, range(40)))
    assert len({str(name) for name in names}) == 40


def test_two_accounts_of_the_plain_class_are_the_first(samba_server: Samba) -> None:
    import smbclient
    from fsspec.implementations.smb import SMBFileSystem

    made = [
        SMBFileSystem(samba_server.host, samba_server.port, each.username, each.password, skip_instance_cache=True)
        for each in (samba_server.login, samba_server.other)
    ]
    made[1].pipe_file("/exports/plain.csv", b"x")
    smbclient.reset_connection_cache()
    assert (samba_server.disk / "plain.csv").owner() == samba_server.login.username


def test_plain_class_renames_over_no_file(samba_server: Samba) -> None:
    import smbclient
    from fsspec.implementations.smb import SMBFileSystem

    login = samba_server.login
    plain = SMBFileSystem(samba_server.host, samba_server.port, login.username, login.password, skip_instance_cache=True)
    for name in ("there.csv", "new.part"):
        plain.pipe_file(f"/exports/{name}", b"x")
    with pytest.raises(OSError, match="exists"):
        plain.mv("/exports/new.part", "/exports/there.csv")
    smbclient.reset_connection_cache()


def test_wrong_password_is_not_tried_again(samba_server: Samba, tmp_path: Path, heard: Listener) -> None:
    wrong = replace(samba_server.login, password="wrong-password-of-nobody")
    heard.add_secret("wrong-password-of-nobody")
    said = heard.refusal(PermanentStorageError, lambda: smb_spec(samba_server, tmp_path, account=wrong).connect(tmp_path))
    assert "could not connect to smb://" in said
    assert "the server refused the account" in said


def test_share_that_is_missing_is_named(samba_server: Samba, tmp_path: Path, heard: Listener) -> None:
    missing = smb_spec(samba_server, tmp_path, url=samba_server.url(share="nowhere"))
    with missing.connect(tmp_path) as storage:
        said = heard.refusal(PermanentStorageError, lambda: storage.put(local(tmp_path, b"x"), "a.csv"))
    assert "there is no such share; correct the url" in said


def test_share_without_the_right_to_write_says_so(samba_server: Samba, tmp_path: Path, heard: Listener) -> None:
    readonly = smb_spec(samba_server, tmp_path, url=samba_server.url(share="readonly"))
    with readonly.connect(tmp_path) as storage:
        said = heard.refusal(PermanentStorageError, lambda: storage.put(local(tmp_path, b"x"), "a.csv"))
    assert "access denied; ask its owner to give this account the right to create and write files" in said


def test_server_that_is_away_may_come_back(samba_relay: Relay, samba_server: Samba, tmp_path: Path, heard: Listener) -> None:
    samba_relay.go_away()
    try:
        away = smb_spec(samba_server, tmp_path, host=RELAY_HOST)
        # Which of the two the library meets depends on the moment.
        said = heard.refusal(TransientStorageError, lambda: away.connect(tmp_path))
        assert "the connection broke" in said or "the network failed" in said
    finally:
        samba_relay.let_pass()


def test_reader_that_holds_the_old_file_is_waited_for(samba_server: Samba, tmp_path: Path) -> None:
    import smbclient

    made = smb_spec(samba_server, tmp_path)
    with made.connect(tmp_path) as storage:
        publish(storage, tmp_path, b"old", "./held.csv")
        # Windows refuses whoever holds it; Samba renames over a file that another of its processes holds, so this is the same client.
        held = vars(storage._fs)["_connections"]
        address = f"\\\\{samba_server.host}\\exports\\held.csv"
        login = {"username": samba_server.login.username, "password": samba_server.login.password, "port": samba_server.port}
        with smbclient.open_file(address, "rb", share_access="r", connection_cache=held, **login) as reader:
            with pytest.raises(TransientStorageError, match="somebody holds the file open"):
                publish(storage, tmp_path, b"new", "./held.csv")
            assert reader.read() == b"old"
        publish(storage, tmp_path, b"new", "./held.csv")
        assert content(storage, tmp_path, "held.csv") == b"new"


def test_reading_keeps_nobody_from_the_file(samba_server: Samba, tmp_path: Path) -> None:
    made = smb_spec(samba_server, tmp_path)
    with made.connect(tmp_path) as storage:
        publish(storage, tmp_path, b"old", "./read.csv")
        reading = made.filesystem(tmp_path)
        with reading.open("/exports/read.csv", "rb") as file:
            publish(storage, tmp_path, b"new", "./beside.csv")
            with made.filesystem(tmp_path).open("/exports/read.csv", "rb") as again:
                assert again.read() == file.read() == b"old"
        reading.close()


def test_file_without_a_name_of_its_own_is_refused(samba_server: Samba, tmp_path: Path) -> None:
    with smb_spec(samba_server, tmp_path).connect(tmp_path) as storage:
        publish(storage, tmp_path, b"rows", "./a")
        # On Windows, this would write to a stream of the file `a` that nobody sees.
        with pytest.raises(PermanentStorageError, match=r"the name 'a:b.csv' holds ':'"):
            storage.put(local(tmp_path, b"hidden"), "a:b.csv")
        assert content(storage, tmp_path, "a") == b"rows"
