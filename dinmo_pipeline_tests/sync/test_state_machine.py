"""Thousands of random histories, in memory: whatever crashes, stalls or is edited, the consumer ends with the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from dinmo_pipeline.delta.export import Export
from dinmo_pipeline.errors import OutdatedStateError, PermanentStorageError, SyncBlocked, SyncRefused
from dinmo_pipeline.project.schema.file_names import is_dated
from dinmo_pipeline.project.specs import ActivationSpec, MappedColumn, RunType, SyncMode
from dinmo_pipeline.sync.ledger.state import State, SyncRecord
from dinmo_pipeline.sync.prepare import Target
from dinmo_pipeline_tests.random_cases import CASES
from dinmo_pipeline_tests.sync.simulation import SPEC, Consumer, Crash, Outcome, Simulation, crash, is_temporary

pytestmark = pytest.mark.usefixtures("in_memory")

KINDS = [
    (RunType.FULL_THEN_DELTA, SyncMode.DIFFERENCE),
    (RunType.FULL_THEN_DELTA, SyncMode.UPSERT),
    (RunType.FULL_THEN_DELTA, SyncMode.INSERT),
    (RunType.FULL_ONLY, SyncMode.SNAPSHOT),
    (RunType.FULL_ONLY, SyncMode.UPSERT),
]
KEY = (MappedColumn("id", "id"), MappedColumn("alt", "alt"))
MAPPINGS = [
    (*KEY, MappedColumn("v", "v")),
    (*KEY, MappedColumn("v", "value")),
    (*KEY, MappedColumn("w", "w"), MappedColumn("v", "v")),
    (MappedColumn("id", "ident"), MappedColumn("alt", "alt"), MappedColumn("v", "v")),
    KEY,
    None,
]
TABLES = st.dictionaries(st.integers(1, 4), st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=4)
CALLS = st.integers(1, 60)


def rows_in(content: bytes) -> int:
    return len(json.loads(content)["rows"])


def answers(state: State, keep: int) -> dict[str, object]:
    """All that a sync asks its activation's past."""
    addresses = {export.contract.address for sync in state.syncs.values() for export in sync.shown} | set(state.earlier)
    return {
        "next_number": state.next_number,
        "newest": state.newest,
        "interrupted": state.interrupted,
        "open_intent": state.open_intent,
        "waiting": state.waiting,
        "redelivering": (state.redelivering, state.redelivery),
        "leftovers": state.leftovers,
        "kept": state.kept(keep),
        "delivered_series": {address: state.delivered_series(address) for address in addresses},
        "shown_paths": {address: state.shown_paths(address) for address in addresses},
        "is_outdated": (state.is_outdated, state.used),
    }


