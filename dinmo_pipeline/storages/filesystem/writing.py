"""Writing a file of this machine to an fsspec filesystem, so that what breaks off is never completed by and by."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dinmo_pipeline.storages.filesystem.calls import Pulse
from dinmo_pipeline.storages.permissions import LocalFile

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

BLOCK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Uncommitted:
    """A file that was written and is not shown; its library's own object knows how."""

    file: Any
    size: int


def write_to(fs: AbstractFileSystem, path: str, source: LocalFile, pulse: Pulse) -> Any:
    """Write all of `source` to a file, which is returned still open; each block is a sign of life."""
    stream = _Source(source, pulse)
    put = getattr(fs, "put_stream", None)
    if put is not None:
        put(stream, path, source.size)
        return stream
    file = fs.open(path, "wb")
    try:
        while block := stream.read(BLOCK_BYTES):
            file.write(block)
        return file
    except BaseException:  # an interrupt, too, must leave nothing that a library completes by and by
        _abandon(file)
        raise


class _Source(io.RawIOBase):
    """A file of this machine, read from its beginning; each block is a sign of life."""

    def __init__(self, source: LocalFile, pulse: Pulse) -> None:
        self._source = source
        self._pulse = pulse
        self._position = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self._pulse.beat()
        left = self._source.size - self._position
        block = self._source.read_at(self._position, left if size < 0 else min(size, left))
        self._position += len(block)
        return block


def _abandon(file: Any) -> None:
    """Give up a half-written file: closed in the usual way, or by the interpreter later, it would be completed."""
    with suppress(Exception):
        file.discard()
    with suppress(Exception):
        file.closed = True
