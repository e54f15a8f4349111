"""What object stores have in common: keys instead of folders, objects that appear whole, and errors that carry no secret."""

from __future__ import annotations

import posixpath
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from dinmo_pipeline.errors import PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.local_files.contents import sha256_of
from dinmo_pipeline.secrets import Secret, resolve_setting
from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.base import Storage, StorageSpec, Upload
from dinmo_pipeline.storages.intake import LimitBroken, ListingCount, Received, TransferCount
from dinmo_pipeline.storages.object_store.errors import Cause, first_cause_first, local_cause, unreadable_cause

SHA256 = "sha256"
"""The metadata entry in which an object carries its content's SHA-256, so that `matches` needs no download."""

WRITER = "writer"
"""The metadata entry by which a conditional write finds out, when its answer was lost, that it was done."""

AT_ONCE = 8 * 1024 * 1024
"""A file of so many bytes goes in one request, as with the vendors' own tools; a larger one in blocks, and one more request shows it."""

CONNECT_SECONDS = 20
ANSWER_SECONDS = 60

_CONTENT_TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".ndjson": "application/x-ndjson",
    ".xml": "application/xml",
    ".parquet": "application/vnd.apache.parquet",
    ".txt": "text/plain",
    # As a type and not as Content-Encoding: clients would unpack that unasked, and the size would not fit.
    ".gz": "application/gzip",
    ".zst": "application/zstd",
}


def content_type(remote_path: str) -> str:
    """Return the media type by the name's last extension."""
    return _CONTENT_TYPES.get(posixpath.splitext(remote_path)[1].lower(), "application/octet-stream")


class ObjectStoreSpec(StorageSpec):
    """A bucket or container as the user defines it."""

    @property
    def moves(self) -> bool:
        return False

    def folder_problem(self, folder: str) -> str | None:
        """Return why an object store cannot take `folder`, or None.

        An absolute folder is refused rather than read as a relative one: some tools make an object named `/x/file` of it,
        which is not the object `x/file`, and the consumer would look in the wrong place.
        """
        if "\0" in folder:
            return f"folder {folder!r} holds a character that no server takes"
        if folder.startswith("/"):
            relative = posixpath.normpath(folder).lstrip("/") or "."
            return f"folder {folder!r} is absolute; folders start at the storage's root here: write {relative!r}"
        if posixpath.normpath(folder).split("/")[0] == "..":
            return f"folder {folder!r} leaves the storage's root"
        return None

    def _text(self, field: str, setting: str | Secret, project_root: Path) -> str:
        """Resolve a setting, without blanks around it."""
        return resolve_setting(setting, project_root, what=f"the {field} of storage {self.name}").strip()

    def _optional_text(self, field: str, setting: str | Secret | None, project_root: Path) -> str | None:
        return None if setting is None else self._text(field, setting, project_root)


def address_problem(address: str) -> str | None:
    """Return why `address` is no server's address, or None; in words that leave it out, because a pasted one may hold a signature."""
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 (it is read where it is asked for)
    except ValueError:
        return "it is no address; write one such as https://example.com"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return "it is no address; write one such as https://example.com"
    if parts.query or parts.fragment or parts.username is not None:
        return "it holds more than an address; a user, a password and what stands after a ? belong into secrets"
    return None


def object_key(remote_path: str) -> str:
    """Return the object's key: the path from the root, without `.`, `..` and doubled slashes; empty for the root itself."""
    key = posixpath.normpath(remote_path)
    return "" if key == "." else key


def folder_prefix(remote_folder: str) -> str:
    """Return what the keys of the objects in the folder begin with."""
    key = object_key(remote_folder)
    return f"{key}/" if key else ""


@dataclass(frozen=True)
class Stored:
    """A small object: its bytes, the store's token for this very version of it, and which write made it."""

    content: bytes
    version: str
    writer: str | None = None