class Histories(RuleBasedStateMachine):
    """One activation's life. After each step that delivered something, the consumer's copy is compared with the table."""

    # Few enough for most histories to have syncs that are not kept.
    spec = replace(SPEC, mapping=MAPPINGS[0], keep_syncs=3)

    def __init__(self) -> None:
        super().__init__()
        self.scratch = TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.world = Simulation(Path(self.scratch.name), self.spec)
        self.consumers = {name: Consumer(place) for name, place in self.world.places.items()}
        self.spec_of: dict[int, ActivationSpec] = {}
        self.intended: set[int] = set()
        self.checked: set[int] = set()
        self.whole: tuple[object, State] | None = None
        self.nested = False
        self.names = 0
        self.losses: list[int] = []

    # What happens

    @rule(table=TABLES)
    def the_source_changes(self, table: dict[int, tuple[int, int]]) -> None:
        self.world.engine.table = {n: {"id": n, "alt": n + 100, "v": v, "w": w} for n, (v, w) in table.items()}

    @rule(full=st.booleans() | st.just(False))
    def it_runs(self, full: bool) -> None:
        self.world.run(full=full)
        self.check()

    @rule(at=CALLS, full=st.sampled_from([False, False, False, True]))
    def it_crashes(self, at: int, full: bool) -> None:
        self.world.run_with(at, crash, full=full)
        self.check(crashed=True)

    @rule(at=CALLS, full=st.booleans(), other_full=st.sampled_from([False, False, True]), table=TABLES, other_crashes=st.none() | CALLS)
    def it_stalls_while_another_machine_runs(
        self, at: int, full: bool, other_full: bool, table: dict[int, tuple[int, int]], other_crashes: int | None
    ) -> None:
        self.world.run_with(at, self.another_machine_runs(full=other_full, crashes=other_crashes, table=table), full=full)
        self.check(crashed=True)

    def another_machine_runs(
        self, *, full: bool, crashes: int | None = None, table: dict[int, tuple[int, int]] | None = None
    ) -> Callable[[], None]:
        """What a fuse does while one machine stands still, unless nothing could fence that one: two runs."""

        def other() -> None:
            if not can_be_fenced(self.world.fuse.calls[-1]):
                return
            self.nested = True
            for _ in range(2):
                if crashes is None:
                    self.world.run(full=full)
                else:
                    self.world.run_with(crashes, crash, full=full)
                self.check(crashed=True)
                if table is not None:
                    self.the_source_changes(table)
            self.nested = False

        return other

    @rule(full=st.booleans())
    def only_a_snapshot_is_taken(self, full: bool) -> None:
        if self.world.spec.run_type == RunType.FULL_THEN_DELTA:
            self.world.tick()
            self.world.syncs().take_snapshot(f"typed {self.world.now:%H%M%S}", now=self.world.now, full=full)
            self.check(crashed=True)

    @rule(pick=st.integers(0, 50), at=st.none() | CALLS)
    def a_delivery_is_launched_alone(self, pick: int, at: int | None) -> None:
        state = self.state()
        if not state.syncs:
            return
        label = sorted(state.syncs.values(), key=lambda sync: sync.number)[pick % len(state.syncs)].label
        if at is not None:
            self.world.fuse.light(at, crash)
        with suppress(SyncRefused, Crash):
            self.world.syncs().deliver(label, now=self.world.now)
        self.world.fuse.put_out()
        self.check(crashed=True)

    @rule(pick=st.integers(0, 50), full=st.booleans())
    def a_label_is_run_again(self, pick: int, full: bool) -> None:
        state = self.state()
        if state.syncs:
            self.world.run(label=sorted(state.syncs.values(), key=lambda sync: sync.number)[pick % len(state.syncs)].label, full=full)
            self.check(crashed=True)

    @rule(
        tables=st.lists(TABLES, max_size=2),
        back=st.integers(0, 3),
        at=st.none() | st.just("after log redelivered") | CALLS,
        other=st.none() | st.booleans(),
    )
    def it_is_delivered_again(self, tables: list[dict[int, tuple[int, int]]], back: int, at: int | str | None, other: bool | None) -> None:
        for table in tables:
            self.the_source_changes(table)
            self.it_runs(full=False)
        delivered = self.state().delivered
        if not delivered:
            return
        if at is not None:
            self.world.fuse.light(at, crash if other is None else self.another_machine_runs(full=other))
        # A move that stalled may find nothing to move any more.
        with suppress(SyncRefused, PermanentStorageError, Crash):
            self.world.syncs().redeliver(delivered[max(-1 - back, -len(delivered))].number)
        self.world.fuse.put_out()
        self.check(crashed=True)
        self.check_newest_copy()

    @rule()
    def somebody_approves(self) -> None:
        with suppress(SyncRefused):
            approved = self.world.syncs().approve()
            self.world.syncs().deliver(approved.label, now=self.world.now)
        self.check(crashed=True)

    @rule()
    def a_baseline_is_taken(self) -> None:
        self.world.tick()
        last = self.state().last_delivery
        try:
            sync = self.world.syncs().baseline(f"baseline {self.world.now:%H%M%S}", now=self.world.now)
        except SyncRefused:
            return
        assert sync.snapshot is not None
        self.checked.add(sync.number)
        consumer, contract = self.consumers[self.world.spec.destination], sync.snapshot.contract
        self.apply(consumer)
        consumer.latest = sync.snapshot.path
        # The tool that was used before has delivered today's rows.
        consumer.copy = {
            tuple(row[key.attribute] for key in contract.key): {column.name: row.get(column.attribute) for column in contract.columns}
            for row in self.world.kept_rows(sync)
        }
        if last is None or contract.break_with(last.contract) is not None:
            consumer.inserted = {}
        consumer.inserted |= {key: [sync.snapshot.path] for key in consumer.copy}

    @rule(send=st.booleans(), full=st.booleans(), limit=st.none() | st.integers(1, 2))
    def it_is_rehearsed(self, send: bool, full: bool, limit: int | None) -> None:
        before = self.traces()
        target = Target(self.world.storages["elsewhere"], limit=limit)
        self.world.syncs().rehearse(instant=self.world.now, target=target, send=send, full=full)
        assert self.traces() == before, "a rehearsal leaves no trace"

    @rule(pick=st.integers(0, 50))
    def a_delivery_is_redirected(self, pick: int) -> None:
        state = self.state()
        if not state.syncs or self.world.spec.run_type == RunType.FULL_ONLY:
            return
        label = sorted(state.syncs.values(), key=lambda sync: sync.number)[pick % len(state.syncs)].label
        before = self.traces()
        with suppress(SyncRefused):
            target = Target(self.world.storages["elsewhere"], recorded=False)
            self.world.syncs().deliver(label, now=self.world.now, target=target)
        assert self.traces() == before, "a redirected delivery does not count"

    @rule()
    def the_consumer_takes_its_files_away(self) -> None:
        for name, place in self.world.places.items():
            self.apply(self.consumers[name])
            place.files = {path: content for path, content in place.files.items() if path not in place.visible()}

    @rule(kind=st.sampled_from(KINDS))
    def the_mode_is_edited(self, kind: tuple[RunType, SyncMode]) -> None:
        self.edit(run_type=kind[0], sync_mode=kind[1])

    @rule(key=st.sampled_from([("id",), ("alt",), ("id", "alt")]))
    def the_key_is_edited(self, key: tuple[str, ...]) -> None:
        self.edit(primary_key=key)

    @rule(mapping=st.sampled_from(MAPPINGS))
    def the_mapping_is_edited(self, mapping: tuple[MappedColumn, ...] | None) -> None:
        self.edit(mapping=mapping)

    @rule(destination=st.sampled_from(["here", "there", "direct"]), folder=st.sampled_from(["out", "other"]))
    def the_address_is_edited(self, destination: str, folder: str) -> None:
        self.edit(destination=destination, folder=folder)

    @rule(file_name=st.sampled_from(["{x}_e", "{YYYY}_e", "e", "f"]), overwrite=st.booleans())
    def the_name_is_edited(self, file_name: str, overwrite: bool) -> None:
        self.edit(file_name=file_name, on_existing="overwrite" if overwrite or not is_dated(file_name, ".") else "refuse")

    @rule(
        max_rows=st.sampled_from([None, 1, 2]),
        empty_files=st.sampled_from(["write", "skip"]),
        removed_columns=st.sampled_from(["all", "key"]),
        if_missing=st.sampled_from(["delta", "delta", "full"]),
    )
    def the_files_are_edited(self, max_rows: int | None, empty_files: str, removed_columns: str, if_missing: str) -> None:
        self.edit(max_rows=max_rows, empty_files=empty_files, removed_columns=removed_columns, if_missing=if_missing)

    @rule(column=st.sampled_from(["v", "w", "id"]), type_text=st.sampled_from(["BIGINT", "HUGEINT", "DECIMAL(9,2)", "DOUBLE", "VARCHAR"]))
    def a_type_changes(self, column: str, type_text: str) -> None:
        self.world.engine.types[column] = type_text

    @rule(there=st.booleans())
    def a_column_comes_or_goes(self, there: bool) -> None:
        self.world.engine.types.pop("extra", None)
        if there:
            self.world.engine.types["extra"] = "BIGINT"

    @precondition(lambda self: self.world.has_run())
    @rule(back=st.booleans())
    def it_is_renamed(self, back: bool) -> None:
        old = self.world.spec.name
        self.names += 1
        name = self.world.spec.renamed_from if back and self.world.spec.renamed_from is not None else f"people_{self.names}"
        self.world.spec = replace(self.world.spec, name=name, renamed_from=old)

    @rule(tables=st.lists(TABLES, min_size=1, max_size=2), at=CALLS)
    def an_older_backup_is_restored(self, tables: list[dict[int, tuple[int, int]]], at: int) -> None:
        """Some syncs are lost; a full one goes on, wherever it is interrupted."""
        pages = {name: dict(found) for name, found in self.world.backend.pages.items()}
        kept = dict(self.world.engine.kept)
        for table in tables:
            self.the_source_changes(table)
            self.it_runs(full=False)
        for consumer in self.consumers.values():
            self.apply(consumer)
        self.losses.append(self.state().next_number - 1)
        self.world.backend.pages, self.world.engine.kept, self.whole = pages, kept, None
        for place in self.world.places.values():
            # Nobody knows of them any more.
            place.files = {path: content for path, content in place.files.items() if not is_temporary(path)}
        self.world.run_with(at, crash, full=True)
        while self.is_outdated():
            self.world.run(full=True)
        self.check(crashed=True)
        self.it_runs(full=False)

    def is_outdated(self) -> bool:
        try:
            self.state()
        except OutdatedStateError:
            return True
        return False

    @precondition(lambda self: self.world.backend.pages)
    @rule()
    def it_settles(self) -> None:
        """Whatever was before: a few plain runs and a person's word, and the rows are delivered."""
        for _ in range(3):
            outcome = self.world.run()
            if isinstance(outcome.error, SyncBlocked):
                approved = self.world.syncs().approve()
                outcome = Outcome(delivery=self.world.syncs().deliver(approved.label, now=self.world.now))
            self.check()
            if outcome.delivery is not None:
                return
        raise AssertionError(f"nothing is delivered any more: {outcome}")

    def teardown(self) -> None:
        try:
            if self.world.backend.pages:
                self.it_settles()
                keep = self.world.spec.keep_syncs
                assert answers(self.state(), keep) == answers(self.history(), keep), "a checkpoint forgot something"
                for name, place in self.world.places.items():
                    assert not place.temporary(), f"temporary files are left at {name}"
        finally:
            self.scratch.cleanup()

    # What must be seen

    def edit(self, **fields: object) -> None:
        spec = replace(self.world.spec, **fields)  # type: ignore[arg-type]
        if is_dated(spec.file_name, spec.folder):
            spec = replace(spec, if_missing="delta")
        self.world.spec = spec

    def state(self) -> State:
        return self.world.syncs().state()

    def history(self) -> State:
        """Every sync that there ever was."""
        entries = sum(map(len, self.world.backend.pages.values()))
        if self.whole is None or self.whole[0] != (self.world.spec.name, entries):
            self.whole = (self.world.spec.name, entries), self.world.syncs().whole_history()
        return self.whole[1]

    def traces(self) -> object:
        places = {name: (dict(place.files), len(place.shown)) for name, place in self.world.places.items() if name != "elsewhere"}
        return {name: dict(pages) for name, pages in self.world.backend.pages.items()}, places

    def apply(self, consumer: Consumer) -> None:
        def starts_empty(number: int) -> bool:
            sync = self.history().syncs[number]
            if sync.export is None or self.world.place_of(sync.export) is not consumer.place:
                return False
            return self.begins_anew(sync, sync.export) and not any(put.rows for put in sync.export.puts)

        consumer.apply(self.starts_anew, starts_empty)

    def starts_anew(self, snapshot_path: str) -> bool:
        sync = self.sync_of(snapshot_path)
        return sync is not None and sync.export is not None and self.begins_anew(sync, sync.export)

    def begins_anew(self, sync: SyncRecord, export: Export) -> bool:
        # What left meanwhile is in no snapshot: where removals are told, the consumer is asked to begin from the full one.
        return export.base is None or (export.contract.sync_mode == SyncMode.DIFFERENCE and self.comes_after_a_loss(sync))

    def comes_after_a_loss(self, sync: SyncRecord) -> bool:
        """Whether nothing was delivered between a moment when the log was restored and this one, which sends every row."""
        delivered = [other.number for other in self.history().delivered if other.number < sync.number]
        return any(max(delivered, default=0) <= lost < sync.number for lost in self.losses)

    def sync_of(self, snapshot_path: str) -> SyncRecord | None:
        for sync in self.history().syncs.values():
            if sync.snapshot is not None and sync.snapshot.path == snapshot_path:
                return sync
        return None

    def check(self, *, crashed: bool = False) -> None:
        state = self.state()
        for sync in state.syncs.values():
            if sync.number not in self.intended:
                self.spec_of[sync.number] = self.world.spec
            if sync.intent_at is not None:
                self.intended.add(sync.number)
        for sync in (*state.delivered[-1:], *state.interrupted):
            kept = [file.path for snapshot in sync.snapshots for file in snapshot.files]
            assert set(kept) <= set(self.world.engine.kept), f"rows of sync {sync.number} were forgotten and may be needed"
        new = [sync for sync in state.delivered if sync.number not in self.checked]
        for sync in new:
            assert not self.checked or sync.number > max(self.checked), f"sync {sync.number} was delivered after a newer one"
            self.checked.add(sync.number)
        for sync in new[-1:]:
            # What a newer sync or a redelivery has shown half of is compared once that one is complete.
            if sync.export is not None and not state.interrupted and not state.redelivering:
                self.check_files(sync, sync.export, state)
                self.check_copy(sync, sync.export, state)
        if new and not crashed and not self.nested and (export := new[-1].export) is not None:
            assert not self.world.place_of(export).temporary(), "temporary files are left"

    def check_newest_copy(self) -> None:
        """Whoever applied what was delivered again has what was delivered last."""
        state, newest = self.state(), self.state().newest
        # While the log is outdated, consumers have more than the newest that it knows of.
        if newest is not None and newest.export is not None and not (state.interrupted or state.redelivering or state.is_outdated):
            self.check_copy(newest, newest.export, state)

    def check_files(self, sync: SyncRecord, export: Export, state: State) -> None:
        place, spec = self.world.place_of(export), self.spec_of[sync.number]
        wanted = {put.path for put in export.puts}
        if not self.nested:
            assert wanted <= set(place.visible()), f"sync {sync.number} is delivered and its files are not there"
        series = {put.series for put in export.puts}
        for other in state.syncs.values():
            for put in (put for attempt in other.attempts for put in attempt.puts):
                if put.series in series and put.path not in wanted and other.intent_at is not None:
                    assert put.path not in place.visible(), f"a part of sync {other.number} is left: {put.path}"
        if spec.on_existing == "refuse" and not sync.approved and spec.run_type == RunType.FULL_THEN_DELTA:
            for other in state.delivered:
                if other.number < sync.number and other.export is not None and other.export.contract.address == export.contract.address:
                    assert not wanted & {put.path for put in other.export.puts}, "unread changes were overwritten"

    def check_copy(self, sync: SyncRecord, export: Export, state: State) -> None:
        consumer = self.consumers[export.place.name]
        self.apply(consumer)
        if sync.snapshot is None:
            return
        contract = export.contract
        table = {
            tuple(row[key.attribute] for key in contract.key): {column.name: row.get(column.attribute) for column in contract.columns}
            for row in self.world.kept_rows(sync)
        }
        names = [column.name for column in contract.columns]
        copy = {key: {name: row.get(name) for name in names} for key, row in consumer.copy.items()}
        if contract.run_type == RunType.FULL_ONLY:
            return
        if contract.sync_mode == SyncMode.DIFFERENCE:
            assert copy == table, f"sync {sync.number}: the consumer's copy is not the table"
        elif contract.sync_mode == SyncMode.UPSERT:
            assert {key: copy.get(key) for key in table} == table, f"sync {sync.number}: the consumer lacks changes"
        else:
            assert set(table) <= set(consumer.inserted), f"sync {sync.number}: a new row never came"
            self.check_once(consumer, state)

    def check_once(self, consumer: Consumer, state: State) -> None:
        for key, sent_by in consumer.inserted.items():
            earlier: list[SyncRecord] = []
            for path in dict.fromkeys(sent_by):
                sync = self.sync_of(path)
                if sync is None:
                    assert self.losses, "a sync is forgotten"
                    continue
                asked_for = sync.full or self.comes_after_a_loss(sync)
                asked_for |= sync.export is not None and (sync.export.base is None or "no longer there" in sync.export.reason)
                assert asked_for or all(before.delivered_at is None for before in earlier), f"key {key} was sent twice"
                earlier.append(sync)


