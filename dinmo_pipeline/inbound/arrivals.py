"""Arrivals: which files of an inbox are due, decided by what lies there and what was seen before, never by a moment in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

from dinmo_pipeline.inbound.folders import INIT, RAW
from dinmo_pipeline.inbound.looks import Looks, Sight
from dinmo_pipeline.inbound.names import NameMatch, Reason, is_temporary, match_name, printable, unfit_name
from dinmo_pipeline.project.specs import FeedSpec, InboxSpec
from dinmo_pipeline.storages.contract import RemoteFile

_TOLD_STRANGERS = 100
# What it leads to is read with our rights, which may be more than its sender's, and comes back in rejects and in `imports/`.
_LINK = "it is a symbolic link; put the file itself there"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file of a feed that lies in `raw/` or `init/`, as it was listed."""

    folder: str
    name: str
    sight: Sight
    match: NameMatch

    @property
    def path(self) -> str:
        """Where it lies, from the inbox's folder."""
        return f"{self.folder}/{self.name}"

    @property
    def label(self) -> str:
        """What people call this version of the file."""
        return version_label(self.name, self.sight)


def version_label(name: str, sight: Sight) -> str:
    """A file's name with what tells two versions of it apart: when it was changed, else how long it is."""
    moment = sight.modified
    told = f"{sight.size} bytes" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H.%M.%S")
    return f"{name} ({told})"


@dataclass(frozen=True)
class Look:
    """What a look at an inbox found: files to take, in the order to take them; files that wait; strangers nobody was told of.

    Strangers are known by their paths as they may be printed, each with why it is one; of very many, `more_strangers` have no reason.
    """

    due: tuple[Arrival, ...]
    waiting: tuple[str, ...]
    strangers: Mapping[str, str]
    more_strangers: int = 0

    def told_strangers(self) -> Iterator[str]:
        """What to tell of the strangers, in lines."""
        for path, reason in self.strangers.items():
            yield f"{path} stays where it is: {reason}"
        if self.more_strangers:
            yield f"{self.more_strangers:,} more files stay where they are, and are of no feed, either"


def look(inbox: InboxSpec, feeds: Sequence[FeedSpec], listings: Mapping[str, Sequence[RemoteFile]], looks: Looks, now: datetime) -> Look:
    """Decide on the files that are listed in each of RAW and INIT; `looks` remembers them."""
    found: list[Arrival] = []
    done: set[str] = set()
    strangers: dict[str, Reason] = {}
    there = {f"{folder}/{file.name}" for folder, files in listings.items() for file in files}
    for folder, files in listings.items():
        names = {file.name for file in files}
        companions = {name for file in files for name in done_names(inbox, file.name)}
        for file in files:
            if is_temporary(file.name) or file.name in companions:
                continue
            match = _match(file, feeds)
            if not isinstance(match, NameMatch):
                strangers[printable(f"{folder}/{file.name}")] = match
                continue
            arrival = Arrival(folder, file.name, Sight.of(file), match)
            found.append(arrival)
            if not names.isdisjoint(done_names(inbox, file.name)):
                done.add(arrival.path)
    looks.keep_only(there)
    fresh = [arrival for arrival in found if not looks.was_taken(arrival.path, arrival.sight)]
    settled = looks.settled({arrival.path: arrival.sight for arrival in fresh}, now=now, after=timedelta(seconds=inbox.settle_seconds))
    ready = settled if inbox.done_file is None else done
    due = [arrival for arrival in fresh if arrival.path in ready]
    waiting = tuple(arrival.path for arrival in fresh if arrival.path not in ready)
    untold = looks.untold(strangers, feeds=[f"{feed.name} {'json' if feed.csv is None else 'csv'}" for feed in feeds])
    told = {path: strangers[path]() for path in untold[:_TOLD_STRANGERS]}
    return Look(tuple(sorted(due, key=_turn)), waiting, told, len(untold) - len(told))


def _match(file: RemoteFile, feeds: Sequence[FeedSpec]) -> NameMatch | Reason:
    if file.is_link:
        return partial(str, _LINK)
    if (unfit := unfit_name(file.name)) is not None:
        return partial(str, unfit)
    return match_name(file.name, feeds)


def done_names(inbox: InboxSpec, name: str) -> Iterator[str]:
    """What a done file of `name` may be called: an ending is put after the name, or in the place of its extension."""
    if inbox.done_file is None:
        return
    if not inbox.done_file.startswith("."):
        yield inbox.done_file
        return
    yield name + inbox.done_file
    yield name.partition(".")[0] + inbox.done_file


def _turn(arrival: Arrival) -> tuple[bool, date, float, str]:
    moment = arrival.sight.modified
    return (arrival.folder == RAW, arrival.match.date, 0.0 if moment is None else moment.timestamp(), arrival.name)


FOLDERS = (INIT, RAW)
"""The folders that files are taken from, in that order."""
