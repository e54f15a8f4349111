"""State on object stores: two processes that race, holders that die or stand still, and whole histories, on real servers."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dinmo_pipeline.errors import BusyError, DinmoError, StateError, SyncRefused
from dinmo_pipeline.storages.local.spec import LocalFolder
from dinmo_pipeline.storages.object_store.contract import ObjectStorage
from dinmo_pipeline.sync.ledger.segments import path_of
from dinmo_pipeline.sync.prepare import Target
from dinmo_pipeline.sync.service import Completed, Delivery
from dinmo_pipeline_tests.servers.azurite import CONTAINER, Azurite
from dinmo_pipeline_tests.servers.front import Front
from dinmo_pipeline_tests.servers.running import free_port
from dinmo_pipeline_tests.sync.disk import DIFFERENCE, Disk, run
from dinmo_pipeline_tests.sync.remote_states import LEASE_S, RemoteState, begin_apart
from dinmo_pipeline_tests.waiting import PATIENCE_S, wait_for_end, wait_until

POSITIONS, TURNS = 25, 8


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    made = Disk(tmp_path / "project")
    made.set_rows({1: "a", 2: "b", 3: "c"})
    return made


@pytest.fixture
def front(state: RemoteState) -> Iterator[Front]:
    port = next(urlsplit(value).port for value in state.variables.values() if value.startswith("http://127.0.0.1:"))
    assert port is not None
    with Front.listening(port) as made:
        yield made


def forget_this_machine(disk: Disk) -> None:
    """What is left when another machine takes over: the definitions, and what lies at the destination."""
    shutil.rmtree(disk.home)


def values(disk: Disk) -> dict[str, str]:
    disk.consume()
    return {row["id"][1]: row["value"] for row in disk.copy.values()}


def spelled(rows: dict[int, str]) -> dict[str, str]:
    return {str(key): repr(value) for key, value in rows.items()}


def create_each(state: RemoteState, name: str, gate: Path) -> None:
    backend = state.backend()
    backend.read("export", "log")
    gate.with_name(f"{name}.ready").touch()
    while not gate.exists():
        time.sleep(0.001)
    won = [
        position for position in range(1, POSITIONS + 1) if backend.create("export", path_of(position, 0), f"{name} {position}".encode())
    ]
    gate.with_name(name).write_text(" ".join(map(str, won)))


def test_of_two_processes_that_create_an_entry_one_succeeds(state: RemoteState, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    processes = [begin_apart(create_each, state.variables, state, name, gate) for name in ("one", "other")]
    wait_until(lambda: len(list(tmp_path.glob("*.ready"))) == 2, "both processes")
    gate.touch()
    for process in processes:
        wait_for_end(process)

    won = {name: {int(word) for word in (tmp_path / name).read_text().split()} for name in ("one", "other")}
    assert won["one"] | won["other"] == set(range(1, POSITIONS + 1))
    assert won["one"] & won["other"] == set()
    pages = state.backend().read("export", "log")
    assert [page.text.decode() for page in pages] == [
        f"{'one' if position in won['one'] else 'other'} {position}" for position in range(1, POSITIONS + 1)
    ]


def take_turns(state: RemoteState, counter: Path) -> None:
    backend = state.backend()
    for _ in range(TURNS):
        with backend.locked("export", PATIENCE_S):
            count = int(counter.read_text())
            time.sleep(0.02)
            counter.write_text(str(count + 1))


def test_lock_is_held_by_one_process_at_a_time(state: RemoteState, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    processes = [begin_apart(take_turns, state.variables, state, counter) for _ in range(2)]
    for process in processes:
        wait_for_end(process)

    assert counter.read_text() == str(2 * TURNS)


def hold(state: RemoteState, taken: Path) -> None:
    with state.backend().locked("export", PATIENCE_S):
        taken.touch()
        time.sleep(600)


def test_lock_of_a_living_holder_outlasts_its_lease(state: RemoteState, tmp_path: Path) -> None:
    holder = begin_apart(hold, state.variables, state, tmp_path / "taken")
    wait_until((tmp_path / "taken").exists, "the lock")
    try:
        with pytest.raises(BusyError, match=rf"activation export: process {holder.pid} on "), state.backend().locked("export", 2 * LEASE_S):
            pass
    finally:
        holder.kill()
        holder.join()


def test_lock_of_a_killed_holder_is_free_when_its_lease_has_ended(state: RemoteState, tmp_path: Path) -> None:
    holder = begin_apart(hold, state.variables, state, tmp_path / "taken")
    wait_until((tmp_path / "taken").exists, "the lock")
    holder.kill()
    wait_for_end(holder)
    began = time.monotonic()
    with state.backend().locked("export", PATIENCE_S):
        waited = time.monotonic() - began
    assert waited >= LEASE_S


def stop_after_first_move(root: Path, now: datetime) -> None:
    move = LocalFolder.move

    def move_and_stop(self: LocalFolder, remote_path: str, target_path: str) -> None:
        move(self, remote_path, target_path)
        if not (root / "stopped").exists():
            (root / "stopped").touch()
            os.kill(os.getpid(), signal.SIGSTOP)

    LocalFolder.move = move_and_stop  # type: ignore[method-assign]
    try:
        run(root, now)
        (root / "ended").write_text("delivered")
    except DinmoError as error:
        (root / "ended").write_text(f"{type(error).__name__}: {error}")


def test_holder_that_stood_still_in_its_moves_refuses_to_go_on(state: RemoteState, disk: Disk) -> None:
    disk.run()
    disk.consume()
    disk.set_rows({1: "A", 2: "b", 4: "d"})
    stalled = begin_apart(stop_after_first_move, state.variables, disk.root, disk.tick())
    wait_until((disk.root / "stopped").exists, "the first move")

    completed = disk.run()
    disk.consume()
    disk.set_rows({1: "A", 5: "e"})
    disk.run()
    files = {path.name: path.read_bytes() for path in disk.files()}
    assert stalled.pid is not None
    os.kill(stalled.pid, signal.SIGCONT)
    wait_for_end(stalled)

    assert isinstance(completed, Delivery)
    assert (disk.root / "ended").read_text().startswith("SyncRefused: ")
    assert "stood still" in (disk.root / "ended").read_text()
    assert {path.name: path.read_bytes() for path in disk.files()} == files
    assert values(disk) == spelled({1: "A", 5: "e"})


def stand_still(state: RemoteState, folder: Path) -> None:
    backend = state.backend()
    with backend.locked("export", PATIENCE_S):
        (folder / "taken").touch()
        os.kill(os.getpid(), signal.SIGSTOP)
        with suppress(SyncRefused):
            backend.create("export", path_of(1, 0), b"late")
            (folder / "created").touch()
        with suppress(SyncRefused):
            backend.has("export", path_of(1, 0))
            (folder / "asked").touch()


def test_entry_of_a_holder_that_stood_still_is_refused(state: RemoteState, tmp_path: Path) -> None:
    stalled = begin_apart(stand_still, state.variables, state, tmp_path)
    wait_until((tmp_path / "taken").exists, "the lock")
    backend = state.backend()
    with backend.locked("export", PATIENCE_S):
        assert stalled.pid is not None
        os.kill(stalled.pid, signal.SIGCONT)
        wait_for_end(stalled)
        # Nobody wrote entry 1 meanwhile: it is the lost lock alone that refuses.
        assert backend.create("export", path_of(1, 0), b"in time")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    assert [page.text for page in backend.read("export", "log")] == [b"in time"]


def test_history_goes_on_from_any_machine(state: RemoteState, disk: Disk) -> None:
    rows = [{1: "a", 2: "b", 3: "c"}, {1: "a", 2: "B", 4: "d"}, {2: "B", 4: "D", 5: "e"}]
    for count, each in enumerate(rows):
        disk.set_rows(each)
        delivery = disk.run()
        assert isinstance(delivery, Delivery)
        assert (delivery.export.base, bool(delivery.export.reason)) == (count or None, count == 0)
        assert values(disk) == spelled(each)
        forget_this_machine(disk)
    assert not (disk.home / "state").exists()


def kill_after_first_move(root: Path, now: datetime) -> None:
    move = LocalFolder.move

    def move_and_die(self: LocalFolder, remote_path: str, target_path: str) -> None:
        move(self, remote_path, target_path)
        os.kill(os.getpid(), signal.SIGKILL)

    LocalFolder.move = move_and_die  # type: ignore[method-assign]
    run(root, now)


@pytest.mark.parametrize("machine", ["same", "other"])
def test_sync_that_was_killed_in_its_moves_is_completed(state: RemoteState, disk: Disk, machine: str) -> None:
    disk.define(DIFFERENCE.replace("{x}_e", "e"))
    disk.run()
    disk.consume()
    disk.set_rows({1: "A", 2: "b", 4: "d"})
    killed = begin_apart(kill_after_first_move, state.variables, disk.root, disk.tick())
    wait_for_end(killed)
    assert killed.exitcode == -signal.SIGKILL
    if machine == "other":
        forget_this_machine(disk)
    disk.set_rows({1: "A", 2: "b", 5: "e"})

    completed = disk.run()
    assert isinstance(completed, Completed)
    assert completed.delivery.outcome.rolled_forward
    assert values(disk) == spelled({1: "A", 2: "b", 4: "d"})
    disk.run()
    assert values(disk) == spelled({1: "A", 2: "b", 5: "e"})
    assert not disk.left_behind()


def test_copy_of_a_snapshot_that_is_damaged_is_fetched_again(state: RemoteState, disk: Disk) -> None:
    disk.run()
    disk.consume()
    (copy,) = (disk.home / "snapshots").rglob("*.parquet")
    copy.write_bytes(b"damaged")
    disk.set_rows({1: "a", 2: "B", 3: "c"})

    delivery = disk.run()
    assert isinstance(delivery, Delivery)
    assert (delivery.export.counts.added, delivery.export.counts.updated) == (0, 1)


def test_snapshot_that_is_lost_is_told(state: RemoteState, disk: Disk) -> None:
    disk.run()
    with state.storage() as (storage, folder):
        (snapshot,) = storage.list(f"{folder}/activations/export/snapshots")
        storage.delete(f"{folder}/activations/export/snapshots/{snapshot.name}")
    forget_this_machine(disk)

    with pytest.raises(StateError, match=r"reading the snapshot .*no such file|reading the snapshot .*answered 404"):
        disk.run()


def test_old_snapshots_are_deleted_there_and_here(state: RemoteState, disk: Disk) -> None:
    disk.define(DIFFERENCE + ", keep_syncs: 2")
    for number in range(8):
        disk.set_rows({number: "a"})
        disk.run()
    with state.storage() as (storage, folder):
        there = {file.name for file in storage.list(f"{folder}/activations/export/snapshots")}

    assert {path.name for path in (disk.home / "snapshots").rglob("*.parquet")} == there
    # Those of the last three deliveries, the one that the first of these was compared with, and whole ones below them.
    assert len(there) <= 6
    assert not any(name.startswith("000001") for name in there)


def test_rows_of_a_rehearsal_stay_on_this_machine(state: RemoteState, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    with state.storage() as (storage, _):
        kind = type(storage)
    put = kind.put

    def noted(storage: ObjectStorage, local_path: Path, remote_path: str, *, sha256: str | None = None) -> None:
        written.append(remote_path)
        put(storage, local_path, remote_path, sha256=sha256)

    monkeypatch.setattr(kind, "put", noted)
    disk.refresh()
    target = Target(disk.project.storages["out"], recorded=False)
    disk.syncs().rehearse(instant=disk.tick(), target=target, send=False)

    assert written == []
    disk.run()
    assert len(written) == 1


@pytest.mark.usefixtures("short_pauses")
def test_write_that_is_refused_once_is_tried_again(state: RemoteState, disk: Disk, front: Front) -> None:
    with state.at_port(front.own_port).in_use():
        disk.run()
        for failures in (1, 5):
            front.fail_writes(failures, 503)
            disk.set_rows({failures: "x"})
            assert isinstance(disk.run(), Delivery)
            assert values(disk) == spelled({failures: "x"})


def test_write_whose_answer_was_lost_counts(state: RemoteState, front: Front) -> None:
    relayed = state.at_port(front.own_port)
    with relayed.in_use():
        backend = relayed.backend()
        front.lose_answers(1)
        assert backend.create("export", path_of(1, 0), b"first")
        assert not backend.create("export", path_of(1, 0), b"second")
        front.lose_answers(1)
        with backend.locked("export", PATIENCE_S):
            front.lose_answers(1)
            time.sleep(LEASE_S)
            assert backend.create("export", path_of(2, 0), b"third")
    assert [page.text for page in state.backend().read("export", "log")] == [b"first", b"third"]


def test_wrong_credentials_are_told_without_them(state: RemoteState, disk: Disk) -> None:
    if "STORAGE_EMULATOR_HOST" in state.variables:
        # As emulators of GCS do. What Google says to wrong ones, test_gcs hears from a server of tokens.
        pytest.skip("this server asks for no credentials")
    secret = "bm90IHRoZSBrZXk="
    variable = "AZURE_STORAGE_KEY" if "AZURE_STORAGE_KEY" in state.variables else "AWS_SECRET_ACCESS_KEY"
    with (
        RemoteState({**state.variables, variable: secret, "DINMO_STATE_URL": f"{state.url}-closed"}).in_use(),
        pytest.raises(StateError, match=r"DINMO_STATE_URL.*403.*(did not accept|the account key)") as caught,
    ):
        disk.run()
    assert secret not in str(caught.value)


def test_missing_bucket_is_told(state: RemoteState, disk: Disk) -> None:
    nowhere = RemoteState({**state.variables, "DINMO_STATE_URL": state.url.replace(f"/{CONTAINER}/", "/nowhere/")})
    with nowhere.in_use(), pytest.raises(StateError, match=r"nowhere.*have the (bucket|container) made"):
        disk.run()


@pytest.mark.usefixtures("short_pauses")
def test_server_that_is_away_is_told(state: RemoteState, disk: Disk) -> None:
    with state.at_port(free_port()).in_use(), pytest.raises(StateError, match="nothing listens there"):
        disk.syncs().state()


@pytest.mark.xdist_group("azure")
def test_address_that_does_not_create_exclusively_is_refused(disk: Disk, azurite_server: Azurite) -> None:
    with Front.listening(azurite_server.port) as front:
        front.drop_header("If-None-Match")
        url = f"{azurite_server.url()}/{CONTAINER}/careless".replace(f":{azurite_server.port}", f":{front.own_port}")
        token = azurite_server.sas_token("racwdl")
        with RemoteState({"DINMO_STATE_URL": url, "AZURE_STORAGE_SAS_TOKEN": token}).in_use():
            with pytest.raises(StateError, match="two syncs at once would not notice each other"):
                disk.run()
            assert disk.files() == []
            front.reset()
            assert isinstance(disk.run(), Delivery)
