"""From the entries of a log, in order, to the state that they make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from dinmo_pipeline.delta.export import Export
from dinmo_pipeline.errors import StateError
from dinmo_pipeline.sync.ledger.codec import Checkpoint, Record
from dinmo_pipeline.sync.ledger.events import (
    Announced,
    Approved,
    Baselined,
    Blocked,
    Delivered,
    Fact,
    HandedOver,
    Intent,
    Prepared,
    Redelivered,
    Redelivering,
    Renamed,
    Restored,
    Rewritten,
    SnapshotTaken,
    Started,
)
from dinmo_pipeline.sync.ledger.state import State, SyncRecord


def fold(records: Iterable[Record]) -> State:
    """Return the state that these entries, in order, make."""
    state = State()
    syncs: dict[int, SyncRecord] = {}
    for record in records:
        match record.entry:
            case Checkpoint(state=state):
                syncs = dict(state.syncs)
            case Restored(number):
                state = replace(replace(state, syncs=syncs).settled(), used=max(number, state.used), is_outdated=True)
                syncs = dict(state.syncs)
            case Rewritten():
                state = replace(state, syncs=syncs).rewritten(record.entry.snapshots, record.entry.number, record.entry.base)
                syncs = dict(state.syncs)
            case fact:
                state = _after(state, syncs, fact, record.at)
    return replace(state, syncs=syncs, redelivery=state.redelivery if state.redelivering else ())


def _after(state: State, syncs: dict[int, SyncRecord], entry: Fact, at: datetime) -> State:
    """Put what the entry says of its sync into `syncs`; the state in all else."""
    match entry:
        case Renamed() | HandedOver() | Restored() | Rewritten():
            return state
        case Redelivering():
            return replace(state, redelivering=entry.numbers, redelivery=entry.numbers)
        case Started():
            syncs[entry.number] = SyncRecord(entry.number, entry.label, entry.instant, at, full=entry.full, redirected=entry.redirected)
            return state
        case Baselined():
            syncs[entry.number] = SyncRecord(entry.number, entry.label, entry.instant, at, snapshot=entry.snapshot, delivered_at=at)
            return replace(state, is_outdated=False)
    sync = _begun(syncs, entry.number)
    match entry:
        case SnapshotTaken():
            sync = replace(sync, snapshot=entry.snapshot, base=entry.base)
        case Blocked():
            sync = replace(sync, findings=entry.findings)
        case Approved():
            sync = replace(sync, approved=True)
        case Announced():
            state = replace(state, leftovers=(*state.leftovers, entry))
        case Prepared():
            sync = replace(sync, attempts=(*sync.attempts, entry.export))
            state = replace(state, leftovers=(*_not_in(entry.export, state.leftovers), entry.export))
        case Intent():
            sync = replace(sync, intent_at=sync.intent_at or at, shown=(*sync.shown, *sync.attempts[-1:]))
        case Delivered():
            sync = replace(sync, delivered_at=at, delivery=entry)
            # A newer one closes what a redelivery left open.
            state = replace(state, redelivering=(), leftovers=(), is_outdated=False)
        case Redelivered():
            sync = replace(sync, redelivered_at=at)
            state = replace(state, redelivering=tuple(number for number in state.redelivering if number != entry.number), leftovers=())
    syncs[entry.number] = sync
    return state


def _not_in(export: Export, leftovers: Iterable[Export | Announced]) -> tuple[Export | Announced, ...]:
    """Return all but what was announced of this export: it names the files that have left."""
    names = set(export.temporary_paths)
    return tuple(leftover for leftover in leftovers if isinstance(leftover, Export) or names.isdisjoint(leftover.temporary_paths))


def _begun(syncs: Mapping[int, SyncRecord], number: int) -> SyncRecord:
    if number not in syncs:
        raise StateError(f"reading the log: an entry tells of sync {number}, which never began; restore the log from a backup")
    return syncs[number]
