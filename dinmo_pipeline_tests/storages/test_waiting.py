"""Waiting for a server that is away: who waits, for how long, who is told, and what ends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from dinmo_pipeline.errors import PermanentStorageError, TransientStorageError
from dinmo_pipeline.storages import retrying as connection_module
from dinmo_pipeline.storages.base import Storage
from dinmo_pipeline.storages.local.spec import LocalFolder, LocalFolderSpec
from dinmo_pipeline.storages.publish import Publisher
from dinmo_pipeline.storages.retrying import Connection
from dinmo_pipeline.storages.waiting import allow_waiting, forbid_waiting
from dinmo_pipeline_tests.servers.openssh import OpenSsh, openssh
from dinmo_pipeline_tests.storages.definitions import sftp_spec

AWAY = TransientStorageError("could not reach it")


@pytest.fixture
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "_LONGEST_PAUSE_S", 0.02)


class Away:
    """A storage that cannot be connected to for the first `times` tries."""

    def __init__(self, root: Path, *, times: float, fault: Exception = AWAY) -> None:
        self.tries = 0
        self._root, self._times, self._fault = root, times, fault

    def connection(self, *, retry_for_s: float, retries: int | None = None, first_pause_s: float = 0.01) -> Connection[Storage]:
        return Connection(self._connect, retry_for_s=retry_for_s, retries=retries, first_pause_s=first_pause_s)

    def _connect(self) -> Storage:
        self.tries += 1
        if self.tries <= self._times:
            raise self._fault
        return LocalFolder(name="near", root=self._root)


@pytest.mark.usefixtures("quick_pauses")
class TestConnection:
    def test_work_that_may_wait_goes_on_when_the_server_is_back(self, tmp_path: Path) -> None:
        away = Away(tmp_path, times=40)
        with allow_waiting():
            assert away.connection(retry_for_s=60).do(lambda storage: storage.moves)
        assert away.tries == 41

    def test_it_ends_with_the_time_and_says_how_often_it_was_tried(self, tmp_path: Path) -> None:
        away = Away(tmp_path, times=float("inf"))
        began = time.monotonic()
        with allow_waiting(), pytest.raises(TransientStorageError, match=r"could not reach it \(tried \d+ times in \d+ s\)"):
            away.connection(retry_for_s=0.3).do(lambda storage: storage.moves)
        assert 0.3 <= time.monotonic() - began < 300
        assert away.tries > 5

    def test_work_that_others_wait_for_is_tried_briefly(self, tmp_path: Path) -> None:
        for context in (forbid_waiting(), allow_waiting()):
            away = Away(tmp_path, times=float("inf"))
            with context, forbid_waiting(), pytest.raises(TransientStorageError):
                away.connection(retry_for_s=900).do(lambda storage: storage.moves)
            assert away.tries == 6

    @pytest.mark.parametrize(
        ("options", "tries"), [({"retry_for_s": 0}, 1), ({"retry_for_s": 9, "retries": 0}, 1), ({"retry_for_s": 9, "retries": 3}, 4)]
    )
    def test_less_is_tried_where_the_definition_says_so(self, options: dict[str, int], tries: int, tmp_path: Path) -> None:
        away = Away(tmp_path, times=float("inf"))
        with allow_waiting(), pytest.raises(TransientStorageError):
            away.connection(**options).do(lambda storage: storage.moves)
        assert away.tries == tries

    def test_what_does_not_pass_is_not_tried_again(self, tmp_path: Path) -> None:
        away = Away(tmp_path, times=float("inf"), fault=PermanentStorageError("wrong password"))
        with allow_waiting(), pytest.raises(PermanentStorageError):
            away.connection(retry_for_s=900).do(lambda storage: storage.moves)
        assert away.tries == 1


def test_wait_is_told_to_everybody_with_the_next_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "_TOLD_PAUSE_S", 0.0)
    outer: list[str] = []
    inner: list[str] = []
    with allow_waiting(outer.append), allow_waiting(inner.append):
        Away(tmp_path, times=1).connection(retry_for_s=900).do(lambda storage: storage.moves)
    assert outer == inner == ["could not reach it (try 1): waiting, next try in 0 s, for 15 minutes at most"]


def test_wait_of_another_thread_is_ended(tmp_path: Path) -> None:
    connection = Away(tmp_path, times=float("inf")).connection(retry_for_s=900, first_pause_s=300)
    threading.Timer(0.2, connection.give_up).start()
    began = time.monotonic()
    with allow_waiting(), pytest.raises(TransientStorageError):
        connection.do(lambda storage: storage.moves)
    assert time.monotonic() - began < 150


@pytest.mark.parametrize(("retry_for", "seconds"), [(0, 0), ("30 seconds", 30), ("15 minutes", 900), ("1 hour", 3600)])
def test_span_is_read(retry_for: str | int, seconds: int) -> None:
    assert LocalFolderSpec.model_validate({"name": "near", "path": "out", "retry_for": retry_for}).retry_for_s == seconds


@pytest.mark.parametrize("retry_for", ["soon", "15", 15, "-1 minutes", True])
def test_what_is_no_span_is_refused(retry_for: object) -> None:
    with pytest.raises(ValidationError, match=r"is no span of time|Input should be"):
        LocalFolderSpec.model_validate({"name": "near", "path": "out", "retry_for": retry_for})


def test_it_is_fifteen_minutes_unless_said_otherwise() -> None:
    assert LocalFolderSpec(name="near", path="out").retry_for_s == 900


@pytest.fixture
def own_openssh() -> Iterator[OpenSsh]:
    with openssh() as server:
        yield server


@pytest.mark.xdist_group("sftp")
def test_server_that_is_started_again_gets_the_file_once(own_openssh: OpenSsh, tmp_path: Path) -> None:
    account, program = own_openssh.login("plain"), own_openssh.program
    assert program is not None
    (tmp_path / "staged").write_bytes(b"rows")
    told: list[str] = []

    def start_once_that_is_told(line: str) -> None:
        if not told:
            program.start()
        told.append(line)

    program.kill()
    with allow_waiting(start_once_that_is_told), Publisher(sftp_spec(own_openssh, account), tmp_path) as publisher:
        publisher.make_folder("in")
    assert any("nothing listens there" in line and "next try in" in line for line in told)
    assert (account.home / "in").is_dir()
