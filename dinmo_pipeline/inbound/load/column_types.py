"""Types of inbound columns: how text becomes a value in SQL, exactly, and how wide a table's column must be to hold all of them.

A number's column is as wide as its values need, up to 38 digits; a date's keeps times as soon as one has a time. So a column has
a *shape*, which only ever widens. A text that is no value of its type becomes null here, and the caller rejects its row: nothing
is rounded, cut or guessed.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce

import duckdb

from dinmo_pipeline.inbound.load.numbers import (
    MAX_DIGITS,
    WHOLE_DIGITS,
    digits_of,
    is_taken,
    number_complaint,
    number_of,
    number_type,
    room_of,
    scale_of,
)
from dinmo_pipeline.project.inbound_specs import InboundColumn
from dinmo_pipeline.sql.quoting import quote_literal

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
# Finer than a microsecond is no more than zeros: nothing is cut off.
_TIME = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,6}0*)?)?"
# DuckDB's casts would take +99:99 as well, and give another instant.
_OFFSET = r"[+-](0[0-9]|1[0-5])(:?[0-5][0-9](:[0-5][0-9])?)?"
_ZONE = rf"[Zz]|{_OFFSET}"
_LOCAL_TIME = rf"{_DATE}[Tt ]{_TIME}"
# What DuckDB takes for JSON although no other reader would, looked for outside of strings.
_JSON_STRING = r'"(\\.|[^"\\])*"'
_NOT_JSON = r"(?i),\s*[\]}]|nan|inf"
_JSON_ITEM = rf'{_JSON_STRING}|[^\s,\[\]"]+'
_DIRECTIVE = re.compile(r"%(-?.)")
_DAY, INSTANT = "DATE", "TIMESTAMP WITH TIME ZONE"


@dataclass(frozen=True)
class Shape:
    """How wide a column is: digits before and after a number's point; whether a date's column has times."""

    digits: int = WHOLE_DIGITS
    scale: int = 0
    timed: bool = False

    def widened(self, other: Shape) -> Shape:
        """Return the shape that holds the values of both."""
        return Shape(max(self.digits, other.digits), max(self.scale, other.scale), self.timed or other.timed)

    def stretched(self, other: Shape) -> Shape | None:
        """Return the shape that holds the values of `other`, and of this one as many as find room then; None where there is none."""
        scale = max(self.scale, other.scale)
        if other.digits + scale > MAX_DIGITS:
            return None
        return Shape(max(other.digits, min(self.digits, MAX_DIGITS - scale)), scale, self.timed or other.timed)


@dataclass(frozen=True)
class ColumnType:
    """The type of one column of a feed. `timezone` is what times without a zone are in."""

    column: InboundColumn
    timezone: str

    @property
    def widens(self) -> bool:
        """Whether its shape depends on the values."""
        return self.column.type in ("number", "date") and self.column.format is None

    def first_shape(self) -> Shape:
        """Return the narrowest shape, which most columns keep."""
        return Shape(timed=self.column.type == "timestamp" or _has_time(self.column.format))

    def takes(self, sql_type: str) -> bool:
        """Return whether a column of this DuckDB type is one of ours, if perhaps too narrow."""
        return self.sql_type(shape_of(sql_type)) == sql_type

    def sql_type(self, shape: Shape) -> str:
        """Return the DuckDB type of a column of this shape."""
        match self.column.type:
            case "number":
                return number_type(shape.digits, shape.scale)
            case "date" | "timestamp":
                return INSTANT if shape.timed else _DAY
            case "boolean":
                return "BOOLEAN"
            case "array":
                return "VARCHAR[]"
            case "json":
                return "JSON"
            case _:
                return "VARCHAR"

    def value(self, text: str, shape: Shape) -> str:
        """Return SQL for the value of the SQL text `text`: null where that is null, or no value that the shape holds."""
        match self.column.type:
            case "number":
                return number_of(self._point(text), shape.digits, shape.scale, zero_padded=self.column.zero_padded)
            case "date" | "timestamp":
                return self._instant(text) if shape.timed else self._date(text)
            case "boolean":
                return f"CASE lower({text}) WHEN '1' THEN true WHEN 'true' THEN true WHEN '0' THEN false WHEN 'false' THEN false END"
            case "array":
                return _array(text)
            case "json":
                return f"CASE WHEN {_is_json(text)} THEN CAST({text} AS JSON) END"
            case _:
                return text

    def taken(self, text: str) -> str:
        """Return SQL for whether the SQL text `text` has a value in a column of some shape."""
        if self.column.type == "number":
            return is_taken(self._point(text), zero_padded=self.column.zero_padded)
        return f"({self._date(text)} IS NOT NULL OR {self._instant(text)} IS NOT NULL)"

    def widths(self, text: str) -> tuple[str, str]:
        """Return SQL for how many digits before and after the point the number `text`, which is taken, has."""
        return digits_of(self._point(text)), scale_of(self._point(text))

    def needs(self, text: str) -> tuple[str, ...]:
        """Return SQL aggregates for the shape that holds the values of the texts `text`, each of which is taken; see `shape_of_needs`."""
        if self.column.type == "number":
            return tuple(f"max({width})" for width in self.widths(text))
        return (f"bool_or({self._date(text)} IS NULL AND {text} IS NOT NULL)",)

    def shape_of_needs(self, *needs: int | bool | None) -> Shape:
        """Return the shape that what `needs` counted stands for: of a number its own digits, without room for others."""
        if self.column.type == "number":
            digits, scale = needs
            return Shape(int(digits or 0), int(scale or 0))
        return Shape(timed=bool(needs[0]))

    def shape_needed(self, connection: duckdb.DuckDBPyConnection, source: str, text: str) -> Shape:
        """Return the shape that holds the values of the SQL text `text` in all rows of `source`, as far as any shape does."""
        if not self.widens:
            return self.first_shape()
        [needs] = connection.execute(
            f"SELECT {', '.join(self.needs('text'))} FROM (SELECT {text} AS text FROM {source}) WHERE {self.taken('text')}"
        ).fetchall()
        return self.first_shape().widened(self.shape_of_needs(*needs))

    def widened_value(self, column: str, old: Shape, new: Shape) -> str:
        """Return SQL for the value of `column`, which has the type of `old`, in a column of the wider shape `new`."""
        if self.sql_type(old) == self.sql_type(new):
            return column
        if new.timed:
            return self._at_home(f"CAST({column} AS TIMESTAMP)")
        return f"CAST({column} AS {self.sql_type(new)})"

    def complaint(self, text: str, shape: Shape) -> str:
        """Return what is wrong with a text that has no value in a column of this shape, in words for its sender."""
        match self.column.type:
            case "number":
                column = self.column
                return number_complaint(text, column.decimal, shape.digits, shape.scale, zero_padded=column.zero_padded)
            case "date" | "timestamp" if self.column.format is not None:
                return f"is no {self.column.type} of the form {self.column.format}"
            case "date":
                return "is no date of the form 2024-01-31, with or without a time"
            case "timestamp":
                return "is no time of the form 2024-01-31T12:30:00, with or without a zone"
            case "boolean":
                return "is none of 1, 0, true and false"
            case "array":
                return "is no list: neither value1,value2 nor a JSON array"
            case _:
                return "is no JSON"

    def _point(self, text: str) -> str:
        return text if self.column.decimal == "." else f"translate({text}, ',.', '.,')"

    def _date(self, text: str) -> str:
        if self.column.format is not None:
            return f"CAST({_parsed(text, self.column.format)} AS DATE)"
        date = f"TRY_CAST({text} AS DATE)"
        # Written as DuckDB writes it, as all years but 0000 are.
        plain = f"length({text}) = 10 AND CAST({date} AS VARCHAR) = {text}"
        return f"CASE WHEN {plain} OR regexp_full_match({text}, '{_DATE}') THEN {date} END"

    def _instant(self, text: str) -> str:
        if self.column.format is not None:
            parsed = _parsed(text, self.column.format)
            return parsed if "%z" in self.column.format else self._at_home(parsed)
        local = f"TRY_CAST({text} AS TIMESTAMP)"
        # Written as DuckDB writes it, it was read whole: most values take this way, which is the fast one.
        plain = f"length({text}) BETWEEN 19 AND 26 AND {text}[5] = '-' AND NOT contains({text}, '(') AND CAST({local} AS VARCHAR) = {text}"
        return (
            f"CASE WHEN {plain} THEN {self._at_home(local)} "
            f"WHEN regexp_full_match({text}, '{_DATE}') THEN {self._at_home(local)} "
            f"WHEN regexp_full_match({text}, '{_LOCAL_TIME}') THEN {self._at_home(f'TRY_CAST({_spelt(text)} AS TIMESTAMP)')} "
            f"WHEN regexp_full_match({text}, '{_LOCAL_TIME} ?({_ZONE})') THEN TRY_CAST({_spelt(text)} AS TIMESTAMP WITH TIME ZONE) END"
        )

    def _at_home(self, local: str) -> str:
        return at_home(local, self.timezone)


def common_type(types: Collection[str]) -> str:
    """Return the DuckDB type that holds the values of columns of all these types, each of which a column of a feed may have."""
    if len(types) == 1:
        return next(iter(types))
    if set(types) <= {_DAY, INSTANT}:
        return INSTANT
    if all(room_of(type_) is not None for type_ in types):
        shape = reduce(Shape.widened, map(shape_of, types))
        if shape.digits + shape.scale <= MAX_DIGITS:
            return number_type(shape.digits, shape.scale)
    return "VARCHAR"


def shape_of(sql_type: str) -> Shape:
    """Return the shape of a table's column of this DuckDB type."""
    room = room_of(sql_type)
    return Shape(timed=sql_type == INSTANT) if room is None else Shape(*room)


