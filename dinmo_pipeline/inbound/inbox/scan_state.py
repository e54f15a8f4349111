"""What was seen in an inbox at earlier looks: which files stand still, were taken or set aside, and which fit no feed."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from dinmo_pipeline.inbound.troubles.set_aside import SetAside, kept_set_aside, why, why_without_data
from dinmo_pipeline.local_files.contents import replace_file
from dinmo_pipeline.storages.base import RemoteFile

_LONG_AGO = "1970-01-01T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A file as the storage listed it: its size in bytes and when it was changed, where that is told."""

    size: int
    modified: datetime | None

    @classmethod
    def of(cls, file: RemoteFile) -> Self:
        """Return what was seen of a listed file."""
        assert file.size is not None, "a listing tells of a file without a size in another way"
        return cls(file.size, file.modified)

    def plain(self) -> list[int | str | None]:
        """Return the sight as JSON keeps it."""
        return [self.size, None if self.modified is None else self.modified.isoformat()]


@dataclass(frozen=True)
class Failure:
    """Why the last look or pass failed as a whole, and since when they do; `loading`: it came as far as taking files.

    `patient`: whoever failed had tried again before, as a sensor does not.
    """

    reason: str
    without_data: str
    since: datetime
    loading: bool
    patient: bool


class ScanState:
    """The memory of one inbox, a JSON file; losing it costs a file one more look, never its rows. Paths are relative to the inbox.

    `taking`: whether files are being taken, or were when a process ended before its time. `set_aside` are files that failed, by their
    paths. `failure` is set while looks or passes fail as a whole. `strangers` are files that fit no feed, each with why and since when,
    `more_strangers` how many there are beyond those. `unread` are lines of a listing that nobody could read, each with since when.
    `events` wait to be written into the warehouse.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = _read(path)
        self._observed: dict[str, list[object]] = kept.get("standing", {})
        self._taken: dict[str, list[object]] = kept.get("taken", {})
        self._told: list[str] = kept.get("told", [])
        self._told_with: list[str] = kept.get("told_with", [])
        self._vouched: dict[str, list[object]] = kept.get("vouched", {})
        self.strangers: dict[str, list[str]] = kept.get("strangers", {})
        self.more_strangers: int = kept.get("more_strangers", 0)
        self.unread: dict[str, str] = kept.get("unread", {})
        self.raw_missing: str | None = kept.get("raw_missing")
        self.taking: bool = kept.get("taking", False)
        self.set_aside: dict[str, SetAside] = dict(_kept_set_aside(kept.get("set_aside", {})))
        self.failure: Failure | None = _kept_failure(kept.get("failure"))
        self.events: list[dict[str, str]] = kept.get("events", [])
        self._saved = self._all() if kept else None

    def settled(self, files: Mapping[str, Fingerprint], *, now: datetime, after: timedelta) -> set[str]:
        """Return those of `files` that have looked the same for `after`.

        All others are looked at again. Forgets what is no longer there.
        """
        observed: dict[str, list[object]] = {}
        for path, sight in files.items():
            before, plain = self._observed.get(path), sight.plain()
            since = before[2] if before is not None and before[:2] == plain else now.isoformat()
            observed[path] = [*plain, since]
        self._observed = observed
        return {path for path, (_, _, since) in observed.items() if now - datetime.fromisoformat(str(since)) >= after}

    def vouched(self, files: Mapping[str, Fingerprint], done: Collection[str]) -> set[str]:
        """Return those of `files` that a done file vouches for, or did at an earlier look, when they were the same."""
        # A done file may go with the first of several files that it is for.
        fine = {path for path, sight in files.items() if path in done or self._vouched.get(path) == sight.plain()}
        self._vouched = {path: list(files[path].plain()) for path in fine}
        return fine

    def was_taken(self, path: str, sight: Fingerprint) -> bool:
        """Return whether exactly this file was dealt with, and is meant to stay where it is."""
        return path in self._taken and self._taken[path] == sight.plain()

    def take(self, path: str, sight: Fingerprint) -> None:
        """Remember that the file was dealt with and stays."""
        self._taken[path] = list(sight.plain())

    def forget(self, path: str) -> None:
        """Have the file dealt with again; it stood still when it was taken, and need not do so once more."""
        if (sight := self._taken.pop(path, None)) is not None:
            self._observed = {**self._observed, path: [*sight, _LONG_AGO]}

    def put_aside(self, path: str, feed: str, sight: Fingerprint, error: Exception, *, loaded: bool, now: datetime) -> None:
        """Remember that the file failed, and how often in a row; an event where that is news: a file, or a reason, that was not known.

        `loaded`: its rows are in its table, and it could not be moved.
        """
        before, reason, plain = self.set_aside.get(path), why(error), sight.plain()
        again = before if before is not None and before.sight == plain else None
        since, tries = (again.since, again.tries) if again is not None else (now, 0)
        self.set_aside[path] = SetAside(path, feed, plain, reason, why_without_data(error), since, now, tries + 1, loaded)
        if before is None or (before.sight, before.reason) != (plain, reason):
            self._note("set aside", self.set_aside[path], now)

    def unmatched(self, strangers: Mapping[str, Callable[[], str]], *, feeds: list[str], most: int, now: datetime) -> None:
        """Remember why each of the first `most` of these fits none of the feeds, and since when it is there; before `untold`."""
        found: dict[str, list[str]] = {}
        for path in list(strangers)[:most]:
            reason, since = self.strangers.get(path, ("", now.isoformat()))
            # Finding the nearest feed takes its time, so that is done once.
            found[path] = [reason if reason and self._told_with == feeds else strangers[path](), since]
        self.strangers, self.more_strangers = found, len(strangers) - len(found)

    def unlisted(self, lines: Iterable[str], *, now: datetime) -> None:
        """Remember lines of a listing that could not be read, and since when."""
        self.unread = {line: self.unread.get(line, now.isoformat()) for line in lines}

    def find_raw(self, *, is_missing: bool, now: datetime) -> None:
        """Remember since when there is no folder that files are dropped into; None where there is one."""
        self.raw_missing = (self.raw_missing or now.isoformat()) if is_missing else None

    def untold(self, strangers: Iterable[str], *, feeds: list[str]) -> list[str]:
        """Say which unmatched files were not reported yet for these feeds, and mark them as reported."""
        known = set(self._told) if self._told_with == feeds else set()
        self._told, self._told_with = list(strangers), feeds
        return [path for path in self._told if path not in known]

    def keep_only(self, paths: Iterable[str], *, now: datetime) -> None:
        """Forget what was taken or set aside and is no longer there."""
        there = set(paths)
        self._taken = {path: sight for path, sight in self._taken.items() if path in there}
        for aside in [aside for path, aside in self.set_aside.items() if path not in there]:
            del self.set_aside[aside.path]
            self._note("gone", aside, now)

    def fail(self, error: Exception, without_data: str, *, now: datetime, loading: bool, patient: bool) -> None:
        """Remember that a look or a pass failed as a whole."""
        since = now if self.failure is None else self.failure.since
        patient |= self.failure is not None and self.failure.patient
        self.failure = Failure(str(error), without_data, since, loading, patient)

    def _note(self, kind: str, aside: SetAside, now: datetime) -> None:
        self.events.append({"at": now.isoformat(), "feed": aside.feed, "file": aside.path, "kind": kind, "reason": aside.reason})

    def save(self) -> None:
        """Write it, in one step, where there is anything new: a crowded inbox is looked at far more often than it changes."""
        now = self._all()
        if now == self._saved:
            return
        replace_file(self._path, json.dumps(now).encode())
        self._saved = now

    def _all(self) -> dict[str, Any]:
        failure = self.failure
        return {
            "standing": self._observed,
            "taken": dict(self._taken),
            "told": self._told,
            "told_with": self._told_with,
            "taking": self.taking,
            "vouched": self._vouched,
            "strangers": self.strangers,
            "more_strangers": self.more_strangers,
            "unread": self.unread,
            "raw_missing": self.raw_missing,
            "set_aside": {path: aside.plain() for path, aside in self.set_aside.items()},
            "events": list(self.events),
            "failure": None if failure is None else {**vars(failure), "since": failure.since.isoformat()},
        }


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _kept_set_aside(kept: Mapping[str, Any]) -> Iterator[tuple[str, SetAside]]:
    for path, plain in kept.items():
        yield path, kept_set_aside(path, plain)


def _kept_failure(kept: Mapping[str, Any] | None) -> Failure | None:
    return None if kept is None else Failure(**{**kept, "since": datetime.fromisoformat(kept["since"])})
