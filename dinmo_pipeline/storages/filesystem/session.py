"""An fsspec filesystem as a storage: each call limited in time, what was written looked at, and hidden by the means that it has."""

from __future__ import annotations

import posixpath
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from dinmo_pipeline.errors import PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.intake_limits import IntakeLimits
from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.base import Listing, RemoteFile, Storage, Upload
from dinmo_pipeline.storages.filesystem.calls import Pulse, call_in_time
from dinmo_pipeline.storages.filesystem.entries import files_of, remote_file, size_of
from dinmo_pipeline.storages.filesystem.errors import cause_of, is_in_the_way, is_missing, storage_error
from dinmo_pipeline.storages.filesystem.ways import NO_PROMISE, PUBLISHES, Way, rename_of
from dinmo_pipeline.storages.filesystem.writing import BLOCK_BYTES, Uncommitted, write_to
from dinmo_pipeline.storages.intake import LimitBroken, ListingCount, TransferCount
from dinmo_pipeline.storages.permissions import (
    DELETE,
    LIST,
    LOOK,
    MAKE_FOLDER,
    MOVE,
    MOVE_ATTEMPTS,
    READ,
    WRITE,
    Action,
    LocalFile,
)

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")

IDLE_SECONDS = 180.0
"""How long a library may be at work without a block read or written."""
CLOSING_SECONDS = 10.0
_MOVE_PAUSE_S = 0.1


