"""Names of columns in inbound files, made into identifiers: `First Name` is `first_name`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from unicodedata import category, combining, normalize

_WORD = re.compile(r"\w+")
_JOINERS = "\u200c\u200d"
_VIRAMA = 9
# They choose how the character before them looks, and nobody sees them.
_SELECTORS = frozenset("\u034f") | {chr(code) for code in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))}
_DOT_ABOVE = "\u0307"


def identifier(name: str) -> str:
    """Return the words of `name` in small letters with one _ between them; empty when there are none.

    A letter keeps its marks, as in Unicode's identifiers (UAX 31), and is one however it is written (NFC). A Turkish capital I with a dot
    is an i.
    """
    if name.isascii():
        return former_identifier(name)
    small = normalize("NFC", normalize("NFC", name).replace("\u0130", "I").lower().replace(f"i{_DOT_ABOVE}", "i"))
    word, words = "", []
    for character in small:
        if character.isalnum() or character == "_" or (word and category(character) in ("Mn", "Mc")):
            word += "" if character in _SELECTORS else character
        elif word and character in _JOINERS and combining(word[-1]) == _VIRAMA:
            # Between a virama and a letter they only choose among the forms of the two.
            continue
        elif word:
            words.append(word)
            word = ""
    return "_".join([*words, word] if word else words)


def former_identifier(name: str) -> str:
    """Return what `identifier` made of `name` when it took marks for signs between words: old tables have columns of such names."""
    return "_".join(_WORD.findall(name.lower()))


def identifiers(names: Sequence[str], known: Collection[str] = ()) -> list[str]:
    """Return the identifiers of the names of one file; a column that is `known` by its former name, and not by this one, keeps it."""
    found = [identifier(name) for name in names]
    if not known or all(map(str.isascii, names)):
        return found
    former = [former_identifier(name) for name in names]
    often = Counter(former)
    taken = set(found)
    return [
        old if old != new and old in known and new not in known and often[old] == 1 and old not in taken else new
        for old, new in zip(former, found, strict=True)
    ]
