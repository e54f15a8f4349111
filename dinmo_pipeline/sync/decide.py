"""The one decision of a sync, as a pure function: refuse, complete an earlier sync, send every row, or send what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dinmo_pipeline.delta.contract import Contract
from dinmo_pipeline.delta.export import Snapshot
from dinmo_pipeline.project.specs import RunType, SyncMode
from dinmo_pipeline.sync.ledger.state import State, SyncRecord


@dataclass(frozen=True)
class Refuse:
    """This sync must not be delivered; `reason` says why and what to do."""

    reason: str


@dataclass(frozen=True)
class RollForward:
    """Sync `number` may have shown something: it is completed first, exactly as recorded."""

    number: int


@dataclass(frozen=True)
class Full:
    """Every row is sent. `gone_since`: whoever is in one of these snapshots and not in today's rows is removed."""

    reason: str
    base: SyncRecord | None = None
    gone_since: tuple[Snapshot, ...] = ()


@dataclass(frozen=True)
class Delta:
    """What changed since `since`, which sync `base` delivered."""

    base: int
    since: Snapshot


Decision = Refuse | RollForward | Full | Delta


@dataclass(frozen=True)
class Base:
    """The sync that a new one can be compared with, or why there is none."""

    sync: SyncRecord | None
    reason: str = ""

    @property
    def snapshot(self) -> Snapshot | None:
        """The rows that the consumer was last given."""
        return self.sync.snapshot if self.sync is not None else None


def find_base(state: State, contract: Contract) -> Base:
    """Return the newest delivered sync, if what it delivered can be compared with under `contract`."""
    newest = state.newest
    if newest is None:
        return Base(None, "the first sync")
    earlier = newest.export.contract if newest.export is not None else newest.snapshot.contract if newest.snapshot is not None else None
    if earlier is None:
        return Base(None, "nothing was recorded of the last delivery")
    if (broken := contract.break_with(earlier)) is not None:
        return Base(None, broken)
    for sync in state.interrupted:
        # The consumer may have begun anew with that one.
        if sync.export is not None and (broken := contract.break_with(sync.export.contract)) is not None:
            return Base(None, f"sync {sync.number} was interrupted, and since then: {broken}")
    return Base(newest)


def decide_start(state: State, *, run_type: RunType, full: bool) -> RollForward | None:
    """Return what comes before a new sync gets its number and its rows: the completion of an open intent, unless a full one closes it."""
    interrupted = state.open_intent
    if interrupted is None or full or run_type == RunType.FULL_ONLY:
        return None
    return RollForward(interrupted.number)


def decide(state: State, sync: SyncRecord, contract: Contract, *, files_missing: bool = False) -> Decision:
    """Return what delivering `sync` means now.

    `files_missing`: `if_missing: full` is set, and a file of the last delivery is no longer there.
    """
    newest = state.newest
    if sync.delivered_at is not None:
        return Refuse(f"sync {sync.number} is delivered already; start a new sync instead")
    if newest is not None and newest.number > sync.number:
        return Refuse(f"sync {newest.number} was delivered since, so sync {sync.number} is superseded; start a new sync instead")
    if sync.number <= state.used:
        return Refuse(f"the log was restored from an older backup after sync {sync.number} had begun; start a new sync instead")
    if contract.run_type == RunType.FULL_ONLY:
        return Full("full_only sends every row")
    if state.redelivering and not sync.full:
        return Refuse(
            f"sync {state.redelivering[0]} is being delivered once more and was interrupted; start a new sync, which completes that"
        )
    interrupted = state.open_intent
    if interrupted is not None and (interrupted.number >= sync.number or not sync.full):
        return RollForward(interrupted.number)
    base = find_base(state, contract)
    if (base.sync.number if base.sync is not None else None) != sync.base:
        # Insert's snapshot carries the keys of its base on, so a full sync depends on it, too.
        return Refuse(
            f"another sync was delivered after sync {sync.number} had taken its rows; start a new sync, which compares with that one"
        )
    if sync.full:
        # A redelivery that was interrupted has shown rows again that may have left since.
        shown = (*state.interrupted, *(state.syncs[number] for number in state.redelivery))
        return Full("every row was asked for", base.sync, _gone_since(contract, base, shown))
    if state.is_outdated:
        known = _gone_since(contract, base, ())
        return Full("the log was restored from a backup that is older than the last delivery", base.sync, known)
    if base.sync is None or base.snapshot is None:
        return Full(base.reason)
    if files_missing:
        return Full("a file of the last delivery is no longer there", base.sync, _gone_since(contract, base, ()))
    return Delta(base.sync.number, base.snapshot)


def _gone_since(contract: Contract, base: Base, interrupted: Sequence[SyncRecord]) -> tuple[Snapshot, ...]:
    if contract.sync_mode != SyncMode.DIFFERENCE:
        return ()
    # The values last delivered come first: a key in several is told with those.
    found = [base.snapshot, *(sync.snapshot for sync in interrupted)]
    return tuple(snapshot for snapshot in found if snapshot is not None and contract.break_with(snapshot.contract) is None)
