"""Taking files: what an earlier pass recorded is tidied, all others are fetched, loaded in batches and tidied.

A file that fails is set aside with its reason and tried again at each pass; what would stop every file is raised. Nothing asks the
storage while the warehouse is open.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from dinmo_pipeline.engines.duckdb.connection import open_warehouse
from dinmo_pipeline.errors import DinmoError, PermanentStorageError, StorageError
from dinmo_pipeline.formats.reader import Reading, Reject
from dinmo_pipeline.inbound.archive import Tidier
from dinmo_pipeline.inbound.inbox.discovery import Arrival, DoneFiles
from dinmo_pipeline.inbound.inbox.fetching import Fetcher, ask_of_file, check_storage, local_name
from dinmo_pipeline.inbound.inbox.folders import IMPORTS, INIT, REFUSED, Folders
from dinmo_pipeline.inbound.inbox.scan_state import Fingerprint, ScanState
from dinmo_pipeline.inbound.load.batch import Fetched, load_batch
from dinmo_pipeline.inbound.load.dividing import load_divided
from dinmo_pipeline.inbound.load.import_ledger import FileRecord, ImportLedger, Outcome
from dinmo_pipeline.inbound.troubles.set_aside import why
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits
from dinmo_pipeline.local_files.scratch import scratch_folder
from dinmo_pipeline.project.inbound_specs import FeedSpec, InboxSpec
from dinmo_pipeline.project.specs import Project

_BATCH_FILES, _BATCH_BYTES = 1_000, 256 * 1024 * 1024
# Each batch ends with a listing of its folder, so the number of batches must not grow with the number of files.
_MOST_BATCHES = 100

Recorded = Sequence[tuple[FileRecord, Sequence[Reject]]]


def open_feed_file(feed: FeedSpec, local_path: Path, known: Collection[str] = (), *, limits: IntakeLimits = DEFAULT_LIMITS) -> Reading:
    """Return the reading of a file of this feed, whose table has the `known` columns.

    FileRefused when it cannot be told apart into records.
    """
    named = {*known, *feed.primary_key, *feed.optional, *(column.name for column in feed.columns)}
    # Imported when a file is read: whoever only looks at an inbox does not wait for the parsers.
    if feed.csv is None:
        from dinmo_pipeline.formats.json.read import open_json

        return open_json(local_path, key=feed.primary_key, known=named, limits=limits)
    from dinmo_pipeline.formats.csv.read import open_csv

    return open_csv(local_path, feed.csv, key=feed.primary_key, known=named, limits=limits)


class BatchImporter:
    """The files of one inbox while they are taken, by whoever holds it. `notes` tell of files that went away or changed meanwhile."""

    def __init__(self, project: Project, inbox: InboxSpec, folders: Folders, scan_state: ScanState, local_folder: Path) -> None:
        self._project = project
        self._inbox = inbox
        self._feeds = {feed.name: feed for feed in project.feeds.values() if feed.inbox == inbox.name}
        self._folders = folders
        self._scan_state = scan_state
        self._local_folder = local_folder
        # One moment for all of a pass: by it they are known to have come together.
        self._now = project.clock()
        self._given: dict[tuple[str, str], str] = {}
        self.notes: list[str] = []

    def take(self, arrivals: Sequence[Arrival]) -> Iterator[FileRecord]:
        """Import these files, and finish what an earlier pass left; each is told when its rows are loaded.

        Raises StorageError where the storage as a whole fails, StateError where the warehouse or this machine does.
        """
        there, unknown = self._recorded_earlier()
        yield from self._finish_earlier(there.values())
        failed = {aside.path: aside.sight for aside in self._scan_state.set_aside.values()}
        fresh, again = list[Arrival](), list[Arrival]()
        for arrival in arrivals:
            if arrival.path not in there and arrival.path not in unknown:
                (again if failed.get(arrival.path) == arrival.sight.plain() else fresh).append(arrival)
        # Those that failed before come by themselves: with them a batch would have to be divided once more.
        for feed, batch in (*_batches(fresh), *_batches(again)):
            yield from self._take_batch(feed, batch)

    def _take_batch(self, feed: FeedSpec, arrivals: Sequence[Arrival]) -> Iterator[FileRecord]:
        with scratch_folder(self._local_folder / "batch") as folder:
            fetcher = Fetcher(self._folders)
            fetched = list(fetcher.fetch(arrivals, folder))
            self.notes += fetcher.notes
            for arrival, error in fetcher.failures:
                self._set_aside(arrival, error)
            if not fetched:
                return
            target, opening = self._targets(), partial(open_feed_file, limits=self._project.limits)
            stays, now = self._inbox.after_import == "leave", self._now

            def load(files: Sequence[Fetched]) -> Recorded:
                return load_batch(self._project, feed, files, opening=opening, target=target, stays=stays, now=now)

            for files, loaded in load_divided(fetched, load):
                if isinstance(loaded, Exception):
                    self._set_aside(files[0].arrival, loaded)
                else:
                    yield from self._loaded(files, loaded)

    def _loaded(self, files: Sequence[Fetched], loaded: Recorded) -> Iterator[FileRecord]:
        blocked = {record.path for record, _ in loaded if record.outcome == Outcome.BLOCKED}
        for copy in files:
            path = copy.arrival.path
            self._scan_state.set_aside.pop(path, None)
            if self._inbox.after_import == "leave" or path in blocked:
                self._scan_state.take(path, copy.arrival.sight)
        self._scan_state.save()
        yield from self._tidied(loaded, {copy.arrival.path: copy.local_path for copy in files})

    def _targets(self) -> Callable[[Arrival, Outcome], str | None]:
        """Return where files go that are recorded from now on; asks the storage now, and no more when it is called."""
        today = self._project.clock().astimezone(ZoneInfo(self._project.timezone)).date()
        dated = f"{IMPORTS}/{today.isoformat()}"
        for folder in (dated, REFUSED):
            self._folders.list_targets(folder)

        def target(arrival: Arrival, outcome: Outcome) -> str | None:
            if outcome == Outcome.BLOCKED:
                return None
            folder = REFUSED if outcome == Outcome.REFUSED else dated
            # A batch that is divided asks once more.
            if (folder, arrival.path) not in self._given:
                self._given[folder, arrival.path] = self._folders.free_target(folder, arrival.name)
            return self._given[folder, arrival.path]

        return target

    def _recorded_earlier(self) -> tuple[dict[str, FileRecord], set[str]]:
        """Return, by their paths, the files that were recorded and whose very bytes still lie there; what has gone is noted as such.

        With them the paths of recorded files of which nobody can tell, and which are set aside.
        """
        with open_warehouse(self._project.warehouse_path, self._project.query_settings) as connection:
            unfinished = ImportLedger(connection).unfinished(self._inbox.name)
        there: dict[str, FileRecord] = {}
        unknown: set[str] = set()
        for made in unfinished:
            if made.target is not None:
                self._folders.reserve(made.target)
            try:
                if ask_of_file(self._folders, partial(self._folders.matches, made.path, made.bytes, made.sha256)):
                    there[made.path] = made
            except StorageError as error:
                check_storage(self._folders, error, answered=bool(unknown))
                unknown.add(made.path)
                self._not_tidied(made, error)
        self._finish(made for made in unfinished if there.get(made.path) is not made and made.path not in unknown)
        return there, unknown

    def _finish_earlier(self, recorded: Collection[FileRecord]) -> Iterator[FileRecord]:
        """Tidy what an earlier pass recorded; those that it told of are not told of again."""
        if not recorded:
            return
        told = {path for path, aside in self._scan_state.set_aside.items() if aside.loaded}
        with open_warehouse(self._project.warehouse_path, self._project.query_settings) as connection:
            record = ImportLedger(connection)
            loaded = [(made, record.rejects(made.arrival)) for made in recorded]
        with scratch_folder(self._local_folder / "batch") as folder:
            copies = {made.path: folder / str(made.arrival) / local_name(made.name) for made in recorded}
            yield from (made for made in self._tidied(loaded, copies, fetch=True) if made.path not in told)

    def _tidied(self, loaded: Recorded, copies: Mapping[str, Path], *, fetch: bool = False) -> Iterator[FileRecord]:
        """Bring files where they go, each by itself, from their `copies`, which are made where `fetch` says so.

        Tells of all that are tidied or set aside, also where the storage goes away on the way.
        """
        tidier = Tidier(self._folders, self._inbox, self._local_folder)
        told: list[FileRecord] = []
        finished: list[FileRecord] = []
        try:
            for made, rejects in loaded:
                try:
                    ask_of_file(self._folders, partial(self._tidy, tidier, made, rejects, copies[made.path], fetch=fetch))
                except Exception as error:  # noqa: BLE001 (whatever one file does to its reader is told of that file)
                    check_storage(self._folders, error, answered=len(told) > len(finished))
                    self._not_tidied(made, error)
                else:
                    finished.append(made)
                    self._scan_state.set_aside.pop(made.path, None)
                told.append(made)
        except DinmoError:
            self._finish(finished)
            yield from told
            raise
        self._finish(finished)
        yield from told

    def _tidy(self, tidier: Tidier, made: FileRecord, rejects: Sequence[Reject], local_path: Path, *, fetch: bool) -> None:
        if fetch:
            local_path.parent.mkdir(mode=0o700, exist_ok=True)
            if not self._folders.fetch(made.path, local_path):
                return
        tidier.tidy(made, rejects, local_path, self._opening(made.feed), self._companions(made))

    def _opening(self, feed: str) -> Callable[[Path], Reading] | None:
        return partial(open_feed_file, self._feeds[feed], limits=self._project.limits) if feed in self._feeds else None

    def _companions(self, made: FileRecord) -> list[str]:
        return DoneFiles(self._inbox, self._folders.listed_names(made.folder)).of(made.name)

    def _finish(self, records: Iterable[FileRecord]) -> None:
        arrivals = [made.arrival for made in records if not made.tidied]
        if arrivals:
            with open_warehouse(self._project.warehouse_path, self._project.query_settings) as connection:
                ImportLedger(connection).finish(arrivals)

    def _set_aside(self, arrival: Arrival, error: Exception) -> None:
        feed, now = arrival.match.feed.name, self._project.clock()
        self._scan_state.put_aside(arrival.path, feed, arrival.sight, error, loaded=False, now=now)

    def _not_tidied(self, made: FileRecord, error: Exception) -> None:
        became = "its rows are loaded" if made.outcome == Outcome.LOADED else f"it was {made.outcome}"
        told = PermanentStorageError(f"{became}, and it could not be brought to {made.target}: {why(error)}")
        sight = Fingerprint(made.bytes, made.modified)
        self._scan_state.put_aside(made.path, made.feed, sight, told, loaded=True, now=self._project.clock())


def _batches(arrivals: Iterable[Arrival]) -> Iterator[tuple[FeedSpec, Sequence[Arrival]]]:
    """Yield the files of one feed together, in their order; those in `init/` as one, whatever they hold."""
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
