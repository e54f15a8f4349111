"""The one place where names and texts become SQL."""

from __future__ import annotations


def quote_identifier(name: str) -> str:
    """`name` as a quoted SQL identifier, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """`text` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
