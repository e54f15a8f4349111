"""SMB by `Filesystem`: what fsspec's own class does there, and what ours makes of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from smbclient import ClientConfig

from dinmo_pipeline.errors import LimitError, PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.storages.base import Storage
from dinmo_pipeline.storages.filesystem.spec import FilesystemSpec
from dinmo_pipeline_tests.servers.relay import RELAY_HOST, Relay
from dinmo_pipeline_tests.servers.running import HOST
from dinmo_pipeline_tests.servers.samba import Samba
from dinmo_pipeline_tests.storages.contract import content, local, publish
from dinmo_pipeline_tests.storages.filesystem_places import smb_spec
from dinmo_pipeline_tests.storages.refusals import Listener
from dinmo_pipeline_tests.storages.test_lying_servers import refusal, set_limits

OTHER_HOST = "127.0.0.7"

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


@pytest.mark.parametrize("act", ["list", "read", "put", "make_folder", "delete", "move"])
def test_link_to_another_server_is_not_followed(act: str, samba_server: Samba, tmp_path: Path, heard: Listener) -> None:
    link, there = f"away-{act}", f"away-{act}/a.csv"
    (samba_server.disk / link).symlink_to(rf"msdfs:{OTHER_HOST}\secret")
    acts: dict[str, Callable[[Storage], object]] = {
        "list": lambda storage: storage.list(link),
        "read": lambda storage: storage.read(there, tmp_path / "copy"),
        "put": lambda storage: storage.put(local(tmp_path, b"x"), there),
        "make_folder": lambda storage: storage.make_folder(f"{link}/new"),
        "delete": lambda storage: storage.delete(there),
        "move": lambda storage: storage.move(there, f"{link}/b.csv"),
    }
    made = smb_spec(samba_server, tmp_path, url=samba_server.url(share="namespace"))
    with socket.create_server((OTHER_HOST, samba_server.port)) as other, made.connect(tmp_path) as storage:
        said = heard.refusal(PermanentStorageError, lambda: acts[act](storage))
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()
    assert "the server sends to another one (DFS), which is not followed; name that server and its share in the url" in said


def test_share_with_links_to_others_is_a_share(samba_server: Samba, tmp_path: Path) -> None:
    with smb_spec(samba_server, tmp_path, url=samba_server.url(share="namespace")).connect(tmp_path) as storage:
        publish(storage, tmp_path, b"x", "./plain.csv")
        assert "plain.csv" in [file.name for file in storage.list(".")]
    assert (samba_server.disk / "plain.csv").read_bytes() == b"x"


def test_what_another_server_said_of_this_one_is_not_believed(samba_server: Samba, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        is_expired = False
        dfs_path = rf"\{HOST}\exports"
        target_hint = SimpleNamespace(target_path=rf"\{OTHER_HOST}\secret")

    # smbclient keeps them for the whole process, under the path that the answer names.
    monkeypatch.setattr(ClientConfig(), "_referral_cache", [Elsewhere()])
    with socket.create_server((OTHER_HOST, samba_server.port)) as other, smb_spec(samba_server, tmp_path).connect(tmp_path) as storage:
        with pytest.raises(PermanentStorageError, match="sends the request on to another address, which is not followed"):
            storage.put(local(tmp_path, b"x"), "stolen.csv")
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_listing_is_counted_while_it_comes(samba_server: Samba, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[object] = []

    def each_taken(one: object) -> Iterator[object]:
        while True:
            taken.append(one)
            yield one

    @contextmanager
    def endless(*_: object, **__: object) -> Iterator[Iterator[object]]:
        facts = SimpleNamespace(end_of_file=1, last_write_time=None)
        one = SimpleNamespace(name="a.csv", smb_info=facts, is_dir=lambda **_: False, is_symlink=lambda: False)
        yield each_taken(one)

    monkeypatch.setattr("smbclient.scandir", endless)
    set_limits(tmp_path, listing_entries=500)
    with smb_spec(samba_server, tmp_path).connect(tmp_path) as storage, pytest.raises(LimitError, match="more than 500 entries lie there"):
        storage.list(".")
    assert len(taken) == 501


def test_message_that_is_announced_as_too_long_takes_no_memory(tmp_path: Path) -> None:
    def announce(taken: socket.socket) -> None:
        with suppress(OSError):
            # 2.2 GB: a message of SMB has 16 MiB at most.
            taken.sendall(b"\x85\0\0\0")
            while True:
                taken.sendall(b"x" * 65536)

    with socket.create_server((HOST, 0)) as liar:
        threading.Thread(target=lambda: announce(liar.accept()[0]), daemon=True).start()
        (tmp_path / "password").write_text("hunter22-of-smb")
        options = {"username": "shop", "password": {"file": "password"}}
        fields = {"name": "partner", "url": f"smb://{HOST}:{liar.getsockname()[1]}/x", "options": options, "connect_timeout": 5}
        made = FilesystemSpec.model_validate({**fields, "retry_for": 0})
        refusal(lambda: made.connect(tmp_path), StorageError)
