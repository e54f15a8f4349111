"""A lock that several machines share: one small object, written only by comparing, that its holder renews and a dead holder does not.

A lease is taken from a holder whose object has not changed for as long as the lease lasts, as the taker itself watched: no two machines'
clocks are compared. Within half of that time of its last renewal the holder needs to ask nobody; later it renews first, and learns so
that somebody else has taken it.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from dinmo_pipeline.activity import tell
from dinmo_pipeline.errors import BusyError, StateError, SyncRefused
from dinmo_pipeline.local_files.locks import TOLD_WAIT_S
from dinmo_pipeline.local_files.locks import Holder as LocalHolder
from dinmo_pipeline.storages.object_store.contract import Stored
from dinmo_pipeline.storages.waiting import forbid_waiting

LEASE_S = 60.0
_BEATS = 4
_LOOK_AGAIN_S = 1.0


class Slot(Protocol):
    """The object of one lock; its methods raise StateError only."""

    def load(self) -> Stored | None:
        """Return what is in it, or None before it was ever written."""

    def write_if(self, content: bytes, version: str | None) -> str | None:
        """Write it if it still is of this version, or has none: the new version, or None when it is not."""


class Holder(BaseModel):
    """What the object says: who has the lock, for how long without a renewal, and which renewal this is; `free` when it was given back."""

    model_config = ConfigDict(frozen=True)

    token: str
    host: str
    process: int
    lasts_s: float
    beat: int = 0
    free: bool = False
    command: str = "an older version"
    since: str = "some time"

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} ({self.command}) has had it since {self.since}"


class Lease:
    """A lock that this process holds; `slot` is its object, `beating` the same one through a connection of the renewing thread's own."""

    def __init__(self, slot: Slot, beating: Slot, what: str, lasts_s: float) -> None:
        self._slot = slot
        self._beating = beating
        self._what = what
        me = LocalHolder.this_process()
        self._holder = Holder(token=secrets.token_hex(8), host=me.host, process=me.pid, lasts_s=lasts_s, command=me.command, since=me.since)
        self._version: str | None = None
        self._renewed_at = 0.0
        self._turn = threading.Lock()
        self._ended = threading.Event()

    def take(self, wait_s: float) -> None:
        """Take it as soon as it is free, or its holder has stopped renewing it. BusyError after `wait_s` seconds."""
        began, seen, since, told = _now(), None, 0.0, False
        while True:
            found = self._slot.load()
            holder = _read(found)
            version = found.version if found is not None else None
            if holder is None or (version == seen and _now() - since > holder.lasts_s):
                if self._write(self._slot, version):
                    return
            elif version != seen:
                seen, since = version, _now()
            who = str(holder) if holder is not None else "another process has it"
            if not told and TOLD_WAIT_S <= _now() - began < wait_s:
                tell(f"waiting for {self._what}: {who}")
                told = True
            if _now() - began >= wait_s:
                raise BusyError(
                    f"{self._what}: {who}, and did not let go within {wait_s:,.0f} s; nothing was begun, start this one again later"
                )
            time.sleep(min(_LOOK_AGAIN_S, self._holder.lasts_s / 10))

    def check(self) -> None:
        """Raise SyncRefused when another process may have taken it, StateError when nobody can say."""
        with self._alone() as alone:
            if not alone:
                raise StateError(
                    f"{self._what}: renewing its lock has been waiting for an answer for {self._holder.lasts_s:,.0f} s, so another process "
                    "may have gone on; see that the state's storage can be reached, then start the sync again"
                )
            if _now() - self._renewed_at >= self._holder.lasts_s / 2:
                self._renew(self._slot)

    def keep_renewing(self) -> None:
        """Renew it from time to time until it is given back or lost."""
        while not self._ended.wait(self._holder.lasts_s / _BEATS):
            # The network may be back at the next beat; if it is not, `check` says so.
            with self._alone() as alone, suppress(StateError, SyncRefused):
                if alone and not self._ended.is_set():
                    self._renew(self._beating)

    def give_back(self) -> None:
        """Let others have it at once; where that cannot be written, they wait until it ends."""
        self._ended.set()
        with self._alone() as alone, suppress(StateError), forbid_waiting():
            if alone and self._version is not None:
                self._write(self._slot, self._version, free=True)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Yield whether the other thread left the lease to this one before it would have ended.

        It may wait for an answer of the network.
        """
        alone = self._turn.acquire(timeout=self._holder.lasts_s)
        try:
            yield alone
        finally:
            if alone:
                self._turn.release()

    def _renew(self, slot: Slot) -> None:
        if self._version is None or not self._write(slot, self._version):
            self._version = None
            self._ended.set()
            raise SyncRefused(
                f"{self._what}: this process stood still for longer than its lock lasts ({self._holder.lasts_s:,.0f} s), and another one "
                "has gone on; so this one stops before it shows anything more. See `dinmo history`, then start the sync again"
            )

    def _write(self, slot: Slot, version: str | None, *, free: bool = False) -> bool:
        began = _now()
        self._holder = self._holder.model_copy(update={"beat": self._holder.beat + 1, "free": free})
        written = slot.write_if(self._holder.model_dump_json().encode(), version)
        if written is not None:
            self._version, self._renewed_at = written, began
        return written is not None


@contextmanager
def leased(slot: Slot, beating: Slot, *, what: str, wait_s: float, lasts_s: float) -> Iterator[Lease]:
    """Hold the lock of `slot`, renewed through `beating` in a thread. BusyError after `wait_s` seconds; `what` begins the errors."""
    lease = Lease(slot, beating, what, lasts_s)
    lease.take(wait_s)
    threading.Thread(target=lease.keep_renewing, name="dinmo-lease", daemon=True).start()
    try:
        yield lease
    finally:
        lease.give_back()


def _read(found: Stored | None) -> Holder | None:
    """Return who holds it, if anybody does."""
    if found is None:
        return None
    try:
        holder = Holder.model_validate_json(found.content)
    except ValidationError as error:
        raise StateError("reading a lock: what lies there is none of this product; see what else writes to this address") from error
    return None if holder.free else holder


def _now() -> float:
    # Unlike the monotonic clock this one goes on while the machine sleeps.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
