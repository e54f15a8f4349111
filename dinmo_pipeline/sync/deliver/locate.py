"""Where in the files of a sync a record stands: the part, the number of the record in it, and its line where the format has lines."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from dinmo_pipeline.delta.export import Change, Export, PlannedFile
from dinmo_pipeline.engines.duckdb.differences.diff import Changes
from dinmo_pipeline.engines.duckdb.lookup import Values
from dinmo_pipeline.engines.duckdb.session import Engine


@dataclass(frozen=True)
class Location:
    """One record in one delivered file; both numbers count from 1, and a format without lines has none."""

    file: str
    record: int
    line: int | None


def locate(engine: Engine, export: Export, kinds: Collection[Change], values: Values) -> Location | None:
    """Return the place of the record with these values, as text, in the files of `export` that hold these kinds of changes.

    The rows come once more from the kept snapshots, in the order in which they were sent, and those before it are written to scratch room
    to count their lines. None where another record in the same file has the same values, because the key is not mapped.
    """
    with engine.look_room() as folder, engine.changes(export.comparison, folder) as changes:
        for change in dict.fromkeys(put.change for put in export.puts if put.change in kinds):
            positions = _positions(changes, export, change, values)
            if len(positions) > 1:
                return None
            for put in export.puts:
                if put.change == change and positions and put.first <= positions[0] < put.first + put.rows:
                    return _in_file(changes, export, put, positions[0], folder)
    return None


def _positions(changes: Changes, export: Export, change: Change, values: Values) -> list[int]:
    rows = changes.rows(change, export.timezone, key_only=_key_only(export, change))
    known = {f"v{index}": values[column.name] for index, column in enumerate(rows.columns) if column.name in values}
    return changes.positions(rows, known)


def _in_file(changes: Changes, export: Export, put: PlannedFile, position: int, folder: Path) -> Location:
    before = position - put.first
    rows = changes.rows(put.change, export.timezone, key_only=_key_only(export, put.change))
    return Location(put.path, before + 1, changes.line_after(export.format, rows, put.first, before, folder / "before"))


def _key_only(export: Export, change: Change) -> bool:
    return change == Change.REMOVED and export.removed_key_only
