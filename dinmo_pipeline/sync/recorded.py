"""The steps of a sync that counts: started, its rows kept, prepared, delivered. Each is recorded; the activation's lock is held."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from dinmo_pipeline.delta.export import Export
from dinmo_pipeline.delta.findings import Finding
from dinmo_pipeline.delta.snapshot_store import snapshots_folder
from dinmo_pipeline.engines.duckdb.session import Engine
from dinmo_pipeline.errors import SyncBlocked, SyncRefused
from dinmo_pipeline.project.schema.limits import Measure
from dinmo_pipeline.project.specs import ActivationSpec
from dinmo_pipeline.sync.decide import RollForward
from dinmo_pipeline.sync.deliver.commit import Recorder, Stopwatch, deliver_export
from dinmo_pipeline.sync.deliver.dispatch import Delivery, Dispatch
from dinmo_pipeline.sync.deliver.uploader import Uploader
from dinmo_pipeline.sync.labels import instant_of_label
from dinmo_pipeline.sync.ledger.events import Announced, Blocked, SnapshotTaken, Started
from dinmo_pipeline.sync.ledger.ledger import Log
from dinmo_pipeline.sync.ledger.state import State, SyncRecord
from dinmo_pipeline.sync.prepare import Ready, SyncPreparer, Target


@dataclass(frozen=True)
class PreparedSync:
    """A sync that is rendered and let pass by every guard, while its files and the way to its storage are open."""

    sync: SyncRecord
    state: State
    target: Target
    ready: Ready
    recorder: Recorder
    leftovers: tuple[Export | Announced, ...]
    uploader: Uploader
    stopwatch: Stopwatch
    dispatch: Dispatch

    @property
    def measured(self) -> Mapping[Measure, float]:
        """What guards looked at."""
        return self.ready.measured

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What guards said of it and somebody approved, or what stops nothing because it does not count."""
        return self.ready.findings

    def deliver(self) -> Delivery:
        """Send, show and record it; raises StorageError, or SyncRefused when somebody else went on."""
        ready, counts = self.ready, self.target.recorded
        notes = self.dispatch.tidy_elsewhere(self.state, self.target.storage) if counts else ()
        outcome = deliver_export(self.recorder, self.uploader, ready.export, ready.staged, self.leftovers, self.stopwatch, notes=notes)
        let_pass = () if counts else tuple(finding.message for finding in ready.findings)
        outcome = replace(outcome, notes=(*outcome.notes, *let_pass))
        return Delivery(self.sync.label, ready.export, outcome, ready.samples, recorded=counts)


@dataclass(frozen=True)
class CompletedSync:
    """A sync that an earlier process left half delivered, and that is complete now: nothing of it is left to do."""

    delivery: Delivery
    measured: Mapping[Measure, float] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def deliver(self) -> Delivery:
        """Return what was delivered."""
        return self.delivery


Outgoing = PreparedSync | CompletedSync


@dataclass(frozen=True)
class RecordedSteps:
    """What the steps of one activation's syncs work with."""

    spec: ActivationSpec
    engine: Engine
    log: Log
    dispatch: Dispatch
    preparer: SyncPreparer

    def start(self, state: State, label: str, *, now: datetime, full: bool, redirected: bool) -> tuple[State, SyncRecord]:
        """Give a new sync its number. Its instant is that of the label's first attempt, else the label's own, else `now`."""
        self.engine.forget(state.unneeded_snapshots(self.spec.keep_syncs))
        attempts = state.with_label(label)
        instant = attempts[0].instant if attempts else instant_of_label(label) or now
        number = state.next_number
        state = self.log.append(Started(number, label, instant, full, redirected))
        return state, state.syncs[number]

    def keep_rows(self, state: State, sync: SyncRecord) -> SyncRecord:
        """Keep the source's rows as the snapshot of this sync. DataError when they forbid a delivery."""
        with self.engine.scratch(self.spec.name) as folder:
            path = new_snapshot_path(self.spec.name, sync.number)
            snapshot, base = self.preparer.keep_rows(state, path, folder, full=sync.full)
        return self.log.append(SnapshotTaken(sync.number, snapshot, base)).syncs[sync.number]

    @contextmanager
    def prepared(self, state: State, sync: SyncRecord, target: Target) -> Iterator[Outgoing]:
        """Decide, compare, render and judge. SyncRefused, or its kind SyncBlocked, when the state or a guard forbids the delivery."""
        stopwatch = Stopwatch(self.spec.warn_if)
        trials = self.dispatch.trial_record(target.storage)
        recorder: Recorder = self.log if target.recorded else trials
        # Those of earlier attempts, not of this one.
        leftovers = state.leftovers if target.recorded else trials.leftovers()
        with (
            self.engine.scratch(self.spec.name) as folder,
            self.dispatch.uploader(target.storage, announces=(recorder, sync)) as uploader,
        ):
            step = self.preparer.prepare(state, sync, target, uploader, folder)
            if isinstance(step, Ready):
                yield PreparedSync(sync, state, target, step, recorder, leftovers, uploader, stopwatch, self.dispatch)
                return
        if isinstance(step, RollForward):
            yield self._completed(state, sync, step)
        elif sync.snapshot is not None:
            self.log.append(Blocked(sync.number, step.findings))
            raise SyncBlocked(_blocked_message(self.spec.name, sync, step.findings))
        else:
            # What is approved must be what is delivered, so a full_only sync that is held keeps its rows after all, and is judged by those.
            with self.prepared(state, self.keep_rows(state, sync), target) as outgoing:
                yield outgoing

    def _completed(self, state: State, sync: SyncRecord, step: RollForward) -> CompletedSync:
        completed = self.dispatch.complete(state, step)
        if step.number != sync.number:
            raise SyncRefused(f"delivering {self.spec.name}: sync {step.number} was half delivered, and is complete now; start a new sync")
        return CompletedSync(completed.delivery)


def new_snapshot_path(activation: str, number: int) -> str:
    """Make a path for a snapshot that no other ever had: a crash may leave a file whose number is given again."""
    return f"{snapshots_folder(activation)}/{number:06d}-{secrets.token_hex(4)}.parquet"


def _blocked_message(name: str, sync: SyncRecord, findings: tuple[Finding, ...]) -> str:
    reasons = "; ".join(finding.message for finding in findings)
    return (
        f"delivering {name}: sync {sync.number} stops before anything is delivered: {reasons}. If that is as it should be, "
        f"`dinmo approve {name}` delivers this very snapshot; in Dagster, materialize activations/{name}/delivery alone, for partition "
        f"{sync.label}, with the tag dinmo/approve and your name as its value. Else mend the source and start a new sync"
    )