def can_be_fenced(call: str) -> bool:
    """Whether a process that stalls here notices that another went on: a write or deletion that is under way cannot be called back."""
    return call not in ("before complete", "before delete")


def machine(**fields: object) -> type[Histories]:
    return type("Histories", (Histories,), {"spec": replace(Histories.spec, **fields)})  # type: ignore[arg-type]


def starts() -> Iterator[object]:
    for run_type, mode in KINDS:
        for destination in ("here", "direct"):
            for file_name in ("{x}_e", "e"):
                refuse = run_type == RunType.FULL_THEN_DELTA and file_name != "e"
                fields = {
                    "run_type": run_type,
                    "sync_mode": mode,
                    "destination": destination,
                    "file_name": file_name,
                    "on_existing": "refuse" if refuse else "overwrite",
                }
                yield pytest.param(fields, id=f"{run_type}-{mode}-{destination}-{'fixed' if file_name == 'e' else 'dated'}")


@pytest.mark.parametrize("fields", list(starts()))
def test_consumer_after_any_history_has_the_table(fields: dict[str, object]) -> None:
    run_state_machine_as_test(machine(**fields), settings=random_histories(25))


def random_histories(count: int) -> settings:
    """So many histories of thirty steps."""
    return settings(max_examples=int(count * CASES), stateful_step_count=30)
