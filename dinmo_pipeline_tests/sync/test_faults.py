"""Damage, full disks, missing rights and crowds, on real files: a clear error, nothing delivered by halves, and the next sync right."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dinmo_pipeline.errors import BusyError, DinmoError, PermanentStorageError, StateError
from dinmo_pipeline.sync.service import Completed, Delivery
from dinmo_pipeline_tests.faults.kinds import Ballast
from dinmo_pipeline_tests.random_cases import CASES
from dinmo_pipeline_tests.servers.disks import small_folder
from dinmo_pipeline_tests.sync.disk import DIFFERENCE, START, Disk, forking, run
from dinmo_pipeline_tests.waiting import wait_for_end

BEFORE = {1: "a", 2: "b"}
AFTER = {2: "B", 3: "c"}


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A project whose rows were delivered once and have changed since."""
    disk = Disk(tmp_path / "project")
    disk.set_rows(BEFORE)
    disk.run()
    disk.consume()
    disk.set_rows(AFTER)
    return disk


def check_delivered(disk: Disk) -> None:
    while isinstance(disk.run(), Completed):
        disk.consume()
    disk.consume()
    assert {key: row["value"] for key, row in disk.copy.items()} == {str(("number", str(key))): repr(value) for key, value in AFTER.items()}
    assert not disk.left_behind()


def entries(disk: Disk) -> list[Path]:
    return sorted((disk.home / "state/activations/export/log").glob("*.json"))


def snapshots(disk: Disk) -> list[Path]:
    return sorted((disk.home / "state/activations/export/snapshots").glob("*.parquet"))


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"version": 2}', b"\xff\xfe"])
def test_damaged_entry_stops_every_step_with_its_name(disk: Disk, content: bytes) -> None:
    delivered = disk.files()
    entry = entries(disk)[2]
    entry.write_bytes(content)
    for step in (disk.run, disk.syncs().state, disk.syncs().approve):
        with pytest.raises(StateError, match=entry.name):
            step()
    assert disk.files() == delivered


def test_missing_entry_stops_the_sync_and_restored_it_goes_on(disk: Disk) -> None:
    entry = entries(disk)[1]
    text = entry.read_bytes()
    entry.unlink()
    with pytest.raises(StateError, match="entry 2 is missing"):
        disk.run()
    entry.write_bytes(text)
    check_delivered(disk)


def test_entry_of_a_sync_that_never_began_is_a_state_error(disk: Disk) -> None:
    entry = entries(disk)[0]
    entry.write_bytes(entry.read_bytes().replace(b'"number": 1', b'"number": 9'))
    with pytest.raises(StateError, match="sync 1, which never began"):
        disk.run()


@pytest.mark.parametrize("damage", ["lost", "cut off", "edited"])
def test_damaged_base_stops_the_sync_and_full_is_the_way_out(disk: Disk, damage: str) -> None:
    delivered = disk.files()
    base = snapshots(disk)[0]
    content = base.read_bytes()
    if damage == "lost":
        base.unlink()
    else:
        base.write_bytes(content[:-9] if damage == "cut off" else content[:50] + bytes([content[50] ^ 1]) + content[51:])
    with pytest.raises(StateError, match=r"dinmo sync --full"):
        disk.run()
    assert disk.files() == delivered
    found = disk.run(full=True)
    assert isinstance(found, Delivery)
    assert found.export.counts.added == len(AFTER)
    assert "lost" in found.export.reason
    disk.set_rows({3: "c"})
    assert isinstance(later := disk.run(), Delivery)
    assert later.export.counts.removed == 1


def test_damaged_file_under_a_patch_stops_the_sync_and_full_is_the_way_out(disk: Disk) -> None:
    disk.run()
    whole, _ = snapshots(disk)
    whole.write_bytes(whole.read_bytes()[:-9])
    disk.set_rows({3: "c"})
    delivered = disk.files()
    with pytest.raises(StateError, match=r"dinmo sync --full"):
        disk.run()
    assert disk.files() == delivered
    assert isinstance(found := disk.run(full=True), Delivery)
    assert found.export.counts.added == 1


def test_snapshot_that_is_patched_is_deleted_after_the_last_patch_of_it(tmp_path: Path) -> None:
    disk = Disk(tmp_path, f"{DIFFERENCE}, keep_syncs: 1")
    rows = dict.fromkeys(range(40), "a")
    kept = []
    for number in range(12):
        disk.set_rows(rows | {number: "b"})
        disk.run()
        disk.consume()
        assert len(disk.copy) == len(rows)
        kept.append([path.name[:6] for path in snapshots(disk)])
    # Sync 7 is whole, since more than an eighth was patched; those before it go as soon as nothing that is kept was compared with them.
    assert kept[5] == ["000001", "000004", "000005", "000006"]
    assert kept[8] == ["000007", "000008", "000009"]


def test_damaged_base_of_insert_is_a_state_error(tmp_path: Path) -> None:
    disk = Disk(tmp_path, 'file_name: "{x}_e", sync_mode: insert, mapping: [id, v]')
    disk.set_rows(BEFORE)
    disk.run()
    snapshots(disk)[0].write_bytes(b"PAR1")
    with pytest.raises(StateError, match="not what was recorded"):
        disk.run()
    assert isinstance(disk.run(full=True), Delivery)


