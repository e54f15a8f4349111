"""The mark that an address holds state: the first sync makes it, or, where `DINMO_REQUIRE_STATE` is set, only `dinmo state init`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from dinmo_pipeline.errors import StateError
from dinmo_pipeline.project.specs import now_utc
from dinmo_pipeline.sync.ledger.ledger import LedgerBackend, StoredEntry

REQUIRE_STATE = "DINMO_REQUIRE_STATE"
MARKER = "state.json"


class Markable(LedgerBackend, Protocol):
    """A backend whose address can carry a mark."""

    def has_marker(self, name: str) -> bool:
        """Return whether the mark is there."""

    def make_marker(self, name: str, text: bytes) -> None:
        """Have it there. StateError where the address cannot create exclusively."""


class RequireInitialized:
    """A backend whose address, called `place`, carries a mark; where that is `required` and missing, nothing but `begin` works."""

    def __init__(self, backend: Markable, place: str, *, required: bool) -> None:
        self._backend = backend
        self._place = place
        self._required = required
        self._is_marked = False

    def begin(self) -> bool:
        """Make the mark; False when there was one."""
        if self._backend.has_marker(MARKER):
            return False
        self._backend.make_marker(MARKER, json.dumps({"version": 1, "at": now_utc().isoformat()}).encode())
        return True

    def read(self, activation: str, folder: str, *, newest: int | None = None) -> Sequence[StoredEntry]:
        self._check()
        return self._backend.read(activation, folder, newest=newest)

    def create(self, activation: str, path: str, text: bytes) -> bool:
        return self._backend.create(activation, path, text)

    def has(self, activation: str, path: str) -> bool:
        return self._backend.has(activation, path)

    @contextmanager
    def locked(self, activation: str, wait_s: float) -> Iterator[None]:
        self._check()
        if not self._is_marked:
            self.begin()
            self._is_marked = True
        with self._backend.locked(activation, wait_s):
            yield

    def _check(self) -> None:
        if self._required and not self._is_marked:
            self._is_marked = self._backend.has_marker(MARKER)
            if not self._is_marked:
                raise StateError(
                    f"there is no state at {self._place}, and {REQUIRE_STATE} is set: without its state a sync would send every row again. "
                    "Correct DINMO_STATE_URL or DINMO_HOME, or restore the state; if it is to begin here, run `dinmo state init`"
                )
