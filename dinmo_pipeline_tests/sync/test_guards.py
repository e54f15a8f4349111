"""Guards: what stops a sync, what is told of it all the same, and that the delivery itself holds to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dinmo_pipeline.errors import SyncBlocked
from dinmo_pipeline.project.schema.limits import Limit, Measure, parse_limit
from dinmo_pipeline.project.specs import RunType, SyncMode
from dinmo_pipeline.sync.prepare import Target
from dinmo_pipeline_tests.sync.simulation import SPEC, Outcome, Simulation, crash

pytestmark = pytest.mark.usefixtures("in_memory")


def limits(**written: str) -> tuple[Limit, ...]:
    parsed = [parse_limit(Measure(measure), text) for measure, text in written.items()]
    assert None not in parsed
    return tuple(limit for limit in parsed if limit is not None)


def world_of(folder: Path, rows: int = 10, **options: object) -> Simulation:
    """So many rows were delivered without a limit; from here on these options hold."""
    world = Simulation(folder)
    set_rows(world, rows)
    assert world.run().delivery is not None
    world.spec = replace(world.spec, **options)  # type: ignore[arg-type]  # any field of it
    return world


def set_rows(world: Simulation, count: int, value: int = 1) -> None:
    world.set_rows(**{f"_{number}": value for number in range(count)})


def found(outcome: Outcome, world: Simulation) -> list[tuple[str, object, object]]:
    """What blocked it, as measure, value and limit."""
    assert isinstance(outcome.error, SyncBlocked), outcome
    waiting = world.syncs().state().waiting
    assert waiting is not None
    return [(finding.measure, finding.value, finding.limit) for finding in waiting.findings]


def test_rows_below_their_limit_stop_the_sync_and_nothing_is_shown(tmp_path: Path) -> None:
    world = world_of(tmp_path, fail_if=limits(rows="< 10"))
    before = dict(world.places["here"].files)
    set_rows(world, 9)
    outcome = world.run()
    assert found(outcome, world) == [("rows", 9, "< 10")]
    assert world.places["here"].files == before
    assert 'rows: 9 rows; fail_if says "< 10"' in str(outcome.error)
    assert "dinmo approve people_out" in str(outcome.error)


def test_share_is_of_the_rows_last_delivered(tmp_path: Path) -> None:
    world = world_of(tmp_path, fail_if=limits(removed="> 20%"))
    set_rows(world, 8)
    assert world.run().delivery is not None, "two of ten are 20 %"
    set_rows(world, 6)
    outcome = world.run()
    assert found(outcome, world) == [("removed", 2, "> 20%")]
    assert "removed: 2 rows, 25.0% of the 8 that sync 2 delivered" in str(outcome.error)


def test_every_limit_that_is_broken_is_told(tmp_path: Path) -> None:
    world = world_of(tmp_path, fail_if=limits(added="> 2", updated="> 0", rows="> 100"))
    set_rows(world, 13, value=2)
    assert found(world.run(), world) == [("added", 3, "> 2"), ("updated", 10, "> 0")]


def test_changes_of_a_sync_that_sends_every_row_are_none(tmp_path: Path) -> None:
    world = Simulation(tmp_path, replace(SPEC, fail_if=limits(added="> 2", removed="> 0")))
    set_rows(world, 10)
    assert world.run().delivery is not None
    assert world.run(full=True).delivery is not None
    set_rows(world, 9)
    assert found(world.run(full=True), world) == [("removed", 1, "> 0")]


def test_fail_if_stands_in_place_of_the_default_guards(tmp_path: Path) -> None:
    world = world_of(tmp_path, fail_if=())
    set_rows(world, 0)
    assert world.run().delivery is not None


def test_delivery_launched_alone_is_held_to_fail_if(tmp_path: Path) -> None:
    world = world_of(tmp_path, fail_if=limits(rows="< 10"))
    set_rows(world, 9)
    world.syncs().take_snapshot("alone", now=world.now)
    for _ in range(2):
        with pytest.raises(SyncBlocked, match="rows: 9 rows"):
            world.syncs().deliver("alone", now=world.now)
    delivery = world.syncs().deliver(world.syncs().approve().label, now=world.now)
    assert delivery.export.counts.removed == 1


def test_full_only_sync_is_held_to_fail_if_and_approved_with_the_rows_that_were_held(tmp_path: Path) -> None:
    spec = replace(SPEC, run_type=RunType.FULL_ONLY, sync_mode=SyncMode.SNAPSHOT, on_existing="overwrite", fail_if=limits(rows="< 10"))
    world = Simulation(tmp_path, spec)
    set_rows(world, 9)
    assert found(world.run(), world) == [("rows", 9, "< 10")]
    assert world.places["here"].files == {}
    set_rows(world, 20)
    assert world.syncs().deliver(world.syncs().approve().label, now=world.now).export.counts.rows == 9


def test_bytes_are_measured_before_anything_is_put(tmp_path: Path) -> None:
    world = world_of(tmp_path, fail_if=limits(bytes="> 10"))
    set_rows(world, 11)
    ((measure, value, limit),) = found(world.run(), world)
    assert (measure, limit) == ("bytes", "> 10")
    assert isinstance(value, int)
    assert value > 10
    assert world.places["here"].temporary() == []


@pytest.mark.parametrize(
    ("fail_if", "leaves_early"),
    [({"rows": "< 3"}, True), ({"rows": "< 5"}, False), ({"bytes": "> 1 GB"}, False), ({"replaced_characters": "> 0"}, False)],
    ids=["held by none", "held by its rows", "judged by its bytes", "judged by its characters"],
)
@pytest.mark.parametrize(("destination", "leaving"), [("here", "before put temporary"), ("direct", "before upload")])
def test_part_leaves_before_the_last_is_rendered_where_no_guard_can_hold_it(
    tmp_path: Path, fail_if: dict[str, str], leaves_early: bool, destination: str, leaving: str
) -> None:
    world = world_of(tmp_path, fail_if=limits(**fail_if), max_rows=1, destination=destination)
    set_rows(world, 4, value=2)
    world.fuse.put_out()
    outcome = world.run()
    calls = world.fuse.calls
    last_write = max(index for index, call in enumerate(calls) if call == "before write")
    assert (leaving in calls[:last_write]) is leaves_early
    assert ("before log announced" in calls) is (leaves_early and destination == "here")
    assert (outcome.delivery is None) is (fail_if == {"rows": "< 5"})
    if outcome.delivery is None:
        assert leaving not in calls


def test_warning_is_recorded_with_the_delivery_and_stops_nothing(tmp_path: Path) -> None:
    world = world_of(tmp_path, warn_if=limits(added="> 50%", updated="> 0", duration="> 0 seconds"))
    set_rows(world, 16)
    delivery = world.run().delivery
    assert delivery is not None
    warnings = [(finding.level, finding.measure, finding.value) for finding in delivery.outcome.warnings]
    assert warnings[0] == ("warn", "added", 6)
    assert [measure for _, measure, _ in warnings] == ["added", "duration"]
    newest = world.syncs().state().newest
    assert newest is not None
    assert newest.warnings == delivery.outcome.warnings
    assert world.syncs().state().waiting is None


def test_warning_of_a_sync_that_is_completed_later_is_kept(tmp_path: Path) -> None:
    world = world_of(tmp_path, warn_if=limits(added="> 0"))
    set_rows(world, 11)
    assert world.run_with("after log intent", crash).crashed
    world.run()
    interrupted = world.syncs().state().syncs[2]
    assert [finding.measure for finding in interrupted.warnings] == ["added"]


def test_what_does_not_count_is_told_and_not_stopped(tmp_path: Path) -> None:
    world = world_of(tmp_path, fail_if=limits(rows="< 10"), warn_if=limits(removed="> 0"))
    set_rows(world, 9)
    world.tick()
    target = Target(world.storages["elsewhere"], recorded=False)
    rehearsal = world.syncs().rehearse(instant=world.now, target=target, send=False)
    assert [finding.measure for finding in rehearsal.findings] == ["rows"]
    assert [finding.measure for finding in rehearsal.export.warnings] == ["removed"]
