"""Check entries of a log before they are used: values that we never write and paths that leave the state are refused.

A log is data, whoever wrote it. Types of columns become SQL, paths of snapshots are read and deleted, temporary names and parts are
deleted at a destination.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping

from dinmo_pipeline.delta.contract import Contract
from dinmo_pipeline.delta.export import Export, PlannedFile, Snapshot
from dinmo_pipeline.delta.snapshot_store import is_snapshot_path
from dinmo_pipeline.errors import StateError
from dinmo_pipeline.project.schema.field_types import name_problem
from dinmo_pipeline.sql.types import is_type
from dinmo_pipeline.storages.temporary import is_temporary_name
from dinmo_pipeline.sync.ledger.codec import Checkpoint, Entry
from dinmo_pipeline.sync.ledger.events import Announced, Baselined, HandedOver, Prepared, Renamed, Rewritten, SnapshotTaken
from dinmo_pipeline.sync.ledger.state import State

_PART_NUMBER = re.compile(r"_[1-9][0-9]*(?=\.|$)")


def refuse_foreign(entry: Entry, *, where: str) -> None:
    """Raise StateError for an entry that has anything which this product never writes."""
    if (foreign := next(_in_entry(entry), None)) is not None:
        raise StateError(
            f"reading the log entry {where}: it has {foreign}, which no version of this product writes, so somebody else wrote it, and "
            "nothing was done that it says. See who may write to the state; restore the log from a backup, or move the activation's folder "
            "away and start again with `dinmo sync --full`"
        )


def _in_entry(entry: Entry) -> Iterator[str]:
    match entry:
        case Renamed() | HandedOver():
            if name_problem(entry.name) is not None:
                yield f"{entry.name!r} as the name of an activation"
        case SnapshotTaken() | Baselined():
            yield from _in_snapshot(entry.snapshot)
        case Rewritten(snapshots=snapshots, base=base):
            yield from (f"{path!r} as the path of a snapshot" for path in snapshots if not is_snapshot_path(path))
            for snapshot in (*snapshots.values(), *([base] if base is not None else ())):
                yield from _in_snapshot(snapshot)
        case Announced():
            yield from _temporary(entry.temporary_paths)
        case Prepared():
            yield from _in_export(entry.export)
        case Checkpoint():
            yield from _in_state(entry.state)


def _in_state(state: State) -> Iterator[str]:
    for sync in state.syncs.values():
        if sync.snapshot is not None:
            yield from _in_snapshot(sync.snapshot)
        for export in (*sync.attempts, *sync.shown):
            yield from _in_export(export)
    for leftover in state.leftovers:
        if isinstance(leftover, Export):
            yield from _in_export(leftover)
        else:
            yield from _temporary(leftover.temporary_paths)
    for earlier in state.earlier.values():
        yield from _parts(earlier.shown)


def _in_export(export: Export) -> Iterator[str]:
    yield from _in_contract(export.contract)
    for snapshot in export.comparison.snapshots:
        yield from _in_snapshot(snapshot)
    yield from _temporary(export.temporary_paths)
    yield from _parts({put.path: put.series for put in export.puts})
    folder = posixpath.normpath(export.folder)
    yield from (f"the file {put.path!r} outside of its folder {folder!r}" for put in export.puts if not _in_folder(put, folder))
    yield from (f"the file {path!r} outside of its folder {folder!r}" for path in export.stale if _folder_of(path) != folder)


def _in_snapshot(snapshot: Snapshot) -> Iterator[str]:
    for file in snapshot.files:
        if not is_snapshot_path(file.path):
            yield f"{file.path!r} as the path of a snapshot"
        yield from _in_contract(file.contract)


def _in_contract(contract: Contract) -> Iterator[str]:
    types = {column.type for column in contract.key} | {column.type for column in contract.columns}
    yield from (f"{text!r} as the type of a column" for text in types if not is_type(text))


def _temporary(paths: Iterable[str]) -> Iterator[str]:
    yield from (f"{path!r} as a temporary name" for path in paths if not is_temporary_name(posixpath.basename(path)))


def _parts(series_of: Mapping[str, str | None]) -> Iterator[str]:
    """Yield files that are no part of the series that they are told to be of: those of a series replace one another."""
    for path, series in series_of.items():
        if series is not None and not _is_part(path, series):
            yield f"the file {path!r} as a part of {series!r}"


def _is_part(path: str, series: str) -> bool:
    if path == series:
        return True
    name = posixpath.basename(path)
    names = (name[: number.start()] + name[number.end() :] for number in _PART_NUMBER.finditer(name))
    return _folder_of(path) == _folder_of(series) and posixpath.basename(series) in names


def _in_folder(put: PlannedFile, folder: str) -> bool:
    return _folder_of(put.path) == _folder_of(put.temporary_path) == folder


def _folder_of(path: str) -> str:
    return posixpath.dirname(path) or "."
