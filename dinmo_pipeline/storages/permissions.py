"""What a storage does to a file on a server, in the words of its errors: what was being done, to what, and which right it takes."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self

from dinmo_pipeline.errors import PermanentStorageError


@dataclass(frozen=True)
class Action:
    """One kind of request. Both texts may name the `{path}`, its `{folder}`; `right` is what a partner is asked for."""

    doing: str
    right: str

    def described(self, remote_path: str, storage: str) -> str:
        """Return how an error begins: `could not write the file /in/a.csv on sftp://shop@host:22 (storage partner)`."""
        return f"could not {self.doing.format(path=remote_path or '.')} on {storage}"

    def missing_right(self, remote_path: str) -> str:
        """Return what to ask for, about this very path."""
        return self.right.format(path=remote_path or ".", folder=posixpath.dirname(remote_path) or ".")


MAKE_FOLDER = Action("make the folder {path}", "the right to make folders in {folder}, or a folder {path} made by the server's owner")
WRITE = Action("write the file {path}", "the right to create and write files in the folder {folder}")
OVERWRITE = Action("write the file {path}", "the right to overwrite the file {path}, which exists already")
READ = Action("read the file {path}", "the right to read the file {path}")
LOOK = Action("look at the file {path}", "the right to enter the folder {folder}")
MOVE = Action(
    "move the file to {path}",
    "the right to rename files in the folder {folder} and to overwrite {path}; without it set `publish: direct`, which "
    "writes in place, for deliveries, and `after_import: leave` for an inbox",
)
DELETE = Action("delete the file {path}", "the right to delete files in the folder {folder}")
LIST = Action("list the folder {path}", "the right to list the folder {path}")

MOVE_ATTEMPTS = 5
"""How often the old file is removed and the new one renamed, where that takes two requests and somebody may put a file in between."""


class LocalFile:
    """A file of this machine that is being sent or received. Its own faults are PermanentStorageError: they are not the server's."""

    def __init__(self, local_path: Path, mode: Literal["rb", "wb"]) -> None:
        self._local_path = local_path
        try:
            self._stream: BinaryIO = local_path.open(mode, buffering=0)
            self.size = os.fstat(self._stream.fileno()).st_size
        except OSError as error:
            raise self._fault(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()

    @property
    def stream(self) -> BinaryIO:
        """The open file itself."""
        return self._stream

    def read_at(self, position: int, length: int) -> bytes:
        """Return `length` bytes from `position`, all of them: a file that became shorter is an error."""
        try:
            block = os.pread(self._stream.fileno(), length, position)
        except OSError as error:
            raise self._fault(error) from error
        if len(block) < length:
            raise PermanentStorageError(
                f"{self._local_path} became shorter while it was being sent: {position + len(block):,} bytes instead of {self.size:,}; "
                "something else writes there; start the sync again"
            )
        return block

    def write_at(self, position: int, block: bytes) -> None:
        """Write the block at `position`."""
        try:
            while block:
                written = os.pwrite(self._stream.fileno(), block, position)
                position, block = position + written, block[written:]
        except OSError as error:
            raise self._fault(error) from error

    def _fault(self, error: OSError) -> PermanentStorageError:
        return PermanentStorageError(f"could not use the local file {self._local_path}: {error.strerror}; mend that and start again")
