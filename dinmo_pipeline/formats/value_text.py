"""The one table from type to text: how a value that is not nested reads in CSV, JSON, NDJSON, XML, and as text in Parquet.

Every expression gives NULL for NULL. Unless a `TextStyle` says otherwise, numbers are exact, instants ISO 8601, binary base64;
`docs/file-formats.md` has the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dinmo_pipeline.formats.base import Rows
from dinmo_pipeline.sql.quoting import quote_literal
from dinmo_pipeline.sql.types import DuckType, parse_type

INTEGERS = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "BIGNUM"}
)
EXACT_NUMBERS = INTEGERS | {"DECIMAL", "DECIMAL BELOW ONE"}
FLOATS = frozenset({"FLOAT", "DOUBLE"})
NESTED = frozenset({"STRUCT", "UNION", "TUPLE", "LIST", "ARRAY", "MAP"})
ZONED = frozenset({"TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS"})
TIMESTAMPS = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"})
DATES = ZONED | TIMESTAMPS | {"DATE", "TIME", "TIME_NS", "TIME WITH TIME ZONE"}
# The kinds whose text is made of letters, digits and `+-.:` alone.
PLAIN = EXACT_NUMBERS | FLOATS | DATES | {"BOOLEAN", "UUID", "BIT", "INTERVAL"}
ISO, SQL = "iso", "sql"
BOOLEANS = {"true/false": ("true", "false"), "1/0": ("1", "0"), "Y/N": ("Y", "N")}

_FRACTIONS = {
    "TIMESTAMP_MS": ("epoch_us({e}) % 1000000", ".%g"),
    "TIMESTAMP": ("epoch_us({e}) % 1000000", ".%f"),
    "TIMESTAMP WITH TIME ZONE": ("epoch_us({e}) % 1000000", ".%f"),
    "TIMESTAMP_NS": ("epoch_ns({e}) % 1000000000", ".%n"),
    "TIMESTAMPTZ_NS": ("epoch_ns({e}) % 1000000000", ".%n"),
}


@dataclass(frozen=True)
class TextStyle:
    """How values that are not nested read as text.

    `timezone` (an IANA name) is for instants. `booleans` are the words for true and false, `decimal` stands before a fraction,
    `infinity` is the word of floats. `timestamps` is ISO, SQL (a blank for the T, instants in UTC without an offset) or a strftime
    pattern for the wall-clock time in the zone.
    """

    timezone: str
    booleans: tuple[str, str] = BOOLEANS["true/false"]
    timestamps: str = ISO
    decimal: str = "."
    infinity: str = "Infinity"

    @property
    def zone(self) -> str:
        """The zone whose clock instants show."""
        return "UTC" if self.timestamps == SQL else self.timezone

    def is_printed(self, kind: str) -> bool:
        """Say whether values of this type, exact numbers and booleans, read as DuckDB prints them."""
        if kind == "BOOLEAN":
            return self.booleans == BOOLEANS["true/false"]
        return self.decimal == "." or not kind.startswith("DECIMAL")

    def is_plain(self, kind: str) -> bool:
        """Say whether the text of every value of this type is made of letters, digits, blanks and `+-.:,` alone."""
        return kind in PLAIN and (kind not in TIMESTAMPS | ZONED or self.timestamps in (ISO, SQL))


def column_types(rows: Rows) -> tuple[DuckType, ...]:
    """Parse the types of the columns, in order."""
    return tuple(parse_type(column.type) for column in rows.columns)


def plain_text(kind: str, value: str, style: TextStyle, local: str | None = None) -> str:
    """Make the SQL for the text of `value`, an expression of a type that is not nested.

    `local`: an expression that holds the wall-clock time of a zoned `value`, NULL where that is not written.
    """
    if kind == "BOOLEAN" and style.booleans != BOOLEANS["true/false"]:
        true, false = map(quote_literal, style.booleans)
        return f"CASE {value} WHEN true THEN {true} WHEN false THEN {false} END"
    if kind in FLOATS:
        return _with_decimal(_float(value, style.infinity), style)
    if kind.startswith("DECIMAL"):
        return _with_decimal(_SPECIAL[kind](value) if kind in _SPECIAL else f"CAST({value} AS VARCHAR)", style)
    if kind in ZONED | TIMESTAMPS and style.timestamps != ISO:
        return _styled_timestamp(kind, value, style, local)
    if kind in ZONED:
        return _zoned_text(kind, value, style.zone, local)
    special = _SPECIAL.get(kind)
    if special is not None:
        return special(value)
    return value if kind == "VARCHAR" else f"CAST({value} AS VARCHAR)"


def with_local_times(rows: Rows, style: TextStyle) -> tuple[str, tuple[str | None, ...]]:
    """Make the rows' query with the wall-clock time of each zoned column beside it, and the names of those columns.

    Converting to a zone is the dearest step there is, so it is done once a value.
    """
    names: list[str | None] = []
    extra: list[str] = []
    for index, column_type in enumerate(column_types(rows)):
        if column_type.kind not in ZONED:
            names.append(None)
            continue
        names.append(f"l{index}")
        kind, value = column_type.kind, f"v{index}"
        extra.append(f"CASE WHEN {_is_local(kind, value, style.zone)} THEN {_local(value, style.zone)} END AS l{index}")
    query = f"SELECT *, {', '.join(extra)} FROM ({rows.query})" if extra else rows.query
    return query, tuple(names)


def _float(value: str, infinity: str) -> str:
    words = {f"isnan({value})": "NaN", f"{value} = 'inf'": infinity, f"{value} = '-inf'": "-" + infinity}
    named = "CASE " + " ".join(f"WHEN {test} THEN {quote_literal(word)}" for test, word in words.items()) + " END"
    return f"CASE WHEN isfinite({value}) THEN CAST({value} AS VARCHAR) ELSE {named} END"


def _with_decimal(text: str, style: TextStyle) -> str:
    return text if style.decimal == "." else f"replace({text}, '.', {quote_literal(style.decimal)})"


def _is_near(kind: str, value: str) -> str:
    """Return whether the year has four digits; a day less at both ends, so that it has in every zone."""
    if kind == "TIMESTAMP_NS":
        return _is_finite(kind, value)
    if kind == "TIMESTAMPTZ_NS":
        # Beyond these days the wall-clock time may be none that the type holds.
        return f"{value} BETWEEN CAST('1677-09-23 00:00:00+00' AS {kind}) AND CAST('2262-04-10 23:00:00+00' AS {kind})"
    if kind in ZONED:
        return f"{value} BETWEEN TIMESTAMPTZ '0001-01-02 00:00:00+00' AND TIMESTAMPTZ '9999-12-30 23:59:59.999999+00'"
    if kind == "DATE":
        return f"{value} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'"
    return f"({value} >= CAST('0001-01-01' AS {kind}) AND {value} < CAST('10000-01-01' AS {kind}))"


def _is_local(kind: str, value: str, zone: str) -> str:
    """Return whether an instant is written with the zone's offset: its year has four digits, and the offset no seconds.

    Local mean times have seconds (`+00:09:21`), which most readers refuse; the last zone gave them up in January 1972.
    """
    if zone == "UTC":
        return _is_near(kind, value)
    whole = f"{_difference(kind, value, _local(value, zone))} % 60000000 = 0"
    return f"{_is_near(kind, value)} AND ({value} >= CAST('1972-01-09 00:00:00+00' AS {kind}) OR {whole})"


def _is_finite(kind: str, value: str) -> str:
    return f"isfinite(CAST({value} AS TIMESTAMPTZ))" if kind == "TIMESTAMPTZ_NS" else f"isfinite({value})"


def _far(local: str, rest: str) -> str:
    """Return the text of a date or time whose year has not four digits: ISO 8601 with an expanded year before `rest`."""
    year = f"year({local})"
    sign = f"CASE WHEN {year} > 9999 THEN '+' WHEN {year} < 0 THEN '-' ELSE '' END"
    return f"{sign} || printf('%04d', abs({year})) || {rest}"


def _date(value: str) -> str:
    far = _far(value, f"strftime({value}, '-%m-%d')")
    return f"CASE WHEN {_is_near('DATE', value)} OR NOT isfinite({value}) THEN CAST({value} AS VARCHAR) ELSE {far} END"


def _timestamp(kind: str) -> Callable[[str], str]:
    def text(value: str) -> str:
        # strftime() would make nanoseconds of these, which end in the year 2262.
        time = f"CAST({value} AS TIMESTAMP)" if kind in ("TIMESTAMP_S", "TIMESTAMP_MS") else value
        near, far = _clock(kind, time, time), _far(time, _clock(kind, time, time, year=""))
        return f"CASE WHEN {_is_near(kind, value)} THEN {near} WHEN isfinite({value}) THEN {far} ELSE CAST({value} AS VARCHAR) END"

    return text


def _clock(kind: str, value: str, local: str, *, year: str = "%Y") -> str:
    """Return the wall-clock time `local` of `value`, with a fraction where there is one."""
    seconds = f"{year}-%m-%dT%H:%M:%S"
    if kind not in _FRACTIONS:
        return f"strftime({local}, '{seconds}')"
    test, fraction = _FRACTIONS[kind]
    return f"CASE WHEN {test.format(e=value)} = 0 THEN strftime({local}, '{seconds}') ELSE strftime({local}, '{seconds}{fraction}') END"


def _local(value: str, zone: str) -> str:
    return f"timezone({quote_literal(zone)}, {value})"


def _zoned_text(kind: str, value: str, zone: str, local: str | None) -> str:
    written = _is_local(kind, value, zone) if local is None else f"{local} IS NOT NULL"
    clock, utc = local or _local(value, zone), _local(value, "UTC")
    in_utc = _far(utc, _clock(kind, value, utc, year="")) + " || '+00:00'"
    return (
        f"CASE WHEN {written} THEN concat({_clock(kind, value, clock)}, {_offset(kind, value, clock, zone)}) "
        f"WHEN {_is_finite(kind, value)} THEN {in_utc} ELSE CAST({value} AS VARCHAR) END"
    )


def _styled_timestamp(kind: str, value: str, style: TextStyle, local: str | None) -> str:
    """Return the text in a style of the consumer's; what has no year of four digits, or is infinite, as in ISO 8601."""
    iso = _zoned_text(kind, value, style.zone, local) if kind in ZONED else _timestamp(kind)(value)
    if style.timestamps == SQL:
        return f"replace(replace({iso}, 'T', ' '), '+00:00', '')"
    clock = value
    if kind in ZONED:
        clock = _local(value, style.zone) if local is None else f"coalesce({local}, {_local(value, style.zone)})"
    elif kind in ("TIMESTAMP_S", "TIMESTAMP_MS"):
        clock = f"CAST({value} AS TIMESTAMP)"
    return f"CASE WHEN {_is_near(kind, value)} THEN strftime({clock}, {quote_literal(style.timestamps)}) ELSE {iso} END"


