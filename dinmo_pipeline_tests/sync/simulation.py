"""A sync's whole world in memory: log, destination, source and clock, with a fuse that burns at every call.

The product's own state, decisions and delivery run on it. What stands in for DuckDB finds changes in Python dicts, independently of the
product's SQL; files are JSON that says which rows they hold.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ParamSpec, TypeVar, cast

import pytest

from dinmo_pipeline.delta.contract import Contract, same_or_numbers
from dinmo_pipeline.delta.export import Change, Comparison, Counts, Export, Snapshot
from dinmo_pipeline.engines.duckdb.session import Engine
from dinmo_pipeline.errors import DataError, DinmoError, PermanentStorageError, StateError
from dinmo_pipeline.formats.base import Column, Format, Rows, Written
from dinmo_pipeline.formats.json.write_lines import NdjsonFormat
from dinmo_pipeline.project.specs import ActivationSpec, MappedColumn, Project, RunType, SyncMode
from dinmo_pipeline.project.table_refs import TableColumn, TableRef
from dinmo_pipeline.storages import STORAGES
from dinmo_pipeline.storages.base import Listing, RemoteFile, Storage, StorageSpec, Upload
from dinmo_pipeline.sync.deliver import uploader as uploader_module
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.ledger import segments as chapters
from dinmo_pipeline.sync.ledger.high_water_marks import Marks
from dinmo_pipeline.sync.ledger.ledger import Log, StoredEntry
from dinmo_pipeline.sync.ledger.segments import position_of
from dinmo_pipeline.sync.ledger.state import SyncRecord
from dinmo_pipeline.sync.service import Completed, Delivery, SyncService

P = ParamSpec("P")
T = TypeVar("T")

Row = Mapping[str, int | None]
Key = tuple[int | None, ...]

TABLE = TableRef("models", "people")
DELIVERED = "delivered"
START = datetime(2025, 4, 14, 7, tzinfo=UTC)


class Crash(BaseException):
    """The power goes."""


class Fuse:
    """Counts calls of the world; at the chosen one something happens, once: a crash, or another machine's turn."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._at: int | str | None = None
        self._happens: Callable[[], None] = lambda: None

    def light(self, at: int | str, happens: Callable[[], None]) -> None:
        """Let `happens` be called at call number `at` (from 1), counted from now, or at the first call of that name."""
        self.calls = []
        self._at, self._happens = at, happens

    def put_out(self) -> None:
        """Nothing happens any more."""
        self._at = None
        self.calls = []

    def burn(self, call: str) -> None:
        """A call of this name is made, or has just been."""
        self.calls.append(call)
        if self._at in (len(self.calls), call):
            self._at = None
            self._happens()


def crash() -> None:
    """What a fuse does at the end of a process."""
    raise Crash


class MemoryShelf:
    """Logs in a dict."""

    def __init__(self, fuse: Fuse, told: Callable[[int], None] = lambda _: None) -> None:
        self._fuse = fuse
        self._told = told
        self.pages: dict[str, dict[str, bytes]] = {}

    def read(self, activation: str, folder: str, *, newest: int | None = None) -> Sequence[StoredEntry]:
        pages = self.pages.get(activation, {})
        paths = sorted(path for path in pages if path.rpartition("/")[0] == folder)
        return [StoredEntry(path, f"{activation}/{path}", pages[path]) for path in (paths if newest is None else paths[-newest:])]

    def create(self, activation: str, path: str, text: bytes) -> bool:
        entry = json.loads(text)["entry"]
        kind = entry["type"]
        self._fuse.burn(f"before log {kind}")
        pages = self.pages.setdefault(activation, {})
        if path in pages:
            return False
        assert len(pages) == position_of(path) - 1, "an entry would be missing"
        pages[path] = text
        if kind == "delivered":
            self._told(entry["number"])
        self._fuse.burn(f"after log {kind}")
        return True

    def has(self, activation: str, path: str) -> bool:
        self._fuse.burn("before check")
        return path in self.pages.get(activation, {})

    def newest(self, activation: str) -> bytes:
        """The text of the newest entry; nothing where there is none."""
        return next(reversed(self.pages.get(activation, {}).values()), b"")

    @contextmanager
    def locked(self, activation: str, wait_s: float) -> Iterator[None]:
        # Machines that share no lock: the log alone must keep them apart.
        yield


@dataclass
class Place:
    """A destination: its files, and every file that ever came into sight, in order."""

    moves: bool
    files: dict[str, bytes] = field(default_factory=dict)
    shown: list[tuple[str, bytes]] = field(default_factory=list)

    def visible(self) -> dict[str, bytes]:
        return {path: content for path, content in self.files.items() if not is_temporary(path)}

    def temporary(self) -> list[str]:
        return [path for path in self.files if is_temporary(path)]


