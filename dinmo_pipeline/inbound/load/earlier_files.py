"""The files of a feed that were loaded, as far as they say which columns the next one must have, and which bytes are known."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from dinmo_pipeline.formats.reader import listed
from dinmo_pipeline.project.inbound_specs import FeedSpec


@dataclass(frozen=True, order=True)
class LoadedFile:
    """A file that was loaded, newer than another by the date in its name, then by its arrival."""

    date: date
    arrival: int
    name: str
    columns: tuple[str, ...]


class EarlierFiles:
    """Files that were loaded before; more may be added while a batch is decided on."""

    def __init__(self, feed: FeedSpec, files: Iterable[LoadedFile]) -> None:
        self._feed = feed
        self._files = sorted(files)
        self._declared = tuple(column.name for column in feed.columns if column.name != feed.updated_at)
        self._optional = frozenset(feed.optional)

    def copy(self) -> EarlierFiles:
        """Return one that learns on its own."""
        return EarlierFiles(self._feed, self._files)

    def add(self, file: LoadedFile) -> None:
        """Note that this file is loaded, too; one without columns says nothing of them."""
        if not file.columns or file in self._files:
            return
        insort(self._files, file)

    def undeclared(self, columns: Collection[str]) -> str | None:
        """Return why a file with these columns is refused whatever came before: it lacks one that is declared. Else None."""
        missing = self._missing(self._declared, columns)
        return f"{_named(missing)}, which the feed declares" if missing else None

    def missed(self, columns: Collection[str], day: date, arrival: int) -> tuple[str | None, str | None]:
        """Return what a file of this date lacks of the newest two that are not newer than it: why it is refused, and a warning.

        It is refused for a column that both had. One that the newest alone had may have come by mistake, unless there is no other file.
        """
        end = bisect_right(self._files, (day, arrival), key=lambda file: (file.date, file.arrival))
        if end == 0:
            return None, None
        newest, second = self._files[end - 1], self._files[end - 2] if end > 1 else None
        both = newest.columns if second is None else [name for name in newest.columns if name in second.columns]
        refused = self._missing(both, columns)
        warned = [name for name in self._missing(newest.columns, columns) if name not in refused]
        also = "" if second is None else f", as had {second.name}"
        return (
            f"{_named(refused)}, which {newest.name} had{also}" if refused else None,
            f"{_named(warned)}, which {newest.name} had; its rows have no value there" if warned else None,
        )

    def _missing(self, expected: Iterable[str], columns: Collection[str]) -> Sequence[str]:
        there = self._optional.union(columns)
        return [name for name in dict.fromkeys(expected) if name not in there]


def _named(names: Sequence[str]) -> str:
    return f"it has no column {listed(names)}"


class KnownBytes:
    """Contents of files that were loaded, by their checksums: the same bytes again need not be loaded again.

    Files that are appended are known by their bytes alone. Otherwise a newer date makes a file of the same bytes another one: it says
    that all is as it was, now. And one of which records were rejected may have come again because the feed takes them now.
    """

    def __init__(self, feed: FeedSpec) -> None:
        self._by_bytes_alone = feed.load == "append"
        self._files: dict[str, list[LoadedFile]] = {}

    def copy(self) -> KnownBytes:
        """Return one that learns on its own."""
        copied = KnownBytes.__new__(KnownBytes)
        copied._by_bytes_alone = self._by_bytes_alone
        copied._files = {sha256: list(files) for sha256, files in self._files.items()}
        return copied

    def add(self, sha256: str, file: LoadedFile, rejected: int) -> None:
        """Note that this file is loaded, with so many rejects."""
        if self._by_bytes_alone or not rejected:
            self._files.setdefault(sha256, []).append(file)

    def known_as(self, sha256: str, day: date) -> str | None:
        """Return why a file with these bytes and this date need not be loaded; None where it must be."""
        found = next((file for file in self._files.get(sha256, ()) if self._by_bytes_alone or file.date >= day), None)
        return None if found is None else f"these very bytes were loaded before, as {found.name}"
