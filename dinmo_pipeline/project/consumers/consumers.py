"""The one table of consumers: which options of a format serve each of them, and what it does not read as it was meant.

An activation's `consumer` gives its format these options where the definition says nothing else, and `dinmo check` warns of the rest.
Rows, snapshots and deltas are the same with and without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from dinmo_pipeline.project.consumers.limits import Limit, Options, Reader
from dinmo_pipeline.project.specs import ActivationSpec

Consumer = Literal[
    "postgres",
    "mysql",
    "mariadb",
    "sqlite",
    "sqlserver",
    "duckdb",
    "clickhouse",
    "spark",
    "snowflake",
    "bigquery",
    "redshift",
    "pandas",
    "polars",
    "pyarrow",
    "r",
    "php",
    "ruby",
    "perl",
    "node",
    "libreoffice",
    "excel",
]

_CSV, _JSON, _NDJSON, _XML, _PARQUET = "csv", "json", "ndjson", "xml", "parquet"
_TEXT = (_CSV, _JSON, _NDJSON, _XML)
_OBJECTS = (_JSON, _NDJSON)


def _unread(*formats: str, instead: str = "csv") -> Limit:
    return Limit("type", "has no reader of {value} of its own; write " + instead, formats)


def _each(formats: Sequence[str], **options: Any) -> dict[str, Options]:
    return dict.fromkeys(formats, options)


def _encodings(words: str, *refused: str) -> Limit:
    return Limit("encoding", words, refused)


_OLD = ("iso-8859-15", "windows-1250", "windows-1251", "windows-1252", "shift-jis", "gb18030")
_NO_SUCH = "has no such encoding; write utf-8"
_ESCAPED = Limit("escape_formulas", "keeps the ' that stands before a text, and the value is another one; leave the option out", (True,))
_COMMA = Limit("decimal", 'reads a number with a comma as text, or refuses it; write "."', (",",))
_PACKED = Limit("compression", "reads no {value}; write none, or unpack the file before", ("gzip", "zstd"), formats=_TEXT)
_ZSTD = Limit("compression", "reads zstd only with a package that it does not bring; write gzip", ("zstd",), formats=_TEXT)
_SESSION = "takes an instant without an offset for one of the session's time zone; write iso, or set that zone to UTC before loading"
_ZONED = Limit("timestamps", _SESSION, ("sql",))
_EMPTY_NULL = Limit("null_text", "takes nothing but an empty field without quotes for null; leave null_text out", allowed=("",))
_EMPTY_FILES = Limit("empty_files", "stops at a file without rows; write skip", ("write",), formats=(_NDJSON,))
_EXACT = _each(_OBJECTS, numbers="text")
_PLAIN_UTF8 = _encodings("reads UTF-8 alone; write utf-8", "utf-16", "latin-1", *_OLD)
_LINES = Limit("type", "reads a record a line; write ndjson", (_JSON,))

_LOAD_DATA = {
    _CSV: {"booleans": "1/0", "timestamps": "sql", "null_text": "NULL"},
    **_each((_XML, _NDJSON), booleans="1/0", timestamps="sql"),
}
_LOAD_DATA_LIMITS = (
    _unread(_PARQUET),
    Limit("type", "loads no array of JSON; write csv, or ndjson", (_JSON,)),
    Limit("type", "makes null of an empty text in XML; write csv", (_XML,)),
    Limit("booleans", "makes 0 of the words of booleans; write 1/0", allowed=("1/0",)),
    Limit("timestamps", "drops offsets, and knows the form 2025-07-01 12:00:00 alone; write sql", allowed=("sql",)),
    Limit("null_text", "makes 0 or an empty text of every null but NULL; write NULL", allowed=("NULL",)),
    _encodings("loads no UTF-16; write utf-8", "utf-16"),
    _COMMA,
    _PACKED,
    _ESCAPED,
)
_SHEET = {"timestamps": "%Y-%m-%d %H:%M:%S"}
_SHEET_LIMITS = (
    Limit("type", "opens {value} as no table by itself; write csv", (_JSON, _NDJSON, _XML, _PARQUET)),
    Limit("compression", "opens no {value}; write none", ("gzip", "zstd"), formats=_TEXT),
    Limit(
        "timestamps", "leaves an instant with a T or an offset as text; leave timestamps out, or write a pattern", ("iso",), formats=(_CSV,)
    ),
)

CONSUMERS: Mapping[str, Reader] = {
    "postgres": Reader(
        "PostgreSQL",
        {},
        (
            _unread(_XML, _PARQUET),
            Limit("type", "loads a record a line; write csv, or ndjson", (_JSON,)),
            _encodings("takes the mark at the start of the file for a part of the first name; write utf-8", "utf-8-bom"),
            _encodings("knows no UTF-16; write utf-8", "utf-16"),
            _ZONED,
            _COMMA,
            _PACKED,
            _ESCAPED,
        ),
    ),
    "mysql": Reader("MySQL", _LOAD_DATA, (*_LOAD_DATA_LIMITS, _encodings(_NO_SUCH, "iso-8859-15"))),
    "mariadb": Reader("MariaDB", _LOAD_DATA, (*_LOAD_DATA_LIMITS, _encodings(_NO_SUCH, "iso-8859-15", "gb18030"))),
    "sqlite": Reader(
        "SQLite",
        {_CSV: {"booleans": "1/0"}, **_EXACT},
        (
            _unread(_XML, _PARQUET),
            Limit("numbers", "makes floats of decimals; write text", ("exact",)),
            Limit("booleans", "knows no words for booleans, and true is false; write 1/0", allowed=("1/0",), formats=(_CSV,)),
            _PLAIN_UTF8,
            _COMMA,
            _PACKED,
            _ESCAPED,
        ),
    ),
    "sqlserver": Reader(
        "SQL Server",
        {_CSV: {"line_ending": "\r\n", "booleans": "1/0", "timestamps": "sql"}},
        (_unread(_PARQUET), _COMMA, _PACKED, _ESCAPED),
    ),
    "duckdb": Reader(
        "DuckDB",
        {},
        (_unread(_XML), _encodings("reads it with the extension encodings alone; write utf-8", *_OLD), _ZONED, _ESCAPED),
    ),
    "clickhouse": Reader(
        "ClickHouse",
        {},
        (
            _unread(_XML),
            Limit("quoting", "refuses a boolean in quotes; write minimal, or texts", ("all",)),
            Limit("json_columns", "refuses the file at JSON that is no object; write text", ("native",)),
            _PLAIN_UTF8,
            _ZONED,
            _COMMA,
            _ESCAPED,
        ),
    ),
    "spark": Reader(
        "Spark",
        {_CSV: {"null_text": "\\N", "quoting": "texts"}},
        (
            _LINES,
            Limit("compression", "reads no brotli without a codec of others; write zstd", ("brotli",), formats=(_PARQUET,)),
            Limit("uuid", "reads no column of a file that has a UUID; write text", ("native",)),
            Limit("time", "reads no column of a file that has a TIME; write text", ("native",)),
            Limit("nulls", "makes an empty text of xsi:nil; write absent", ("nil",)),
            Limit("booleans", "makes null of a boolean that is not true or false; write true/false", ("1/0", "Y/N")),
            _encodings("refuses the encoding; write utf-8", *_OLD),
            _ZONED,
            Limit("decimal", 'reads 1,50 as 150; write "."', (",",)),
            _ESCAPED,
        ),
    ),
    "snowflake": Reader("Snowflake", {_CSV: {"quoting": "texts"}}, (_ZONED, _COMMA, _ESCAPED)),
    "bigquery": Reader(
        "BigQuery",
        {_CSV: {"null_text": "\\N", "quoting": "texts"}},
        (
            Limit("type", "loads a record a line; write ndjson", (_JSON,)),
            _unread(_XML),
            Limit("compression", "loads no zstd; write gzip", ("zstd",), formats=_TEXT),
            Limit("compression", "loads no brotli; write zstd", ("brotli",), formats=(_PARQUET,)),
            _encodings(_NO_SUCH, *_OLD),
            _COMMA,
            _ESCAPED,
        ),
    ),
    "redshift": Reader(
        "Redshift",
        {},
        (
            Limit("type", "loads no array of JSON; write csv, or ndjson", (_JSON,)),
            _unread(_XML),
            Limit("uuid", "loads no UUID from Parquet; write text", ("native",)),
            Limit("time", "loads no TIME from Parquet; write text", ("native",)),
            _encodings(_NO_SUCH, *_OLD),
            _ZONED,
            _COMMA,
            _ESCAPED,
        ),
    ),
    "pandas": Reader(
        "pandas",
        _EXACT,
        (
            Limit("numbers", "makes floats of decimals, and stops at one of 28 digits; write text, and read with dtype=False", ("exact",)),
            Limit("empty_files", "stops at a file without rows; write skip", ("write",), formats=(_XML,)),
            _ESCAPED,
        ),
    ),
    "polars": Reader(
        "polars",
        _EXACT,
        (
            _unread(_XML),
            Limit("null_text", "takes the very text in quotes for null, too; leave null_text out", allowed=("",)),
            Limit("numbers", "makes floats of decimals; write text", ("exact",)),
            Limit("uuid", "makes 16 bytes of a UUID; write text", ("native",)),
            Limit("json_columns", "makes bytes of JSON; write text", ("native",)),
            _encodings("misreads UTF-16 without a word; write utf-8", "utf-16"),
            _EMPTY_FILES,
            _ESCAPED,
        ),
    ),
    "pyarrow": Reader(
        "PyArrow",
        _each(_OBJECTS, non_finite="null"),
        (
            _unread(_XML),
            _LINES,
            Limit("non_finite", 'stops at "NaN" among numbers; write null', ("text",)),
            _EMPTY_FILES,
            _ESCAPED,
        ),
    ),
    "r": Reader("R", _EXACT, (Limit("numbers", "makes floats of all numbers; write text", ("exact",)), _ZSTD, _ESCAPED)),
    "php": Reader(
        "PHP",
        _EXACT,
        (
            Limit("numbers", "makes floats of decimals; write text", ("exact",)),
            _encodings("takes the mark at the start of the file for a part of the first name; write utf-8", "utf-8-bom"),
            _encodings("splits no line of UTF-16; write utf-8", "utf-16"),
            _ZSTD,
            _ESCAPED,
        ),
    ),
    "ruby": Reader("Ruby", _EXACT, (Limit("numbers", "makes floats of decimals; write text", ("exact",)), _EMPTY_NULL, _ZSTD, _ESCAPED)),
    "perl": Reader("Perl", _EXACT, (Limit("numbers", "makes floats of decimals; write text", ("exact",)), _EMPTY_NULL, _ZSTD, _ESCAPED)),
    "node": Reader(
        "Node.js",
        {**_EXACT, _PARQUET: {"compression": "snappy"}},
        (
            Limit("numbers", "makes floats of all numbers, and loses digits beyond 2^53; write text", ("exact",)),
            Limit(
                "compression",
                "reads {value} with a package of its own alone; write snappy, or none",
                ("zstd", "gzip", "lz4", "brotli"),
                formats=(_PARQUET,),
            ),
            _ESCAPED,
        ),
    ),
    "libreoffice": Reader("LibreOffice", {_CSV: {"quoting": "texts", **_SHEET}}, _SHEET_LIMITS),
    "excel": Reader(
        "Excel",
        {
            _CSV: {
                "delimiter": ";",
                "line_ending": "\r\n",
                "encoding": "utf-8-bom",
                "escape_formulas": True,
                "decimal": ",",
                **_SHEET,
            }
        },
        (
            *_SHEET_LIMITS,
            Limit("escape_formulas", "runs a text that begins with = as a formula; write true", (False,)),
            Limit(
                "encoding",
                "takes a file without a mark at its start for one of its own code page; write utf-8-bom",
                allowed=("utf-8-bom", "utf-16"),
            ),
        ),
    ),
}


def with_options_for(consumer: str | None, options: Options) -> dict[str, Any]:
    """Give the options of a format, as written, after those that serve the consumer."""
    served = CONSUMERS[consumer].options if consumer is not None else {}
    return {**served.get(str(options.get("type")), {}), **options}


def consumer_warnings(spec: ActivationSpec) -> Iterator[tuple[tuple[str, ...], str]]:
    """Find what the activation's consumer will not read as it is meant: the field, and what to say of it."""
    if spec.consumer is None:
        return
    reader = CONSUMERS[spec.consumer]
    for limit in reader.limits:
        value = limit.broken_by(spec)
        if value is not None:
            yield limit.path, f"{'.'.join(limit.path)}: {reader.title} {limit.words.format(value=value)}"
            if limit.option == "type":
                # What it does not read at all has no other fault.
                return