class Filesystem(Storage):
    """The open filesystem, which belongs to this storage alone. `root` is where its url leads, `where` what errors call it.

    Moves are the library's own rename of one file. `way` None refuses to deliver and reads all the same.
    """

    def __init__(self, fs: AbstractFileSystem, *, root: str, where: str, way: Way | None, limits: IntakeLimits) -> None:
        self.moves = way == "temp_name"
        self._fs = fs
        self._root = root.rstrip("/")
        self._where = where
        self._way = way
        self.publishes = PUBLISHES.get(way)
        self._limits = limits
        self._is_hiding = False
        if hasattr(fs, "answers"):
            fs.answers = Answers(limits)
        if way == "commit":
            # All that is opened for writing from here on waits for its own commit.
            fs.start_transaction()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        close = getattr(self._fs, "close", None)
        if close is not None:
            # What is broken already needs no farewell, and what the library says of it is of no use any more.
            with suppress(Exception):
                call_in_time(lambda _: close(), idle_seconds=CLOSING_SECONDS)

    def make_folder(self, remote_folder: str) -> None:
        path = self._path(remote_folder)

        def make(_: Pulse) -> None:
            try:
                self._fs.makedirs(path, exist_ok=True)
            except Exception:  # fsspec names no error for it; raised again unless the folder is there
                # Another delivery may have made it in between, or its parents may not be looked at.
                if not self._is_folder(path):
                    raise

        self._call(MAKE_FOLDER, remote_folder, make)

    def put(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> None:
        if self._way == "commit":
            self.complete(self.upload(local_path, remote_path, sha256=sha256))
            return
        self._require_promise(remote_path)
        with LocalFile(local_path, "rb") as source:
            # Some send all of it when it is closed, at a megabyte a second or more.
            idle_seconds = IDLE_SECONDS + source.size / 1e6
            write = lambda pulse: write_to(self._fs, self._path(remote_path), source, pulse).close()  # noqa: E731
            self._call(WRITE, remote_path, write, idle_seconds=idle_seconds)
            self._check_size(remote_path, source.size)

    def upload(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> Upload:
        if self._way != "commit":
            self._require_promise(remote_path)
            return super().upload(local_path, remote_path, sha256=sha256)
        self._require_hidden(remote_path)

        def write(pulse: Pulse) -> Any:
            file = write_to(self._fs, self._path(remote_path), source, pulse)
            file.close()
            return file

        with LocalFile(local_path, "rb") as source:
            sent = Uncommitted(self._call(WRITE, remote_path, write), source.size)
        return Upload(local_path, remote_path, sha256, sent)

    def complete(self, upload: Upload) -> None:
        if upload.sent is None:
            super().complete(upload)
            return
        self._call(WRITE, upload.remote_path, lambda _: upload.sent.file.commit())
        self._check_size(upload.remote_path, upload.sent.size)

    def abort(self, upload: Upload) -> None:
        if upload.sent is not None:
            self._call(WRITE, upload.remote_path, lambda _: upload.sent.file.discard())

    def read(self, remote_path: str, local_path: Path) -> None:
        self._read(remote_path, local_path, None)

    def read_listed(self, remote_path: str, local_path: Path, size: int) -> None:
        self._read(remote_path, local_path, size)

    def stat(self, remote_path: str) -> RemoteFile | None:
        return self._call(LOOK, remote_path, lambda _: remote_file(self._info(self._path(remote_path))))

    def move(self, remote_path: str, target_path: str) -> None:
        source, target = self._path(remote_path), self._path(target_path)
        name = rename_of(type(self._fs)) or "mv"

        def move(_: Pulse) -> None:
            found = self._info(source)
            if found is None:
                raise FileNotFoundError(source)
            for _attempt in range(MOVE_ATTEMPTS):
                fault: Exception | None = None
                try:
                    getattr(self._fs, name)(source, target)
                except Exception as error:  # noqa: BLE001 - raised below, unless it was done
                    fault = error
                # Some answer a refusal as they do a success, and a success as a refusal when somebody else moves to that name meanwhile.
                if self._info(source) is None:
                    if self._has_arrived(target, None if fault is None else size_of(found)):
                        return
                    raise fault or FileNotFoundError("it was renamed, and is not there")
                if (fault is None or is_in_the_way(fault)) and remote_file(self._info(target)) is not None:
                    # It renames over no file: the old one is removed just before, while the new one is there.
                    self._fs.rm_file(target)
                elif fault is None or not is_missing(fault):
                    break
            raise fault or FileExistsError("the file keeps its temporary name")

        self._call(MOVE, target_path, move)

    def delete(self, remote_path: str) -> None:
        path = self._path(remote_path)

        def delete(_: Pulse) -> None:
            # Some delete a folder with all that is in it, too.
            if remote_file(self._info(path)) is None:
                return
            try:
                self._fs.rm_file(path)
            except Exception as error:
                if not is_missing(error):
                    raise

        self._call(DELETE, remote_path, delete)

    def list(self, remote_folder: str) -> Listing:
        path, count = self._path(remote_folder), ListingCount(self._limits, is_one_answer=True)
        # Ours yield the entries while they come; what others return is in memory before it is counted.
        entries_of = getattr(self._fs, "scan", None) or partial(self._fs.ls, detail=True)

        def list_it(pulse: Pulse) -> Listing:
            self._fs.invalidate_cache(path)
            unread: list[str] = []
            try:
                return Listing(files_of(_alive(entries_of(path), pulse), path, count, unread), unread=unread)
            except Exception as error:
                if is_missing(error) and self._info(path) is None:
                    return Listing(is_missing=self.moves)
                raise

        # The count says in words that the time is over; whoever does not count is given up a moment later.
        return self._call(LIST, remote_folder, list_it, idle_seconds=min(self._limits.listing_seconds + 1, IDLE_SECONDS), count=count)

    def _read(self, remote_path: str, local_path: Path, listed_size: int | None) -> None:
        path = self._path(remote_path)

        def read(pulse: Pulse) -> None:
            count = TransferCount(target.stream.fileno(), self._limits, listed=listed_size)
            found = self._info(path)
            if found is None:
                raise FileNotFoundError
            expected, received = size_of(found), 0
            # The next one may be sent without an end.
            count.expect(expected, is_most=True)
            opened = getattr(self._fs, "get_stream", None) or (lambda path: self._fs.open(path, "rb"))
            # What comes over a counted connection is counted there.
            add = count.add_written if hasattr(self._fs, "counted_by") else count.add
            with self._counted_by(count), opened(path) as source:
                while block := source.read(BLOCK_BYTES):
                    pulse.beat()
                    add(len(block))
                    target.write_at(received, block)
                    received += len(block)
            if expected is not None and received != expected:
                raise TransientStorageError(
                    f"read {received:,} bytes of {remote_path} on {self._where}, which should have {expected:,}; something else writes "
                    "there, or the connection broke off"
                )

        with LocalFile(local_path, "wb") as target:
            self._call(READ, remote_path, read)

    def _check_size(self, remote_path: str, size: int) -> None:
        found = self._call(LOOK, remote_path, lambda _: self._info(self._path(remote_path)))
        there = size_of(found)
        if found is None or (there is not None and there != size):
            shown = "no file" if found is None else f"{there:,} bytes"
            raise TransientStorageError(
                f"wrote {size:,} bytes to {remote_path} on {self._where}, then found {shown}; something else writes there, or the server "
                "lost some"
            )

    def _require_promise(self, remote_path: str) -> None:
        if self._way is None:
            raise PermanentStorageError(f"{WRITE.described(remote_path, self._where)}: {NO_PROMISE}")

    def _require_hidden(self, remote_path: str) -> None:
        """Once a connection: an empty file of our own must not show before it is committed."""
        trial = self._path(posixpath.join(posixpath.dirname(remote_path), f".dinmo-{secrets.token_hex(8)}.test"))

        def shows(_: Pulse) -> bool:
            with self._fs.open(trial, "wb") as file:
                pass
            if self._info(trial) is None:
                file.discard()
                return False
            self._fs.rm_file(trial)
            return True

        if not self._is_hiding and self._call(WRITE, remote_path, shows):
            raise PermanentStorageError(
                f"{WRITE.described(remote_path, self._where)}: its filesystem shows a file before it is committed, so nothing was written; "
                "set `publish: direct`, where readers may see a part, or `publish: temp_name` where it renames"
            )
        self._is_hiding = True

    def _info(self, path: str) -> dict[str, Any] | None:
        """Return what is told of the path, as it is now; None when there is nothing."""
        self._fs.invalidate_cache(path)
        try:
            return dict(self._fs.info(path))
        except Exception as error:
            if is_missing(error):
                return None
            raise

    def _has_arrived(self, target: str, size: int | None) -> bool:
        """Tell whether a moved file is there, of this size where one is given; somebody else's move may remove it just before its own."""
        for attempt in range(MOVE_ATTEMPTS):
            time.sleep(attempt * _MOVE_PAUSE_S)
            there = self._info(target)
            if there is not None and size in (None, size_of(there)):
                return True
        return False

    def _is_folder(self, path: str) -> bool:
        with suppress(Exception):
            return (self._info(path) or {}).get("type") == "directory"
        return False

    def _path(self, remote_path: str) -> str:
        steps = posixpath.normpath(remote_path)
        if steps.startswith("/") or steps.split("/")[0] == "..":
            raise PermanentStorageError(f"{remote_path!r} is no path below {self._where}: it leaves the storage's url; correct it")
        return self._root if steps == "." else f"{self._root}/{steps}"

    def _call(
        self,
        action: Action,
        remote_path: str,
        work: Callable[[Pulse], T],
        *,
        idle_seconds: float | None = None,
        count: ListingCount | None = None,
    ) -> T:
        with self._translating(action, remote_path), self._counted_by(count):
            return call_in_time(work, idle_seconds=idle_seconds or IDLE_SECONDS)

    def _counted_by(self, count: ListingCount | TransferCount | None) -> AbstractContextManager[None]:
        """Have a filesystem that counts what it receives count it as a part of this."""
        counted_by = getattr(self._fs, "counted_by", None)
        return nullcontext() if counted_by is None else counted_by(count)

    @contextmanager
    def _translating(self, action: Action, remote_path: str) -> Iterator[None]:
        what = action.described(remote_path, self._where)
        try:
            yield
        except StorageError:
            raise
        except LimitBroken as error:
            raise error.error(what) from None
        except Exception as error:  # noqa: BLE001 - libraries raise what they like
            # Not chained: what a library says may hold addresses, and these hold signatures.
            raise storage_error(what, cause_of(error, right=action.missing_right(remote_path))) from None


def _alive(entries: Iterable[dict[str, Any]], pulse: Pulse) -> Iterator[dict[str, Any]]:
    """Yield the entries, each a sign of life."""
    for entry in entries:
        pulse.beat()
        yield entry
