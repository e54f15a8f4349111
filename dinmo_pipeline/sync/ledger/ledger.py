"""An activation's log: numbered immutable entries, each created exclusively, so of two writers at one position one loses and knows it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dinmo_pipeline.errors import OutdatedStateError, StateError, SyncRefused
from dinmo_pipeline.project.specs import KEEP_SYNCS, now_utc
from dinmo_pipeline.sync.ledger.codec import Checkpoint, Entry, Record, from_json, to_json
from dinmo_pipeline.sync.ledger.events import Fact, HandedOver, Renamed, numbers_of
from dinmo_pipeline.sync.ledger.fold import fold
from dinmo_pipeline.sync.ledger.high_water_marks import Mark, Marks
from dinmo_pipeline.sync.ledger.segments import CHECKPOINTS, begins_chapter, folder_of, path_of, position_of
from dinmo_pipeline.sync.ledger.signing import STATE_KEY, VOUCHERS, Signer, is_signed
from dinmo_pipeline.sync.ledger.state import State
from dinmo_pipeline.sync.ledger.validate import refuse_foreign

LOCK_WAIT_S = 3600.0


@dataclass(frozen=True)
class StoredEntry:
    """The text of one entry, its path below the activation's folder, and where it was read from, for people."""

    path: str
    where: str
    text: bytes


class LedgerBackend(Protocol):
    """Where the logs of all activations lie. Every method raises StateError, and BusyError from `locked`, and nothing else.

    Where the lock can be lost while it is held, `create` and `has` raise SyncRefused from then on.
    """

    def read(self, activation: str, folder: str, *, newest: int | None = None) -> Sequence[StoredEntry]:
        """Return the entries in this folder of the activation's, in order, or the `newest` so many; none when there is no such folder."""

    def create(self, activation: str, path: str, text: bytes) -> bool:
        """Write the entry of this path, whole and durable when this returns; False when there is one already."""

    def has(self, activation: str, path: str) -> bool:
        """Return whether there is an entry of this path."""

    def locked(self, activation: str, wait_s: float) -> AbstractContextManager[None]:
        """Hold the activation for this process; a killed holder's lock is free at once. BusyError after `wait_s` seconds."""


@dataclass(frozen=True)
class _Entries:
    """A log as it was read: its pages in order, the newest position, the chapter that this is in, and what the pages say happened."""

    pages: Sequence[StoredEntry]
    position: int
    chapter: int
    records: Sequence[Record]


