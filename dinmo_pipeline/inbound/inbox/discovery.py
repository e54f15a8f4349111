"""Arrivals: which files of an inbox are due, decided by what lies there and what was seen before, never by a moment in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

from dinmo_pipeline.inbound.inbox.file_names import NameMatch, Reason, is_temporary, match_name, printable, unfit_name, without_extension
from dinmo_pipeline.inbound.inbox.folders import INIT, RAW
from dinmo_pipeline.inbound.inbox.scan_state import Fingerprint, ScanState
from dinmo_pipeline.inbound.troubles.set_aside import SetAside
from dinmo_pipeline.project.inbound_specs import FeedSpec, InboxSpec
from dinmo_pipeline.storages.base import Listing, RemoteFile

_TOLD_STRANGERS = 100
# What it leads to is read with our rights, which may be more than its sender's, and comes back in rejects and in `imports/`.
_LINK = "it is a symbolic link; put the file itself there"
_TWICE = "the server lists several files of this name, and nobody can tell which one it would give; look at them there"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file of a feed that lies in `raw/` or `init/`, as it was listed."""

    folder: str
    name: str
    sight: Fingerprint
    match: NameMatch

    @property
    def path(self) -> str:
        """Where it lies, from the inbox's folder."""
        return f"{self.folder}/{self.name}"

    @property
    def label(self) -> str:
        """What people call this version of the file."""
        return version_label(self.name, self.sight)


def version_label(name: str, sight: Fingerprint) -> str:
    """Return a file's name with what tells two versions of it apart: when it was changed, else how long it is."""
    moment = sight.modified
    told = f"{sight.size} bytes" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H.%M.%S")
    return f"{name} ({told})"


@dataclass(frozen=True)
class InboxScan:
    """What a look at an inbox found: files to take, in the order to take them; files that wait; strangers nobody was told of.

    Strangers are known by their paths as they may be printed, each with why it is one; of very many, `more_strangers` have no reason.
    `set_aside` are files that failed before. `cut_off`: an earlier pass ended before its time, so that one is due even where no file is.
    """

    due: tuple[Arrival, ...]
    waiting: tuple[str, ...]
    strangers: Mapping[str, str]
    more_strangers: int = 0
    set_aside: tuple[SetAside, ...] = ()
    cut_off: bool = False

    def told_strangers(self) -> Iterator[str]:
        """Yield what to tell of the strangers, in lines."""
        for path, reason in self.strangers.items():
            yield f"{path} stays where it is: {reason}"
        if self.more_strangers:
            yield f"{self.more_strangers:,} more files stay where they are, and are of no feed, either"

    def fresh(self) -> tuple[Arrival, ...]:
        """Return those of the files to take that did not fail before as they are now."""
        failed = {aside.path: aside.sight for aside in self.set_aside}
        return tuple(arrival for arrival in self.due if failed.get(arrival.path) != arrival.sight.plain())


def look(
    inbox: InboxSpec,
    feeds: Sequence[FeedSpec],
    listings: Mapping[str, Listing],
    scan_state: ScanState,
    now: datetime,
    *,
    cut_off: bool = False,
) -> InboxScan:
    """Decide on the files that are listed in each of RAW and INIT; `scan_state` remembers them."""
    found: list[Arrival] = []
    done: set[str] = set()
    strangers: dict[str, Reason] = {}
    there = {f"{folder}/{file.name}" for folder, files in listings.items() for file in files}
    for folder, files in listings.items():
        done_files = DoneFiles(inbox, {file.name for file in files})
        versions = Counter(name for name, _ in {(file.name, Fingerprint.of(file)) for file in files})
        for file in files:
            if versions[file.name] > 1:
                strangers[printable(f"{folder}/{file.name}")] = partial(str, _TWICE)
                continue
            if is_temporary(file.name) or file.name in done_files:
                continue
            match = _match(file, feeds)
            if not isinstance(match, NameMatch):
                strangers[printable(f"{folder}/{file.name}")] = match
                continue
            arrival = Arrival(folder, file.name, Fingerprint.of(file), match)
            found.append(arrival)
            if done_files.of(file.name):
                done.add(arrival.path)
    scan_state.keep_only(there, now=now)
    fresh = [arrival for arrival in found if not scan_state.was_taken(arrival.path, arrival.sight)]
    sights = {arrival.path: arrival.sight for arrival in fresh}
    settled = scan_state.settled(sights, now=now, after=timedelta(seconds=inbox.settle_seconds))
    ready = settled if inbox.done_file is None else scan_state.vouched(sights, done)
    due = [arrival for arrival in fresh if arrival.path in ready]
    waiting = tuple(arrival.path for arrival in fresh if arrival.path not in ready)
    known = [f"{feed.name} {'json' if feed.csv is None else 'csv'}" for feed in feeds]
    scan_state.unmatched(strangers, feeds=known, most=_TOLD_STRANGERS, now=now)
    scan_state.find_raw(is_missing=listings[RAW].is_missing, now=now)
    scan_state.unlisted((f"{folder}: {line}" for folder, files in listings.items() for line in files.unread), now=now)
    untold = scan_state.untold(strangers, feeds=known)
    told = {path: scan_state.strangers[path][0] if path in scan_state.strangers else strangers[path]() for path in untold[:_TOLD_STRANGERS]}
    return InboxScan(
        due=tuple(sorted(due, key=_turn)),
        waiting=waiting,
        strangers=told,
        more_strangers=len(untold) - len(told),
        set_aside=tuple(scan_state.set_aside.values()),
        cut_off=cut_off,
    )


def _match(file: RemoteFile, feeds: Sequence[FeedSpec]) -> NameMatch | Reason:
    if file.is_link:
        return partial(str, _LINK)
    if (unfit := unfit_name(file.name)) is not None:
        return partial(str, unfit)
    return match_name(file.name, feeds)


class DoneFiles:
    """Which of the files in a folder, of which `names` are all, say that another one is whole.

    The inbox's ending stands after the whole name, or in the place of its extension; where two files could be meant, none is. A done file
    that has a name of its own is for all files of the folder.
    """

    def __init__(self, inbox: InboxSpec, names: Collection[str]) -> None:
        self._ending = inbox.done_file
        self._names = names
        self._sharing: Counter[str] = Counter()
        if self._ending is not None and self._ending.startswith("."):
            self._sharing.update(without_extension(name) for name in names)

    def __contains__(self, name: str) -> bool:
        if self._ending is None:
            return False
        if not self._ending.startswith("."):
            return name == self._ending
        whose = name.removesuffix(self._ending)
        return whose != name and (whose in self._names or self._sharing[whose] > 0)

    def of(self, name: str) -> list[str]:
        """Return the done files that vouch for the file `name`, and for no other one unless they are for all."""
        if self._ending is None:
            return []
        if not self._ending.startswith("."):
            return [self._ending] if self._ending in self._names else []
        stem = without_extension(name)
        found = [name] if name + self._ending in self._names else []
        # What is the whole name of a file there is that file's.
        if stem != name and stem + self._ending in self._names and self._sharing[stem] == 1 and stem not in self._names:
            found.append(stem)
        return [whose + self._ending for whose in found]


def _turn(arrival: Arrival) -> tuple[bool, date, float, str]:
    moment = arrival.sight.modified
    return (arrival.folder == RAW, arrival.match.date, 0.0 if moment is None else moment.timestamp(), arrival.name)


FOLDERS = (INIT, RAW)
"""The folders that files are taken from, in that order."""
