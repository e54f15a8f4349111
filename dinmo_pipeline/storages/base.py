"""What a storage is: a place that files are published to, told apart by capability and never by type.

Remote paths are slash-separated text, absolute or relative to the storage's own start (a login directory, a bucket's
root). Each storage is a folder; `storages.STORAGES` lists them.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from dinmo_pipeline.durations import span_seconds

NO_SIZE = "the server tells no size of it, so nobody knows when it is whole"
"""Why a file stays out of a listing that its server tells no size of."""
_MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the storage lists it: its name in the folder, its size in bytes and when it was changed, each None where it is not told.

    A listing holds no file without a size: it tells of it in `unread`. `is_link`: a listing found a symbolic link, and size and time are
    those of the file that it leads to.
    """

    name: str
    size: int | None
    modified: datetime | None = None
    is_link: bool = False


class Listing(list[RemoteFile]):
    """The files of a folder, and what the server told of others that nobody could read.

    `unread` are printable lines, each of one entry that may be a file and is not among the files: for people, never to be passed over.
    `is_missing`: there is no such folder; never said by a storage that has no folders.
    """

    def __init__(self, files: Iterable[RemoteFile] = (), *, unread: Iterable[str] = (), is_missing: bool = False) -> None:
        super().__init__(files)
        self.unread = tuple(unread)
        self.is_missing = is_missing


def unread_line(text: str, reason: str) -> str:
    """Return what `unread` says of an entry: its line or its name, printable and of a limited length, and why it could not be read."""
    shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
    return f"{shown!r}: {reason}"


class StorageSpec(BaseModel, ABC):
    """A storage as the user defined it; holds no secret, only where to find it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    retry_for: str | Literal[0] = Field(
        default="15 minutes",
        description="How long a server that is away is tried again, with growing pauses, such as `2 hours`; 0 is never.",
    )
    retries: int | None = Field(
        default=None, ge=0, description="The older form: how often it is tried again at most, within `retry_for`; 0 is never."
    )

    @field_validator("retry_for")
    @classmethod
    def _is_a_span(cls, value: str | Literal[0]) -> str | Literal[0]:
        span_seconds(value)
        return value

    @property
    def retry_for_s(self) -> int:
        """For how many seconds after the first fault that may pass it is tried again; 0 is never."""
        return span_seconds(self.retry_for)

    @property
    def moves(self) -> bool:
        """What the storage's `moves` will be, told without a connection."""
        return True

    @property
    @abstractmethod
    def address(self) -> str:
        """Who and where the consumer is (host, account, user, bucket, root), as it is written: `{env: NAME}` stays so. Holds no secret."""

    def resolved_address(self, project_root: Path) -> str:
        """Return the address with its references read: a base belongs to one of these.

        Raises PermanentStorageError when a reference leads nowhere.
        """
        return self.address

    @abstractmethod
    def folder_problem(self, folder: str) -> str | None:
        """Return why this storage cannot take `folder`, or None."""

    @abstractmethod
    def connect(self, project_root: Path) -> Storage:
        """Return a connection to the storage, to be used as a context manager; secrets are resolved here."""


@dataclass(frozen=True)
class Upload:
    """A local file on its way to `remote_path`, of which nobody sees anything yet.

    `sent` is what its storage has of it, in the storage's own terms; None where that waits for the completion.
    """

    local_path: Path
    remote_path: str
    sha256: str | None
    sent: Any = None


class Storage(ABC):
    """An open connection, used by one thread at a time; every method raises TransientStorageError or PermanentStorageError only.

    After a TransientStorageError the connection may be of no more use: open another one for the next try.

    `moves`: whether a file can be put under one name and moved over another, so that no reader ever sees a part of it. Where
    it cannot, a file goes to its final name, as an upload that is completed after the publisher has recorded the intent.

    `publishes`: how a file appears there, for whoever tries the storage; None where that is the same on every server of the kind.
    """

    moves: bool
    publishes: str | None = None

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connection."""

    @abstractmethod
    def make_folder(self, remote_folder: str) -> None:
        """Make the folder and its parents; fine when it exists."""

    @abstractmethod
    def put(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> None:
        """Write the local file's bytes to `remote_path`: durable and verified when this returns.

        Verified by the best means that needs no read right. Overwrites what is there. Where `moves` is true it may leave a
        part when it raises, for the publisher to delete. `sha256` is the file's, where it is known: that saves a pass over it.
        """

    def upload(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> Upload:
        """Send what can be sent of a file before anybody sees it, for `complete` to do the rest of `put`.

        Any connection to the storage may do that. The local file stays as it is until then.
        """
        return Upload(local_path, remote_path, sha256)

    def complete(self, upload: Upload) -> None:
        """Let the file appear under its path, whole. An upload whose completion fails is over."""
        self.put(upload.local_path, upload.remote_path, sha256=upload.sha256)

    def abort(self, upload: Upload) -> None:  # noqa: B027 (most storages have nothing to give up)
        """Give up what was sent of a file that will not be completed."""

    @abstractmethod
    def read(self, remote_path: str, local_path: Path) -> None:
        """Copy the file to `local_path`, whole: as long as the storage says that it is.

        Overwrites what is there; may leave a part when it raises.
        """

    def read_listed(self, remote_path: str, local_path: Path, size: int) -> None:
        """Read a file that a listing shows with `size` bytes. LimitError where there are more: one byte more is taken at most."""
        self.read(remote_path, local_path)

    @abstractmethod
    def stat(self, remote_path: str) -> RemoteFile | None:
        """Return the file, or None when there is no such file; a folder is none."""

    def exists(self, remote_path: str) -> bool:
        """Return whether there is such a file."""
        return self.stat(remote_path) is not None

    def may_be(self, remote_path: str, size: int) -> bool:
        """Return whether there is such a file, of this size as far as the storage tells."""
        found = self.stat(remote_path)
        return found is not None and found.size in {None, size}

    def matches(self, remote_path: str, size: int, sha256: str) -> bool:
        """Return whether the file is there with this content: told by a checksum that the storage keeps, else by reading the file."""
        if not self.may_be(remote_path, size):
            return False
        # A file without a name, so that no killed process leaves a customer's rows in a folder for temporary files.
        with TemporaryFile() as copy:
            self.read(remote_path, Path(f"/dev/fd/{copy.fileno()}"))
            copy.seek(0)
            return hashlib.file_digest(copy, "sha256").hexdigest() == sha256

    @abstractmethod
    def move(self, remote_path: str, target_path: str) -> None:
        """Move a file over `target_path`, whether that exists or not.

        In one step; where the server knows none, the old file is removed just before.
        """

    @abstractmethod
    def delete(self, remote_path: str) -> None:
        """Delete the file; fine when it is gone already."""

    @abstractmethod
    def list(self, remote_folder: str) -> Listing:
        """Return the files directly in the folder, and what could not be read of it; empty when the folder does not exist.

        LimitError when they are too many to list, PermanentStorageError when nothing of what the server answers can be read.
        """