class ObjectStorage(Storage):
    """A bucket or container. An object appears whole or not at all, so every file goes straight to its final name.

    A move is a copy within the store and the deletion of the source: between the two, both are there.
    """

    moves: Literal[False] = False

    def __init__(self, *, name: str, place: str, answers: Answers) -> None:
        self._name = name
        self._place = place
        self._answers = answers

    def read(self, remote_path: str, local_path: Path) -> None:
        self._read(remote_path, local_path, None)

    def read_listed(self, remote_path: str, local_path: Path, size: int) -> None:
        self._read(remote_path, local_path, size)

    @contextmanager
    def _receiving(self, remote_path: str, local_path: Path, listed_size: int | None, most_kept: int | None = None) -> Iterator[Received]:
        """Yield the local file that an object is written to, once its size is known: whole, or what has come of it is of no use.

        `most_kept` is what the client library keeps of it in memory, None where it writes what comes.
        """
        with local_path.open("wb") as stream:
            count = TransferCount(stream.fileno(), self._answers.limits, listed=listed_size, most_kept=most_kept)
            received = Received(stream, count)
            with self._translating(READ, remote_path, count):
                yield received
        self._check_length(local_path, remote_path, received.size)

    def make_folder(self, remote_folder: str) -> None:
        # A folder is a part of its objects' keys, or made by the store with the first of them.
        return None

    def put(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> None:
        self.complete(self.upload(local_path, remote_path, sha256=sha256))

    def upload(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> Upload:
        with self._translating(WRITE, remote_path):
            size = local_path.stat().st_size
            sent = self._send(local_path, size, remote_path, sha256 or sha256_of(local_path)) if size > AT_ONCE else None
        return Upload(local_path, remote_path, sha256, sent)

    def complete(self, upload: Upload) -> None:
        with self._translating(WRITE, upload.remote_path):
            if upload.sent is None:
                self._put_at_once(upload.local_path.read_bytes(), upload.remote_path)
                return
            try:
                self._show(upload)
            except BaseException:  # an interrupt, too, must leave nothing behind
                # Why it was not completed matters more than that parts of it stayed.
                with suppress(StorageError):
                    self.abort(upload)
                raise

    def write_if(self, remote_path: str, content: bytes, version: str | None, writer: str) -> str | None:
        """Write a small object if it still is of this `version`, or, for None, if there is none yet; of two that try, one succeeds.

        Returns its new version, or None when it was not as expected. `writer` is a token of this write's own, kept when it is tried
        again: what an answer that was lost has done is known by it. `content` differs from all that was written there before.
        """
        with self._translating(WRITE, remote_path):
            written = self._write_if(remote_path, content, version, {WRITER: writer})
        if written is not None:
            return written
        # Refused may be the second try, after the answer to the first was lost.
        found = self.load(remote_path)
        return found.version if found is not None and found.writer == writer else None

    @abstractmethod
    def _read(self, remote_path: str, local_path: Path, listed_size: int | None) -> None:
        """Do what `read` and `read_listed` do, by `_receiving`."""

    @abstractmethod
    def _put_at_once(self, content: bytes, remote_path: str) -> None:
        """Write and verify a file in one request; raises the client library's own errors."""

    @abstractmethod
    def _send(self, local_path: Path, size: int, remote_path: str, sha256: str) -> object:
        """Send and verify a larger file's blocks, and tell what `_show` needs to know; raises the client library's own errors."""

    @abstractmethod
    def _show(self, upload: Upload) -> None:
        """Make an object of the blocks that were sent; raises the client library's own errors."""

    @abstractmethod
    def load(self, remote_path: str) -> Stored | None:
        """Return a small object, or None when there is none."""

    @abstractmethod
    def _write_if(self, remote_path: str, content: bytes, version: str | None, metadata: dict[str, str]) -> str | None:
        """Do what `write_if` does, with the client library's own errors; None when the store says that the condition fails."""

    @abstractmethod
    def _cause(self, error: Exception, action: str) -> Cause | None:
        """Return what an error of the client library means, or None when it is none of the library's."""

    @contextmanager
    def _translating(self, action: str, remote_path: str, count: ListingCount | TransferCount | None = None) -> Iterator[None]:
        """Raise what the client library does as StorageErrors. `count` is that of the answers, where they belong together."""
        try:
            with self._answers.counted_by(count):
                yield
        except StorageError:
            raise
        except Exception as error:
            for fault in first_cause_first(error):
                if isinstance(fault, LimitBroken):
                    raise fault.error(self._where(action, remote_path)) from None
            cause = local_cause(error) or self._cause(error, action) or unreadable_cause(error)
            if cause is None:
                raise
            # Not chained: the libraries' own errors hold addresses with signatures in them.
            raise self._error(action, remote_path, cause) from None

    def _error(self, action: str, remote_path: str, cause: Cause) -> StorageError:
        kind = TransientStorageError if cause.transient else PermanentStorageError
        return kind(f"{self._where(action, remote_path)}: {cause.found}; {cause.advice}")

    def _where(self, action: str, remote_path: str) -> str:
        key = object_key(remote_path)
        return f"could not {action} {f'{self._place}/{key}' if key else self._place} (storage {self._name})"

    def _check_length(self, local_path: Path, remote_path: str, expected: int) -> None:
        length = local_path.stat().st_size
        if length != expected:
            found = f"the store has {expected:,} bytes, and {length:,} arrived"
            raise self._error(READ, remote_path, Cause(found, "it was changed meanwhile, or the connection broke", transient=True))


# What the errors call the storage's methods; each client's table of rights goes by these.
WRITE = "write the file"
READ = "read the file"
LOOK = "look at the file"
MOVE = "move the file"
DELETE = "delete the file"
LIST = "list the folder"