class Log:
    """The log of one activation. Appending is safe against every other process; the lock only spares them the work of losing.

    A log without a past that is `renamed_from` another one has that one's; the first entry that it appends makes this lasting.
    `marks` remember on this machine how far it went. With a `signer` only entries count that he signed, or that somebody vouched for.
    A checkpoint tells of the last `keep_syncs` deliveries.
    """

    def __init__(
        self,
        backend: LedgerBackend,
        activation: str,
        *,
        renamed_from: str | None = None,
        keep_syncs: int = KEEP_SYNCS,
        marks: Marks | None = None,
        signer: Signer | None = None,
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        self.activation = activation
        self._backend = backend
        self._renamed_from = renamed_from
        self._keep_syncs = keep_syncs
        self._marks = marks
        self._signer = signer
        self._clock = clock
        self._known: list[Record] = []
        self._position = 0
        self._chapter = 0
        self._newest: bytes | None = None
        self._past: Renamed | None = None

    def read(self) -> State:
        """Return the state now; later appends and `check_unchanged` refer to this moment.

        StateError for a damaged or missing entry, its kind OutdatedStateError when the log went further once: `append` works then, too.
        """
        # Before the logs are read, to which others may append meanwhile.
        mark, mark_of_past = self._mark(self.activation), self._mark(self._renamed_from)
        own = self._read_own()
        self._position, self._chapter = own.position, own.chapter
        self._newest = own.pages[-1].text if own.pages else None
        self._known, self._past = self._history(own.records), None
        if not self._known and self._renamed_from is not None:
            self._known, self._past = self._find_past(self._renamed_from)
        state = fold(self._known)
        if mark is not None and state.used < mark.number and not _reaches(own, mark):
            raise self._outdated(self.activation, own.position, mark)
        past = self._past
        if past is not None and mark_of_past is not None and state.used < mark_of_past.number and past.entries < mark_of_past.position:
            raise self._outdated(past.name, past.entries, mark_of_past)
        return state

    def read_whole(self) -> State:
        """Return the state with every sync that there ever was, for people: takes longer the more there were."""
        return fold(self.read_records())

    def read_records(self) -> Sequence[Record]:
        """Return every entry that there ever was, also under earlier names, in order."""
        records = self._history(self._read_own(whole=True).records, whole=True)
        if not records and self._renamed_from is not None:
            records, _ = self._find_past(self._renamed_from, whole=True)
        return records

    @property
    def state(self) -> State:
        """What was read, with what was appended since; what others have written meanwhile is found when the next entry is."""
        return fold(self._known)

    def append(self, fact: Fact) -> State:
        """Write `fact` as the next entry, on disk when this returns; the new state.

        SyncRefused when another process wrote since `read`; StateError when it cannot be written.
        """
        if self._past is not None:
            self._take_over(self._past)
        self._known.append(self._write(fact))
        state = fold(self._known)
        if self._marks is not None:
            self._marks.keep(self.activation, Mark(self._position, hashlib.sha256(self._newest or b"").hexdigest(), state.next_number - 1))
        return state

    def check_unchanged(self) -> None:
        """Raise SyncRefused when another process has written since `read`: whoever wants to show something to a consumer asks first."""
        if self._backend.has(self.activation, path_of(self._position + 1, self._chapter)):
            raise SyncRefused(self._overtaken())

    def vouch(self) -> int:
        """Take all entries that there are for true, also those under earlier names; how many they are. StateError without a key."""
        if self._signer is None:
            raise StateError(f"signing the log of activation {self.activation}: {STATE_KEY} is not set; `openssl rand -hex 32` makes one")
        own = Log(self._backend, self.activation)._read_own(whole=True)
        names = {record.entry.name for record in own.records if isinstance(record.entry, Renamed)}
        if not own.pages and self._renamed_from is not None:
            names.add(self._renamed_from)
        if own.pages:
            path = f"{VOUCHERS}/{len(own.pages):08d}-{secrets.token_hex(4)}.json"
            self._backend.create(self.activation, path, self._signer.vouch(self.activation, own.pages))
        return len(own.pages) + sum(self._log_of(name).vouch() for name in sorted(names))

    def locked(self, *, wait_s: float = LOCK_WAIT_S) -> AbstractContextManager[None]:
        """Hold the activation for this process. BusyError when another has had it for `wait_s` seconds."""
        return self._backend.locked(self.activation, wait_s)

    def _read_own(self, *, whole: bool = False, until: int | None = None) -> _Entries:
        """Return this log's entries from the newest checkpoint on, or all of them; up to position `until`."""
        checkpoints = self._backend.read(self.activation, CHECKPOINTS, newest=None if whole or until is not None else 1)
        checkpoints = [page for page in checkpoints if until is None or position_of(page.path) <= until]
        chapter = position_of(checkpoints[-1].path) if checkpoints else 0
        pages = list(self._backend.read(self.activation, folder_of(0))) if whole or not chapter else []
        for checkpoint in checkpoints if whole else checkpoints[-1:]:
            pages += [checkpoint, *self._backend.read(self.activation, folder_of(position_of(checkpoint.path)))]
        if self._signer is not None:
            self._signer.check(self.activation, pages, self._backend.read(self.activation, VOUCHERS))
        pages = [page for page in pages if until is None or position_of(page.path) <= until]
        self._check_complete(pages)
        records = [_record_of(page) for page in pages]
        if whole:
            records = [record for record in records if not isinstance(record.entry, Checkpoint)]
        return _Entries(pages, position_of(pages[-1].path) if pages else 0, chapter, records)

    def _check_complete(self, pages: Sequence[StoredEntry]) -> None:
        first = position_of(pages[0].path) if pages and begins_chapter(position_of(pages[0].path)) else 1
        for position, page in enumerate(pages, start=first):
            if position_of(page.path) != position:
                raise StateError(
                    f"reading the log of activation {self.activation}: entry {position} is missing before {page.where}, so nobody knows "
                    "what was delivered; restore it from a backup, or move the activation's folder away and start again with "
                    "`dinmo sync --full`"
                )

    def _history(self, records: Sequence[Record], *, whole: bool = False) -> list[Record]:
        """Return what these entries say happened, with what happened under earlier names."""
        known: list[Record] = []
        for record in records:
            match record.entry:
                case HandedOver():
                    known = []
                case Renamed(name, count):
                    earlier = self._log_of(name)
                    before = earlier._read_own(whole=whole, until=count)
                    if before.position < count:
                        raise StateError(
                            f"reading the log of activation {self.activation}: it goes on from {count} entries of {name}, and only "
                            f"{before.position} are there; restore them from a backup"
                        )
                    # That it was renamed is told to people alone.
                    known = earlier._history(before.records, whole=whole) + [record] * whole
                case _:
                    known.append(record)
        return known

    def _find_past(self, name: str, *, whole: bool = False) -> tuple[list[Record], Renamed | None]:
        """Return what happened under the earlier name, if anything did and no other activation has gone on from it."""
        earlier = self._log_of(name)
        own = earlier._read_own(whole=whole)
        records, position = list(own.records), own.position
        if records and isinstance(records[-1].entry, HandedOver):
            if records[-1].entry.name != self.activation:
                return [], None
            records, position = records[:-1], position - 1
        known = earlier._history(records, whole=whole)
        return known, Renamed(name, position) if known else None

    def _take_over(self, past: Renamed) -> None:
        earlier = self._log_of(past.name)
        with earlier.locked():
            # The older log is closed first, so that whoever still runs under the old name cannot add to what goes on here.
            earlier.read()
            if earlier._position == past.entries:
                earlier._write(HandedOver(self.activation))
            elif not earlier._is_handed_over(self.activation):
                raise SyncRefused(self._overtaken())
        self._write(past)
        self._past = None

    def _is_handed_over(self, name: str) -> bool:
        records = self._read_own().records
        return bool(records) and records[-1].entry == HandedOver(name)

    def _log_of(self, name: str) -> Log:
        return Log(self._backend, name, keep_syncs=self._keep_syncs, signer=self._signer, clock=self._clock)

    def _write(self, fact: Fact) -> Record:
        if begins_chapter(self._position + 1):
            self._create(Checkpoint(fold(self._known).condensed(self._keep_syncs, numbers_of(fact))))
            self._chapter = self._position
        return self._create(fact)

    def _create(self, entry: Entry) -> Record:
        record = Record(at=self._clock(), entry=entry)
        position, text = self._position + 1, to_json(record)
        if self._signer is not None:
            text = self._signer.sign(self.activation, position, text, self._newest)
        elif self._newest is not None and is_signed(self._newest):
            raise StateError(
                f"writing the log of activation {self.activation}: its entries are signed, and {STATE_KEY} is not set here: set it to the "
                "key that the others have"
            )
        if not self._backend.create(self.activation, path_of(position, self._chapter), text):
            raise SyncRefused(self._overtaken())
        self._position, self._newest = position, text
        return record

    def _mark(self, name: str | None) -> Mark | None:
        return self._marks.find(name) if self._marks is not None and name is not None else None

    def _outdated(self, name: str, position: int, mark: Mark) -> OutdatedStateError:
        return OutdatedStateError(
            f"reading the log of activation {name}: it ends at entry {position}, and this machine has seen it go on to entry "
            f"{mark.position}, of sync {mark.number}: it was restored from an older backup, or something of it was deleted. A delta from "
            f"it would be wrong. Restore a newer one, or send every row with `dinmo sync {self.activation} --full`",
            mark.number,
        )

    def _overtaken(self) -> str:
        return (
            f"another process went on with activation {self.activation} meanwhile, so this one stops before it shows anything more; "
            "see `dinmo history`, then start the sync again"
        )


def _record_of(page: StoredEntry) -> Record:
    record = from_json(page.text, where=page.where)
    refuse_foreign(record.entry, where=page.where)
    return record


def _reaches(entries: _Entries, mark: Mark) -> bool:
    """Return whether the log goes as far as the mark, with the same entry there, where that was read."""
    marked = [page.text for page in entries.pages if position_of(page.path) == mark.position]
    return entries.position >= mark.position and all(hashlib.sha256(text).hexdigest() == mark.sha256 for text in marked)
