"""One event loop in a thread of its own, for storages whose library is asynchronous.

It runs all the time, so that connections are kept alive between two requests; a daemon, so that it holds up no exit.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_owner: int | None = None


def run_in_background(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`, or its exception; work is cancelled when the waiting caller is interrupted."""
    future = asyncio.run_coroutine_threadsafe(work, _running_loop())
    try:
        return future.result()
    finally:
        future.cancel()


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop, _owner
    with _lock:
        # A forked child inherits the loop without the thread that runs it.
        if _loop is None or _owner != os.getpid():
            _loop, _owner = asyncio.new_event_loop(), os.getpid()
            threading.Thread(target=_loop.run_forever, name="dinmo-storages", daemon=True).start()
        return _loop
