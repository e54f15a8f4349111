"""From what changed to the local files of one sync: which files, in which parts, under which names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from dinmo_pipeline.delta.export import FILES_OF_MODE, Change, Export, PlannedFile, joined
from dinmo_pipeline.engines.duckdb.differences.diff import Changes
from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.base import Format, Rows
from dinmo_pipeline.local_files.contents import sha256_of
from dinmo_pipeline.project.schema.file_names import target_folder, target_name
from dinmo_pipeline.project.specs import ActivationSpec
from dinmo_pipeline.storages.temporary import temporary_beside

# The first part is measured with this many rows; a later one starts from what the last one took.
_FIRST_GUESS_ROWS = 1000
_FULL_ENOUGH, _CAUTION = 0.85, 0.97


@dataclass(frozen=True)
class RenderedFile:
    """A put and the local file that holds its bytes."""

    put: PlannedFile
    local_path: Path


@dataclass(frozen=True)
class Layout:
    """Where the files of one sync go and how they are called: what the activation says, at one instant."""

    spec: ActivationSpec
    instant: datetime
    folder: str
    trial: bool = False

    @classmethod
    def of(cls, spec: ActivationSpec, instant: datetime, *, below: str | None = None, trial: bool = False) -> Layout:
        """Return the layout of a sync; `below` puts everything into a folder of that name, wherever it would go otherwise."""
        folder = target_folder(spec, instant)
        return cls(spec, instant, folder if below is None else folder_below(below, folder), trial)

    @property
    def in_parts(self) -> bool:
        """Whether names carry a part number."""
        return self.spec.max_rows is not None or self.spec.max_bytes is not None

    def path(self, change: Change, part: int | None) -> str:
        """Return the path of one file, or of its series where `part` is None."""
        suffix = change.value if len(FILES_OF_MODE[self.spec.sync_mode]) > 1 else None
        return joined(self.folder, target_name(self.spec, self.instant, change=suffix, part=part, trial=self.trial))

    def companion(self, name: str) -> str:
        """Return the path of a file that goes with them."""
        return joined(self.folder, name)

    def series(self) -> tuple[str, ...]:
        """Return the files that this sync writes, without part numbers."""
        return tuple(self.path(change, None) for change in FILES_OF_MODE[self.spec.sync_mode])


def folder_below(below: str, folder: str) -> str:
    """Return `folder` inside the folder `below`, wherever it leads otherwise."""
    return "/".join([below, *(step for step in folder.split("/") if step not in ("", ".", ".."))])


def key_only(spec: ActivationSpec, change: Change) -> bool:
    """Return whether the file of `change` carries the key alone."""
    return change == Change.REMOVED and spec.removed_columns == "key"


def render_files(
    changes: Changes, layout: Layout, local_folder: Path, *, send: Callable[[RenderedFile], RenderedFile], limit: int | None = None
) -> tuple[RenderedFile, ...]:
    """Write every file of rows to `local_folder`, with at most `limit` rows each.

    `send` is given each file as soon as it is written, and may give it another temporary name. Raises what it and `Changes.write` raise.
    """
    staged: list[RenderedFile] = []
    spec = layout.spec
    for change in FILES_OF_MODE[spec.sync_mode]:
        rows, available = changes.rows(change, spec.timezone, key_only=key_only(spec, change)), changes.rows_of(change)
        total = available if limit is None else min(available, limit)
        if total == 0 and spec.empty_files == "skip":
            continue
        if layout.in_parts and not (spec.max_rows is not None and total <= spec.max_rows):
            rows = changes.numbered(rows)
        for part, (first, count) in enumerate(_windows(changes, rows, total, spec, local_folder), start=1):
            local_path = local_folder / f"{len(staged)}"
            written = changes.write(spec.format, rows if count == available else rows.window(first, count), local_path)
            path, series = layout.path(change, part if layout.in_parts else None), layout.path(change, None)
            file = staged_file(local_path, change=change, first=first, rows=count, path=path, series=series)
            staged.append(send(replace(file, put=replace(file.put, replaced_characters=written.replaced_characters))))
    return tuple(staged)


def staged_file(local_path: Path, *, change: Change, path: str, series: str, first: int = 0, rows: int = 0) -> RenderedFile:
    """Return the put of a local file that was just written, under a temporary name of its own."""
    size = local_path.stat().st_size
    return RenderedFile(PlannedFile(change, first, rows, size, sha256_of(local_path), temporary_beside(path), path, series), local_path)


def render_again(changes: Changes, export: Export, put: PlannedFile, local_path: Path) -> RenderedFile:
    """Write one file of a recorded export once more: under a new temporary name, and in other bytes if another version made them."""
    rows = changes.rows(put.change, export.timezone, key_only=put.change == Change.REMOVED and export.removed_key_only)
    if put.rows < changes.rows_of(put.change):
        rows = changes.numbered(rows).window(put.first, put.rows)
    changes.write(export.format, rows, local_path)
    # Fewer than recorded where records were forgotten since.
    return staged_again(export, replace(put, rows=min(put.rows, max(changes.rows_of(put.change) - put.first, 0))), local_path)


def staged_again(export: Export, put: PlannedFile, local_path: Path) -> RenderedFile:
    """Return the put of a recorded export whose local file was just written again."""
    file = staged_file(local_path, change=put.change, path=put.path, series=put.series, first=put.first, rows=put.rows)
    return replace(file, put=replace(file.put, replaced_characters=put.replaced_characters))


def _windows(changes: Changes, rows: Rows, total: int, spec: ActivationSpec, local_folder: Path) -> Iterator[tuple[int, int]]:
    """Yield the first row and the number of rows of each part; one part of no rows where there are none."""
    if spec.max_rows is not None:
        for first in range(0, max(total, 1), spec.max_rows):
            yield first, min(spec.max_rows, total - first)
    elif spec.max_bytes is not None:
        yield from _windows_by_bytes(changes, rows, total, spec.max_bytes, spec.format.uncompressed(), local_folder)
    else:
        yield 0, total


def _windows_by_bytes(
    changes: Changes, rows: Rows, total: int, max_bytes: int, format_: Format, local_folder: Path
) -> Iterator[tuple[int, int]]:
    first, guess = 0, _FIRST_GUESS_ROWS
    while True:
        left = total - first
        fits, too_many, count = 0, left + 1, min(guess, left)
        # Sizes are measured, since no format's size follows from its rows; a part that is nearly full is good enough.
        while True:
            size = _measure(changes, format_, rows.window(first, count), local_folder / "measured")
            if size > max_bytes:
                too_many = count
            else:
                fits = count
                if fits == left or size >= max_bytes * _FULL_ENOUGH:
                    break
            if too_many <= 1:
                raise DataError(
                    f"splitting the file: row {first + 1:,} alone takes {size:,} bytes, more than max_bytes ({max_bytes:,}); nothing was "
                    "delivered. Raise max_bytes, or send less of that row"
                )
            if too_many - fits == 1:
                break
            count = min(max(int(count * max_bytes / size * _CAUTION), fits + 1), too_many - 1)
        yield first, fits
        first, guess = first + fits, fits
        if first >= total:
            return


def _measure(changes: Changes, format_: Format, rows: Rows, local_path: Path) -> int:
    changes.write(format_, rows, local_path)
    size = local_path.stat().st_size
    local_path.unlink()
    return size
