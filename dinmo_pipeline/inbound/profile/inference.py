"""Which type the values of a column have, told from all values of a sample: only one to which every one of them converts."""

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, TypeVar

import duckdb

from dinmo_pipeline.inbound.load.column_types import ColumnType
from dinmo_pipeline.project.inbound_specs import InboundColumn
from dinmo_pipeline.sql.quoting import quote_literal

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
_WORDS = "flatten(list(split(text, ',')))"
_WORDS_COME_BACK = f"len(list_distinct({_WORDS})) < len({_WORDS})"

_Found = TypeVar("_Found")
# It yields SQL aggregates over the distinct texts of a column, and is sent their values.
_Asking = Generator[str, Sequence[Any], _Found]


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
        """Return whether all of these texts have its form: what tells soon that most columns are not of most types."""
        return all(_compiled(self.every).fullmatch(text) for text in texts)


def guess_columns(connection: duckdb.DuckDBPyConnection, names: Mapping[int, str], source: str) -> dict[int, Guess]:
    """Return the types of columns, known by a number; the table `source` has their distinct values, never null, as `number` and `text`.

    Each question is asked once of all columns that it comes up for: a query a column would take minutes where there are thousands.
    """
    listed = connection.execute(f"SELECT number, list_slice(list(text), 1, {_TRIED_FIRST}) FROM {source} GROUP BY number").fetchall()
    first: dict[int, list[str]] = dict(listed)
    asking = {number: _guess(name, first.get(number, [])) for number, name in names.items()}
    answers: dict[int, Sequence[Any]] = {}
    found: dict[int, Guess] = {}
    while asking:
        questions: dict[str, list[int]] = {}
        for number in list(asking):
            try:
                question = asking[number].send(answers[number]) if answers else next(asking[number])
            except StopIteration as end:
                found[number] = end.value
                del asking[number]
            else:
                questions.setdefault(question, []).append(number)
        answers = {}
        for question, numbers in questions.items():
            answers |= _answers(connection, question, numbers, source)
    return found


def _answers(connection: duckdb.DuckDBPyConnection, question: str, numbers: list[int], source: str) -> dict[int, Sequence[Any]]:
    rows = connection.execute(
        f"SELECT number, {question} FROM {source} SEMI JOIN (SELECT unnest(?::INTEGER[]) AS number) USING (number) GROUP BY number",
        [numbers],
    )
    return {number: values for number, *values in rows.fetchall()}


def _guess(name: str, first: Collection[str]) -> _Asking[Guess]:
    text = InboundColumn(name, "text")
    if not first:
        return Guess(text, "always null in the sample")
    formats = []
    for each in _DATE_FORMATS:
        if each.may_fit(first) and (yield from _fits(each)):
            formats.append(each.column)
    if len(formats) > 1:
        readings = " or as ".join(str(column.format) for column in formats)
        return Guess(text, f"dates, but whether as {readings} cannot be told: declare it")
    found = replace(formats[0] if formats else (yield from _first_that_fits(first)), name=name)
    doubt = yield from _doubt(found)
    if doubt is not None:
        return Guess(text, doubt)
    is_bare = found.type == "number" and found.decimal == "." and not _AMOUNT.fullmatch(name)
    if is_bare and (yield from _have_one_length()) and not (yield from _is_true("bool_or(contains(text, '.'))")):
        return Guess(found, "digits of one length: if a zero in front counts, as in a code, declare text")
    if "%y" in str(found.format):
        return Guess(found, "years of two digits: 69 to 99 are taken for the last century, others for this one")
    return Guess(found)


def _first_that_fits(first: Collection[str]) -> _Asking[InboundColumn]:
    for each in _CANDIDATES:
        if each.may_fit(first) and (yield from _fits(each)):
            return each.column
    return _TEXT


