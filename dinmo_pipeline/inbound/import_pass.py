"""A pass over an inbox: look, take what is due, keep what waits for a person. One process at a time, and each may stop at any point.

What a crash leaves is told by the record: a file that is recorded and still lies there is tidied, any other is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from dinmo_pipeline.engines.duckdb.connection import disk_errors, open_warehouse
from dinmo_pipeline.errors import CallError, DinmoError, PermanentStorageError, StorageError
from dinmo_pipeline.inbound.inbox.discovery import FOLDERS, Arrival, InboxScan, look
from dinmo_pipeline.inbound.inbox.folders import Folders
from dinmo_pipeline.inbound.inbox.free_names import reason_path, rejects_path
from dinmo_pipeline.inbound.inbox.scan_state import ScanState
from dinmo_pipeline.inbound.load.import_ledger import FileRecord, ImportLedger, Outcome
from dinmo_pipeline.inbound.taking import BatchImporter
from dinmo_pipeline.inbound.troubles.events import Event, Events, kept_event
from dinmo_pipeline.inbound.troubles.open_troubles import (
    RECORDED,
    limited,
    loaded_with_rejects,
    open_troubles,
    recorded_troubles,
    seen_troubles,
    still_there,
    stopped_files,
)
from dinmo_pipeline.inbound.troubles.set_aside import why_without_data
from dinmo_pipeline.inbound.troubles.troubles import Trouble, save_troubles, troubles_path
from dinmo_pipeline.local_files.contents import sha256_of
from dinmo_pipeline.local_files.locks import locked
from dinmo_pipeline.local_files.private import make_private_folder
from dinmo_pipeline.local_files.scratch import scratch_folder
from dinmo_pipeline.project.inbound_specs import FeedSpec, InboxSpec
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.storages.base import Listing
from dinmo_pipeline.storages.retrying import connection_to

_WAIT_S = 1800.0


class InboxPass:
    """One inbox, held by this process alone for as long as the context lasts. BusyError when another holds it for `wait_s` seconds.

    `notes` are what people should know although nothing failed: files that went away or changed while they were fetched. What waits
    for a person is kept for `open_troubles`. `hasty`: whoever looks tries a storage once, and what fails once may pass.
    """

    def __init__(self, project: Project, inbox: str, *, wait_s: float = _WAIT_S, hasty: bool = False) -> None:
        if inbox not in project.inboxes:
            raise CallError(f"there is no inbox {inbox!r}; there are {', '.join(project.inboxes) or 'none'}")
        self._project = project
        self._inbox: InboxSpec = project.inboxes[inbox]
        self._wait_s = wait_s
        self._hasty = hasty
        self._stack = ExitStack()
        self._there: set[str] | None = None
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        home = self._project.home / "inbound" / self._inbox.name
        with self._disk_errors(), self._stack as stack:
            make_private_folder(home)
            stack.enter_context(locked(home / "lock", what=f"inbox {self._inbox.name}", wait_s=self._wait_s))
            self._scan_state = ScanState(home / "looks.json")
            self._remote = stack.enter_context(connection_to(self._project.storages[self._inbox.storage], self._project.root))
            self._folders = Folders(self._remote, self._inbox)
            self._local_folder = stack.enter_context(scratch_folder(home / "fetched"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def look(self) -> InboxScan:
        """Return what lies in `raw/` and `init/` now.

        What is due, what waits, what was set aside, and strangers that nobody was told of yet.
        """
        feeds = [feed for feed in self._project.feeds.values() if feed.inbox == self._inbox.name]
        with self._disk_errors():
            try:
                listings = {folder: self._folders.list(folder) for folder in FOLDERS}
                self._require_folders(listings)
            except StorageError as error:
                self._fail(error, loading=False)
                raise
            self._there = {f"{folder}/{file.name}" for folder, files in listings.items() for file in files}
            seen = look(self._inbox, feeds, listings, self._scan_state, self._project.clock(), cut_off=self._is_behind())
            if self._scan_state.failure is not None and not (self._scan_state.failure.loading and seen.due):
                self._scan_state.failure = None
            self._scan_state.save()
            if not (self._hasty and self._is_behind()):
                self._save_troubles(still_there(self._recorded(), self._there))
            return seen

    def take(self, arrivals: Sequence[Arrival]) -> Iterator[FileRecord]:
        """Import these files; each is told when its rows are loaded, and it lies where it goes or was set aside on its way there.

        A file that fails is set aside, and keeps no other from being imported. Raises what is of the storage as a whole, of the
        warehouse or of this machine.
        """
        if not (arrivals or self._scan_state.set_aside or self._scan_state.events or self._is_behind()):
            return
        taking = BatchImporter(self._project, self._inbox, self._folders, self._scan_state, self._local_folder)
        try:
            with self._disk_errors():
                self._scan_state.taking = True
                self._scan_state.save()
                yield from taking.take(arrivals)
        except DinmoError as error:
            self._fail(error, loading=True)
            raise
        finally:
            self.notes += taking.notes
        with self._disk_errors():
            self._record_troubles()
            self._scan_state.taking, self._scan_state.failure = False, None
            self._scan_state.save()
            self._save_troubles(self._recorded())

    def approve(self, feed: str, *, by: str | None = None) -> str:
        """Let the newest file of the feed that waits for a person's word pass at the next look; its name. CallError when none waits."""
        with open_warehouse(self._project.warehouse_path, self._project.query_settings) as connection:
            record = ImportLedger(connection)
            blocked = [made for made in record.of_feed(feed) if made.outcome == Outcome.BLOCKED]
            if not blocked or record.is_approved(feed, blocked[-1].sha256):
                raise CallError(f"no file of feed {feed} waits to be approved")
            record.approve(feed, blocked[-1].sha256)
            Events(connection).add([self._decision(blocked[-1], "approved", by)])
        self._scan_state.forget(blocked[-1].path)
        self._scan_state.save()
        return blocked[-1].name

    def dismiss(self, feed: FeedSpec, name: str | None = None, *, by: str | None = None) -> list[str]:
        """Close refused files of the feed, and its rejected records, for good: of the file of that name, or all; their names.

        CallError when none is open.
        """
        with open_warehouse(self._project.warehouse_path, self._project.query_settings) as connection:
            record, events = ImportLedger(connection), Events(connection)
            found = [made for made in stopped_files(record, feed) if made.outcome == Outcome.REFUSED]
            found += loaded_with_rejects(record, feed)
            closed = [made for made in found if name is None or made.name == name]
            if not closed:
                raise CallError(_nothing_to_dismiss(feed.name, name, [made.name for made in found]))
            events.add([self._decision(made, "dismissed", by) for made in closed])
        self._record_troubles()
        return [made.name for made in closed]

    def written_beside(self) -> list[str]:
        """Return the paths of what was written beside files in `imports/`: rejects, and why a file was refused."""
        with open_warehouse(self._project.warehouse_path, self._project.query_settings) as connection:
            told = "inbox = ? AND target IS NOT NULL AND (rejected > 0 OR outcome = ?)"
            found = ImportLedger(connection).find(told, [self._inbox.name, Outcome.REFUSED])
        targets = [(made.target, made.outcome) for made in found if made.target is not None]
        beside = [rejects_path(target) for target, _ in targets]
        return [*beside, *(reason_path(target) for target, outcome in targets if outcome == Outcome.REFUSED)]

    def edit(self, path: str, change: Callable[[Path], int]) -> int:
        """Change a file that this product wrote; `change` edits a copy and counts its changes, and where there are any that goes back."""
        local_path = self._local_folder / "edited"
        with self._disk_errors():
            # A local folder may have taken the last one as it is, under another name.
            local_path.unlink(missing_ok=True)
            there = self._folders.stat(path)
            if there is None or not self._folders.fetch(path, local_path, there.size):
                return 0
            before = sha256_of(local_path)
            changes = change(local_path)
            if sha256_of(local_path) != before:
                self._folders.put(local_path, path)
            return changes

    def require_storage(self, error: StorageError) -> None:
        """Raise `error`, which came of one file, where the storage as a whole does not answer, either."""
        self._folders.require_storage(error)

    def _decision(self, made: FileRecord, kind: Literal["dismissed", "approved"], by: str | None) -> Event:
        return Event(self._project.clock(), self._inbox.name, made.feed, made.path, kind, made.reason, made.arrival, by)

    def _disk_errors(self) -> AbstractContextManager[None]:
        return disk_errors(f"importing from inbox {self._inbox.name}")

    def _is_behind(self) -> bool:
        """Return whether an earlier pass was cut off, or its warehouse holds more than the open troubles tell."""
        path = troubles_path(self._project, self._inbox.name)
        return self._scan_state.taking or (self._project.warehouse_path.exists() and not path.exists())

    def _require_folders(self, listings: Mapping[str, Listing]) -> None:
        """Raise PermanentStorageError where all folders are missing: a mistyped name must not look like an inbox without files."""
        if all(listing.is_missing for listing in listings.values()):
            paths = " nor ".join(self._folders.path(folder) for folder in listings)
            raise PermanentStorageError(
                f"inbox {self._inbox.name}: there is neither {paths} on storage {self._inbox.storage}, so nothing can be dropped there; "
                f"correct `folder`, or let `dinmo inbox create {self._inbox.name}` make them"
            )

    def _fail(self, error: DinmoError, *, loading: bool) -> None:
        """Remember that the pass or the look as a whole failed. Where that cannot be written either, `error` matters more."""
        without_data = why_without_data(error)
        with suppress(DinmoError), self._disk_errors():
            self._scan_state.fail(error, without_data, now=self._project.clock(), loading=loading, patient=not self._hasty)
            self._scan_state.save()
        with suppress(DinmoError), self._disk_errors():
            if loading:
                self._record_troubles()
            elif not (self._hasty and self._is_behind()):
                self._save_troubles(self._recorded())

    def _recorded(self) -> list[Trouble]:
        return [trouble for trouble in open_troubles(self._project, self._inbox.name) if trouble.kind in RECORDED]

    def _record_troubles(self) -> None:
        """Write what happened to files into the warehouse, and what is open by its record beside the inbox's memory."""
        with open_warehouse(self._project.warehouse_path, self._project.query_settings) as connection:
            if self._scan_state.events:
                Events(connection).add([kept_event(self._inbox.name, plain) for plain in self._scan_state.events])
            recorded = recorded_troubles(connection, self._project, self._inbox.name)
        self._scan_state.events = []
        self._scan_state.save()
        self._save_troubles(recorded if self._there is None else still_there(recorded, self._there))

    def _save_troubles(self, recorded: Sequence[Trouble]) -> None:
        seen = seen_troubles(self._scan_state, self._inbox.name, self._project.clock())
        save_troubles(troubles_path(self._project, self._inbox.name), limited((*recorded, *seen)))


def _nothing_to_dismiss(feed: str, name: str | None, others: Sequence[str]) -> str:
    if name is None or not others:
        return f"no file of feed {feed} waits to be dismissed: none was refused, and no records of its last ones were rejected"
    return f"no file {name!r} of feed {feed} waits to be dismissed; {', '.join(map(repr, others[:20]))} do"
