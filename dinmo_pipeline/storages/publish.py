"""Publishing: bring files there unseen, show them, tidy; transient faults are tried again with the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from dinmo_pipeline.errors import PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.storages.base import Storage, StorageSpec, Upload
from dinmo_pipeline.storages.retrying import FIRST_PAUSE_S, connection_to
from dinmo_pipeline.storages.waiting import forbid_waiting


@dataclass(frozen=True)
class Parcel:
    """A file to publish: the bytes that it has, its temporary path and the one it is meant for."""

    temporary_path: str
    path: str
    bytes: int
    sha256: str


class Publisher:
    """One storage while it is published to. A context manager, at whose end uploads are given up that were not shown."""

    def __init__(self, spec: StorageSpec, project_root: Path, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._spec = spec
        self._connection = connection_to(spec, project_root, first_pause_s=first_pause_s)
        self._uploads: dict[str, Upload] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Nobody sees what stays of them, and why it came to this matters more.
        with suppress(StorageError), forbid_waiting():
            if self._uploads:
                self._connection.do(self._give_up)
        self._connection.close()

    @property
    def moves(self) -> bool:
        """Whether files have temporary names until they are shown; where not, they are uploads that only this process can complete."""
        return self._spec.moves

    def give_up(self) -> None:
        """End what another thread waits for here; from now on nothing is tried twice."""
        self._connection.give_up()

    def make_folder(self, remote_folder: str) -> None:
        """Make the folder that files go to, with its parents."""
        self._connection.do(lambda storage: storage.make_folder(remote_folder))

    def bring(self, local_path: Path, parcel: Parcel) -> None:
        """Bring the parcel's bytes there, verified, while nobody sees them. The local file stays as it is until it is shown."""

        def bring(storage: Storage) -> None:
            if storage.moves:
                storage.put(local_path, parcel.temporary_path, sha256=parcel.sha256)
            else:
                self._uploads[parcel.path] = storage.upload(local_path, parcel.path, sha256=parcel.sha256)

        self._connection.do(bring)

    def show(self, parcel: Parcel) -> None:
        """Let a parcel that was brought appear in its place; fine when an earlier try has done so."""
        upload = self._uploads.get(parcel.path)

        def show(storage: Storage) -> None:
            if upload is None:
                _move(storage, parcel)
            elif self._uploads.pop(parcel.path, None) is not None:
                storage.complete(upload)
            else:
                # What was sent went with the first try.
                storage.put(upload.local_path, parcel.path, sha256=parcel.sha256)

        self._connection.do(show)

    def is_shown(self, parcel: Parcel) -> bool:
        """Return whether the parcel's bytes lie in its place. Where nobody may look, they do not: what is put once more does no harm."""
        try:
            return self._connection.do(lambda storage: storage.matches(parcel.path, parcel.bytes, parcel.sha256))
        except PermanentStorageError:
            return False

    def is_waiting(self, parcel: Parcel) -> bool:
        """Return whether the parcel lies under its temporary name, which no other file ever had."""
        return self._connection.do(lambda storage: storage.moves and storage.may_be(parcel.temporary_path, parcel.bytes))

    def exists(self, remote_path: str) -> bool:
        """Return whether there is a file under this path."""
        return self._connection.do(lambda storage: storage.exists(remote_path))

    def remove(self, remote_path: str) -> None:
        """Delete a file; fine when it is gone already."""
        self._connection.do(lambda storage: storage.delete(remote_path))

    def tidy(self, remote_paths: Iterable[str]) -> tuple[str, ...]:
        """Delete temporary files of this product; what could not be deleted does no harm and is told as text. Waits for no server."""
        with forbid_waiting():
            return self._tidied(list(remote_paths))

    def _tidied(self, paths: Sequence[str]) -> tuple[str, ...]:
        notes = list[str]()
        if not paths or not self.moves:
            return ()
        try:
            # One login, not one a file: a server that refuses it might lock the account.
            self._connection.do(lambda _storage: None)
        except StorageError as error:
            return (f"temporary files may be left at a destination that could not be entered: {error}",)
        for remote_path in paths:
            try:
                self.remove(remote_path)
            except PermanentStorageError as error:
                notes.append(f"a temporary file is left at the destination: {error}")
            except TransientStorageError as error:
                notes.append(f"temporary files are left at the destination, which does not answer: {error}")
                break
        return tuple(notes)

    def _give_up(self, storage: Storage) -> None:
        while self._uploads:
            _, upload = self._uploads.popitem()
            storage.abort(upload)


def _move(storage: Storage, parcel: Parcel) -> None:
    try:
        storage.move(parcel.temporary_path, parcel.path)
    except StorageError:
        # An answer that was lost is no failure of the move.
        if storage.exists(parcel.temporary_path) or not storage.matches(parcel.path, parcel.bytes, parcel.sha256):
            raise
