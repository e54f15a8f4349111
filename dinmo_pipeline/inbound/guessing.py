"""Which type the values of a column have, told from all values of a sample: only one to which every one of them converts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
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

_TRIED_FIRST: Final = 20
# Names of what is written in digits and is no amount: a zero in front of one counts.
_CODE = re.compile(
    r"(.*_)?(zip|zip_?codes?|post_?codes?|postal|postal_code|code_?postal|plz|cap|cp|codes?|phones?|tel|telephone|telefon|telefono|mobile|"
    r"fax|gsm|sku|skus|ean(13|8)?|gtin|upc|isbn|barcode|siret|siren|iban|bic|vat|tva|account|card|ref|reference|serial|matricule|phone_?"
    r"numbers?|phone_?no|insee|nir|ssn|msisdn|imei)(_.*)?"
)
_AMOUNT = re.compile(
    r"(.*_)?(year|annee|jahr|amount|price|prix|preis|total|sum|qty|quantity|quantite|menge|count|number|nb|age|points|score|size|"
    r"weight|height|width|length|duration|revenue|sales|cost|spent|value|balance|stock)(_.*)?"
)
_NUMBERED = re.compile(r"(.*_)?(ids?|no|nr|num|numero|nummer|number|key|store|shop|type|status|level|order|line|position)|.*nummer")
# Without the zeros in front that make a number a code, and without an exponent that could be part of one.
_NUMBER = r"-?(0|[1-9][0-9]*)?"
_LIST = r"[^\s,]+(,[^\s,]+)*"
_WORDS_COME_BACK = "(SELECT count(DISTINCT word) < count(word) FROM (SELECT unnest(split(text, ',')) AS word FROM {source}))"


@lru_cache(maxsize=256)
def _compiled(form: str) -> re.Pattern[str]:
    return re.compile(form, re.ASCII)


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

    def may_fit(self, texts: Collection[str]) -> bool:
        """Whether all of these texts have its form: what tells soon that most columns are not of most types."""
        return all(_compiled(self.every).fullmatch(text) for text in texts)


def guess(connection: duckdb.DuckDBPyConnection, name: str, source: str) -> Guess:
    """The type of the column `name`, whose distinct values are the column `text`, never null, of the table `source`."""
    column = InboundColumn(name, "text")
    first = [text for (text,) in connection.execute(f"SELECT text FROM {source} LIMIT {_TRIED_FIRST}").fetchall()]
    if not first:
        return Guess(column, "always null in the sample")
    formats = [each for each in _date_formats(name) if each.may_fit(first) and _fits(connection, source, each)]
    if len(formats) > 1:
        readings = " or as ".join(str(each.column.format) for each in formats)
        return Guess(column, f"dates, but whether as {readings} cannot be told: declare it")
    candidates = (*formats, *(each for each in _candidates(name) if each.may_fit(first)))
    found = next((each.column for each in candidates if each in formats or _fits(connection, source, each)), column)
    doubt = _doubt(connection, found, source)
    if doubt is not None:
        return Guess(column, doubt)
    is_bare = found.type == "number" and found.decimal == "." and not _AMOUNT.fullmatch(name)
    if is_bare and _have_one_length(connection, source) and not _is_true(connection, "bool_or(contains(text, '.'))", source):
        return Guess(found, "digits of one length: if a zero in front counts, as in a code, declare text")
    if "%y" in str(found.format):
        return Guess(found, "years of two digits: 69 to 99 are taken for the last century, others for this one")
    return Guess(found)


def _doubt(connection: duckdb.DuckDBPyConnection, found: InboundColumn, source: str) -> str | None:
    """Why a column is better left as text although all its values are of the type that was found."""
    counts = any(form.fullmatch(found.name) for form in (_CODE, _AMOUNT, _NUMBERED))
    if found.format == "%Y%m%d" and counts:
        return "digits that may be dates, or numbers: declare what they are"
    if found.type == "boolean" and counts and not _is_true(connection, "bool_or(length(text) > 1)", source):
        return "0 and 1, which may be numbers, yes and no, or codes: declare which"
    if found.type != "number" or found.decimal != ".":
        return None
    if _is_true(connection, "bool_or(contains(lower(text), 'e')) AND NOT bool_or(contains(text, '.'))", source):
        return "digits with an E in them, which may be codes: declare a number if they are one"
    if _is_true(connection, "bool_or(contains(text, '.'))", source):
        if not _AMOUNT.fullmatch(found.name) and _is_true(
            connection, "count(DISTINCT text) > count(DISTINCT TRY_CAST(text AS DECIMAL(38, 15)))", source
        ):
            return "numbers that are written in two ways, such as 1.1 and 1.10: declare a number if both are one"
        return None
    if _CODE.fullmatch(found.name):
        return "digits that are a code by their name, in which a zero in front counts: declare a number if they are an amount"
    if _NUMBERED.fullmatch(found.name) and _have_one_length(connection, source):
        return "digits of one length, as codes have, in which a zero in front counts: declare a number if they are an amount"
    return None


def _have_one_length(connection: duckdb.DuckDBPyConnection, source: str) -> bool:
    return _is_true(connection, "min(length(text)) = max(length(text)) AND min(length(text)) >= 4 AND count(*) > 1", source)


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
    [(found,)] = connection.execute(f"SELECT {condition} FROM {source}").fetchall()
    return bool(found)
