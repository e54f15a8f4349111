"""The inverse of `value_text`: SQL that makes of a text the value that was written so."""

from __future__ import annotations

import re

from dinmo_pipeline.formats.value_text import FLOATS, INTEGERS, ISO, SQL, TIMESTAMPS, ZONED, TextStyle
from dinmo_pipeline.sql.quoting import quote_literal
from dinmo_pipeline.sql.types import DuckType

_DATE, _CLOCK = "[+-]?[0-9]{4,}-[0-9]{2}-[0-9]{2}", r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
_OFFSET, _INFINITE = "[+-][0-9]{2}:[0-9]{2}", "-?infinity"
_NUMBER = "-?[0-9]+"
# DuckDB's own casts take more than was ever written (`1.5` for an integer, `2025-1-1`), and round it without a word.
_PATTERNS = {
    **dict.fromkeys(INTEGERS, _NUMBER),
    "BLOB": "[A-Za-z0-9+/]*={0,2}",
    "UUID": "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "BIT": "[01]+",
    "DATE": f"{_DATE}|{_INFINITE}",
    "TIME": _CLOCK,
    "TIME_NS": _CLOCK,
    "TIME WITH TIME ZONE": _CLOCK + _OFFSET,
    "INTERVAL": rf"-?P({_NUMBER}Y)?({_NUMBER}M)?({_NUMBER}D)?(T({_NUMBER}H)?({_NUMBER}M)?({_NUMBER}(\.[0-9]+)?S)?)?",
}


def value_of_text(column_type: DuckType, text: str, style: TextStyle) -> str:
    """Make the SQL for the value that reads as `text`, an expression; NULL for NULL and for what is no value of this type.

    The type is one that is not nested. An ENUM's value is a VARCHAR.
    """
    kind = column_type.kind
    if kind in ("VARCHAR", "ENUM"):
        return text
    if kind == "BOOLEAN":
        true, false = map(quote_literal, style.booleans)
        return f"CASE {text} WHEN {true} THEN true WHEN {false} THEN false END"
    if kind == "VARIANT":
        return f"TRY(CAST(CAST({text} AS JSON) AS VARIANT))"
    if kind in TIMESTAMPS | ZONED:
        return _timestamp(kind, text, style)
    if kind in FLOATS or column_type.digits is not None:
        return _fraction(column_type, text, style)
    made = f"TRY_CAST({text} AS {type_name(column_type)})"
    if kind == "DATE":
        made = f"TRY_CAST(ltrim({text}, '+') AS DATE)"
    elif kind == "BLOB":
        made = f"TRY(from_base64({text}))"
    elif kind == "INTERVAL":
        made = f"TRY({_interval(text)})"
    return _where(text, _PATTERNS[kind], made) if kind in _PATTERNS else made


def type_name(column_type: DuckType) -> str:
    """Return the name of a type that is not nested, as SQL has it; VARCHAR for an ENUM."""
    if column_type.digits is not None:
        return f"DECIMAL({column_type.digits[0]},{column_type.digits[1]})"
    return {"ENUM": "VARCHAR", "NULL": '"NULL"'}.get(column_type.kind, column_type.kind)


def _where(text: str, pattern: str, value: str) -> str:
    return f"CASE WHEN regexp_full_match({text}, {quote_literal(pattern)}) THEN {value} END"


def _fraction(column_type: DuckType, text: str, style: TextStyle) -> str:
    number = text if style.decimal == "." else f"replace({text}, {quote_literal(style.decimal)}, '.')"
    # What would be rounded to the type's digits was never written.
    behind = "" if column_type.digits is None else f"{{1,{column_type.digits[1]}}}" if column_type.digits[1] else "{0}"
    pattern = f"{_NUMBER}({re.escape(style.decimal)}[0-9]{behind or '+'})?"
    if column_type.digits is None:
        pattern = rf"{pattern}(e[+-]?[0-9]+)?|NaN|-?{style.infinity}"
    return _where(text, pattern, f"TRY_CAST({number} AS {type_name(column_type)})")


def _timestamp(kind: str, text: str, style: TextStyle) -> str:
    in_utc = kind in ZONED and style.timestamps == SQL
    offset = _OFFSET if kind in ZONED and not in_utc else ""
    moment = f"ltrim({text}, '+')"
    if in_utc:
        moment = f"concat({moment}, CASE WHEN NOT suffix({text}, 'y') THEN '+00' END)"
    blank = " " if style.timestamps == SQL else "T"
    read = _where(text, f"{_DATE}{blank}{_CLOCK}{offset}|{_INFINITE}", f"TRY_CAST({moment} AS {kind})")
    if style.timestamps in (ISO, SQL):
        return read
    pattern = quote_literal(style.timestamps)
    clock = f"TRY(strptime({text}, {pattern}))"
    value = f"timezone({quote_literal(style.zone)}, {clock})" if kind in ZONED else clock
    # What a pattern leaves out of a value is lost; what it writes must be there to the letter.
    return f"coalesce(CASE WHEN strftime({clock}, {pattern}) = {text} THEN TRY(CAST({value} AS {kind})) END, {read})"


def _interval(text: str) -> str:
    """Return the interval of ISO 8601-2 text; one sign before all of it, as xs:duration has it, is that of each part."""
    signed = rf"CASE WHEN prefix({text}, '-') THEN regexp_replace({text}[2:], '([0-9.]+)', '-\1', 'g') ELSE {text} END"
    days, clock = f"regexp_extract({signed}, '^P([^T]*)', 1)", f"regexp_extract({signed}, 'T(.*)$', 1)"

    def part(where: str, letter: str, made: str) -> str:
        return f"coalesce(TRY_CAST(nullif(regexp_extract({where}, '(-?[0-9.]+){letter}', 1), '') AS {made}), 0)"

    microseconds = f"CAST({part(clock, 'S', 'DECIMAL(18,6)')} * 1000000 AS BIGINT)"
    months = f"to_years({part(days, 'Y', 'INTEGER')}) + to_months({part(days, 'M', 'INTEGER')})"
    hours = f"to_hours({part(clock, 'H', 'BIGINT')}) + to_minutes({part(clock, 'M', 'BIGINT')}) + to_microseconds({microseconds})"
    return f"{months} + to_days({part(days, 'D', 'INTEGER')}) + {hours}"
