"""What the log says: one record a sync, and what follows from those."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from dinmo_pipeline.delta.export import Export, Snapshot
from dinmo_pipeline.delta.findings import Finding, LastDelivery
from dinmo_pipeline.project.specs import RunType
from dinmo_pipeline.sync.ledger.events import Announced, Delivered


@dataclass(frozen=True)
class SyncRecord:
    """All that is known of one sync. `delivered_at` also stands for a baseline, which has no export.

    `attempts` are the exports that were prepared, `shown` those of them that a consumer may have seen a file of.
    """

    number: int
    label: str
    instant: datetime
    started_at: datetime
    full: bool = False
    redirected: bool = False
    snapshot: Snapshot | None = None
    base: int | None = None
    findings: tuple[Finding, ...] = ()
    approved: bool = False
    attempts: tuple[Export, ...] = ()
    shown: tuple[Export, ...] = ()
    intent_at: datetime | None = None
    delivered_at: datetime | None = None
    delivery: Delivered | None = None
    redelivered_at: datetime | None = None

    @property
    def export(self) -> Export | None:
        """What it writes: the newest of its attempts."""
        return self.attempts[-1] if self.attempts else None

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The rows that it is made from: its own, and those that they were compared with."""
        own = (self.snapshot,) if self.snapshot is not None else ()
        return (*own, *(self.export.comparison.snapshots if self.export is not None else ()))

    def rewritten(self, snapshots: Mapping[str, Snapshot]) -> SyncRecord:
        """Return the same sync since records were taken out of snapshots."""
        attempts, shown = (
            tuple(replace(export, comparison=export.comparison.rewritten(snapshots)) for export in exports)
            for exports in (self.attempts, self.shown)
        )
        own = self.snapshot.rewritten(snapshots) if self.snapshot is not None else None
        return replace(self, snapshot=own, attempts=attempts, shown=shown)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The limits that it broke and that did not stop it."""
        return self.delivery.warnings if self.delivery is not None else ()

    @property
    def is_baseline(self) -> bool:
        """Whether its rows count as delivered without a delivery."""
        return self.delivered_at is not None and self.delivery is None


@dataclass(frozen=True)
class Earlier:
    """What syncs that are not told of any more left at one address: the series of those that were delivered, and every file by its path.

    Where a file's series is its own path, it has none of its own.
    """

    delivered: tuple[str, ...] = ()
    shown: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """The syncs of an activation by their numbers; all questions about the past are answered from these.

    `redelivering` are the syncs that still have to be delivered once more, in order: the rest of `redelivery`. `leftovers` tell of
    temporary files that a crash may have left: those since the newest delivery, which tidied all before it. `earlier` is what
    is left of syncs that are not in it, by address. `used` is the highest number lost with a part of the log; it is not given again.
    `is_outdated` from a restore until a sync is delivered that does not build upon the old log.
    """

    syncs: Mapping[int, SyncRecord] = field(default_factory=dict)
    redelivering: tuple[int, ...] = ()
    redelivery: tuple[int, ...] = ()
    leftovers: tuple[Export | Announced, ...] = ()
    earlier: Mapping[str, Earlier] = field(default_factory=dict)
    used: int = 0
    is_outdated: bool = False

    @property
    def next_number(self) -> int:
        """The number that the next sync gets."""
        return max(self.used, *self.syncs, 0) + 1

    @property
    def delivered(self) -> tuple[SyncRecord, ...]:
        """Delivered syncs and baselines, oldest first."""
        return tuple(sync for _, sync in sorted(self.syncs.items()) if sync.delivered_at is not None)

    @property
    def newest(self) -> SyncRecord | None:
        """The newest delivered sync or baseline: what the consumer was last given."""
        delivered = self.delivered
        return delivered[-1] if delivered else None

    @property
    def interrupted(self) -> tuple[SyncRecord, ...]:
        """The syncs since the newest delivery of which a consumer may have seen some files and not all, oldest first."""
        newest = self.newest.number if self.newest else 0
        return tuple(sync for number, sync in sorted(self.syncs.items()) if sync.intent_at is not None and number > newest)

    @property
    def open_intent(self) -> SyncRecord | None:
        """The delta that has to be completed; an interrupted full_only sync is replaced as a whole instead."""
        last = self.interrupted[-1] if self.interrupted else None
        if last is None or last.export is None or last.export.contract.run_type == RunType.FULL_ONLY:
            return None
        return last

    @property
    def last_delivery(self) -> LastDelivery | None:
        """What guards compare with."""
        newest = self.newest
        if newest is None:
            return None
        if newest.export is not None:
            return LastDelivery(newest.number, newest.export.counts.rows, newest.export.contract)
        return LastDelivery(newest.number, newest.snapshot.rows, newest.snapshot.contract) if newest.snapshot is not None else None

    def with_label(self, label: str) -> tuple[SyncRecord, ...]:
        """Return the syncs of one partition, oldest first: each attempt is a sync of its own."""
        return tuple(sync for _, sync in sorted(self.syncs.items()) if sync.label == label)

    @property
    def waiting(self) -> SyncRecord | None:
        """The newest sync that a guard held and that could still be delivered; approved already, if its delivery failed otherwise."""
        newest = max(self.newest.number if self.newest else 0, self.used)
        blocked = [sync for sync in self.syncs.values() if sync.findings and sync.number > newest]
        return max(blocked, key=lambda sync: sync.number, default=None)

    def settled(self) -> State:
        """Return the state as if no intent were open: what a delivery that does not count compares with."""
        syncs = {**self.syncs, **{sync.number: replace(sync, intent_at=None) for sync in self.interrupted}}
        return replace(self, syncs=syncs, redelivering=(), redelivery=())

    def rewritten(self, snapshots: Mapping[str, Snapshot], number: int | None, base: Snapshot | None) -> State:
        """Return the state since records were taken out of snapshots.

        `base` is what the next sync finds in the place of that sync's rows.
        """
        syncs = {each: sync.rewritten(snapshots) for each, sync in self.syncs.items()}
        if number in syncs and base is not None:
            syncs[number] = replace(syncs[number], snapshot=base)
        return replace(self, syncs=syncs)

    def delivered_series(self, address: str) -> frozenset[str]:
        """Return the names, without part numbers, that delivered syncs wrote at this address."""
        exports = [sync.export for sync in self.delivered if sync.export is not None]
        series = (put.series for export in exports if export.contract.address == address for put in export.puts)
        return frozenset((*self._earlier(address).delivered, *series))

    def shown_paths(self, address: str) -> dict[str, str]:
        """Return every file that may lie with the consumer at this address, with its series: those of half delivered syncs, too."""
        paths = {path: series or path for path, series in self._earlier(address).shown.items()}
        for _, sync in sorted(self.syncs.items()):
            for export in sync.shown:
                if export.contract.address == address:
                    paths.update({put.path: put.series for put in export.puts})
            if sync.delivered_at is not None and sync.export is not None and sync.export.contract.address == address:
                paths = {path: series for path, series in paths.items() if path not in sync.export.stale}
        return paths

    def kept(self, keep: int) -> tuple[SyncRecord, ...]:
        """Return the syncs whose rows are kept: the last `keep` deliveries, the newest `keep` since, and all that may still be shown."""
        newest = self.newest.number if self.newest else 0
        since = sorted(number for number in self.syncs if number > newest)
        open_ones = {sync.number for sync in (*self.interrupted, self.waiting) if sync is not None}
        delivered = (sync.number for sync in self.delivered[-max(keep, 1) :])
        numbers = {*delivered, *since[-max(keep, 1) :], *open_ones, *self.redelivery}
        return tuple(self.syncs[number] for number in sorted(numbers))

    def unneeded_snapshots(self, keep: int) -> tuple[str, ...]:
        """Return paths of snapshots that nobody needs: not the rows of syncs that are kept, nor those that they were compared with."""
        needed = {file.path for sync in self.kept(keep) for snapshot in sync.snapshots for file in snapshot.files}
        return tuple(path for path in self.snapshot_files if path not in needed)

    @property
    def snapshot_files(self) -> tuple[str, ...]:
        """Paths of all files in which the rows of these syncs were kept, and those that they were compared with."""
        found = (snapshot for sync in self.syncs.values() for snapshot in sync.snapshots)
        return tuple(dict.fromkeys(file.path for snapshot in found for file in snapshot.files))

    def condensed(self, keep: int, numbers: Collection[int]) -> State:
        """Return the same for whatever comes: of syncs whose rows are not kept only what consumers may still have of them.

        What comes first tells of the syncs of these `numbers`, which therefore stay, too.
        """
        kept = {sync.number for sync in self.kept(keep)} | (self.syncs.keys() & set(numbers))
        oldest = min(kept, default=0)
        shown = {sync.number for sync in self.syncs.values() if sync.shown and sync.number > oldest}
        older = replace(self, syncs={number: sync for number, sync in self.syncs.items() if number < oldest})
        addresses = {*self.earlier, *(export.contract.address for sync in older.syncs.values() for export in sync.shown)}
        earlier = {
            address: Earlier(
                tuple(sorted(older.delivered_series(address))),
                {path: series if series != path else None for path, series in older.shown_paths(address).items()},
            )
            for address in sorted(addresses)
        }
        syncs = {number: sync for number, sync in self.syncs.items() if number in kept | shown}
        return replace(self, syncs=syncs, earlier=earlier)

    def _earlier(self, address: str) -> Earlier:
        return self.earlier.get(address, Earlier())
