"""A state that was restored from an older backup: noticed, said, and the way out leaves the consumer with the table."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dinmo_pipeline.errors import OutdatedStateError, PermanentStorageError, SyncBlocked, SyncRefused
from dinmo_pipeline.sync.prepare import Target
from dinmo_pipeline.sync.service import Delivery, SyncService
from dinmo_pipeline_tests.sync.disk import DIFFERENCE, Disk

NOW = {1: "a", 3: "c3", 5: "e"}


UPSERT = DIFFERENCE.replace("difference", "upsert")


def restored(root: Path, options: str, *, run_type: str = "full_then_delta") -> Disk:
    """Two syncs, then the backup, then two more, then the backup restored: the consumer has more than the log knows of."""
    disk = Disk(root, options)
    definitions = root / "defs/defs.yaml"
    definitions.write_text(definitions.read_text().replace("full_then_delta", run_type))
    for rows in ({1: "a", 2: "b"}, {1: "a", 2: "b", 3: "c"}):
        disk.set_rows(rows)
        disk.run()
    state = disk.home / "state"
    shutil.copytree(state, root / "backup")
    for rows in ({1: "a", 2: "b", 3: "c3", 4: "d"}, {1: "a", 3: "c3", 4: "d"}):
        disk.set_rows(rows)
        disk.run()
    shutil.rmtree(state)
    shutil.copytree(root / "backup", state)
    disk.set_rows(NOW)
    return disk


@pytest.fixture(params=[DIFFERENCE, UPSERT], ids=["difference", "upsert"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return restored(tmp_path, request.param)


def check_copy_of_todays_rows(disk: Disk) -> None:
    disk.consume()
    for key, value in NOW.items():
        assert disk.copy[str(("number", str(key)))]["value"] == repr(value)


def refuses(disk: Disk) -> None:
    before = disk.files()
    with pytest.raises(OutdatedStateError, match=r"seen it go on to entry 20, of sync 4: it was restored .*`dinmo sync export --full`"):
        disk.run()
    assert disk.files() == before


def test_delta_is_refused_until_every_row_was_sent(disk: Disk) -> None:
    refuses(disk)
    refuses(disk)
    delivery = disk.run(full=True)
    assert isinstance(delivery, Delivery)
    assert delivery.export.number == 5, "the numbers of lost syncs are not given again"
    check_copy_of_todays_rows(disk)

    disk.set_rows(NOW | {6: "f"})
    after = disk.run()
    assert isinstance(after, Delivery)
    assert (after.export.base, after.export.counts.added or after.export.rows_sent) == (5, 1)


def test_full_only_sync_goes_on_with_a_number_of_its_own(tmp_path: Path) -> None:
    disk = restored(tmp_path, 'file_name: "{x}_e", sync_mode: snapshot, mapping: {id: id, v: value}', run_type="full_only")
    delivery = disk.run()
    assert isinstance(delivery, Delivery)
    assert delivery.export.number == 5
    assert delivery.export.rows_sent == len(NOW)


def test_full_sync_that_fails_leaves_the_next_one_full(disk: Disk) -> None:
    out = disk.out.rename(disk.root / "away")
    disk.out.write_text("")
    with pytest.raises(PermanentStorageError):
        disk.run(full=True)
    disk.out.unlink()
    out.rename(disk.out)
    delivery = disk.run()
    assert isinstance(delivery, Delivery)
    assert delivery.export.reason == "the log was restored from a backup that is older than the last delivery"
    assert delivery.export.counts.rows == len(NOW)
    check_copy_of_todays_rows(disk)


def test_nothing_is_delivered_again_before_every_row_was_sent(disk: Disk) -> None:
    assert disk.syncs().roll_forward(full=True) is None
    before = disk.files()
    with pytest.raises(SyncRefused, match="restored from an older backup, so newer syncs are not known"):
        disk.syncs().redeliver(2)
    assert disk.files() == before


def test_open_intent_of_the_backup_is_not_completed(tmp_path: Path) -> None:
    disk = Disk(tmp_path, 'file_name: "e", on_existing: overwrite, sync_mode: upsert, mapping: {id: id, v: v}')
    disk.set_rows({1: "old"})
    disk.run()
    state = disk.home / "state"
    delivered = max((state / "activations/export/log").iterdir())
    content = delivered.read_bytes()
    delivered.unlink()
    shutil.copytree(state, tmp_path / "backup")
    delivered.write_bytes(content)
    disk.set_rows({1: "new"})
    disk.run()
    shutil.rmtree(state)
    shutil.copytree(tmp_path / "backup", state)

    with pytest.raises(OutdatedStateError):
        disk.run()
    assert [path.read_text() for path in disk.files()] == ["id,v\n1,new\n"]
    disk.run(full=True)
    assert [path.read_text() for path in disk.files()] == ["id,v\n1,new\n"]


def test_sync_that_waits_for_approval_since_the_backup_is_superseded(tmp_path: Path) -> None:
    disk = Disk(tmp_path, UPSERT)
    disk.set_rows({1: "a"})
    disk.run()
    disk.set_rows({})
    with pytest.raises(SyncBlocked):
        disk.run()
    shutil.copytree(disk.home / "state", tmp_path / "backup")
    label = disk.syncs().approve().label
    disk.syncs().deliver(label, now=disk.tick())
    disk.set_rows({2: "b"})
    disk.run()
    shutil.rmtree(disk.home / "state")
    shutil.copytree(tmp_path / "backup", disk.home / "state")
    assert disk.syncs().roll_forward(full=True) is None

    assert disk.syncs().state().waiting is None
    with pytest.raises(SyncRefused, match="no sync of it waits for approval"):
        disk.syncs().approve()
    with pytest.raises(SyncRefused, match="restored from an older backup after sync 2 had begun"):
        disk.syncs().deliver(label, now=disk.tick())


def test_numbers_that_only_dagster_knows_are_not_given_again(disk: Disk) -> None:
    assert disk.syncs().roll_forward(full=True, seen=7) is None
    delivery = disk.run(full=True)
    assert isinstance(delivery, Delivery)
    assert delivery.export.number == 8
    assert disk.syncs().roll_forward(seen=8) is None


def test_renamed_activation_looks_how_far_its_earlier_name_went(disk: Disk) -> None:
    definitions = disk.root / "defs/defs.yaml"
    definitions.write_text(definitions.read_text().replace("name: export", "name: renamed, renamed_from: export"))
    project = disk.project
    syncs = SyncService(project, project.activations["renamed"])
    with pytest.raises(OutdatedStateError, match=r"log of activation export: .* entry 20, of sync 4: .*`dinmo sync renamed --full`"):
        syncs.roll_forward()
    assert syncs.roll_forward(full=True) is None
    assert syncs.state().next_number == 5


def test_rehearsal_of_what_sends_every_row_goes_on(tmp_path: Path) -> None:
    disk = restored(tmp_path, 'file_name: "{x}_e", sync_mode: snapshot, mapping: {id: id, v: value}', run_type="full_only")
    disk.refresh()
    target = Target(disk.project.storages["out"])
    assert disk.syncs().rehearse(instant=disk.tick(), target=target, send=False).export.counts.rows == len(NOW)


def test_rehearsal_says_so_too_and_shows_the_way_out(disk: Disk) -> None:
    disk.refresh()
    target = Target(disk.project.storages["out"])
    with pytest.raises(OutdatedStateError):
        disk.syncs().rehearse(instant=disk.tick(), target=target, send=False)
    assert disk.syncs().rehearse(instant=disk.tick(), target=target, send=False, full=True).export.counts.rows == len(NOW)


def test_machine_that_was_away_meanwhile_believes_what_was_accepted(disk: Disk) -> None:
    marks = disk.home / "marks"
    shutil.copytree(marks, disk.root / "other marks")
    disk.run(full=True)
    shutil.rmtree(marks)
    shutil.copytree(disk.root / "other marks", marks)
    disk.set_rows(NOW | {6: "f"})
    assert isinstance(disk.run(), Delivery)


def test_damaged_mark_is_told_with_a_way_out(disk: Disk) -> None:
    (mark,) = (disk.home / "marks").rglob("*.json")
    mark.write_text("{")
    with pytest.raises(
        Exception, match=r"reading how far the log of activation export went .*delete that file if the state was not restored"
    ):
        disk.run()
    mark.unlink()
    assert isinstance(disk.run(), Delivery)
