"""State on an S3 server that is killed in the middle of a sync and started again: all is delivered once, and the log is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dinmo_pipeline.errors import DinmoError
from dinmo_pipeline.storages import retrying as connection_module
from dinmo_pipeline.storages.local.spec import LocalFolder
from dinmo_pipeline.storages.s3.session import S3Bucket
from dinmo_pipeline.storages.waiting import allow_waiting
from dinmo_pipeline.sync.backends import object_store as object_state
from dinmo_pipeline.sync.service import Delivery
from dinmo_pipeline_tests.servers.s3 import S3Server, s3
from dinmo_pipeline_tests.sync.disk import Disk
from dinmo_pipeline_tests.sync.remote_states import LEASE_S, state_on_s3

pytestmark = pytest.mark.xdist_group("s3")

FIRST, SECOND = {1: "a", 2: "b", 3: "c"}, {1: "a", 2: "B", 4: "d"}
# What the server's end comes just before: the rows are kept there, or the first file was shown and its sync is to be noted there.
MOMENTS = {"rows": (S3Bucket, "put"), "move": (LocalFolder, "move")}


@pytest.fixture(scope="module")
def own_server() -> Iterator[S3Server]:
    with s3() as server:
        yield server


@pytest.fixture(params=list(MOMENTS))
def disk(request: pytest.FixtureRequest, own_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A project that was delivered once, and whose server is killed in the next sync."""
    for name, value in state_on_s3(own_server, f"state/{request.param}-{tmp_path.name}").variables.items():
        monkeypatch.setenv(name, value)
    made = Disk(tmp_path / "project")
    made.set_rows(FIRST)
    made.run()
    made.consume()
    made.set_rows(SECOND)
    owner, name = MOMENTS[request.param]
    act = getattr(owner, name)

    def act_on_a_server_that_dies(*arguments: Any, **options: Any) -> object:
        monkeypatch.setattr(owner, name, act)
        own_server.program.kill()
        return act(*arguments, **options)

    monkeypatch.setattr(owner, name, act_on_a_server_that_dies)
    return made


def test_sync_waits_for_its_state_and_delivers_once(disk: Disk, own_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "_TOLD_PAUSE_S", 0.0)
    told: list[str] = []

    def start_once_that_is_told(line: str) -> None:
        if not told:
            own_server.start()
        told.append(line)

    with allow_waiting(start_once_that_is_told):
        delivery = disk.run()

    assert told, "nobody waited"
    assert isinstance(delivery, Delivery)
    assert (delivery.export.counts.added, delivery.export.counts.updated, delivery.export.counts.removed) == (1, 1, 1)
    assert_all_came_once(disk)


@pytest.mark.usefixtures("short_pauses")
def test_sync_whose_state_stays_away_says_so_and_the_next_one_delivers(
    disk: Disk, own_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The next one waits for the end of what the first could not give back.
    monkeypatch.setattr(object_state, "LEASE_S", LEASE_S)
    with pytest.raises(DinmoError, match=r"nothing listens there|renewing its lock"):
        disk.run()
    own_server.start()

    disk.run()

    assert_all_came_once(disk)


def assert_all_came_once(disk: Disk) -> None:
    """The second table is there, each change of it was sent once, and the log leads to a third."""
    disk.consume()
    assert {key: row["value"] for key, row in disk.copy.items()} == dict(zip(keys(SECOND), map(repr, SECOND.values()), strict=True))
    assert sorted(disk.inserted) == sorted(keys(FIRST) + keys({2: "B", 4: "d"}))
    disk.set_rows({9: "z"})
    delivery = disk.run()
    assert isinstance(delivery, Delivery)
    assert (delivery.export.counts.added, delivery.export.counts.removed) == (1, len(SECOND))
    disk.consume()
    assert list(disk.copy) == keys({9: "z"})
    assert not disk.left_behind()


def keys(rows: dict[int, str]) -> list[str]:
    """As `Disk` writes keys of rows down."""
    return [str(("number", str(key))) for key in rows]
