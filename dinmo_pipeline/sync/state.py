"""What the log says: its entries folded to one record a sync, and what follows from those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from dinmo_pipeline.errors import StateError
from dinmo_pipeline.project.specs import RunType
from dinmo_pipeline.sync.entries import (
    Approved,
    Baselined,
    Blocked,
    Delivered,
    HandedOver,
    Intent,
    Prepared,
    Record,
    Renamed,
    SnapshotTaken,
    Started,
)
from dinmo_pipeline.sync.export import Export, Snapshot
from dinmo_pipeline.sync.findings import Finding, LastDelivery


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

    @property
    def export(self) -> Export | None:
        """What it writes: the newest of its attempts."""
        return self.attempts[-1] if self.attempts else None

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The limits that it broke and that did not stop it."""
        return self.delivery.warnings if self.delivery is not None else ()

    @property
    def is_baseline(self) -> bool:
        """Whether its rows count as delivered without a delivery."""
        return self.delivered_at is not None and self.delivery is None


@dataclass(frozen=True)
class State:
    """Every sync of an activation by its number; all questions about the past are answered from these."""

    syncs: Mapping[int, SyncRecord] = field(default_factory=dict)

    @property
    def next_number(self) -> int:
        """The number that the next sync gets."""
        return max(self.syncs, default=0) + 1

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
        """The syncs of one partition, oldest first: each attempt is a sync of its own."""
        return tuple(sync for _, sync in sorted(self.syncs.items()) if sync.label == label)

    @property
    def waiting(self) -> SyncRecord | None:
        """The newest sync that a guard held and that could still be delivered; approved already, if its delivery failed otherwise."""
        newest = self.newest.number if self.newest else 0
        blocked = [sync for sync in self.syncs.values() if sync.findings and sync.number > newest]
        return max(blocked, key=lambda sync: sync.number, default=None)

    def settled(self) -> State:
        """The state as if no intent were open: what a delivery that does not count compares with."""
        return State({**self.syncs, **{sync.number: replace(sync, intent_at=None) for sync in self.interrupted}})

    def delivered_series(self, address: str) -> frozenset[str]:
        """The names, without part numbers, that delivered syncs wrote at this address."""
        exports = [sync.export for sync in self.delivered if sync.export is not None]
        return frozenset(put.series for export in exports if export.contract.address == address for put in export.puts)

    def shown_paths(self, address: str) -> dict[str, str]:
        """Every file that may lie with the consumer at this address, with its series: those of half delivered syncs, too."""
        paths: dict[str, str] = {}
        for _, sync in sorted(self.syncs.items()):
            for export in sync.shown:
                if export.contract.address == address:
                    paths.update({put.path: put.series for put in export.puts})
            if sync.delivered_at is not None and sync.export is not None and sync.export.contract.address == address:
                paths = {path: series for path, series in paths.items() if path not in sync.export.stale}
        return paths

    def unneeded_snapshots(self, keep: int) -> tuple[str, ...]:
        """Paths of snapshots that no later sync needs: neither among the last `keep` deliveries nor newer than the newest of them."""
        kept = {sync.number for sync in self.delivered[-max(keep, 1) :]}
        newest = self.newest.number if self.newest else 0
        taken = {number: [file.path for file in sync.snapshot.files] for number, sync in self.syncs.items() if sync.snapshot}
        needed = {path for number, paths in taken.items() if number in kept or number > newest for path in paths}
        return tuple(dict.fromkeys(path for paths in taken.values() for path in paths if path not in needed))

    @property
    def leftovers(self) -> tuple[Export, ...]:
        """Exports whose temporary files a crash may have left: those prepared since the newest delivery, which tidied all before it."""
        tidied = max((sync.number for sync in self.delivered if not sync.is_baseline), default=0)
        return tuple(export for sync in self.syncs.values() if sync.number > tidied for export in sync.attempts)


def fold(records: Iterable[Record]) -> State:
    """The state that these entries, in order, make."""
    syncs: dict[int, SyncRecord] = {}
    for record in records:
        entry, at = record.entry, record.at
        match entry:
            case Renamed() | HandedOver():
                continue
            case Started():
                syncs[entry.number] = SyncRecord(entry.number, entry.label, entry.instant, at, full=entry.full, redirected=entry.redirected)
                continue
            case Baselined():
                syncs[entry.number] = SyncRecord(entry.number, entry.label, entry.instant, at, snapshot=entry.snapshot, delivered_at=at)
                continue
        sync = _begun(syncs, entry.number)
        match entry:
            case SnapshotTaken():
                sync = replace(sync, snapshot=entry.snapshot, base=entry.base)
            case Blocked():
                sync = replace(sync, findings=entry.findings)
            case Approved():
                sync = replace(sync, approved=True)
            case Prepared():
                sync = replace(sync, attempts=(*sync.attempts, entry.export))
            case Intent():
                sync = replace(sync, intent_at=sync.intent_at or at, shown=(*sync.shown, *sync.attempts[-1:]))
            case Delivered():
                sync = replace(sync, delivered_at=at, delivery=entry)
        syncs[entry.number] = sync
    return State(syncs)


def _begun(syncs: Mapping[int, SyncRecord], number: int) -> SyncRecord:
    if number not in syncs:
        raise StateError(f"reading the log: an entry tells of sync {number}, which never began; restore the log from a backup")
    return syncs[number]
