"""Strict JSON (RFC 8259): an object's members as they are written, and what is wrong with a text that is no such object."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

TOO_EARLY: Final = "is no JSON: it ends too early"

Members = dict[str, Raw]

# More than the parser takes itself.
_TOO_DEEP = "is nested deeper than can be read"
_MEMBERS = msgspec.json.Decoder(Members)
_ELEMENTS = msgspec.json.Decoder(list[Raw])
_WORDS = re.compile(r"JSON is malformed: (?P<reason>.*) \(byte (?P<byte>\d+)\)")
_HALF_PAIR = re.compile(rb"(?<!\\)(?:\\\\)*(\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|[c-fC-F]..))", re.DOTALL)
_ESCAPED_COLON = b"\\u003"
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(rb"[\[\]{}]")


class JsonFault(ValueError):
    """What is wrong with a JSON text, to follow its name in a sentence; `byte` is where, from 0, where that can be told."""

    def __init__(self, reason: str, byte: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.byte = byte


class NoObject(JsonFault):
    """The text is JSON, but no object."""


def members(text: bytes, levels: int) -> Members:
    """Return the members of the object that `text` is, each as it is written.

    JsonFault where it is none, repeats a name or has more `levels`.
    """
    found = plain_members(text)
    check_nesting([text], levels)
    return found


def plain_members(text: bytes) -> Members:
    """Return what `members` does, but of a repeated name the last counts, and any depth that can be read will do."""
    try:
        return _MEMBERS.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _fault(error, text) from error


def elements(text: bytes) -> list[Raw]:
    """Return the elements of the array that `text` is, each as it is written; JsonFault where it is none."""
    try:
        return _ELEMENTS.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _fault(error, text) from error


def _fault(error: msgspec.DecodeError | RecursionError, text: bytes) -> JsonFault:
    if isinstance(error, RecursionError):
        return JsonFault(_TOO_DEEP)
    if isinstance(error, msgspec.ValidationError):
        return NoObject("is no object")
    told = _WORDS.fullmatch(str(error))
    if told is None:
        # The parser wants room for the other half before it looks for it.
        half = _HALF_PAIR.search(text)
        return JsonFault(TOO_EARLY) if half is None else JsonFault("is no JSON: half of a surrogate pair", half.start(1))
    byte = int(told["byte"])
    return JsonFault(f"is no JSON: {told['reason']}", byte - 1 if told["reason"] == "trailing characters" else byte)


def check_nesting(texts: Sequence[bytes], levels: int) -> None:
    """Raise JsonFault where one of these valid JSON texts has more than `levels` levels, or an object that has a name twice."""
    for text in texts:
        if is_too_deep(text, levels):
            raise JsonFault(too_deep(levels))
    together = b"[" + b",".join(texts) + b"]"
    if _may_repeat_names(together):
        json.loads(together, object_pairs_hook=_refuse_repeated, parse_int=str, parse_float=str)


def is_too_deep(text: bytes, levels: int) -> bool:
    """Return whether the valid JSON text has more than `levels` levels."""
    return text.count(b"{") + text.count(b"[") > levels and _levels(text) > levels


def too_deep(levels: int) -> str:
    """Return what is wrong with such a text, to follow its name in a sentence."""
    return f"is nested deeper than {levels} levels, the limit json_levels"


def _levels(text: bytes) -> int:
    deepest = level = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", text)):
        level += 1 if bracket in b"[{" else -1
        deepest = max(deepest, level)
    return deepest


def _may_repeat_names(text: bytes) -> bool:
    """Return whether colons get lost when the text is read and written again, as those of a name's first value do. False is certain."""
    if text.count(b":") < 2:
        return False
    if _ESCAPED_COLON in text:
        return True
    try:
        again = msgspec.json.encode(msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError):
        # A number that no float can hold, say.
        return True
    return again.count(b":") != text.count(b":")


def _refuse_repeated(pairs: list[tuple[str, object]]) -> None:
    names = set()
    for name, _ in pairs:
        if name in names:
            raise JsonFault(f"has the name {name!r} twice in one object")
        names.add(name)
