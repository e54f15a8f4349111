"""A storage as a filesystem of fsspec, for code of others: what is written appears whole or not at all, what is read is fetched whole."""

from __future__ import annotations

import io
import os
import posixpath
import threading
import warnings
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from fsspec import AbstractFileSystem

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.local_files.contents import sha256_of
from dinmo_pipeline.local_files.scratch import locked_scratch_folder
from dinmo_pipeline.storages.base import RemoteFile, Storage, StorageSpec
from dinmo_pipeline.storages.publish import Parcel, Publisher
from dinmo_pipeline.storages.retrying import connection_to
from dinmo_pipeline.storages.temporary import temporary_beside

T = TypeVar("T")


class StorageFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The files of a storage; `root` is the folder that relative paths of its definition start at.

    `open` for writing gives a local file, which `close` publishes as a delivery is published; a `with` block that ends in an error, and a
    file that nobody closes, publish nothing. Listings hold files, and no folders. Errors are StorageErrors, which say what to do;
    FileNotFoundError where there is no such file. Threads take turns; a forked process connects anew.
    """

    protocol = "dinmo"
    cachable = False

    def __init__(self, definition: StorageSpec, root: Path) -> None:
        super().__init__()
        self._definition = definition
        self._root = root
        self._turn = threading.Lock()
        self._connect()

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Return name, size and time of a file; of a folder, where it holds a file, that it is one."""
        path = self._strip_protocol(path)
        if (found := self._do(lambda storage: storage.stat(path))) is not None:
            return _told(path, found)
        if self._do(lambda storage: storage.list(path or ".")):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """Return the files directly in the folder. PermanentStorageError where the server tells of some that nobody can read."""
        path = self._strip_protocol(path)
        listing = self._do(lambda storage: storage.list(path or "."))
        if listing.is_missing:
            raise FileNotFoundError(path)
        if listing.unread:
            raise PermanentStorageError(
                f"listing {path or '.'} of {self._definition.name}: some entries cannot be read: {listing.unread[0]}"
            )
        found = [_told(posixpath.join(path, file.name), file) for file in listing]
        return found if detail else [file["name"] for file in found]

    def open(self, path: str, mode: str = "rb", block_size: int | None = None, compression: str | None = None, **options: Any) -> Any:
        """Open a file as fsspec does. ValueError for appending, and for compression while writing: no compressor closes the file."""
        if "r" in mode:
            return super().open(path, mode, block_size, compression=compression, **options)
        if compression is not None:
            raise ValueError(f"writing {path}: compress what is written yourself, as with gzip.open(file, 'wb')")
        file = self._open(self._strip_protocol(path), mode.replace("t", ""))
        return file if "b" in mode else _PublishedText(file, **{"encoding": "utf-8", **options})

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Make the folder and its parents."""
        self._do(lambda storage: storage.make_folder(self._strip_protocol(path)))

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make the folder and its parents; fine when it exists."""
        self.mkdir(path)

    def rm_file(self, path: str) -> None:
        """Delete the file; fine when it is gone already."""
        self._do(lambda storage: storage.delete(self._strip_protocol(path)))

    def _rm(self, path: str) -> None:
        self.rm_file(path)

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        """Publish a local file."""
        local_path, path = Path(lpath), self._strip_protocol(rpath)
        parcel = Parcel(temporary_beside(path), path, local_path.stat().st_size, sha256_of(local_path))
        with self._turn, Publisher(self._definition, self._root) as publisher:
            publisher.make_folder(posixpath.dirname(path) or ".")
            try:
                publisher.bring(local_path, parcel)
                publisher.show(parcel)
            except BaseException:  # An interrupt, too, leaves no temporary file there.
                publisher.tidy([parcel.temporary_path])
                raise

    def mv(self, path1: str, path2: str, **options: Any) -> None:
        """Move a file over another, or to a new name."""
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        self._do(lambda storage: storage.move(source, target))

    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Copy a file, by way of this machine."""
        with locked_scratch_folder() as folder:
            self.get_file(path1, str(folder / "file"))
            self.put_file(str(folder / "file"), path2)

    def get_file(self, rpath: str, lpath: str, **options: Any) -> None:
        """Fetch a file, whole. FileNotFoundError where there is none."""
        path = self._strip_protocol(rpath)
        size = self.info(path)["size"]
        self._do(lambda storage: storage.read(path, Path(lpath)) if size is None else storage.read_listed(path, Path(lpath), size))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        opened = ExitStack()
        local_path = opened.enter_context(locked_scratch_folder()) / "file"
        if mode in ("w", "wb", "x", "xb"):
            if "x" in mode and self.exists(path):
                opened.close()
                raise FileExistsError(path)
            return _PublishedFile(local_path, lambda: self.put_file(str(local_path), path), opened)
        with opened:
            if mode != "rb":
                raise ValueError(
                    f"opening {path}: a file appears whole, so it is read (rb) or written anew (wb), and not opened with {mode!r}"
                )
            self.get_file(path, str(local_path))
            # The name goes with the folder; what is open stays.
            return local_path.open("rb")

    def _do(self, action: Callable[[Storage], T]) -> T:
        with self._turn:
            if self._process != os.getpid():
                self._connect()
            return self._connection.do(action)

    def _connect(self) -> None:
        self._process = os.getpid()
        self._connection = connection_to(self._definition, self._root)
        weakref.finalize(self, self._connection.close)


class _PublishedFile(io.BufferedWriter):
    """A local file that `publish` is called for when it is closed; `opened` holds its folder."""

    def __init__(self, local_path: Path, publish: Callable[[], None], opened: ExitStack) -> None:
        super().__init__(io.FileIO(local_path, "xb"))
        self._publish: Callable[[], None] | None = publish
        self._opened = opened

    def discard(self) -> None:
        """Publish nothing when it is closed."""
        self._publish = None

    def close(self) -> None:
        """Publish what was written, once. Raises what publishing raises; nothing has changed at the storage then."""
        if self.closed:
            return
        publish, self._publish = self._publish, None
        with self._opened:
            super().close()
            if publish is not None:
                publish()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        if not self.closed and self._publish is not None:
            self.discard()
            self.close()
            warnings.warn("a file of a storage was not closed, so it was not written", RuntimeWarning, stacklevel=2)


class _PublishedText(io.TextIOWrapper):
    """Text over a file that is published."""

    def __init__(self, file: _PublishedFile, **options: Any) -> None:
        super().__init__(file, **options)
        self._file = file

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._file.discard()
        self.close()

    def __del__(self) -> None:
        if not self._file.closed:
            self._file.__del__()


def _told(path: str, file: RemoteFile) -> dict[str, Any]:
    return {"name": path, "size": file.size, "type": "file", "mtime": file.modified}
