"""The one place where names and texts become SQL."""

from __future__ import annotations

import string

_SMALL_LETTERS = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def quote_identifier(name: str) -> str:
    """Return `name` as a quoted SQL identifier, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Return `text` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def folded(name: str) -> str:
    """Return `name` as DuckDB tells columns apart: without regard to the case of ASCII letters alone, so `É` and `é` are two columns."""
    return name.translate(_SMALL_LETTERS)