def at_home(local: str, timezone: str) -> str:
    """Return SQL for the instant of a time without a zone that is meant in `timezone`."""
    if timezone == "UTC":
        # The same as below without a calendar, three times as fast.
        return f"make_timestamptz(epoch_us({local}))"
    return f"timezone({quote_literal(timezone)}, {local})"


def _has_time(format_: str | None) -> bool:
    return format_ is not None and any(f"%{letter}" in format_ for letter in "HIMSfpXcTR")


def _parsed(text: str, format_: str) -> str:
    """Return SQL for the time that `text` is in this format."""
    parsed = f"try_strptime({text}, {quote_literal(format_)})"
    # DuckDB takes `epoch` and `infinity` in any format, 22 for the year 0022, and offsets of days.
    tests = [f"regexp_matches({text}, '[0-9]')", f"(year({parsed}) > 999 OR contains({text}, printf('%04d', year({parsed}))))"]
    _, zone, after = format_.rpartition("%z")
    if zone:
        rest = "".join(re.escape(part) if index % 2 == 0 else ".*" for index, part in enumerate(_DIRECTIVE.split(after)))
        tests.append(f"regexp_matches({text}, {quote_literal(f'{_OFFSET}{rest}$')})")
    return f"CASE WHEN {' AND '.join(tests)} THEN {parsed} END"


