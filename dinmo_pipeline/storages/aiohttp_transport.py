"""How aiohttp takes the answers of a store: within the limits, for the filesystems that stand on it."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import SocketTimeoutError, TCPConnector
from aiohttp.client_proto import ResponseHandler
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from dinmo_pipeline.storages.answers import CountedAnswer
from dinmo_pipeline.storages.intake import LimitBroken

# Timers may ring a moment before the clock says so.
_TICK_S = 0.01

_counted: ContextVar[CountedAnswer] = ContextVar("counted_answer")


@contextmanager
def counting(answer: CountedAnswer) -> Iterator[None]:
    """Count the answer to the request that is made meanwhile, by a session over a `bounded_connector`."""
    mark = _counted.set(answer)
    try:
        yield
    finally:
        _counted.reset(mark)


def bounded_connector(stalled_s: float) -> TCPConnector:
    """Make connections that count what they receive; call it on the event loop that they are for.

    A server that takes nothing of a request for `stalled_s` seconds is given up, for which aiohttp has no limit. Trusted is what this
    machine trusts, and what requests does, as `REQUESTS_CA_BUNDLE` says.
    """
    authorities = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    trusted = ssl.create_default_context()
    if Path(authorities).is_dir():
        trusted.load_verify_locations(capath=authorities)
    else:
        trusted.load_verify_locations(cafile=authorities)
    connector = TCPConnector(ssl=trusted)
    connector._factory = partial(_CountedConnection, stalled_s, loop=asyncio.get_running_loop())  # type: ignore[assignment]
    return connector


class _CountedConnection(ResponseHandler):
    """A connection of aiohttp's that ends itself when an answer breaks a limit."""

    def __init__(self, stalled_s: float, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._stalled_s = stalled_s
        self._stall: asyncio.TimerHandle | None = None
        self._count: CountedAnswer | None = None
        self._patience_s: float | None = None
        self._ended: Exception | None = None

    def set_response_params(self, *, read_timeout: float | None = None, **others: Any) -> None:
        # Called by the request itself, so in its context.
        self._count, self._patience_s = _counted.get(), read_timeout
        super().set_response_params(read_timeout=read_timeout, **others)

    def start_timeout(self) -> None:
        if self._count is not None:
            self._count.start()
        super().start_timeout()

    def data_received(self, data: bytes) -> None:
        # aiohttp itself calls it with nothing when it goes on unpacking.
        if not data or self._keeps_limits(lambda count: count.add(memoryview(data))):
            super().data_received(data)

    def _reschedule_timeout(self) -> None:
        if self._keeps_limits(self._shorten_patience):
            super()._reschedule_timeout()

    def _shorten_patience(self, count: CountedAnswer) -> None:
        left = count.seconds_left + _TICK_S
        self._read_timeout = left if self._patience_s is None else min(left, self._patience_s)

    def _on_read_timeout(self) -> None:
        if self._keeps_limits(lambda count: count.seconds_left):
            super()._on_read_timeout()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self._loop.call_later(self._stalled_s, self._end, SocketTimeoutError("the server takes nothing of the request"))

    def resume_writing(self) -> None:
        super().resume_writing()
        self._drop_stall()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._drop_stall()
        content = self._payload
        super().connection_lost(exc)
        if self._ended is not None and content is not None:
            # aiohttp says in its place that the content is not complete.
            content.set_exception(self._ended)

    def _keeps_limits(self, look: Callable[[CountedAnswer], object]) -> bool:
        if self._count is None or self._ended is not None:
            return self._ended is None
        try:
            look(self._count)
        except LimitBroken as error:
            self._end(error)
        return self._ended is None

    def _end(self, error: Exception) -> None:
        self._ended = error
        # Before the connection is lost, which would be the end of content whose length nobody told.
        self.set_exception(error)
        if self._payload is not None:
            self._payload.set_exception(error)
        if self.transport is not None:
            self.transport.abort()

    def _drop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
