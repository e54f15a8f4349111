"""Limits of what a store answers over HTTP: each byte is counted when it comes, before a client library keeps it or waits for the next.

boto3, Azure's client and Google's tokens stand on urllib3: its connections are given a socket whose bytes are counted. What stands on
aiohttp counts in its connections (`aiohttp_transport`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from xml.parsers import expat

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

from dinmo_pipeline.counted_sockets import CountedSocket
from dinmo_pipeline.intake_limits import IntakeLimits
from dinmo_pipeline.storages.intake import AnswerCount, LimitBroken, ListingCount, TransferCount

_CONTENT = (b"HTTP/1.1 2", b"HTTP/1.0 2")
"""How an answer with what was asked for begins; of any other the length is limited."""
_HEAD_BYTES = len(_CONTENT[0])
FIRST_ERROR = 300
"""The HTTP statuses from here on are of answers without what was asked for."""
_MOST_DIGITS = 30


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
        """Return the count of the next answer. LimitBroken where one was too much: the libraries would ask again."""
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
        """Return classes for a manager's `pool_classes_by_scheme`, made of these, whose connections count what they receive."""
        return {"http": self._counting(http), "https": self._counting(https)}

    def _counting(self, pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        answers = self
        plain: Any = pool.ConnectionCls

        class Connection(plain):  # type: ignore[misc]
            sock: Any

            def connect(self) -> None:
                super().connect()
                self.sock = CountedSocket(self.sock, lambda: CountedAnswer(answers))

        return type(f"Counted{pool.__name__}", (pool,), {"ConnectionCls": Connection})


class CountedAnswer:
    """The count of one answer, by whose status it is told whether it is a file's content."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._count = answers.begin()
        self._head = b""

    @property
    def seconds_left(self) -> float:
        with self._ending():
            return self._count.seconds_left

    def start(self) -> None:
        """Count its seconds from now on: the request has been sent."""
        self._count.start()

    def add(self, block: memoryview) -> None:
        if len(self._head) < _HEAD_BYTES:
            self._head += bytes(block[: _HEAD_BYTES - len(self._head)])
        with self._ending():
            self._count.add(len(block), is_content=self._head in _CONTENT)

    @contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            yield
        except LimitBroken as error:
            self._answers.end(error)
            raise


def count_unpacked(response: Any, answers: Answers) -> None:
    """Have what a packed answer becomes counted, too, while requests unpacks it; `response` is one of requests'.

    LimitBroken where it says that it is longer than may be kept: Azure's client makes room for that in memory before it has come.
    """
    length = response.headers.get("Content-Length", "")
    # The answer to HEAD tells the length of a file that it does not bring.
    if response.request.method != "HEAD" and length.isascii() and length.isdigit():
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
    """Raise LimitBroken where an XML answer declares entities, by which a small one may become a hundred times as large in memory."""

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
