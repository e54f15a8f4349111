"""Texts that a spreadsheet would run as a formula, in files that people open."""

from __future__ import annotations

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
"""What spreadsheets take for the start of a formula, in full width too, or skip before one."""


def inert(text: str | None) -> str | None:
    """Put a ' before the text where a spreadsheet would take it for a formula."""
    return f"'{text}" if text is not None and text.startswith(FORMULA_STARTS) else text
