"""What a WebDAV server tells of files (RFC 4918, `multistatus`): read while it comes, so that what is odd of one file is of that alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from xml.parsers import expat

from dinmo_pipeline.storages.intake import LimitBroken

_MOST_LEVELS = 100
# A 64-bit number has no more.
_MOST_DIGITS = 20
_ADVICE = "look at what answers there; correct the address"
_RESPONSE, _COLLECTION = "DAV: response", "DAV: collection"
_TEXTS = {f"DAV: {name}" for name in ("href", "status", "getcontentlength", "getlastmodified")}
# A `response` stands in the root, its address in itself, and its facts in `propstat` and `prop`.
_RESPONSE_LEVEL = 2


@dataclass(frozen=True, slots=True)
class Told:
    """One answer of several: the address as the server writes it, and what it tells of it, each fact None where it tells none.

    `status` is 0 where it is not told for the whole.
    """

    href: str
    size: int | None
    modified: datetime | None
    is_folder: bool
    status: int


def told(blocks: Iterable[bytes]) -> Iterator[Told]:
    """Yield the answers in a document that comes in blocks.

    LimitBroken where it is built to take memory or time, ValueError where it is none.
    """
    reading = _Reading()
    for block in blocks:
        reading.feed(block)
        yield from reading.take()
    reading.feed(b"", is_last=True)
    yield from reading.take()


class _Reading:
    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = _refuse_document_type
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._read
        self._level = 0
        self._facts: dict[str, str] | None = None
        self._text: list[str] | None = None
        self._found: list[Told] = []

    def feed(self, block: bytes, *, is_last: bool = False) -> None:
        try:
            self._parser.Parse(block, is_last)
        except expat.ExpatError as error:
            raise ValueError(f"the server's answer is no XML: {error}") from None

    def take(self) -> list[Told]:
        found, self._found = self._found, []
        return found

    def _begin(self, name: str, _: object) -> None:
        self._level += 1
        if self._level > _MOST_LEVELS:
            raise LimitBroken(f"the answer is nested more than {_MOST_LEVELS} levels deep", _ADVICE)
        if name == _RESPONSE and self._level == _RESPONSE_LEVEL:
            self._facts = {}
        elif self._facts is not None and name == _COLLECTION:
            self._facts[name] = ""
        self._text = [] if name in _TEXTS else None

    def _read(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, name: str) -> None:
        facts, text, self._text = self._facts, "".join(self._text or ()).strip(), None
        if facts is not None and text and not (name.endswith(" status") and self._level != _RESPONSE_LEVEL + 1):
            # What the server has not it tells in a second, empty place.
            facts.setdefault(name, text)
        if facts is not None and self._level == _RESPONSE_LEVEL:
            self._found.append(_told(facts))
            self._facts = None
        self._level -= 1


def _told(facts: dict[str, str]) -> Told:
    return Told(
        href=facts.get("DAV: href", ""),
        size=_number(facts.get("DAV: getcontentlength", "")),
        modified=_instant(facts.get("DAV: getlastmodified", "")),
        is_folder=_COLLECTION in facts,
        status=_number(facts.get("DAV: status", "").partition(" ")[2][:3]) or 0,
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def _instant(text: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(text)
        return instant.astimezone(UTC) if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        # A text that is no time of this world is for this file alone.
        return None


def _refuse_document_type(*_: object) -> None:
    raise LimitBroken("the answer has a document type, which no server of files sends", _ADVICE)
