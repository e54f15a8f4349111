"""Texts of strangers in files that people open in a spreadsheet, which would calculate what begins as a formula does."""

from __future__ import annotations

_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")


def inert(text: str | None) -> str | None:
    """The text, with a ' before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if text is not None and text.startswith(_BEGINNINGS) else text
