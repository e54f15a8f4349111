"""What resets the base and what does not, and who may be delivered: each rule of the delta, one at a time."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dinmo_pipeline.delta.export import Change, Export
from dinmo_pipeline.errors import DataError, PermanentStorageError, StateError, SyncBlocked, SyncRefused
from dinmo_pipeline.project.specs import MappedColumn, RunType, SyncMode
from dinmo_pipeline.project.table_refs import TableRef
from dinmo_pipeline.storages.publish import Publisher
from dinmo_pipeline.sync.prepare import Target
from dinmo_pipeline_tests.sync.simulation import SPEC, Outcome, Simulation, crash

pytestmark = pytest.mark.usefixtures("in_memory")


@pytest.fixture
def world(tmp_path: Path) -> Simulation:
    """Keys 1 and 2 were delivered, and 3 has come since."""
    world = Simulation(tmp_path)
    world.set_rows(_1=1, _2=2)
    assert world.run().delivery is not None
    world.set_rows(_1=1, _2=2, _3=3)
    world.tick()
    return world


def edit(world: Simulation, **fields: Any) -> None:
    world.spec = replace(world.spec, **fields)


def exported(outcome: Outcome) -> Export:
    assert outcome.delivery is not None, outcome
    return outcome.delivery.export


def keys(world: Simulation, change: Change, export: Export) -> list[int]:
    """The keys that the newest file of this change holds."""
    put = next(put for put in export.puts if put.change == change)
    content = world.place_of(export).files[put.path]
    return [row[0] for row in json.loads(content)["rows"]]


RESETS = {
    "run type": {"run_type": RunType.FULL_ONLY, "sync_mode": SyncMode.UPSERT, "on_existing": "overwrite"},
    "sync mode": {"sync_mode": SyncMode.UPSERT},
    "primary key": {"primary_key": ("alt",)},
    "source": {"source": TableRef("segments", "people")},
    "destination": {"destination": "there"},
    "folder": {"folder": "other"},
}
KEPT = {
    "file name": {"file_name": "{x}_f"},
    "time zone": {"timezone": "Europe/Paris"},
    "parts": {"max_rows": 1},
    "empty files": {"empty_files": "skip"},
    "dropped column": {"mapping": (MappedColumn("id", "id"),)},
    "reordered columns": {"mapping": (MappedColumn("v", "v"), MappedColumn("id", "id"))},
}


@pytest.mark.parametrize("fields", RESETS.values(), ids=RESETS)
def test_sync_after_an_edit_of_the_promise_sends_every_row(world: Simulation, fields: dict[str, Any]) -> None:
    edit(world, **fields)
    export = exported(world.run())
    assert export.base is None
    assert export.reason
    assert export.rows_sent == 3


@pytest.mark.parametrize("fields", KEPT.values(), ids=KEPT)
def test_sync_after_an_edit_of_anything_else_sends_what_changed(world: Simulation, fields: dict[str, Any]) -> None:
    edit(world, **fields)
    export = exported(world.run())
    assert export.base == 1
    assert (export.counts.added, export.counts.updated, export.counts.removed) == (1, 0, 0)


@pytest.mark.parametrize(
    "mapping",
    [
        (MappedColumn("id", "id"), MappedColumn("v", "value")),
        (MappedColumn("id", "id"), MappedColumn("v", "v"), MappedColumn("w", "w")),
    ],
    ids=["renamed column", "new column"],
)
def test_sync_after_a_wider_mapping_sends_every_common_row_as_updated(world: Simulation, mapping: tuple[MappedColumn, ...]) -> None:
    edit(world, mapping=mapping)
    export = exported(world.run())
    assert (export.counts.added, export.counts.updated, export.counts.removed) == (1, 2, 0)


@pytest.mark.parametrize(("type_text", "updated"), [("DOUBLE", 0), ("DECIMAL(9,2)", 0), ("VARCHAR", 2)])
def test_sync_after_a_change_of_type_sends_all_unless_both_are_numbers(world: Simulation, type_text: str, updated: int) -> None:
    world.engine.types["v"] = type_text
    assert exported(world.run()).counts.updated == updated


def test_insert_after_a_wider_mapping_sends_new_keys_alone(tmp_path: Path) -> None:
    world = Simulation(tmp_path, replace(SPEC, sync_mode=SyncMode.INSERT))
    world.set_rows(_1=1)
    world.run()
    edit(world, mapping=(*(SPEC.mapping or ()), MappedColumn("w", "w")))
    world.set_rows(_1=1, _2=2)
    assert keys(world, Change.ADDED, exported(world.run())) == [2]


def test_insert_of_a_row_that_left_and_came_back_is_not_sent_again(tmp_path: Path) -> None:
    world = Simulation(tmp_path, replace(SPEC, sync_mode=SyncMode.INSERT))
    for rows in ({"_1": 1, "_2": 2}, {"_1": 1}, {"_1": 1, "_3": 3}):
        world.set_rows(**rows)
        world.run()
    world.set_rows(_1=1, _2=2, _3=3)
    assert keys(world, Change.ADDED, exported(world.run())) == []
    world.set_rows(_1=1)
    assert keys(world, Change.ADDED, exported(world.run(full=True))) == [1]
    world.set_rows(_1=1, _2=2, _3=3)
    assert keys(world, Change.ADDED, exported(world.run())) == [], "a full sync keeps the keys that were sent"


def test_failed_sync_leaves_the_next_one_with_all_that_it_would_have_held(world: Simulation) -> None:
    assert world.run_with("before log intent", crash).crashed
    world.set_rows(_1=1, _2=2, _3=3, _4=4)
    assert keys(world, Change.ADDED, exported(world.run())) == [3, 4]


def test_lower_sync_after_a_higher_one_was_delivered_is_superseded(world: Simulation) -> None:
    world.syncs().take_snapshot("older", now=world.now)
    world.run()
    with pytest.raises(SyncRefused, match="superseded"):
        world.syncs().deliver("older", now=world.now)


def test_sync_whose_base_moved_is_refused(world: Simulation) -> None:
    world.syncs().take_snapshot("first", now=world.now)
    world.syncs().take_snapshot("second", now=world.now)
    world.syncs().deliver("first", now=world.now)
    with pytest.raises(SyncRefused, match="had taken its rows"):
        world.syncs().deliver("second", now=world.now)


def test_snapshot_that_is_materialized_again_is_another_file_and_the_newer_counts(world: Simulation) -> None:
    first = world.syncs().take_snapshot("again", now=world.now)
    world.set_rows(_1=1, _2=2, _3=3, _4=4)
    second = world.syncs().take_snapshot("again", now=world.now)
    assert first.snapshot is not None
    assert second.snapshot is not None
    assert first.snapshot.path != second.snapshot.path
    assert first.instant == second.instant
    delivery = world.syncs().deliver("again", now=world.now)
    assert keys(world, Change.ADDED, delivery.export) == [3, 4]


def test_delivery_launched_alone_without_a_snapshot_names_the_job(world: Simulation) -> None:
    with pytest.raises(SyncRefused, match="sync_people_out"):
        world.syncs().deliver("nothing", now=world.now)


def test_delivery_launched_alone_past_a_guard_stops(world: Simulation) -> None:
    world.set_rows()
    world.syncs().take_snapshot("empty", now=world.now)
    for _ in range(2):
        with pytest.raises(SyncBlocked, match="is empty"):
            world.syncs().deliver("empty", now=world.now)
    assert world.syncs().approve().label == "empty"
    assert keys(world, Change.REMOVED, world.syncs().deliver("empty", now=world.now).export) == [1, 2]


def test_source_that_lost_more_than_half_of_a_thousand_rows_stops_in_every_run_type(tmp_path: Path) -> None:
    for run_type, mode in ((RunType.FULL_ONLY, SyncMode.SNAPSHOT), (RunType.FULL_THEN_DELTA, SyncMode.UPSERT)):
        world = Simulation(tmp_path, replace(SPEC, run_type=run_type, sync_mode=mode, file_name="e", on_existing="overwrite"))
        world.set_rows(**{f"_{number}": 1 for number in range(1000)})
        world.run()
        world.set_rows(**{f"_{number}": 1 for number in range(500)})
        assert world.run().delivery is not None, "half of it is not less than half"
        world.set_rows(**{f"_{number}": 1 for number in range(1000)})
        world.run()
        world.set_rows(**{f"_{number}": 1 for number in range(499)})
        outcome = world.run()
        assert isinstance(outcome.error, SyncBlocked)
        assert "less than half" in str(outcome.error)
        approved = world.syncs().approve()
        assert world.syncs().deliver(approved.label, now=world.now).export.counts.rows == 499


def test_approved_full_only_sync_delivers_the_rows_that_were_held(tmp_path: Path) -> None:
    world = Simulation(tmp_path, replace(SPEC, run_type=RunType.FULL_ONLY, sync_mode=SyncMode.SNAPSHOT, on_existing="overwrite"))
    world.set_rows(_1=1)
    world.run()
    world.set_rows()
    assert isinstance(world.run().error, SyncBlocked)
    world.set_rows(_5=5)
    delivery = world.syncs().deliver(world.syncs().approve().label, now=world.now)
    assert keys(world, Change.ALL, delivery.export) == []


def test_approval_outlasts_a_delivery_that_fails_for_another_reason(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run()
    world.set_rows()
    assert isinstance(world.run().error, SyncBlocked)
    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "bring", refuse)
        with pytest.raises(PermanentStorageError):
            world.syncs().deliver(world.syncs().approve().label, now=world.now)

    delivery = world.syncs().deliver(world.syncs().approve().label, now=world.now)

    assert keys(world, Change.REMOVED, delivery.export) == [1, 2, 3]


def refuse(*_: object, **__: object) -> None:
    raise PermanentStorageError("the disk is full")


def test_dated_name_that_was_used_stops_until_it_is_approved(world: Simulation) -> None:
    edit(world, file_name="{YYYY}_e")
    world.run()
    world.set_rows(_1=1, _2=2, _3=3, _4=4)
    outcome = world.run()
    assert isinstance(outcome.error, SyncBlocked)
    assert "may not have been read yet" in str(outcome.error)
    delivery = world.syncs().deliver(world.syncs().approve().label, now=world.now)
    assert keys(world, Change.ADDED, delivery.export) == [4]


def test_new_column_under_a_star_mapping_stops_until_it_is_approved(world: Simulation) -> None:
    edit(world, mapping=None)
    world.run()
    world.engine.types["secret"] = "VARCHAR"
    outcome = world.run()
    assert isinstance(outcome.error, SyncBlocked)
    assert "secret" in str(outcome.error)


@pytest.mark.parametrize("row", [{"id": 1, "alt": 1, "v": 1, "w": 1}, {"id": None, "alt": 1, "v": 1, "w": 1}], ids=["twice", "null"])
def test_bad_key_stops_before_anything_is_delivered(world: Simulation, row: dict[str, int | None]) -> None:
    world.engine.table[99] = row
    before = dict(world.places["here"].files)
    assert isinstance(world.run().error, DataError)
    assert world.places["here"].files == before


def test_full_sync_in_difference_mode_tells_what_left(world: Simulation) -> None:
    world.set_rows(_2=2, _3=3)
    export = exported(world.run(full=True))
    assert (keys(world, Change.ADDED, export), keys(world, Change.REMOVED, export)) == ([2, 3], [1])
    assert export.base == 1


def test_full_sync_after_the_base_is_lost_says_so_and_sends_every_row(world: Simulation) -> None:
    world.engine.lost = set(world.engine.kept)
    outcome = world.run()
    assert isinstance(outcome.error, StateError)
    export = exported(world.run(full=True))
    assert keys(world, Change.ADDED, export) == [1, 2, 3]
    assert "lost" in export.reason
    world.set_rows(_1=1)
    assert keys(world, Change.REMOVED, exported(world.run())) == [2, 3]


def test_full_sync_closes_every_interrupted_one(world: Simulation) -> None:
    for number, full in ((7, False), (8, True)):
        world.set_rows(_1=1, _2=2, **{f"_{number}": 1})
        assert world.run_with("after move", crash, full=full).crashed
    world.set_rows(_1=1, _2=2)
    export = exported(world.run(full=True))
    assert sorted(keys(world, Change.REMOVED, export)) == [7, 8], "either may be with the consumer"


def test_baseline_takes_todays_rows_as_delivered(tmp_path: Path) -> None:
    for mode, change in ((SyncMode.DIFFERENCE, Change.ADDED), (SyncMode.INSERT, Change.ADDED), (SyncMode.UPSERT, Change.CHANGED)):
        world = Simulation(tmp_path, replace(SPEC, sync_mode=mode))
        world.set_rows(_1=1, _2=2)
        world.syncs().baseline("moved", now=world.now)
        assert not world.places["here"].files
        world.set_rows(_1=1, _2=2, _3=3)
        assert keys(world, change, exported(world.run())) == [3]


def test_baseline_while_a_sync_is_half_delivered_is_refused(world: Simulation) -> None:
    world.set_rows(_1=1, _9=9)
    assert world.run_with("after move", crash).crashed
    with pytest.raises(SyncRefused, match="half delivered"):
        world.syncs().baseline("now", now=world.now)


def test_renamed_activation_keeps_its_base(world: Simulation) -> None:
    edit(world, name="people_two", renamed_from="people_out")
    assert world.syncs().state().newest is not None, "the history shows before the first sync"
    assert keys(world, Change.ADDED, exported(world.run())) == [3]
    edit(world, name="people_out", renamed_from="people_two")
    world.set_rows(_1=1, _2=2)
    assert keys(world, Change.REMOVED, exported(world.run())) == [3], "renamed back, it knows what was delivered in between"


def test_old_name_that_somebody_still_runs_does_not_compare_with_what_was_taken_over(world: Simulation) -> None:
    old = world.spec
    edit(world, name="people_two", renamed_from="people_out")
    world.run()
    world.spec = old
    assert exported(world.run()).reason == "the first sync"


def test_empty_files_that_are_skipped_leave_no_earlier_one_behind(world: Simulation) -> None:
    edit(world, file_name="e", on_existing="overwrite", empty_files="skip")
    world.run()
    assert set(world.places["here"].visible()) >= {"out/e_added.ndjson"}
    world.set_rows(_2=2, _3=3)
    export = exported(world.run())
    assert [put.change for put in export.puts] == [Change.REMOVED]
    assert [path for path in world.places["here"].visible() if "/e_" in path] == ["out/e_removed.ndjson"]


def test_missing_file_sends_every_row_where_it_was_asked_for(world: Simulation) -> None:
    edit(world, file_name="e", on_existing="overwrite")
    world.run()
    world.places["here"].files.clear()
    assert exported(world.run()).rows_sent == 0
    edit(world, if_missing="full")
    world.places["here"].files.clear()
    export = exported(world.run())
    assert keys(world, Change.ADDED, export) == [1, 2, 3]


def test_missing_files_are_looked_for_at_the_destination_alone(world: Simulation) -> None:
    edit(world, file_name="e", on_existing="overwrite", if_missing="full")
    world.run()
    world.set_rows(_1=1, _2=2, _3=3, _4=4)
    elsewhere = Target(world.storages["elsewhere"], recorded=False, below="here")
    own = Target(world.storages["here"], recorded=False)

    assert world.syncs().rehearse(instant=world.now, target=elsewhere, send=False).export.counts.added == 1
    assert world.syncs().rehearse(instant=world.now, target=own, send=False).export.counts.added == 1
    world.places["here"].files.clear()
    assert world.syncs().rehearse(instant=world.now, target=own, send=False).export.counts.added == 4


def test_parts_that_a_later_sync_has_no_more_of_are_removed(world: Simulation) -> None:
    edit(world, file_name="e", on_existing="overwrite", max_rows=1, sync_mode=SyncMode.UPSERT)
    world.run()
    parts = ["out/e_1.ndjson", "out/e_2.ndjson", "out/e_3.ndjson"]
    assert [path for path in sorted(world.places["here"].visible()) if "/e_" in path] == parts
    world.set_rows(_1=1, _2=2, _3=4)
    world.run()
    assert [path for path in sorted(world.places["here"].visible()) if "/e_" in path] == parts[:1]


def test_rehearsal_trial_and_redirect_move_no_base(world: Simulation) -> None:
    pages = copy.deepcopy(world.backend.pages)
    here = dict(world.places["here"].files)
    rehearsal = world.syncs().rehearse(instant=world.now, target=Target(world.storages["here"]), send=False)
    assert rehearsal.export.counts.added == 1
    assert world.places["here"].files == here
    world.syncs().rehearse(instant=world.now, target=Target(world.storages["elsewhere"], below="here", limit=1), send=True)
    assert all(path.startswith("here/out/") and "_trial_" in path for path in world.places["elsewhere"].files)
    assert world.backend.pages == pages
    assert keys(world, Change.ADDED, exported(world.run())) == [3]


def test_roll_forward_under_a_fixed_name_ends_the_run(world: Simulation) -> None:
    edit(world, file_name="e", on_existing="overwrite")
    assert world.run_with("after move", crash).crashed
    outcome = world.run()
    assert outcome.completed is not None
    assert outcome.completed.ends_run
    assert outcome.delivery is None
    assert world.run().delivery is not None


def test_lower_full_sync_after_a_higher_one_was_half_delivered_is_superseded(world: Simulation) -> None:
    world.syncs().take_snapshot("lower", now=world.now, full=True)
    world.set_rows(_1=1, _2=2, _9=9)
    assert world.run_with("after move", crash).crashed
    with pytest.raises(SyncRefused, match="is complete now"):
        world.syncs().deliver("lower", now=world.now)
    with pytest.raises(SyncRefused, match="superseded"):
        world.syncs().deliver("lower", now=world.now)
    world.set_rows(_1=1, _2=2)
    assert keys(world, Change.REMOVED, exported(world.run())) == [9]


@pytest.mark.parametrize(
    ("other", "full"),
    [
        ({"primary_key": ("alt",)}, True),
        ({"run_type": RunType.FULL_ONLY, "sync_mode": SyncMode.UPSERT, "file_name": "e", "on_existing": "overwrite"}, False),
    ],
    ids=["other key", "full_only"],
)
def test_sync_after_one_of_another_promise_was_interrupted_has_no_base(world: Simulation, other: dict[str, Any], full: bool) -> None:
    before = world.spec
    edit(world, **other)
    assert world.run_with("after move", crash, full=True).crashed
    world.spec = before
    export = exported(world.run(full=full))
    assert export.base is None
    assert export.rows_sent == 3


def test_temporary_files_of_a_crash_go_after_a_baseline_and_at_a_destination_that_was_left(world: Simulation) -> None:
    assert world.run_with("after put temporary", crash).crashed
    assert world.places["here"].temporary()
    world.syncs().baseline("now", now=world.now)
    edit(world, destination="there")
    assert world.run().delivery is not None
    assert not world.places["here"].temporary()


def test_parts_are_stale_at_their_own_address_alone(world: Simulation) -> None:
    edit(world, file_name="e", on_existing="overwrite", sync_mode=SyncMode.UPSERT)
    for destination, max_rows in (("here", None), ("there", None), ("here", 1), ("there", 1)):
        edit(world, destination=destination, max_rows=max_rows)
        world.run()
    for destination in ("here", "there"):
        assert "out/e.ndjson" not in world.places[destination].files


@pytest.mark.parametrize("full", [False, True], ids=["delta", "full"])
@pytest.mark.parametrize(
    "call", ["before put temporary", "after put temporary", "before log intent", "after log intent", "before move", "after move"]
)
def test_process_that_stalls_while_another_delivers_shows_nothing_more(world: Simulation, call: str, full: bool) -> None:
    def other() -> None:
        world.set_rows(_1=1, _2=2, _4=4)
        assert world.run(full=full).delivery is not None

    outcome = world.run_with(call, other)
    assert isinstance(outcome.error, SyncRefused | PermanentStorageError)
    newest = world.syncs().state().newest
    assert newest is not None
    assert newest.export is not None
    assert [path for path, _ in world.places["here"].shown if path != "delivered"][-3:] == [put.path for put in newest.export.puts]
    assert not world.places["here"].temporary()
    world.set_rows(_1=1)
    assert keys(world, Change.REMOVED, exported(world.run())) == [2, 4]


def test_process_that_stalls_where_nothing_can_be_moved_asks_before_it_writes(world: Simulation) -> None:
    edit(world, destination="direct", file_name="e", on_existing="overwrite")

    def other() -> None:
        world.run()
        world.set_rows(_1=1, _2=2, _4=4)
        assert world.run().delivery is not None

    assert isinstance(world.run_with("before check", other).error, SyncRefused)
    newest = world.syncs().state().newest
    assert newest is not None
    assert newest.export is not None
    assert keys(world, Change.ADDED, newest.export) == [4]


def test_redelivery_that_stalls_while_a_full_sync_closes_it_shows_nothing_more(world: Simulation) -> None:
    for value in (1, 2, 3):
        world.set_rows(_1=value)
        world.run()

    def other() -> None:
        world.set_rows(_1=9)
        assert world.run(full=True).delivery is not None

    world.fuse.light("after log redelivered", other)
    with pytest.raises(SyncRefused, match="another process went on"):
        world.syncs().redeliver(1)
    world.fuse.put_out()
    assert [json.loads(content)["rows"] for path, content in world.places["here"].shown if "_added" in path][-1] == [[1, 9]]
