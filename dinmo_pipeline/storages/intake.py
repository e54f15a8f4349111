"""What a server may send at most: counted while it comes, so that neither memory, disk nor time is filled by one that never ends."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from dinmo_pipeline.errors import LimitError
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits, how_to_raise
from dinmo_pipeline.storages.base import Listing, RemoteFile

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

T = TypeVar("T")

_MEGABYTE = 1_000_000
# How often the disk is asked for its free room.
_ROOM_STEP_BYTES = 16 * 1024 * 1024
# What client libraries hold before it is written: blocks of several requests at once.
_MOST_UNWRITTEN_BYTES = 128 * 1024 * 1024


class LimitBroken(ValueError):
    """More came than is taken: what was found, and what to do about it, to stand between what was being done and the end of a sentence."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(f"{found}; {advice}")

    def error(self, what: str) -> LimitError:
        """Return the same as the storage raises it: `what` was being done."""
        return LimitError(f"{what}: {self}")


def broken(found: str, limit: str, advice: str = "ask its owner why") -> LimitBroken:
    """Return what breaks the limit of this name: the words of what was `found` hold its number."""
    return LimitBroken(found, f"{advice}, or {how_to_raise(limit)}")


class ListingCount:
    """Counts one listing while it comes; each method raises LimitBroken where that is too much.

    `is_one_answer`: the server sends all of it in one answer, which may be as long as a listing.
    """

    def __init__(self, limits: IntakeLimits = DEFAULT_LIMITS, *, is_one_answer: bool = False) -> None:
        self.is_one_answer = is_one_answer
        self._limits = limits
        self._bytes = self._entries = 0
        self._began = time.monotonic()

    @property
    def seconds_left(self) -> float:
        """Until when it must have come; LimitBroken when that is over."""
        left = self._limits.listing_seconds - (time.monotonic() - self._began)
        if left <= 0:
            raise broken(f"it takes longer than {self._limits.listing_seconds:,} seconds", "listing_seconds")
        return left

    def add_bytes(self, count: int) -> None:
        """Count so many bytes more."""
        self._bytes += count
        if self._bytes > self._limits.listing_bytes:
            raise broken(f"the listing is longer than {self._limits.listing_bytes:,} bytes", "listing_bytes")

    def add_entries(self, count: int = 1) -> None:
        """Count so many entries more, and look at the time."""
        self._entries += count
        if self._entries > self._limits.listing_entries:
            advice = "move most of them to another folder, and back a part at a time"
            raise broken(f"more than {self._limits.listing_entries:,} entries lie there", "listing_entries", advice)
        _ = self.seconds_left


def counted(entries: Iterable[T], count: ListingCount) -> Iterator[T]:
    """Yield the entries, each of which is counted when it is asked for."""
    for entry in entries:
        count.add_entries()
        yield entry


class Received(io.FileIO):
    """A local file that bytes of a server are written to, in any order: each is counted, and LimitBroken raised where they are too many."""

    def __init__(self, stream: BinaryIO, count: TransferCount) -> None:
        super().__init__(stream.fileno(), "wb", closefd=False)
        self._count = count
        self.size = 0

    def expect(self, size: int) -> None:
        """Be told by the server how long the file is: there must be room for it, and no more may come."""
        self._count.expect(size, is_most=True)
        self.size = size

    def write(self, block: ReadableBuffer) -> int:
        self._count.add_written(memoryview(block).nbytes)
        return super().write(block)


def counted_listing(files: Iterable[RemoteFile | None], count: ListingCount) -> Listing:
    """Return the files of a listing of files and of other entries, which stand there as None.

    All of them are counted, and the files' names.
    """
    found = Listing()
    for file in counted(files, count):
        if file is not None:
            count.add_bytes(len(file.name))
            found.append(file)
    return found


