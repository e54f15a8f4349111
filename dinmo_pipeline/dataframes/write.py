"""From rows that Python holds to files at a storage: staged, rendered, brought there unseen, shown whole."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dinmo_pipeline.dataframes.file_layout import FileLayout, FilePaths
from dinmo_pipeline.dataframes.staged_rows import StagedRows, staged_rows
from dinmo_pipeline.errors import CallError, DataError, DinmoError
from dinmo_pipeline.formats.base import Column, Format
from dinmo_pipeline.local_files.contents import sha256_of
from dinmo_pipeline.local_files.scratch import locked_scratch_folder
from dinmo_pipeline.project.specs import QuerySettings
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.storages.publish import Parcel, Publisher
from dinmo_pipeline.storages.temporary import temporary_beside


@dataclass(frozen=True)
class WrittenFile:
    """A file at the storage: its path there, its rows, its size in bytes and the SHA-256 of those."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class WrittenFiles:
    """What a write left at the storage `address`: files in order, and the columns that each of them has.

    `replaced_characters` counts those that the format forbids.
    """

    address: str
    files: tuple[WrittenFile, ...]
    columns: tuple[Column, ...]
    replaced_characters: int = 0

    @property
    def rows(self) -> int:
        """The rows of all files."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True)
class FileWriter:
    """Writes values that hold rows to a storage, always in the same way.

    `max_rows` splits them into parts. `database` is a DuckDB file that queries read. `root` is the folder that relative paths start at.
    """

    storage: StorageSpec
    format: Format
    layout: FileLayout
    root: Path
    max_rows: int | None = None
    create_folder: bool = True
    database: Path | None = None

    def write(
        self,
        value: Any,
        instant: datetime,
        variables: Mapping[str, str],
        *,
        before: Sequence[str] = (),
        announce: Callable[[Sequence[str]], object] | None = None,
    ) -> WrittenFiles:
        """Put the rows of `value` in the place of the files that this layout gave them `before`: all are seen whole, or none has changed.

        `announce` is given the paths of temporary files before there is one. Raises DataError where the rows cannot be written,
        StorageError where the storage refuses them, StateError where this machine's disk does.
        """
        paths = self.layout.at(instant, variables)
        if (unfit := self.storage.folder_problem(paths.folder)) is not None:
            raise CallError(f"writing to {self.storage.name}: {unfit}")
        address = self.storage.resolved_address(self.root)
        with (
            locked_scratch_folder() as folder,
            staged_rows(value, folder, QuerySettings(self.root, self.layout.timezone), database=self.database) as rows,
        ):
            if not all(column.name for column in rows.columns):
                raise DataError("naming the columns: one has no name; give it one. Nothing was delivered")
            if problems := self.format.name_problems([column.name for column in rows.columns]):
                raise DataError(f"naming the columns of {posixpath.basename(paths.path())}: {'; '.join(problems)}; nothing was delivered")
            made = list(self._render(rows, paths, folder))
            files = tuple(file.written for file in made)
            stale = {path for path in before if path in self._earlier_parts(paths, before)} - {file.path for file in files}
            with self._published(made, announce) as publisher:
                for path in sorted(stale):
                    publisher.remove(path)
                for file in made:
                    publisher.show(file.parcel)
        return WrittenFiles(address, files, rows.columns, sum(file.replaced_characters for file in made))

    def tidy(self, temporary_paths: Sequence[str]) -> tuple[str, ...]:
        """Delete temporary files that an earlier write, which was killed, has left; what could not be deleted, for people."""
        with Publisher(self.storage, self.root) as publisher:
            return publisher.tidy(temporary_paths)

    def _render(self, rows: StagedRows, paths: FilePaths, folder: Path) -> Iterator[_RenderedFile]:
        step = self.max_rows or max(rows.count, 1)
        for part, first in enumerate(range(0, max(rows.count, 1), step), start=1):
            count, local_path = min(step, rows.count - first), folder / f"{part}"
            written = rows.write(self.format, rows.rows(self.layout.timezone, first, count), local_path)
            path = paths.path(part if self.max_rows is not None else None)
            file = WrittenFile(path, count, local_path.stat().st_size, sha256_of(local_path))
            yield _RenderedFile(local_path, file, temporary_beside(path), written.replaced_characters)

    def _earlier_parts(self, paths: FilePaths, before: Sequence[str]) -> set[str]:
        """Return what this write's files may have been called when they were more, or fewer: nothing else is removed."""
        return {paths.path(), *(paths.path(part) for part in range(1, len(before) + 1))}

    @contextmanager
    def _published(self, made: Sequence[_RenderedFile], announce: Callable[[Sequence[str]], object] | None) -> Iterator[Publisher]:
        """Bring all there, unseen; where that or what is done then fails, the temporary files are taken away."""
        temporary_paths = [file.temporary_path for file in made]
        with Publisher(self.storage, self.root) as publisher:
            if announce is not None:
                announce(temporary_paths)
            try:
                if self.create_folder:
                    publisher.make_folder(posixpath.dirname(made[0].written.path) or ".")
                for file in made:
                    publisher.bring(file.local_path, file.parcel)
                yield publisher
            except DinmoError:
                publisher.tidy(temporary_paths)
                raise


@dataclass(frozen=True)
class _RenderedFile:
    local_path: Path
    written: WrittenFile
    temporary_path: str
    replaced_characters: int

    @property
    def parcel(self) -> Parcel:
        return Parcel(self.temporary_path, self.written.path, self.written.bytes, self.written.sha256)
