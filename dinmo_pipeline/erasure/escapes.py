"""Values in texts that write them with escapes, once or several times: JSON, JSON in JSON, CSV, a `repr`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

# A value in a repr of an object whose text is JSON with a text that is JSON again.
_MOST_NESTED = 4
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_MOST_CODE = 0x10FFFF


def readings(text: str) -> Iterator[str]:
    """Return the text, and what it says with escapes undone once, twice and so on, until nothing changes any more."""
    yield text
    for _ in range(_MOST_NESTED):
        if '""' in text:
            yield text.replace('""', '"')
        if "\\" not in text:
            return
        undone = _PAIR.sub(lambda found: found[0].encode("utf-16", "surrogatepass").decode("utf-16"), _ESCAPE.sub(_character, text))
        if undone == text:
            return
        yield undone
        text = undone


def forms(value: str) -> set[str]:
    """Return the value, and how JSON, JSON in JSON, CSV and a `repr` of Python's write it."""
    found = {value, value.replace('"', '""'), repr(value)[1:-1]}
    for ascii_only in (True, False):
        form = value
        for _ in range(_MOST_NESTED):
            form = json.dumps(form, ensure_ascii=ascii_only)[1:-1]
            found.add(form)
    return found


def _character(escape: re.Match[str]) -> str:
    number = escape[1] or escape[2] or escape[3]
    if number is None:
        return _LETTERS.get(escape[4], escape[4])
    code = int(number, 16)
    return chr(code) if code <= _MOST_CODE else escape[0]
