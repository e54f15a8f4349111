"""What a storage is: a place that files are published to, told apart by capability and never by type.

Remote paths are slash-separated text, absolute or relative to the storage's own start. Each storage is one
module; `storages.STORAGES` lists them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True)
class RemoteFile:
    """A file as the storage lists it: its name in the folder and its size in bytes."""

    name: str
    size: int


class StorageSpec(BaseModel, ABC):
    """A storage as the user defined it; holds no secret, only where to find it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str

    @property
    @abstractmethod
    def address(self) -> str:
        """Who and where the consumer is (host, account, user, bucket, root): a base belongs to one address."""

    @abstractmethod
    def folder_problem(self, folder: str) -> str | None:
        """Why this storage cannot take `folder`, or None."""

    @abstractmethod
    def connect(self, project_root: Path) -> Storage:
        """A connection to the storage, to be used as a context manager; secrets are resolved here."""


class Storage(ABC):
    """An open connection. Every method raises TransientStorageError or PermanentStorageError and nothing else.

    `moves`: whether a file can be moved over another one in one step. Where it cannot, each put is whole by
    itself and the publisher records the intent before the first put.
    """

    moves: bool

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connection."""

    @abstractmethod
    def make_folder(self, remote_folder: str) -> None:
        """Make the folder and its parents; fine when it exists."""

    @abstractmethod
    def put(self, local_path: Path, remote_path: str) -> None:
        """Write the local file's bytes to `remote_path`: durable when this returns, and verified by the best means without a read right.

        Overwrites what is there. Where `moves` is true it may leave a part when it raises; where it is false a reader never sees one.
        """

    @abstractmethod
    def size(self, remote_path: str) -> int | None:
        """The file's size in bytes, or None when there is no such file."""

    @abstractmethod
    def matches(self, remote_path: str, size: int, sha256: str) -> bool:
        """Whether the file is there with this content, as surely as the storage can tell without a download."""

    @abstractmethod
    def move(self, remote_path: str, target_path: str) -> None:
        """Move a file over `target_path` in one step, whether that exists or not."""

    @abstractmethod
    def delete(self, remote_path: str) -> None:
        """Delete the file; fine when it is gone already."""

    @abstractmethod
    def list(self, remote_folder: str) -> Sequence[RemoteFile]:
        """The files directly in the folder; empty when the folder does not exist."""
