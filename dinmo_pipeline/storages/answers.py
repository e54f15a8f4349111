"""Limits of what a store answers over HTTP: each byte is counted when it comes, before a client library keeps it or waits for the next.

boto3, Google's and Azure's clients all stand on urllib3: its connections are given a socket whose bytes are counted.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from xml.parsers import expat

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

from dinmo_pipeline.intake_limits import IntakeLimits
from dinmo_pipeline.storages.intake import AnswerCount, LimitBroken, ListingCount, TransferCount

_STATUS = slice(9, 10)
"""Where the first digit of the status stands in an answer, which begins as `HTTP/1.1 200`."""
FIRST_ERROR = 300
"""The HTTP statuses from here on are of answers without what was asked for."""
_MOST_DIGITS = 30
_MOST_ENDS = 100
"""How often the end may be read: botocore reads on for ever where a server hangs up after its `100 Continue`."""


class Answers:
    """The limits of all answers that one client gets; `counted_by` says what they are about."""

    def __init__(self, limits: IntakeLimits) -> None:
        self.limits = limits
        self.action: ListingCount | TransferCount | None = None
        self._broken: LimitBroken | None = None

    @contextmanager
    def counted_by(self, action: ListingCount | TransferCount | None) -> Iterator[None]:
        """Count the answers of a whole listing, or of a file that is read, or, for None, each by itself."""
        before, self.action, self._broken = self.action, action, None
        try:
            yield
        finally:
            self.action = before

    def begin(self) -> AnswerCount:
        """The count of the next answer. LimitBroken where one was too much: the libraries would ask again."""
        if self._broken is not None:
            raise self._broken
        if isinstance(self.action, ListingCount):
            # Azure's client passes over a page without entries and asks for the next one, on and on.
            self.action.add_entries()
        return AnswerCount(self.limits, self.action)

    def end(self, broken: LimitBroken) -> None:
        """Ask for nothing more in this action."""
        self._broken = broken

    def pool_classes(self, http: type[HTTPConnectionPool], https: type[HTTPSConnectionPool]) -> dict[str, type[HTTPConnectionPool]]:
        """Classes for a manager's `pool_classes_by_scheme`, made of these, whose connections count what they receive."""
        return {"http": self._counting(http), "https": self._counting(https)}

    def _counting(self, pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        answers = self
        plain: Any = pool.ConnectionCls

        class Connection(plain):  # type: ignore[misc]
            sock: Any

            def connect(self) -> None:
                super().connect()
                self.sock = _CountedSocket(self.sock, answers)

        return type(f"Counted{pool.__name__}", (pool,), {"ConnectionCls": Connection})


class _CountedSocket:
    """A socket whose answers are counted: http.client makes a file of it for each of them."""

    def __init__(self, plain: Any, answers: Answers) -> None:
        self._plain = plain
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def makefile(self, mode: str, buffering: int = io.DEFAULT_BUFFER_SIZE) -> io.BufferedReader | io.RawIOBase:
        """The next answer, for reading."""
        answer = _Answer(self._plain.makefile(mode, buffering=0), self._plain, self._answers)
        return io.BufferedReader(answer, buffering) if buffering > 1 else answer


class _Answer(io.RawIOBase):
    """The bytes of one answer."""

    def __init__(self, plain: io.RawIOBase, connection: Any, answers: Answers) -> None:
        self._plain = plain
        self._connection = connection
        self._answers = answers
        self._count = answers.begin()
        self._began = b""
        self._ends = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        try:
            return self._receive(buffer)
        except LimitBroken as error:
            self._answers.end(error)
            raise

    def _receive(self, buffer: Any) -> int | None:
        left, allowed = self._count.seconds_left, self._connection.gettimeout()
        if allowed is None or left < allowed:
            self._connection.settimeout(left)
        try:
            count = self._plain.readinto(buffer)
        except TimeoutError:
            _ = self._count.seconds_left
            raise
        if not count:
            self._ends += 1
            if self._ends > _MOST_ENDS:
                raise ConnectionAbortedError("the server hung up")
            return count
        if len(self._began) < _STATUS.stop:
            self._began += bytes(memoryview(buffer)[: min(count, _STATUS.stop)])
        self._count.add(count, is_content=self._began[_STATUS] == b"2")
        return count

    def close(self) -> None:
        self._plain.close()
        super().close()


def count_unpacked(response: Any, answers: Answers) -> None:
    """Have what a packed answer becomes counted, too, while requests unpacks it; `response` is one of requests'.

    LimitBroken where it says that it is longer than may be kept: Azure's client makes room for that in memory before it has come.
    """
    length = response.headers.get("Content-Length", "")
    if length.isascii() and length.isdigit():
        # More digits than that are no length, and cost time.
        AnswerCount(answers.limits, answers.action).check(int(length[:_MOST_DIGITS]), is_content=response.status_code < FIRST_ERROR)
    response.raw.stream = partial(_unpacked, response.raw.stream, AnswerCount(answers.limits, None))


def _unpacked(stream: Any, count: AnswerCount, *arguments: Any, **options: Any) -> Iterator[bytes]:
    # requests asks by name, for what is unpacked; what is kept as it came is not kept in memory.
    unpacks = options.get("decode_content", False)
    for piece in stream(*arguments, **options):
        if unpacks:
            count.add(len(piece))
        yield piece


def refuse_document_type(content: bytes) -> None:
    """LimitBroken where an XML answer declares entities, by which a small one may become a hundred times as large in memory."""

    class Told(Exception):
        pass

    def end(*_: object) -> None:
        raise Told

    def refuse(*_: object) -> None:
        raise LimitBroken("the answer has a document type, which no store sends", "look at what answers there; correct the address")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = end
    try:
        parser.Parse(content, True)
    except (Told, expat.ExpatError):
        # What is no XML is for the library to tell.
        return