def _difference(kind: str, value: str, local: str) -> str:
    """Return the offset of the wall-clock time `local`, in microseconds."""
    if kind.endswith("_NS"):
        return f"((epoch_ns({local}) - epoch_ns({value})) // 1000)"
    return f"(epoch_us({local}) - epoch_us({value}))"


def _offset(kind: str, value: str, local: str, zone: str) -> str:
    """Return the offset `+02:00`, which has no seconds."""
    difference = _difference(kind, value, local)
    usual = " ".join(f"WHEN {offset} THEN '{text}'" for offset, text in _usual_offsets(zone))
    clock = f"TIMESTAMP '1970-01-01' + to_microseconds(abs({difference}))"
    other = f"CASE WHEN {difference} < 0 THEN '-' ELSE '+' END || strftime({clock}, '%H:%M')"
    return f"CASE {difference} {usual} ELSE {other} END" if usual else other


@cache
def _usual_offsets(zone: str) -> tuple[tuple[int, str], ...]:
    """Return the zone's offsets in our days, in microseconds and as text: a shortcut for nearly every value, never the rule."""
    try:
        rules = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        return ()
    moments = [datetime(year, month, 1, tzinfo=UTC).astimezone(rules) for year in (2000, 2026) for month in (1, 7)]
    offsets = {int(offset.total_seconds()) for moment in moments if (offset := moment.utcoffset()) is not None}
    return tuple((seconds * 1_000_000, _offset_text(seconds)) for seconds in sorted(offsets) if seconds % 60 == 0)


