"""Numbers in inbound files: how wide the text of one is, which column holds it, and what to say of one that none holds; SQL over texts.

A column is a whole number of 64 bits while that holds its values, else a decimal of 38 digits with a fixed number after the point.
So a number with very many digits after the point would leave no room before it: a column always keeps RESERVED_DIGITS there, and
noise such as 1.1102230246251565e-16 is rejected instead of every ordinary number that comes later.
"""

from __future__ import annotations

import re
from typing import Final

MAX_DIGITS: Final = 38
RESERVED_DIGITS: Final = 15
"""So many digits before the point always find room: as many as a spreadsheet or a float holds exactly."""
MAX_SCALE: Final = MAX_DIGITS - RESERVED_DIGITS
WHOLE_DIGITS: Final = 18
"""So many digits any whole number of 64 bits has room for."""

_ZERO_PADDED = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?"
# A zero before another digit is of a code (01000, 007): a number would lose it.
_NUMBER = _ZERO_PADDED.replace("([0-9]+", "((?:0|[1-9][0-9]*)", 1)
_LEADING_ZERO = re.compile(r"[+-]?0[0-9][0-9.,eE+-]*", re.ASCII)
_PARTS = re.compile(r"[+-]?0*([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,4}))?", re.ASCII)
_DECIMAL_TYPE = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def number_type(digits: int, scale: int) -> str:
    """Return the DuckDB type of a column of numbers with so many digits before and after the point."""
    return "BIGINT" if scale == 0 and digits <= WHOLE_DIGITS else f"DECIMAL({MAX_DIGITS},{scale})"


def room_of(sql_type: str) -> tuple[int, int] | None:
    """Return how many digits before and after the point a column of this DuckDB type has room for; None for other types than ours."""
    found = _DECIMAL_TYPE.fullmatch(sql_type)
    if found is not None:
        return int(found[1]) - int(found[2]), int(found[2])
    return (WHOLE_DIGITS, 0) if sql_type == "BIGINT" else None


def holds(digits: int, scale: int, other_digits: int, other_scale: int) -> bool:
    """Return whether a column whose values have `digits` and `scale` can take one that has the others, itself or made wider."""
    within = other_scale <= scale and other_digits <= MAX_DIGITS - scale
    return within or max(RESERVED_DIGITS, digits, other_digits) + max(scale, other_scale) <= MAX_DIGITS


def is_taken(text: str, *, zero_padded: bool) -> str:
    """Return SQL for whether `text` is a number that some column holds.

    Null where it is null. `zero_padded`: zeros before it mean nothing.
    """
    number, scale = _is_number(text, zero_padded=zero_padded), scale_of(text)
    return f"({number} AND {scale} <= {MAX_SCALE} AND {digits_of(text)} + {scale} <= {MAX_DIGITS})"


def _is_number(text: str, *, zero_padded: bool) -> str:
    return f"regexp_full_match({text}, '{_ZERO_PADDED if zero_padded else _NUMBER}')"


def number_of(text: str, digits: int, scale: int, *, zero_padded: bool) -> str:
    """Return SQL for the number that `text` is, in a column with so many digits; null where it is none, or one that is wider."""
    sql_type = number_type(digits, scale)
    room, _ = room_of(sql_type) or (0, 0)
    cast = f"TRY_CAST({text} AS {sql_type})"
    # Written as DuckDB writes it, it was read exactly: most values take this way, which is the fast one.
    return (
        f"CASE WHEN CAST({cast} AS VARCHAR) = {text} THEN {cast} "
        f"WHEN {_is_number(text, zero_padded=zero_padded)} AND {scale_of(text)} <= {scale} AND {digits_of(text)} <= {room} THEN {cast} END"
    )


def digits_of(text: str) -> str:
    """Return SQL for how many digits before the point the number `text` has, at the most."""
    return f"greatest(length(regexp_extract({text}, '[+-]?0*([0-9]*)', 1)) + {_exponent(text)}, 0)"


def scale_of(text: str) -> str:
    """Return SQL for how many digits after the point the number `text` has; of more than are taken, zeros at the end do not count."""
    fraction = f"regexp_extract({text}, '\\.([0-9]*)', 1)"
    written = f"greatest(length({fraction}) - {_exponent(text)}, 0)"
    return f"CASE WHEN {written} <= {MAX_SCALE} THEN {written} ELSE greatest(length(rtrim({fraction}, '0')) - {_exponent(text)}, 0) END"


def _exponent(text: str) -> str:
    return f"coalesce(TRY_CAST(regexp_extract({text}, '[eE](.*)', 1) AS INTEGER), 0)"


def number_complaint(text: str, decimal: str, digits: int, scale: int, *, zero_padded: bool) -> str:
    """Return what is wrong with a text that is no number of a column whose values have so many digits, in words that follow `it`."""
    comma = "" if decimal == "." else " with a decimal comma"
    unfit = f"is no number{comma} of at most {MAX_DIGITS} digits"
    if not zero_padded and _LEADING_ZERO.fullmatch(text):
        return (
            "begins with a zero that a number would lose: declare the column as text, or, where the zeros mean nothing, "
            "as {type: number, zero_padded: true}"
        )
    found = _PARTS.fullmatch(text if decimal == "." else text.translate(str.maketrans(",.", ".,")))
    if found is None or not any(found.group(1, 2)):
        return unfit
    exponent = int(found[3] or 0)
    before = max(len(found[1]) + exponent, 0)
    after = max(len((found[2] or "").rstrip("0")) - exponent, 0)
    if before + after > MAX_DIGITS:
        return unfit
    if after > MAX_SCALE:
        return f"has {after} digits after the point, and at most {MAX_SCALE} are taken: a column keeps room for {RESERVED_DIGITS} before it"
    if after > scale and after > MAX_DIGITS - max(digits, before):
        has, others = f"{after} digits after the point", f"{max(digits, before)} before it"
        room = MAX_DIGITS - max(digits, before)
    else:
        has, others = f"{before} digits before the point", f"{max(scale, after)} after it"
        room = MAX_DIGITS - max(scale, after)
    return f"has {has}; beside {others}, as numbers of this column have, there is room for {room}"
