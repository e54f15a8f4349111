"""Sockets whose bytes are counted while they come, for libraries of Python that know no end of an answer's length and time."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Protocol

_MOST_ENDS = 100
"""How often the end may be read: botocore reads on for ever where a server hangs up after its `100 Continue`."""


class Count(Protocol):
    """What decides on the bytes; whatever it raises goes through the library to its caller."""

    @property
    def seconds_left(self) -> float:
        """For how long the next byte may be waited for; raises where that is over."""

    def add(self, block: memoryview) -> None:
        """Count what came; raises where it is too much."""


class CountedSocket:
    """A socket of which libraries make files to read from; `begin` gives the count of the next one. In all else it is `plain`."""

    def __init__(self, plain: Any, begin: Callable[[], Count]) -> None:
        self._plain = plain
        self._begin = begin

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def makefile(self, mode: str, buffering: int = io.DEFAULT_BUFFER_SIZE) -> io.BufferedReader | io.RawIOBase:
        """Return what comes from now on, for reading."""
        reading = _Reading(self._plain.makefile(mode, buffering=0), self._plain, self._begin())
        return io.BufferedReader(reading, buffering) if buffering > 1 else reading


class _Reading(io.RawIOBase):
    def __init__(self, plain: io.RawIOBase, connection: Any, count: Count) -> None:
        self._plain = plain
        self._connection = connection
        self._count = count
        self._ends = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left, allowed = self._count.seconds_left, self._connection.gettimeout()
        if allowed is None or left < allowed:
            self._connection.settimeout(left)
        try:
            length = self._plain.readinto(buffer)
        except TimeoutError:
            _ = self._count.seconds_left
            raise
        if length:
            self._count.add(memoryview(buffer)[:length])
            return length
        self._ends += 1
        if self._ends > _MOST_ENDS:
            raise ConnectionAbortedError("the server hung up")
        return length

    def close(self) -> None:
        self._plain.close()
        super().close()