def _doubt(found: InboundColumn) -> _Asking[str | None]:
    """Yield why a column is better left as text although all its values are of the type that was found."""
    counts = any(form.fullmatch(found.name) for form in (_CODE, _AMOUNT, _NUMBERED))
    if found.format == "%Y%m%d" and counts:
        return "digits that may be dates, or numbers: declare what they are"
    if found.type == "boolean" and counts and not (yield from _is_true("bool_or(length(text) > 1)")):
        return "0 and 1, which may be numbers, yes and no, or codes: declare which"
    if found.type != "number" or found.decimal != ".":
        return None
    if (yield from _is_true("bool_or(contains(lower(text), 'e')) AND NOT bool_or(contains(text, '.'))")):
        return "digits with an E in them, which may be codes: declare a number if they are one"
    if (yield from _is_true("bool_or(contains(text, '.'))")):
        twice = "count(DISTINCT text) > count(DISTINCT TRY_CAST(text AS DECIMAL(38, 15)))"
        if not _AMOUNT.fullmatch(found.name) and (yield from _is_true(twice)):
            return "numbers that are written in two ways, such as 1.1 and 1.10: declare a number if both are one"
        return None
    if _CODE.fullmatch(found.name):
        return "digits that are a code by their name, in which a zero in front counts: declare a number if they are an amount"
    if _NUMBERED.fullmatch(found.name) and (yield from _have_one_length()):
        return "digits of one length, as codes have, in which a zero in front counts: declare a number if they are an amount"
    return None


def _have_one_length() -> _Asking[bool]:
    return (yield from _is_true("min(length(text)) = max(length(text)) AND min(length(text)) >= 4 AND count(*) > 1"))


def _candidates() -> Iterator[_Candidate]:
    boolean, number, date, timestamp = (replace(_TEXT, type=type_) for type_ in ("boolean", "number", "date", "timestamp"))
    yield _Candidate(boolean, "(?i)true|false|[01]", ("(?i)true|false",))
    yield _Candidate(boolean, "[01]", ("0", "1"))
    yield _Candidate(number, rf"{_NUMBER}(\.[0-9]+)?([eE][+-][0-9]+)?")
    # With three digits behind it a comma may as well part thousands.
    yield _Candidate(replace(number, decimal=","), rf"{_NUMBER}(,[0-9]+)?", (".*,([0-9]{1,2}|[0-9]{4,})",))
    yield _Candidate(timestamp, r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].+")
    yield _Candidate(date, r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].+)?")
    yield _Candidate(replace(_TEXT, type="array"), r"(?s)\[[^{}\[\]]*\]")
    yield _Candidate(replace(_TEXT, type="json"), r"(?s)\s*[{\[].*")
    yield _Candidate(replace(_TEXT, type="array"), _LIST, (".*,.*",), _WORDS_COME_BACK)


def _date_formats() -> Iterator[_Candidate]:
    for day in _DAYS:
        for time in _TIMES:
            parts = _PART.findall(day + time)
            form = "".join(_LETTERS.get(part, "[0-9]{2}") if part[0] == "%" else re.escape(part) for part in parts)
            if "%Y%m%d" in day:
                form = form.replace("{1,2}", "{2}")
            yield _Candidate(replace(_TEXT, type="timestamp" if time else "date", format=day + time), form)


# Of a column without a name: that of each is set when its type is found.
_TEXT: Final = InboundColumn("", "text")
_CANDIDATES: Final = tuple(_candidates())
_DATE_FORMATS: Final = tuple(_date_formats())


def _fits(candidate: _Candidate) -> _Asking[bool]:
    some = "".join(f" AND bool_or(regexp_full_match(text, {quote_literal(form)}))" for form in candidate.some)
    every = f"bool_and(regexp_full_match(text, {quote_literal(candidate.every)}))"
    if not (yield from _is_true(f"{every}{some} AND {candidate.also}")):
        return False
    type_ = ColumnType(candidate.column, _ANY_ZONE)
    shape = type_.first_shape()
    if type_.widens:
        needs = yield ", ".join(f"{need} FILTER ({type_.taken('text')})" for need in type_.needs("text"))
        shape = shape.widened(type_.shape_of_needs(*needs))
    return (yield from _is_true(f"bool_and(({type_.value('text', shape)}) IS NOT NULL)"))


def _is_true(condition: str) -> _Asking[bool]:
    [found] = yield condition
    return bool(found)