def _offset_text(seconds: int) -> str:
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}"


def _time(digits: int) -> Callable[[str], str]:
    def text(value: str) -> str:
        printed = f"CAST({value} AS VARCHAR)"
        return f"CASE WHEN length({printed}) = 8 THEN {printed} ELSE rpad({printed}, {9 + digits}, '0') END"

    return text


def _zoned_time(value: str) -> str:
    printed = f"CAST({value} AS VARCHAR)"
    # Of an offset with seconds, which most readers refuse, the same time in UTC.
    printed = f"CASE WHEN regexp_matches({printed}, '[+-].*:.*:') THEN CAST(timezone('UTC', {value}) AS VARCHAR) ELSE {printed} END"
    clock, offset = f"regexp_extract({printed}, '^[0-9:.]+')", f"regexp_extract({printed}, '[+-].*$')"
    full_clock = f"CASE WHEN length({clock}) = 8 THEN {clock} ELSE rpad({clock}, 15, '0') END"
    return f"{full_clock} || CASE WHEN length({offset}) = 3 THEN {offset} || ':00' ELSE {offset} END"


def xml_duration(value: str) -> str:
    """Make the SQL for an interval as xs:duration: one sign before all of it; ISO 8601-2 where its parts have both signs."""
    negative = f"({value} < INTERVAL 0 DAY AND NOT regexp_matches({_interval(value)}, '[PTYMDH][0-9]'))"
    return f"CASE WHEN {negative} THEN '-' || replace({_interval(value)}, '-', '') ELSE {_interval(value)} END"


