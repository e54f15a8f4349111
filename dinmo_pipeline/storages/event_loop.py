"""Work of asynchronous filesystems, waited for by the thread that asks for it: on fsspec's event loop, which a forked child has anew."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from dinmo_pipeline.storages.intake import AnswerCount, ListingCount, TransferCount

T = TypeVar("T")

# Timers may ring a moment before the clock says so.
_TICK_S = 0.01


def run_on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`, or its exception; work is cancelled when the waiting caller is interrupted.

    fsspec's `sync` lets it go on then, and returns None for work that was cancelled: a file that never left would count as sent.
    """
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    finally:
        future.cancel()


def blocking(method: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., T]:
    """Make a filesystem's coroutine a method that waits for it. RuntimeError in a process forked since: make a new filesystem there."""

    @functools.wraps(method)
    def wait(self: Any, *arguments: Any, **options: Any) -> T:
        loop: asyncio.AbstractEventLoop = self.loop
        return run_on(loop, method(self, *arguments, **options))

    return wait


@asynccontextmanager
async def in_time(count: AnswerCount | ListingCount | TransferCount) -> AsyncIterator[None]:
    """End what is done here when the time is over that `count` leaves, with LimitBroken."""
    try:
        async with asyncio.timeout(count.seconds_left + _TICK_S):
            yield
    except TimeoutError:
        _ = count.seconds_left
        raise