def _spelt(text: str) -> str:
    # As DuckDB's cast takes it: a space before the time, a point before its fraction, no space before the zone.
    return f"{text}[:10] || ' ' || translate(upper({text}[12:]), ', ', '.')"


def _is_json(text: str) -> str:
    return f"json_valid({text}) AND NOT regexp_matches({_outside_strings(text)}, '{_NOT_JSON}')"


def _outside_strings(text: str) -> str:
    return f"""regexp_replace({text}, '{_JSON_STRING}', '""', 'g')"""


def _array(text: str) -> str:
    # A name that no column has: it would be taken for the column.
    item, nested = "_dinmo_item", f"regexp_matches(ltrim({_outside_strings(text)})[2:], '[\\[{{]')"
    # Numbers as they are written: DuckDB's own functions make doubles of them.
    plain = f"CASE WHEN {item}[1] = '\"' THEN json_extract_string({item}, '$') WHEN {item} <> 'null' THEN {item} END"
    items = f"list_transform(regexp_extract_all({text}, '{_JSON_ITEM}'), lambda {item}: {plain})"
    listed = f"CASE WHEN {nested} THEN CAST(json_extract_string({text}, '$[*]') AS VARCHAR[]) ELSE {items} END"
    # What begins as an array and is none is cut off, or written by another language: to divide it at its commas would make up values.
    begins = f"regexp_matches({text}, '^\\s*\\[')"
    braces = f"regexp_matches({text}, '(?s)^\\s*\\{{.*\\}}\\s*$')"
    return (
        f"CASE WHEN {text} = '' THEN CAST([] AS VARCHAR[]) WHEN {begins} THEN CASE WHEN {_is_json(text)} THEN {listed} END "
        f"WHEN NOT {braces} THEN split({text}, ',') END"
    )
