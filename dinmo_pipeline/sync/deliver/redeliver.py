"""Delivering again what was delivered: a sync and all newer ones in order, or one of them elsewhere.

Each goes the way of every delivery. That all of them have to come is in the log before the first one shows: whoever applies an
older sync once more needs the newer ones after it, so the next sync completes what was interrupted. No base moves.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace

from dinmo_pipeline.delta.export import Export, Place, joined
from dinmo_pipeline.engines.duckdb.session import Engine
from dinmo_pipeline.errors import SyncRefused
from dinmo_pipeline.project.schema.file_names import is_dated
from dinmo_pipeline.project.specs import ActivationSpec, RunType
from dinmo_pipeline.sync.deliver.commit import Recorder
from dinmo_pipeline.sync.deliver.render import folder_below
from dinmo_pipeline.sync.ledger.events import Delivered, Fact, Redelivered
from dinmo_pipeline.sync.ledger.state import State, SyncRecord
from dinmo_pipeline.sync.prepare import Target


@dataclass(frozen=True)
class Again:
    """The recorder of a redelivery: what it says of itself, but that it was delivered."""

    log: Recorder

    def append(self, entry: Fact) -> object:
        """Record a fact; that all files are in place is not a new delivery."""
        if isinstance(entry, Delivered):
            entry = Redelivered(entry.number, entry.seconds, entry.notes)
        return self.log.append(entry)

    def check_unchanged(self) -> None:
        """Raise SyncRefused when somebody else went on."""
        self.log.check_unchanged()


def find_sync(spec: ActivationSpec, state: State, number: int, engine: Engine, *, after: int | None = None) -> SyncRecord:
    """Return the delivered sync of this number, whose rows are kept. SyncRefused, with words, when there is none.

    `after` is the one that was asked for, where this one has to follow it.
    """
    doing = f"delivering sync {number} of {spec.name} again"
    if after is not None:
        doing = f"delivering sync {after} of {spec.name} again, which sync {number} has to follow"
    sync = state.syncs.get(number)
    if spec.run_type == RunType.FULL_ONLY:
        raise SyncRefused(f"{doing}: full_only keeps no rows to deliver again; `dinmo sync {spec.name}` sends all of today's")
    if sync is None and not 0 < number < state.next_number:
        raise SyncRefused(f"{doing}: there is no such sync; `dinmo history {spec.name}` lists them")
    if sync is not None and sync.delivered_at is None:
        raise SyncRefused(f"{doing}: it was never delivered; `dinmo history {spec.name}` lists them")
    if sync is not None and sync.export is None:
        raise SyncRefused(f"{doing}: it is a baseline, of which nothing was sent")
    comparison = sync.export.comparison if sync is not None and sync.export is not None else None
    if sync is None or comparison is None or comparison.current is None or not all(map(engine.is_intact, comparison.snapshots)):
        raise SyncRefused(
            f"{doing}: the rows of sync {number} are not kept any more (keep_syncs: {spec.keep_syncs}); `dinmo sync {spec.name} --full` "
            "sends all of today's"
        )
    return sync


def find_syncs(spec: ActivationSpec, state: State, number: int, engine: Engine) -> tuple[SyncRecord, ...]:
    """Return that sync and all newer ones, oldest first. SyncRefused when they cannot leave the consumer right."""
    first = find_sync(spec, state, number, engine)
    doing = f"delivering sync {number} of {spec.name} again"
    if state.is_outdated:
        raise SyncRefused(
            f"{doing}: the log was restored from an older backup, so newer syncs are not known; `dinmo sync {spec.name} --full` comes first"
        )
    if state.open_intent is not None:
        raise SyncRefused(f"{doing}: sync {state.open_intent.number} is half delivered; `dinmo sync {spec.name}` completes it first")
    newer = [sync for sync in state.delivered if sync.number > number and sync.export is not None]
    syncs = (first, *(find_sync(spec, state, sync.number, engine, after=number) for sync in newer))
    addresses = {sync.export.contract.address for sync in syncs if sync.export is not None}
    if len(addresses) > 1:
        raise SyncRefused(f"{doing}: the activation has delivered to another address since; --to delivers that sync alone")
    names = [put.path for sync in syncs if sync.export is not None for put in sync.export.puts if put.rows]
    if len(syncs) > 1 and (not is_dated(spec.file_name, spec.folder) or len(set(names)) < len(names)):
        raise SyncRefused(
            f"{doing}: {len(syncs) - 1} newer ones have files of the same name, which would overwrite it before anybody has read it; "
            f"--to delivers it alone, and `dinmo sync {spec.name} --full` sends all of today's rows"
        )
    return syncs


def elsewhere(export: Export, target: Target) -> Export:
    """Return the same export for another storage."""
    folder = folder_below(target.below, export.folder) if target.below is not None else export.folder

    def moved(path: str) -> str:
        return joined(folder, posixpath.basename(path))

    puts = tuple(replace(put, path=moved(put.path), series=moved(put.series)) for put in export.puts)
    return replace(export, place=Place.of(target.storage), folder=folder, puts=puts, stale=(), base_delivered=False)