def _interval(value: str) -> str:
    def part(unit: str, letter: str) -> str:
        number = f"datepart('{unit}', {value})"
        return f"CASE WHEN {number} <> 0 THEN {number} || '{letter}' ELSE '' END"

    micros = f"datepart('microsecond', {value})"
    fraction = f"CASE WHEN {micros} % 1000000 <> 0 THEN printf('.%06d', abs({micros}) % 1000000) ELSE '' END"
    sign = f"CASE WHEN {micros} < 0 THEN '-' ELSE '' END"
    seconds = f"CASE WHEN {micros} <> 0 THEN {sign} || (abs({micros}) // 1000000) || {fraction} || 'S' ELSE '' END"
    days = " || ".join([part("year", "Y"), part("month", "M"), part("day", "D")])
    clock = " || ".join([part("hour", "H"), part("minute", "M"), seconds])
    return (
        f"CASE WHEN {value} IS NOT NULL THEN 'P' || {days} || CASE WHEN {clock} <> '' THEN 'T' || {clock} "
        f"WHEN {days} = '' THEN 'T0S' ELSE '' END END"
    )


_SPECIAL: dict[str, Callable[[str], str]] = {
    # DuckDB prints `.5` and `-.5`, which are no numbers in JSON.
    "DECIMAL BELOW ONE": lambda value: f"replace(CAST({value} AS VARCHAR), '.', '0.')",
    "BLOB": lambda value: f"base64({value})",
    "DATE": _date,
    "TIME": _time(6),
    "TIME_NS": _time(9),
    "TIME WITH TIME ZONE": _zoned_time,
    "INTERVAL": _interval,
    # to_json() would make doubles of its decimals.
    "VARIANT": lambda value: f"CAST(CAST({value} AS JSON) AS VARCHAR)",
    **{kind: _timestamp(kind) for kind in TIMESTAMPS},
}