@pytest.mark.parametrize("options", [DIFFERENCE, f"{DIFFERENCE}, max_rows: 5_000"], ids=["one file", "parts"])
def test_full_disk_at_the_destination_is_a_clear_error_and_leaves_nothing_there(tmp_path: Path, options: str) -> None:
    with small_folder(tmp_path / "small", megabytes=1) as small:
        disk = Disk(tmp_path / "project", options)
        definition = disk.root / "defs/defs.yaml"
        definition.write_text(definition.read_text().replace("path: out", f"path: {small}/out"))
        disk.set_rows(BEFORE)
        disk.run()
        before = sorted(small.rglob("*"))
        disk.set_rows(AFTER | dict.fromkeys(range(4, 30_000), "x" * 50))
        with pytest.raises(PermanentStorageError, match=r"could not write the file .* the disk is full: free some room"):
            disk.run()
        assert sorted(small.rglob("*")) == before


def test_full_disk_of_the_project_is_a_state_error_and_the_next_sync_is_right(tmp_path: Path) -> None:
    with small_folder(tmp_path / "small", megabytes=16) as small:
        disk = Disk(small / "project")
        disk.set_rows(BEFORE)
        disk.run()
        disk.consume()
        disk.set_rows(AFTER)
        ballast = Ballast(small)
        ballast.take()
        with pytest.raises(StateError, match=r"warehouse.*Free some room"):
            disk.run()
        ballast.drop()
        check_delivered(disk)


def test_draft_of_an_entry_that_a_killed_process_left_goes_with_the_next_sync(disk: Disk) -> None:
    draft = entries(disk)[0].parent.with_name(".0123456789abcdef.draft")
    draft.write_text("{")
    disk.run()
    assert not draft.exists()


def test_destination_that_takes_nothing_is_a_storage_error_and_mended_all_arrives(disk: Disk) -> None:
    shutil.rmtree(disk.out)
    disk.out.write_text("")
    with pytest.raises(PermanentStorageError, match="a file stands where a folder is needed"):
        disk.run()
    disk.out.unlink()
    check_delivered(disk)


def test_state_that_takes_nothing_is_a_state_error(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.set_rows(BEFORE)
    disk.refresh()
    (disk.home / "state").write_text("")
    with pytest.raises(StateError, match="mend that and start again"):
        disk.syncs().take_snapshot("a", now=START)


def test_lock_that_another_process_holds_is_waited_for_and_then_told(disk: Disk) -> None:
    syncs = disk.syncs()
    with (
        syncs._log.locked(),
        pytest.raises(BusyError, match=rf"waiting for activation \w+: process {os.getpid()} on "),
        disk.syncs()._log.locked(wait_s=0.2),
    ):
        raise AssertionError("it was let in")


def test_fifty_processes_at_once_deliver_each_change_once(disk: Disk) -> None:
    disk.refresh()
    count = 50 if CASES > 1 else 12
    processes = [forking().Process(target=_sync_once, args=(disk.root, disk.tick(), index)) for index in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        wait_for_end(process)
    outcomes = Counter((disk.root / f"outcome{index}").read_text() for index in range(count))
    assert set(outcomes) <= {"Delivery", "SyncRefused"}, outcomes
    assert outcomes["Delivery"] >= 1
    state = disk.syncs().state()
    assert len([sync for sync in state.delivered if sync.number > 1]) == outcomes["Delivery"]
    sent = [sync.export.counts for sync in state.delivered if sync.number > 1 and sync.export is not None]
    assert [(counts.added, counts.updated, counts.removed) for counts in sent] == [(1, 1, 1), *[(0, 0, 0)] * (len(sent) - 1)]
    check_delivered(disk)


def _sync_once(root: Path, now: datetime, index: int) -> None:
    os.environ["DINMO_TEST_INDEX"] = str(index)
    try:
        outcome = type(_deliver(root, now)).__name__
    except DinmoError as error:
        outcome = type(error).__name__
    (root / f"outcome{index}").write_text(outcome)


def _deliver(root: Path, now: datetime) -> Delivery:
    from dinmo_pipeline.project.load import load_project
    from dinmo_pipeline.sync.labels import label_of_instant
    from dinmo_pipeline.sync.service import SyncService

    project = load_project(root)
    syncs = SyncService(project, project.activations["export"])
    syncs.roll_forward()
    syncs.take_snapshot(label_of_instant(now), now=now)
    return syncs.deliver(label_of_instant(now), now=now)


def test_sync_of_a_path_with_odd_characters_works(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "a [b] c*d it's é {x}")
    disk.set_rows(BEFORE)
    disk.run()
    disk.consume()
    disk.set_rows(AFTER)
    check_delivered(disk)


def test_question_mark_in_the_path_of_the_warehouse_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINMO_HOME", str(tmp_path / "what?" / "home"))
    disk = Disk(tmp_path / "fine")
    disk.set_rows(BEFORE)
    with pytest.raises(StateError, match="question mark"):
        disk.run()


def test_two_runs_of_one_instant_differ_by_nothing(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        disk = Disk(tmp_path / name, DIFFERENCE)
        disk.set_rows({number: str(number) for number in range(3000)})
        disk.run()
        disk.set_rows({number: str(number % 7) for number in range(500, 4000)})
        run(disk.root, START + timedelta(days=1))
        made.append({path.name: path.read_bytes() for path in disk.files()})
    assert made[0] == made[1]