def is_temporary(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".dinmo-")


class MemoryStorage(Storage):
    """An open connection to a place."""

    def __init__(self, place: Place, fuse: Fuse) -> None:
        self.moves = place.moves
        self._place = place
        self._fuse = fuse

    def __exit__(self, *_: object) -> None:
        return None

    def make_folder(self, remote_folder: str) -> None:
        self._fuse.burn("before make_folder")

    def put(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> None:
        content = local_path.read_bytes()
        kind = "put temporary" if is_temporary(remote_path) else "put"
        self._fuse.burn(f"before {kind}")
        if self._place.moves:
            # As large as the whole before it is whole: blocks arrive in any order.
            self._place.files[remote_path] = bytes(len(content))
            self._fuse.burn(f"amid {kind}")
        self._place.files[remote_path] = content
        if not is_temporary(remote_path):
            self._place.shown.append((remote_path, content))
        self._fuse.burn(f"after {kind}")

    def upload(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> Upload:
        self._fuse.burn("before upload")
        return Upload(local_path, remote_path, sha256, sent=local_path.read_bytes())

    def complete(self, upload: Upload) -> None:
        self._fuse.burn("before complete")
        self._place.files[upload.remote_path] = upload.sent
        self._place.shown.append((upload.remote_path, upload.sent))
        self._fuse.burn("after complete")

    def stat(self, remote_path: str) -> RemoteFile | None:
        content = self._place.files.get(remote_path)
        return None if content is None else RemoteFile(remote_path.rpartition("/")[2], len(content))

    def read(self, remote_path: str, local_path: Path) -> None:
        local_path.write_bytes(self._place.files[remote_path])

    def matches(self, remote_path: str, size: int, sha256: str) -> bool:
        content = self._place.files.get(remote_path)
        return content is not None and hashlib.sha256(content).hexdigest() == sha256

    def move(self, remote_path: str, target_path: str) -> None:
        self._fuse.burn("before move")
        if remote_path not in self._place.files:
            raise PermanentStorageError(f"no such file: {remote_path}")
        content = self._place.files.pop(remote_path)
        self._place.files[target_path] = content
        self._place.shown.append((target_path, content))
        self._fuse.burn("after move")

    def delete(self, remote_path: str) -> None:
        kind = "delete temporary" if is_temporary(remote_path) else "delete"
        self._fuse.burn(f"before {kind}")
        self._place.files.pop(remote_path, None)
        self._fuse.burn(f"after {kind}")

    def list(self, remote_folder: str) -> Listing:
        return Listing(RemoteFile(path, len(content)) for path, content in self._place.files.items())


_PLACES: dict[str, tuple[Place, Fuse]] = {}


class MemoryStorageSpec(StorageSpec):
    """A storage whose place is found by its address."""

    host: str

    @property
    def moves(self) -> bool:
        return _PLACES[self.host][0].moves

    @property
    def address(self) -> str:
        return f"memory:{self.host}"

    def folder_problem(self, folder: str) -> str | None:
        return None

    def connect(self, project_root: Path) -> MemoryStorage:
        return MemoryStorage(*_PLACES[self.host])


@dataclass(frozen=True)
class DictRows(Rows):
    """Rows that are at hand."""

    data: tuple[tuple[int | None, ...], ...] = ()
    change: Change = Change.ALL
    current: str | None = None
    key: tuple[str, ...] = ()

    def window(self, first: int, count: int) -> DictRows:
        return replace(self, data=self.data[first : first + count])


class DictChanges:
    """What changed between kept tables, found row by row."""

    def __init__(self, engine: DictEngine, comparison: Comparison, table: Sequence[Row]) -> None:
        self._engine = engine
        self._comparison = comparison
        contract = comparison.contract
        self._rows = engine.rows_of(comparison.current) if comparison.current is not None else tuple(table)
        now = {_key(contract, row): row for row in self._rows}
        self._found: dict[Change, list[Row]] = {change: [] for change in Change}
        self._found[Change.ALL] = list(self._rows)
        before: dict[Key, Row] = {}
        if comparison.since is not None:
            before = {_key(comparison.since.contract, row): row for row in engine.rows_of(comparison.since)}
        carried = comparison.since is not None and contract.sync_mode == SyncMode.INSERT and engine.keys_of(comparison.since)
        for key, row in sorted(now.items(), key=lambda item: str(item[0])) if before else now.items():
            if key not in before:
                if not (carried and key in carried):
                    self._found[Change.ADDED].append(row)
            elif comparison.since is not None and _differs(contract, row, comparison.since.contract, before[key]):
                self._found[Change.UPDATED].append(row)
        gone: dict[Key, Row] = {}
        for snapshot in comparison.gone_since:
            for row in engine.rows_of(snapshot):
                gone.setdefault(_key(snapshot.contract, row), row)
        self._found[Change.REMOVED] = [row for key, row in gone.items() if key not in now]
        self._found[Change.CHANGED] = [*self._found[Change.ADDED], *self._found[Change.UPDATED]]
        mode = contract.sync_mode
        in_difference = mode == SyncMode.DIFFERENCE
        self.counts = Counts(
            len(self._rows),
            None if mode == SyncMode.SNAPSHOT else len(self._found[Change.ADDED]),
            len(self._found[Change.UPDATED]) if mode == SyncMode.UPSERT or in_difference else None,
            len(self._found[Change.REMOVED]) if in_difference else None,
        )

    def rows_of(self, change: Change) -> int:
        return len(self._found[change])

    def rows(self, change: Change, timezone: str, *, key_only: bool) -> DictRows:
        contract = self._comparison.contract
        keys = {column.attribute for column in contract.key}
        sent = [column for column in contract.columns if not key_only or column.attribute in keys]
        data = tuple(tuple(row.get(column.attribute) for column in sent) for row in self._found[change])
        current = self._comparison.current
        columns = tuple(Column(column.name, column.type) for column in sent)
        key_names = tuple(column.name for key in contract.key for column in sent if column.attribute == key.attribute)
        return DictRows("", columns, timezone, data, change, current.path if current is not None else None, key_names)

    def numbered(self, rows: Rows) -> Rows:
        return rows

    def write(self, format_: Format, rows: Rows, local_path: Path) -> Written:
        assert isinstance(rows, DictRows)
        self._engine.fuse.burn("before write")
        names = [column.name for column in rows.columns]
        # Files of no rows have the same bytes in every sync, as real ones have.
        file = {
            "change": rows.change,
            "of": rows.current and (rows.current if rows.data else ""),
            "key": rows.key,
            "names": names,
            "rows": rows.data,
        }
        local_path.write_text(json.dumps(file), encoding="utf-8")
        return Written()

    def sample(self, rows: Rows, limit: int) -> tuple[tuple[str | None, ...], ...]:
        return ()


@dataclass
class DictSource:
    """The table as it is now."""

    engine: DictEngine
    table: tuple[Row, ...]
    types: dict[str, str]

    @property
    def columns(self) -> tuple[TableColumn, ...]:
        return tuple(TableColumn(name, type_text) for name, type_text in self.types.items())

    def typed_if_empty(self, contract: Contract) -> DictSource:
        if self.table:
            return self
        known = {column.attribute: column.type for column in contract.columns} | {column.attribute: column.type for column in contract.key}
        return replace(self, types={name: known.get(name, type_text) for name, type_text in self.types.items()})

    def count(self) -> int:
        return len(self.table)

    def check_key(self, contract: Contract) -> None:
        keys = [_key(contract, row) for row in self.table]
        if len(set(keys)) < len(keys) or any(None in key for key in keys):
            raise DataError("bad key")

    def keep(self, contract: Contract, path: str, *, earlier: Snapshot | None, whole: bool) -> Snapshot:
        self.check_key(contract)
        self.engine.fuse.burn("before snapshot")
        assert path not in self.engine.kept, "a snapshot is never written again"
        keys = {_key(contract, row) for row in self.table}
        if earlier is not None and contract.sync_mode == SyncMode.INSERT:
            keys |= self.engine.keys_of(earlier)
        self.engine.kept[path] = (self.table, frozenset(keys))
        self.engine.fuse.burn("after snapshot")
        snapshot = Snapshot(path, "0" * 64, len(self.table), contract)
        if earlier is None or whole:
            return snapshot
        self.engine.rows_of(earlier)
        # A patch cannot be read without what it patches; each third snapshot is whole again.
        lies_upon = earlier.whole or earlier
        return replace(snapshot, whole=lies_upon, since=earlier.path) if len(self.engine.kept) % 3 else snapshot

    def changes(self, comparison: Comparison) -> DictChanges:
        return DictChanges(self.engine, comparison, self.table)


class DictEngine:
    """Stands in for DuckDB."""

    def __init__(self, fuse: Fuse, folder: Path) -> None:
        self.fuse = fuse
        self.table: dict[int, Row] = {}
        self.types: dict[str, str] = {}
        self.kept: dict[str, tuple[tuple[Row, ...], frozenset[Key]]] = {}
        self.lost: set[str] = set()
        self._folder = folder

    def rows_of(self, snapshot: Snapshot) -> tuple[Row, ...]:
        for file in snapshot.files:
            if file.path in self.lost:
                raise StateError(f"{file.path} is lost")
            assert file.path in self.kept, f"{file.path} was forgotten and is needed"
        return self.kept[snapshot.path][0]

    def keys_of(self, snapshot: Snapshot) -> frozenset[Key]:
        self.rows_of(snapshot)
        return self.kept[snapshot.path][1]

    @contextmanager
    def scratch(self, activation: str) -> Iterator[Path]:
        with TemporaryDirectory(dir=self._folder) as folder:
            yield Path(folder)

    @contextmanager
    def source(self, ref: TableRef, *_: Any) -> Iterator[DictSource]:
        yield DictSource(self, tuple(self.table[number] for number in sorted(self.table)), self.types)

    @contextmanager
    def changes(self, comparison: Comparison, *_: Any) -> Iterator[DictChanges]:
        for snapshot in (comparison.current, comparison.since, *comparison.gone_since):
            if snapshot is not None:
                self.rows_of(snapshot)
        yield DictChanges(self, comparison, ())

    def forget(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.fuse.burn("before forget")
            self.kept.pop(path, None)

    def verify(self, snapshot: Snapshot) -> None:
        self.rows_of(snapshot)

    def is_intact(self, snapshot: Snapshot) -> bool:
        return not any(file.path in self.lost or file.path not in self.kept for file in snapshot.files)


def _key(contract: Contract, row: Row) -> Key:
    return tuple(row[column.attribute] for column in contract.key)


def _differs(contract: Contract, row: Row, earlier: Contract, before: Row) -> bool:
    known = {column.identity: column.type for column in earlier.columns}
    for column in contract.columns:
        if column.identity not in known or not same_or_numbers(column.type, known[column.identity]):
            return True
        if row.get(column.attribute) != before.get(column.attribute):
            return True
    return False


SPEC = ActivationSpec(
    name="people_out",
    source=TABLE,
    primary_key=("id",),
    destination="here",
    folder="out",
    file_name="{x}_e",
    format=NdjsonFormat(type="ndjson"),
    run_type=RunType.FULL_THEN_DELTA,
    sync_mode=SyncMode.DIFFERENCE,
    mapping=(MappedColumn("id", "id"), MappedColumn("v", "v")),
    timezone="UTC",
    on_existing="refuse",
)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: what was completed first, what was delivered, or the error."""

    completed: Completed | None = None
    delivery: Delivery | None = None
    error: Exception | None = None
    crashed: bool = False


class Simulation:
    """One activation and everything around it. `storages` are `here` and `there`, `direct`, where nothing can be moved, and `elsewhere`."""

    def __init__(self, folder: Path, spec: ActivationSpec = SPEC) -> None:
        self.fuse = Fuse()
        self.backend = MemoryShelf(self.fuse, self._tell)
        self.engine = DictEngine(self.fuse, folder)
        self.engine.types = {"id": "BIGINT", "alt": "BIGINT", "v": "BIGINT", "w": "BIGINT"}
        moves = {"here": True, "there": True, "direct": False, "elsewhere": True}
        self.places = {name: Place(moves=can_move) for name, can_move in moves.items()}
        hosts = {name: f"{id(self)}-{name}" for name in self.places}
        _PLACES.clear()
        _PLACES.update({hosts[name]: (place, self.fuse) for name, place in self.places.items()})
        self.storages: dict[str, StorageSpec] = {name: MemoryStorageSpec(name=name, host=host) for name, host in hosts.items()}
        self.spec = spec
        self.now = START
        self.marks = Marks(folder, secrets.token_hex(8))
        self.folder = folder

    def _tell(self, number: int) -> None:
        for place in self.places.values():
            place.shown.append((DELIVERED, str(number).encode()))

    @property
    def project(self) -> Project:
        return Project(self.folder, self.folder, "UTC", {}, self.storages, {self.spec.name: self.spec})

    def syncs(self, spec: ActivationSpec | None = None) -> SyncService:
        """The activation as a process that starts now sees it."""
        spec = spec or self.spec
        log = Log(
            self.backend,
            spec.name,
            renamed_from=spec.renamed_from,
            keep_syncs=spec.keep_syncs,
            marks=self.marks,
            clock=lambda: self.now,
        )
        return SyncService(self.project, spec, engine=cast(Engine, self.engine), log=log)

    def has_run(self) -> bool:
        """Whether anything was recorded under today's name: one that was passed over without a run leaves no trace."""
        newest = self.backend.newest(self.spec.name)
        return bool(newest) and b'"handed over"' not in newest

    def tick(self) -> None:
        """A second goes by."""
        self.now += timedelta(seconds=1)

    def set_rows(self, **values: int | None) -> None:
        """The table holds exactly these rows: `_7=1` is key 7 with v = 1."""
        self.engine.table = {}
        for name, value in values.items():
            number = int(name.removeprefix("_"))
            self.engine.table[number] = {"id": number, "alt": number + 100, "v": value, "w": 0}

    def run(self, *, full: bool = False, label: str | None = None, at: datetime | None = None) -> Outcome:
        """What one launch of the activation's job does: roll forward, keep the rows, deliver."""
        self.tick()
        syncs = self.syncs()
        label = label or label_of_instant(at or self.now)
        completed = None
        try:
            completed = syncs.roll_forward(full=full)
            if completed is not None and completed.ends_run:
                return Outcome(completed)
            if self.spec.run_type != RunType.FULL_ONLY:
                syncs.take_snapshot(label, now=self.now, full=full)
            return Outcome(completed, syncs.deliver(label, now=self.now))
        except Crash:
            return Outcome(crashed=True)
        except (DataError, StateError, PermanentStorageError) as error:
            return Outcome(completed, error=error)
        except Exception as error:
            if type(error).__name__ not in ("SyncRefused", "SyncBlocked"):
                raise
            return Outcome(completed, error=error)

    def run_with(self, at: int | str, happens: Callable[[], None], **options: Any) -> Outcome:
        """`run`, and at its call number `at`, or its first call of that name, something happens."""
        self.fuse.light(at, happens)
        try:
            return self.run(**options)
        finally:
            self.fuse.put_out()

    def place_of(self, export: Export) -> Place:
        return self.places[export.place.name]

    def kept_rows(self, sync: SyncRecord) -> tuple[Row, ...]:
        """The table as it was when the sync took its snapshot."""
        assert sync.snapshot is not None
        return self.engine.kept[sync.snapshot.path][0]


class NoThread:
    """Stands in for a thread pool: each task is done while it is handed over, so that a history can be repeated."""

    def __init__(self, *_: object, **__: object) -> None:
        return

    def submit(self, task: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(task(*args, **kwargs))
        except DinmoError as error:
            future.set_exception(error)
        return future

    def shutdown(self, **_: object) -> None:
        return


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let exports name the storage in memory."""
    monkeypatch.setitem(STORAGES, "Memory", MemoryStorageSpec)
    # A few syncs make a chapter, so that most histories go over its end.
    monkeypatch.setattr(chapters, "CHAPTER", 7)
    monkeypatch.setattr(uploader_module, "ThreadPoolExecutor", NoThread)


@dataclass
class Consumer:
    """Reads one place: applies every file in the order in which it came into sight. Its copy has rows by key, under the files' names."""

    place: Place
    read: int = 0
    latest: str = ""
    copy: dict[Key, dict[str, int | None]] = field(default_factory=dict)
    inserted: dict[Key, list[str]] = field(default_factory=dict)

    def apply(self, starts_anew: Callable[[str], bool], starts_empty: Callable[[int], bool]) -> None:
        """Read what is new. `starts_anew` tells of a sync's snapshot whether it was sent to somebody who is to forget the rest.

        `starts_empty` tells of a delivered sync whether that is all it says: no row of it does.
        """
        for path, content in self.place.shown[self.read :]:
            if path == DELIVERED:
                if starts_empty(int(content)):
                    self.copy, self.inserted = {}, {}
                continue
            file = json.loads(content)
            of = file["of"]
            if of == "":
                continue
            if of is None:
                # A file of full_only takes the place of all there was; no delta can be applied to that.
                self.copy, self.inserted = {(): {}}, {}
                continue
            # At each one that is delivered: after a redelivery of older ones, too, of which nothing is left then.
            if of != self.latest and starts_anew(of):
                self.copy, self.inserted = {}, {}
            self.latest = of
            rows = [dict(zip(file["names"], values, strict=True)) for values in file["rows"]]
            for row in rows:
                key = tuple(row[name] for name in file["key"])
                if file["change"] == Change.REMOVED:
                    self.copy.pop(key, None)
                else:
                    self.copy[key] = row
                    self.inserted.setdefault(key, []).append(of)
        self.read = len(self.place.shown)
