"""Texts that a spreadsheet would run as a formula, in files that people open."""

from __future__ import annotations

import re

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
"""What spreadsheets take for the start of a formula, in full width too, or skip before one."""

# What ends a cell or a line where a language's spreadsheets do not split at commas: there quotes around a text protect nothing.
_DELIMITERS = r";|\t\r\n؛"
# What spreadsheets drop before a formula; and the ' itself, so that one which came so is told from one that was put there.
_SKIPPED = r"[\x00-\x08\x0b\x0c\x0e-\x20\"'\ufeff]*"
_SIGNS = r"=+\-@＝＋－＠"  # noqa: RUF001


def _formulas(mark: str) -> re.Pattern[str]:
    """Where cells that are formulas begin, each with this mark before it."""
    first, later = rf"\A{mark}(?={_SKIPPED}[{_SIGNS}\t\r\n])", rf"(?<=[{_DELIMITERS}]){mark}(?={_SKIPPED}[{_SIGNS}])"
    return re.compile(f"{first}|{later}")


_BARE, _MARKED = _formulas(""), _formulas("'")


def inert(text: str | None) -> str | None:
    """Put a ' wherever a spreadsheet of some language would find a cell that is a formula; `restored` takes it away."""
    return _BARE.sub("'", text) if text is not None else None


def restored(text: str) -> str:
    """Return the text that `inert` was given."""
    return _MARKED.sub("", text)
