"""A pass over an inbox: look, fetch what is due, load it in batches, tidy. One process at a time, and each may stop at any point.

What a crash leaves is told by the record: a file that is recorded and still lies there is tidied, any other is loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self
from zoneinfo import ZoneInfo

from dinmo_pipeline.errors import CallError, DinmoError
from dinmo_pipeline.formats.files import scratch_folder
from dinmo_pipeline.inbound.arrivals import FOLDERS, Arrival, Look, done_names, look
from dinmo_pipeline.inbound.folders import IMPORTS, INIT, REFUSED, Folders
from dinmo_pipeline.inbound.loading import Fetched, load_batch
from dinmo_pipeline.inbound.looks import Looks, Sight
from dinmo_pipeline.inbound.reading import Reading, Reject
from dinmo_pipeline.inbound.record import FileRecord, Outcome, Record
from dinmo_pipeline.inbound.tidying import Tidier
from dinmo_pipeline.project.specs import FeedSpec, InboxSpec, Project
from dinmo_pipeline.storages.connection import connection_to
from dinmo_pipeline.warehouse.connections import disk_errors, open_warehouse
from dinmo_pipeline.warehouse.folders import make_private_folder
from dinmo_pipeline.warehouse.locks import locked

_WAIT_S = 1800.0
_BATCH_FILES, _BATCH_BYTES = 1_000, 256 * 1024 * 1024
# Each batch ends with a listing of its folder, so the number of batches must not grow with the number of files.
_MOST_BATCHES = 100


def open_feed_file(feed: FeedSpec, local_path: Path, known: Collection[str] = ()) -> Reading:
    """The reading of a file of this feed, whose table has the `known` columns. FileRefused when it cannot be told apart into records."""
    named = {*known, *feed.primary_key, *feed.optional, *(column.name for column in feed.columns)}
    # Imported when a file is read: whoever only looks at an inbox does not wait for the parsers.
    if feed.csv is None:
        from dinmo_pipeline.inbound.json_reading import open_json

        return open_json(local_path, key=feed.primary_key, known=named)
    from dinmo_pipeline.inbound.csv_reading import open_csv

    return open_csv(local_path, feed.csv, key=feed.primary_key, known=named)


class InboxPass:
    """One inbox, held by this process alone for as long as the context lasts. BusyError when another holds it for `wait_s` seconds.

    `notes` are what people should know although nothing failed: files that went away or changed while they were fetched.
    """

    def __init__(self, project: Project, inbox: str, *, wait_s: float = _WAIT_S) -> None:
        if inbox not in project.inboxes:
            raise CallError(f"there is no inbox {inbox!r}; there are {', '.join(project.inboxes) or 'none'}")
        self._project = project
        self._inbox: InboxSpec = project.inboxes[inbox]
        self._feeds = {feed.name: feed for feed in project.feeds.values() if feed.inbox == inbox}
        self._wait_s = wait_s
        self._stack = ExitStack()
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        home = self._project.home / "inbound" / self._inbox.name
        with self._disk_errors(), self._stack as stack:
            make_private_folder(home)
            stack.enter_context(locked(home / "lock", what=f"inbox {self._inbox.name}", wait_s=self._wait_s))
            self._looks = Looks(home / "looks.json")
            self._remote = stack.enter_context(connection_to(self._project.storages[self._inbox.storage], self._project.root))
            self._folders = Folders(self._remote, self._inbox)
            self._local_folder = stack.enter_context(scratch_folder(home / "fetched"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def look(self) -> Look:
        """What lies in `raw/` and `init/` now: what is due, what waits, and strangers that nobody was told of yet."""
        with self._disk_errors():
            listings = {folder: self._folders.list(folder) for folder in FOLDERS}
            seen = look(self._inbox, tuple(self._feeds.values()), listings, self._looks, self._project.clock())
            self._looks.save()
            return seen

    def take(self, arrivals: Sequence[Arrival]) -> Iterator[FileRecord]:
        """Import these files; each is told when its rows are loaded and it lies where it goes.

        What fails for one batch keeps no other from being imported; the failures are raised at the end.
        """
        failures: list[DinmoError] = []
        recorded: dict[str, FileRecord] = {}
        with self._disk_errors():
            if arrivals or self._looks.taking:
                self._take_note(taking=True)
                recorded = self._recorded_earlier()
                yield from self._collecting(failures, self._finish_earlier(recorded.values()))
            for feed, batch in _batches(arrival for arrival in arrivals if arrival.path not in recorded):
                yield from self._collecting(failures, self._take_batch(feed, batch))
            if not failures:
                self._take_note(taking=False)
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise DinmoError("\n".join(dict.fromkeys(map(str, failures))))

    def _collecting(self, failures: list[DinmoError], records: Iterator[FileRecord]) -> Iterator[FileRecord]:
        try:
            with self._disk_errors():
                yield from records
        except DinmoError as error:
            failures.append(error)

    def _disk_errors(self) -> AbstractContextManager[None]:
        return disk_errors(f"importing from inbox {self._inbox.name}")

    def _take_note(self, *, taking: bool) -> None:
        if self._looks.taking != taking:
            self._looks.taking = taking
            self._looks.save()

    def approve(self, feed: str) -> str:
        """Let the newest file of the feed that waits for a person's word pass at the next look; its name. CallError when none waits."""
        with self._record() as record:
            blocked = [made for made in record.of_feed(feed) if made.outcome == Outcome.BLOCKED]
            if not blocked or record.is_approved(feed, blocked[-1].sha256):
                raise CallError(f"no file of feed {feed} waits to be approved")
            record.approve(feed, blocked[-1].sha256)
        self._looks.forget(blocked[-1].path)
        self._looks.save()
        return blocked[-1].name

    def _take_batch(self, feed: FeedSpec, arrivals: Sequence[Arrival]) -> Iterator[FileRecord]:
        with scratch_folder(self._local_folder / "batch") as folder:
            fetched = list(self._fetched(arrivals, folder))
            if not fetched:
                return
            stays = self._inbox.after_import == "leave"
            now = self._project.clock()
            loaded = load_batch(self._project, feed, fetched, opening=open_feed_file, target=self._target, stays=stays, now=now)
            copies = {copy.arrival.path: copy for copy in fetched}
            blocked = {record.path for record, _ in loaded if record.outcome == Outcome.BLOCKED}
            for path in copies if stays else blocked:
                self._looks.take(path, copies[path].arrival.sight)
            self._looks.save()
            yield from self._tidied(loaded, {path: copy.local_path for path, copy in copies.items()})

    def _fetched(self, arrivals: Sequence[Arrival], local_folder: Path) -> Iterator[Fetched]:
        """Copies of those files that are still as they were listed when all of them have been copied."""
        copies: list[tuple[Arrival, Path]] = []
        for arrival in arrivals:
            # The copy keeps its name, for messages: it is what a listing of one folder gave.
            local_path = local_folder / arrival.name
            if self._folders.fetch(arrival.path, local_path):
                copies.append((arrival, local_path))
            else:
                self.notes.append(f"{arrival.path} went away before it was read")
        now = {
            (folder, file.name): Sight.of(file)
            for folder in {a.folder for a in arrivals}
            for file in self._folders.list(folder)
            if not file.is_link
        }
        for arrival, local_path in copies:
            if now.get((arrival.folder, arrival.name)) != arrival.sight or local_path.stat().st_size != arrival.sight.size:
                self.notes.append(f"{arrival.path} changed or went away while it was read; it is looked at again")
                continue
            with local_path.open("rb") as stream:
                yield Fetched(arrival, local_path, hashlib.file_digest(stream, "sha256").hexdigest())

    def _recorded_earlier(self) -> dict[str, FileRecord]:
        """By their paths, files that were recorded and whose very bytes still lie there; what has gone is noted as such."""
        with self._record() as record:
            unfinished = record.unfinished(self._inbox.name)
        there = {made.path: made for made in unfinished if self._folders.matches(made.path, made.bytes, made.sha256)}
        self._finish(made for made in unfinished if there.get(made.path) is not made)
        return there

    def _finish_earlier(self, recorded: Collection[FileRecord]) -> Iterator[FileRecord]:
        if not recorded:
            return
        with self._record() as record:
            loaded = [(made, record.rejects(made.arrival)) for made in recorded]
        with scratch_folder(self._local_folder / "batch") as folder:
            copies = {made.path: folder / str(made.arrival) / made.name for made in recorded}
            for path, local_path in copies.items():
                local_path.parent.mkdir(mode=0o700)
                self._folders.fetch(path, local_path)
            yield from self._tidied(loaded, copies)

    def _tidied(self, loaded: Sequence[tuple[FileRecord, Sequence[Reject]]], copies: Mapping[str, Path]) -> Iterator[FileRecord]:
        tidier = Tidier(self._folders, self._inbox, self._local_folder)
        finished = []
        try:
            for made, rejects in loaded:
                feed = self._feeds.get(made.feed)
                opening = None if feed is None else partial(open_feed_file, feed)
                tidier.tidy(made, rejects, copies[made.path], opening, tuple(done_names(self._inbox, made.name)))
                finished.append(made)
        finally:
            self._finish(finished)
        yield from finished

    def _target(self, arrival: Arrival, outcome: Outcome) -> str | None:
        if outcome == Outcome.BLOCKED:
            return None
        today = self._project.clock().astimezone(ZoneInfo(self._project.timezone)).date()
        folder = REFUSED if outcome == Outcome.REFUSED else f"{IMPORTS}/{today.isoformat()}"
        return self._folders.free_target(folder, arrival.name)

    def _finish(self, records: Iterable[FileRecord]) -> None:
        arrivals = [made.arrival for made in records if not made.tidied]
        if arrivals:
            with self._record() as record:
                record.finish(arrivals)

    @contextmanager
    def _record(self) -> Iterator[Record]:
        with open_warehouse(self._project.warehouse_path, self._project.query_settings) as connection:
            yield Record(connection)


def _batches(arrivals: Iterable[Arrival]) -> Iterator[tuple[FeedSpec, Sequence[Arrival]]]:
    """The files of one feed together, in their order; those in `init/` as one, whatever they hold."""
    groups: dict[tuple[str, str], list[Arrival]] = {}
    for arrival in arrivals:
        groups.setdefault((arrival.folder, arrival.match.feed.name), []).append(arrival)
    for (folder, _), group in groups.items():
        batch: list[Arrival] = []
        size = 0
        most = max(_BATCH_FILES, len(group) // _MOST_BATCHES)
        for arrival in group:
            full = len(batch) >= most or size + arrival.sight.size > _BATCH_BYTES
            if batch and full and folder != INIT:
                yield arrival.match.feed, batch
                batch, size = [], 0
            batch.append(arrival)
            size += arrival.sight.size
        yield group[0].match.feed, batch
