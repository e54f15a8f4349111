"""A local file sent in blocks, several of them under way at once, in little memory."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from dinmo_pipeline.errors import PermanentStorageError

T = TypeVar("T")

BLOCK_SIZE = 16 * 1024 * 1024
IN_FLIGHT = 4


def block_size(size: int, *, most_blocks: int) -> int:
    """Bytes a block, so that a file of `size` bytes has no more than `most_blocks`."""
    return max(BLOCK_SIZE, -(-size // most_blocks))


def send_blocks(local_path: Path, size: int, block: int, send: Callable[[int, bytes], T]) -> list[T]:
    """What `send` returned for each block of the file, in order.

    `send` gets the block's index and its bytes, in other threads. Its first error ends the work: no further block is
    begun, those under way are waited for. Raises PermanentStorageError when the file has not the `size` that it had.
    """
    answers: list[T] = []
    running: deque[Future[T]] = deque()
    read = 0
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for index, piece in enumerate(_pieces(local_path, block)):
            read += len(piece)
            if len(running) == IN_FLIGHT:
                answers.append(running.popleft().result())
            running.append(pool.submit(send, index, piece))
        answers += [future.result() for future in running]
    if read != size:
        raise size_changed(local_path, size, read)
    return answers


def size_changed(local_path: Path, size: int, read: int) -> PermanentStorageError:
    """What to raise when a file of `size` bytes ends after another number of them."""
    return PermanentStorageError(
        f"could not send {local_path}: it had {size:,} bytes and {read:,} could be read; something else writes there"
    )


def sha256_of(local_path: Path) -> str:
    """The SHA-256 of the file's bytes, in hexadecimal."""
    with local_path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _pieces(local_path: Path, block: int) -> Iterator[bytes]:
    with local_path.open("rb") as stream:
        while piece := stream.read(block):
            yield piece
