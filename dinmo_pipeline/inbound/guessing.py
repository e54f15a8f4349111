"""Which type the values of a column have, told from all values of a sample: only one to which every one of them converts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import duckdb

from dinmo_pipeline.inbound.types import ColumnType
from dinmo_pipeline.project.specs import InboundColumn
from dinmo_pipeline.warehouse.identifiers import quote_literal

_DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%Y", "%d.%m.%y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d")
_TIMES = ("", " %H:%M", " %H:%M:%S")
_LETTERS = {"%Y": "(19|20)[0-9]{2}", "%y": "[0-9]{2}", "%d": "[0-9]{1,2}", "%m": "[0-9]{1,2}"}
_PART = re.compile(r"%[A-Za-z]|.")

# Whether a text is a time does not depend on where it is meant.
_ANY_ZONE: Final = "UTC"

# Without the zeros in front that make a number a code, and without an exponent that could be part of one.
_NUMBER = r"-?(0|[1-9][0-9]*)?"
_LIST = r"[^\s,]+(,[^\s,]+)*"
_WORDS_COME_BACK = "(SELECT count(DISTINCT word) < count(word) FROM (SELECT unnest(split(text, ',')) AS word FROM {source}))"


@dataclass(frozen=True)
class Guess:
    """The type that is proposed for a column, and what a person should know of it, if anything."""

    column: InboundColumn
    note: str | None = None


@dataclass(frozen=True)
class _Candidate:
    """A type, the form that every value must have besides converting to it, forms that at least one must have, and a condition in SQL."""

    column: InboundColumn
    every: str
    some: tuple[str, ...] = ()
    also: str = "true"


def guess(connection: duckdb.DuckDBPyConnection, name: str, source: str) -> Guess:
    """The type of the column `name`, whose distinct values are the column `text`, never null, of the table `source`."""
    column = InboundColumn(name, "text")
    if connection.execute(f"SELECT 1 FROM {source} LIMIT 1").fetchone() is None:
        return Guess(column, "always null in the sample")
    formats = [each for each in _date_formats(name) if _fits(connection, source, each)]
    if len(formats) > 1:
        readings = " or as ".join(str(each.column.format) for each in formats)
        return Guess(column, f"dates, but whether as {readings} cannot be told: declare it")
    candidates = (*formats, *_candidates(name))
    return Guess(next((each.column for each in candidates if each in formats or _fits(connection, source, each)), column))


def _candidates(name: str) -> Iterator[_Candidate]:
    text = InboundColumn(name, "text")
    boolean, number, date, timestamp = (replace(text, type=type_) for type_ in ("boolean", "number", "date", "timestamp"))
    yield _Candidate(boolean, "(?i)true|false|[01]", ("(?i)true|false",))
    yield _Candidate(boolean, "[01]", ("0", "1"))
    yield _Candidate(number, rf"{_NUMBER}(\.[0-9]+)?([eE][+-][0-9]+)?")
    # With three digits behind it a comma may as well part thousands.
    yield _Candidate(replace(number, decimal=","), rf"{_NUMBER}(,[0-9]+)?", (".*,([0-9]{1,2}|[0-9]{4,})",))
    yield _Candidate(timestamp, r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].+")
    yield _Candidate(date, r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].+)?")
    yield _Candidate(replace(text, type="array"), r"(?s)\[[^{}\[\]]*\]")
    yield _Candidate(replace(text, type="json"), r"(?s)\s*[{\[].*")
    yield _Candidate(replace(text, type="array"), _LIST, (".*,.*",), _WORDS_COME_BACK)


def _date_formats(name: str) -> Iterator[_Candidate]:
    for day in _DAYS:
        for time in _TIMES:
            parts = _PART.findall(day + time)
            form = "".join(_LETTERS.get(part, "[0-9]{2}") if part[0] == "%" else re.escape(part) for part in parts)
            if "%Y%m%d" in day:
                form = form.replace("{1,2}", "{2}")
            yield _Candidate(InboundColumn(name, "timestamp" if time else "date", day + time), form)


def _fits(connection: duckdb.DuckDBPyConnection, source: str, candidate: _Candidate) -> bool:
    some = "".join(f" AND bool_or(regexp_full_match(text, {quote_literal(form)}))" for form in candidate.some)
    every = f"bool_and(regexp_full_match(text, {quote_literal(candidate.every)}))"
    if not _is_true(connection, f"{every}{some} AND {candidate.also.format(source=source)}", source):
        return False
    type_ = ColumnType(candidate.column, _ANY_ZONE)
    shape = type_.shape_needed(connection, source, "text")
    return _is_true(connection, f"bool_and(({type_.value('text', shape)}) IS NOT NULL)", source)


def _is_true(connection: duckdb.DuckDBPyConnection, condition: str, source: str) -> bool:
    found = connection.execute(f"SELECT {condition} FROM {source}").fetchone()
    return found is not None and bool(found[0])