class TransferCount:
    """Counts the bytes of one file that is read from a server; raises LimitBroken where they are too many, or too slow.

    `descriptor` is that of the file that it is written to, None where it stays in memory. `listed` is the size in the folder's listing,
    None where it is unknown. `most_kept` bytes of it may come in one answer, where a client library keeps that whole. Several threads may
    use it.
    """

    def __init__(
        self, descriptor: int | None, limits: IntakeLimits = DEFAULT_LIMITS, *, listed: int | None = None, most_kept: int | None = None
    ) -> None:
        self.most_kept = most_kept
        self._descriptor = descriptor
        self._limits = limits
        self._listed = listed
        self._arrived = self._written = 0
        self._room_asked_at = 0
        self._began = time.monotonic()
        self._lock = Lock()

    @property
    def seconds_left(self) -> float:
        """Until when the next byte must come; LimitBroken when that is over."""
        allowed = self._limits.seconds_per_megabyte * (1 + self._arrived / _MEGABYTE)
        left = allowed - (time.monotonic() - self._began)
        if left <= 0:
            found = f"it came slower than a megabyte in {self._limits.seconds_per_megabyte:,} seconds: {self._arrived:,} bytes"
            raise broken(f"{found} in {time.monotonic() - self._began:,.0f} seconds", "seconds_per_megabyte", "look at the network")
        return left

    def expect(self, size: int | None, *, is_most: bool = False) -> None:
        """Be told by the server how long the file is, None where it does not tell: there must be room for it.

        `is_most`: no more than that may come.
        """
        if size is not None:
            self._check_size(size)
            self._check_room(size)
            if is_most and self._listed is None:
                self._listed = size

    def add(self, count: int) -> None:
        """Count so many bytes that have come, before they are written."""
        self.add_arrived(count)
        self.add_written(count)

    def add_arrived(self, count: int) -> None:
        """Count so many bytes, and look at the time."""
        with self._lock:
            self._arrived += count
            arrived, written = self._arrived, self._written
        if arrived > 2 * written + _MOST_UNWRITTEN_BYTES + (self.most_kept or 0):
            found = f"{arrived:,} bytes came, of which {written:,} are the file's"
            raise LimitBroken(found, "what answers there sends no file; look at it there")
        _ = self.seconds_left

    def add_written(self, count: int) -> None:
        """Count so many bytes of the file, before they are written."""
        with self._lock:
            self._written += count
            asks = self._written - self._room_asked_at >= _ROOM_STEP_BYTES or not self._room_asked_at
            if asks:
                self._room_asked_at = self._written
        self._check_size(self._written)
        if asks:
            self._check_room(count)

    def _check_size(self, size: int) -> None:
        if self._listed is not None and size > self._listed:
            found = f"the listing shows it with {self._listed:,} bytes, and the server has more: {size:,}"
            raise LimitBroken(found, "it is still being written, or the server does not say what it has; look at it there")

    def _check_room(self, needed: int) -> None:
        if self._descriptor is None:
            return
        disk = os.fstatvfs(self._descriptor)
        free = disk.f_bavail * disk.f_frsize
        if self._limits.free_disk_bytes and free - needed < self._limits.free_disk_bytes:
            found = (
                f"it takes {needed:,} bytes more, and this machine's disk has {free:,} free, of which {self._limits.free_disk_bytes:,} stay"
            )
            raise LimitBroken(found, "free some room, or lower free_disk_bytes in [tool.dinmo.limits] of pyproject.toml")


class AnswerCount:
    """Counts one answer of an object store; `action` is what it is about: a listing, a file that is read, None for anything else."""

    def __init__(self, limits: IntakeLimits, action: ListingCount | TransferCount | None) -> None:
        self._limits = limits
        self._action = action
        self._began = time.monotonic()
        self._bytes = 0

    @property
    def seconds_left(self) -> float:
        """Until when the next byte must come; LimitBroken when that is over."""
        if isinstance(self._action, TransferCount):
            return self._action.seconds_left
        if isinstance(self._action, ListingCount) and self._action.is_one_answer:
            return self._action.seconds_left
        left = self._limits.answer_seconds - (time.monotonic() - self._began)
        if left <= 0:
            raise broken(f"the server's answer takes longer than {self._limits.answer_seconds:,} seconds", "answer_seconds")
        return left if self._action is None else min(left, self._action.seconds_left)

    def start(self) -> None:
        """Count its seconds from now on."""
        self._began = time.monotonic()

    def add(self, count: int, *, is_content: bool = False) -> None:
        """Count so many bytes more. `is_content`: they belong to the file, where one is read."""
        self._bytes += count
        if isinstance(self._action, TransferCount):
            self._action.add_arrived(count)
        if is_content and isinstance(self._action, ListingCount) and self._action.is_one_answer:
            self._action.add_bytes(count)
        else:
            self.check(self._bytes, is_content=is_content)
        _ = self.seconds_left

    def check(self, length: int, *, is_content: bool = False) -> None:
        """Raise LimitBroken where an answer of this length is too long."""
        most: int | None = self._limits.answer_bytes
        if is_content and isinstance(self._action, TransferCount):
            most = self._action.most_kept
        if most is not None and length > most:
            raise broken(f"the server's answer is longer than {most:,} bytes", "answer_bytes")
