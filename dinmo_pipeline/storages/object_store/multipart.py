"""A local file sent in blocks, several of them under way at once, in little memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from dinmo_pipeline.errors import PermanentStorageError

T = TypeVar("T")

BLOCK_SIZE = 16 * 1024 * 1024
IN_FLIGHT = 6


def block_size(size: int, *, most_blocks: int) -> int:
    """Return the bytes of a block, so that a file of `size` bytes has no more than `most_blocks`."""
    return max(BLOCK_SIZE, -(-size // most_blocks))


def send_blocks(local_path: Path, size: int, block: int, send: Callable[[int, bytes], T]) -> list[T]:
    """Return what `send` returned for each block of the file, in order.

    `send` gets the block's index and its bytes, in other threads. Its first error ends the work: no further block is
    begun, those under way are waited for. Raises PermanentStorageError when the file has not the `size` that it had.
    """

    def send_one(index: int) -> T:
        return send(index, read_piece(local_path, size, index * block, block))

    pool = ThreadPoolExecutor(IN_FLIGHT)
    try:
        futures = [pool.submit(send_one, index) for index in range(-(-size // block))]
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:
        pool.shutdown(cancel_futures=True)
    # Blocks are begun in order: one that failed comes before all that were cancelled.
    answers = [future.result() for future in futures]
    check_unchanged(local_path, size)
    return answers


async def in_flight(count: int, work: Callable[[int], Awaitable[T]]) -> list[T]:
    """Return what `work` returned for each number up to `count`, in order; IN_FLIGHT of them are under way at once.

    The first error ends the work: nothing further is begun, what is under way is waited for.
    """
    numbers, results, is_over = iter(range(count)), dict[int, T](), False

    async def one_after_another() -> None:
        nonlocal is_over
        try:
            for number in numbers:
                results[number] = await work(number)
                if is_over:
                    return
        except BaseException:  # a cancellation, too, ends the other workers after their current block
            is_over = True
            raise

    tasks = [asyncio.ensure_future(one_after_another()) for _ in range(min(count, IN_FLIGHT))]
    try:
        await asyncio.gather(*tasks)
    finally:
        is_over = True
        await asyncio.gather(*tasks, return_exceptions=True)
    return [results[number] for number in range(count)]


def check_unchanged(local_path: Path, size: int) -> None:
    """Raise PermanentStorageError where the file has not the `size` that it had."""
    if (length := local_path.stat().st_size) != size:
        raise _size_changed(local_path, size, length)


def read_piece(local_path: Path, size: int, position: int, count: int) -> bytes:
    """Return `count` bytes from `position` on, fewer where the file's `size` bytes end.

    PermanentStorageError when the file ends before them.
    """
    expected = min(count, size - position)
    with local_path.open("rb") as stream:
        stream.seek(position)
        piece = stream.read(expected)
    if len(piece) < expected:
        raise _size_changed(local_path, size, position + len(piece))
    return piece


def _size_changed(local_path: Path, size: int, read: int) -> PermanentStorageError:
    return PermanentStorageError(
        f"could not send {local_path}: it had {size:,} bytes and {read:,} could be read; something else writes there"
    )
