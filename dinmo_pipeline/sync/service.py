"""The syncs of an activation, recorded: open intent completed, number, rows kept, prepared, delivered.

Each step leaves the log in a state from which the next sync ends right, whatever stops this one: `docs/crash-safety.md` argues
every crash point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from dinmo_pipeline.delta.export import Export, Snapshot
from dinmo_pipeline.delta.findings import Finding
from dinmo_pipeline.engines.duckdb.session import Engine
from dinmo_pipeline.errors import OutdatedStateError, SyncRefused
from dinmo_pipeline.project.schema.file_names import is_dated
from dinmo_pipeline.project.schema.limits import Measure
from dinmo_pipeline.project.specs import ActivationSpec, Project, RunType
from dinmo_pipeline.sync.backends.open import open_state
from dinmo_pipeline.sync.backends.run_queue import is_taken, turn
from dinmo_pipeline.sync.decide import decide_start
from dinmo_pipeline.sync.deliver.commit import Stopwatch, deliver_export
from dinmo_pipeline.sync.deliver.dispatch import Completed, Delivery, Dispatch
from dinmo_pipeline.sync.deliver.redeliver import find_sync, find_syncs
from dinmo_pipeline.sync.history_events import Event, events_of
from dinmo_pipeline.sync.ledger.events import Approved, Baselined, Redelivering, Restored
from dinmo_pipeline.sync.ledger.ledger import LOCK_WAIT_S, Log
from dinmo_pipeline.sync.ledger.state import State, SyncRecord
from dinmo_pipeline.sync.prepare import SAMPLE_ROWS, Ready, Sample, SyncPreparer, Target
from dinmo_pipeline.sync.recorded import Outgoing, RecordedSteps, new_snapshot_path
from dinmo_pipeline.sync.retention import Litter, clean_destinations, clean_scratch, clean_snapshots

__all__ = ["Completed", "Delivery", "Outgoing", "Rehearsal", "SyncService"]


@dataclass(frozen=True)
class Rehearsal:
    """What a sync would send, or sent to where it does not count: the export, what guards measured and say, the first rows of each file."""

    export: Export
    measured: Mapping[Measure, float]
    findings: tuple[Finding, ...]
    samples: tuple[Sample, ...]


class SyncService:
    """The syncs of one activation. Every method that changes something holds the activation's lock and starts from what the log says."""

    def __init__(self, project: Project, spec: ActivationSpec, *, engine: Engine | None = None, log: Log | None = None) -> None:
        self.spec = spec
        self._project = project
        store = open_state(project)
        self._backend = store.backend
        self._engine = engine or Engine(project, store.snapshots)
        self._log = log or store.log(project, spec)
        self._dispatch = Dispatch(project, spec, self._engine, self._log)
        self._preparer = SyncPreparer(
            spec, project.storages[spec.destination], self._engine, project.root, max(SAMPLE_ROWS, project.preview_rows)
        )
        self._steps = RecordedSteps(spec, self._engine, self._log, self._dispatch, self._preparer)

    def state(self) -> State:
        """Return what the log says now."""
        return self._log.read()

    def whole_history(self) -> State:
        """Return what the log says of every sync that there ever was, even where it was restored from an older backup."""
        return self._log.read_whole()

    def events(self) -> tuple[Event, ...]:
        """Return what guards and people did to the syncs, in order, as the whole log tells it."""
        return events_of(self._log.read_records())

    def place(self, snapshot: Snapshot) -> str:
        """Return where the rows of a snapshot are kept, for people."""
        return self._engine.snapshots.place(snapshot.path)

    def turn(self, *, wait_s: float = LOCK_WAIT_S) -> AbstractContextManager[None]:
        """Have the activation from a sync's rows to its delivery. BusyError when one run has it and another one waits."""
        return turn(self._backend, self.spec.name, wait_s=wait_s)

    @property
    def is_running(self) -> bool:
        """Whether a run has its turn now."""
        return is_taken(self._backend, self.spec.name)

    def roll_forward(self, *, full: bool = False, seen: int = 0) -> Completed | None:
        """Complete the open intent that comes before a new sync, if there is one; a full sync closes it instead.

        `seen` is the newest sync that Dagster knows of: OutdatedStateError where the log ends before it, unless this one is full.
        """
        with self._log.locked():
            state = self._read(full=full, seen=seen)
            if state.redelivering and not full:
                last = self._dispatch.redeliver(state)[-1]
                return Completed(last, ends_run=not is_dated(self.spec.file_name, self.spec.folder))
            step = decide_start(state, run_type=self.spec.run_type, full=full)
            return self._dispatch.complete(state, step) if step is not None else None

    def take_snapshot(self, label: str, *, now: datetime, full: bool = False, redirected: bool = False) -> SyncRecord:
        """Give a new sync its number and keep its rows. The instant is that of the label's first attempt, else the label's own, else `now`.

        DataError when the rows forbid a delivery. `redirected`: nobody waits for its delivery.
        """
        with self._log.locked():
            state, sync = self._steps.start(self._read(full=full), label, now=now, full=full, redirected=redirected)
            return self._steps.keep_rows(state, sync)

    def base_text(self, sync: SyncRecord) -> str:
        """Return what the sync whose rows were just kept will be compared with, for people."""
        if sync.base is None:
            return "none: every row is sent"
        is_baseline = self._log.state.syncs[sync.base].is_baseline
        return f"sync {sync.base}" + (", a baseline: nothing was sent of it" if is_baseline else "")

    def deliver(self, label: str, *, now: datetime, target: Target | None = None) -> Delivery:
        """Deliver the newest sync of `label`; raises what `outgoing` raises."""
        with self.outgoing(label, now=now, target=target) as outgoing:
            return outgoing.deliver()

    @contextmanager
    def outgoing(self, label: str, *, now: datetime, target: Target | None = None) -> Iterator[Outgoing]:
        """Yield the newest sync of `label`, rendered and let pass by every guard; holds the activation's lock. Nothing is shown but by it.

        A sync that a crash left half delivered is completed before. A `full_only` sync gets its number here. SyncRefused, or its
        kind SyncBlocked, when the state or a guard forbids the delivery.
        """
        target = target or Target(self._preparer.destination)
        with self._log.locked():
            state = self._read()
            sync = next(iter(reversed(state.with_label(label))), None)
            if self.spec.run_type == RunType.FULL_ONLY and not (sync is not None and sync.approved and sync.delivered_at is None):
                state, sync = self._steps.start(state, label, now=now, full=False, redirected=not target.recorded)
            elif sync is None or sync.snapshot is None:
                raise SyncRefused(
                    f"delivering {self.spec.name}: partition {label} has no snapshot; launch the job sync_{self.spec.name}, which takes one"
                )
            with self._steps.prepared(state if target.recorded else state.settled(), sync, target) as outgoing:
                yield outgoing

    def rehearse(self, *, instant: datetime, target: Target, send: bool, full: bool = False) -> Rehearsal:
        """Return what a sync would send now; with `send`, put to `target`. Nothing is recorded."""
        with self._log.locked(), self._engine.scratch(self.spec.name) as folder:
            state = self._read_for_rehearsal(full=full).settled()
            target = replace(target, recorded=False)
            snapshot, base = self._preparer.keep_rows(state, str(folder / "rehearsal.parquet"), folder, full=full)
            sync = SyncRecord(state.next_number, "rehearsal", instant, instant, full=full, snapshot=snapshot, base=base)
            record = self._dispatch.trial_record(target.storage)
            leftovers = record.leftovers()
            with self._dispatch.uploader(target.storage, announces=(record, sync) if send else None) as uploader:
                ready = self._preparer.prepare(state, sync, target, uploader, folder)
                assert isinstance(ready, Ready), "a settled state has nothing to complete, and no guard stops what is not recorded"
                if send:
                    deliver_export(record, uploader, ready.export, ready.staged, leftovers, Stopwatch())
            return Rehearsal(ready.export, ready.measured, ready.findings, ready.samples)

    def redeliver(self, number: int) -> tuple[Delivery, ...]:
        """Deliver this sync and all newer ones once more, in order; no base moves.

        SyncRefused when that cannot leave the consumer right.
        """
        with self._log.locked():
            syncs = find_syncs(self.spec, self._log.read(), number, self._engine)
            return self._dispatch.redeliver(self._log.append(Redelivering(tuple(sync.number for sync in syncs))))

    def redeliver_elsewhere(self, number: int, target: Target) -> Delivery:
        """Deliver this sync alone to another storage. SyncRefused when its rows are not kept."""
        with self._log.locked():
            sync = find_sync(self.spec, self._log.read(), number, self._engine)
            return self._dispatch.redeliver_to(sync, target)

    def clean(self, *, dry_run: bool) -> tuple[Litter, ...]:
        """Delete what crashes left and what retention lets go, or only tell it. BusyError while a sync is at work."""
        with self._log.locked(wait_s=0):
            state = self._log.read()
            return (
                *clean_snapshots(
                    self._engine.snapshots,
                    self.spec.name,
                    state,
                    self.spec.keep_syncs,
                    known_to_others=self.files_of_others,
                    dry_run=dry_run,
                ),
                *clean_scratch(self._project.home / "staging" / self.spec.name, dry_run=dry_run),
                *clean_destinations(self._project, state, dry_run=dry_run),
            )

    def files_of_others(self) -> set[str]:
        """Return the snapshots that other activations know of: one that had this name goes on from those that lie here."""
        others = (SyncService(self._project, spec).state() for name, spec in self._project.activations.items() if name != self.spec.name)
        return {path for state in others for path in state.snapshot_files}

    def approve(self, label: str | None = None, *, by: str | None = None) -> SyncRecord:
        """Let the newest blocked sync pass, once and for all: `deliver` its label afterwards. SyncRefused when none waits.

        With `label` only if it is the newest sync of that label. `by` is who does so, for the history.
        """
        with self._log.locked():
            state = self._log.read()
            waiting = state.waiting
            if waiting is None:
                raise SyncRefused(
                    f"approving {self.spec.name}: no sync of it waits for approval; `dinmo history {self.spec.name}` lists them"
                )
            if label is not None and waiting not in state.with_label(label)[-1:]:
                raise SyncRefused(
                    f"approving {self.spec.name}: the rows of partition {label} are not those that wait for approval; launch "
                    f"activations/{self.spec.name}/delivery alone, for partition {waiting.label}"
                )
            return waiting if waiting.approved else self._log.append(Approved(waiting.number, by)).syncs[waiting.number]

    def baseline(self, label: str, *, now: datetime, by: str | None = None) -> SyncRecord:
        """Take today's rows as delivered already. SyncRefused for `full_only`, and while an earlier sync is half delivered."""
        if self.spec.run_type == RunType.FULL_ONLY:
            raise SyncRefused(f"taking a baseline of {self.spec.name}: it is full_only, which compares with nothing")
        with self._log.locked():
            state = self._log.read()
            half = state.open_intent.number if state.open_intent is not None else next(iter(state.redelivering), None)
            if half is not None:
                raise SyncRefused(
                    f"taking a baseline of {self.spec.name}: sync {half} is half delivered; `dinmo sync {self.spec.name}` completes it"
                )
            number = state.next_number
            with self._engine.scratch(self.spec.name) as folder:
                snapshot, _ = self._preparer.keep_rows(state, new_snapshot_path(self.spec.name, number), folder, full=False)
            return self._log.append(Baselined(number, label, now, snapshot, by)).syncs[number]

    def _read(self, *, full: bool = False, seen: int = 0) -> State:
        """Return the state, for a sync: one that sends every row goes on from a log that was restored from an older backup."""
        try:
            state = self._log.read()
            if state.next_number <= seen:
                raise OutdatedStateError(
                    f"reading the log of activation {self.spec.name}: it ends at sync {state.next_number - 1}, and Dagster knows of sync "
                    f"{seen}: the state was restored from an older backup, or lost, or is elsewhere (DINMO_HOME, DINMO_STATE_URL). A delta "
                    f"from it would be wrong. Correct that, or send every row with `dinmo sync {self.spec.name} --full`",
                    seen,
                )
        except OutdatedStateError as error:
            if not self._sends_every_row(full=full):
                raise
            state = self._log.append(Restored(max(error.number, seen)))
        return state

    def _read_for_rehearsal(self, *, full: bool) -> State:
        try:
            return self._log.read()
        except OutdatedStateError:
            if not self._sends_every_row(full=full):
                raise
            return self._log.read_whole()

    def _sends_every_row(self, *, full: bool) -> bool:
        """Return whether a sync needs nothing of those before it."""
        return full or self.spec.run_type == RunType.FULL_ONLY
