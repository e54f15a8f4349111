"""Which records are a person's: the columns that say so, as a user writes them, as SQL, and as words in texts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dinmo_pipeline.erasure.escapes import forms, readings
from dinmo_pipeline.errors import CallError
from dinmo_pipeline.formats.value_text import EXACT_NUMBERS, FLOATS
from dinmo_pipeline.masking import remember_secret
from dinmo_pipeline.sql.quoting import folded, quote_literal
from dinmo_pipeline.sql.types import DuckType, parse_type

FORM = "[TABLE.]COLUMN=VALUE"
EMPTIED = "(forgotten)"
"""What stands in a text in the place of a value of the person."""
SHORTEST_WORD = 4
"""A shorter value is looked for in columns alone: as a word of a text it could be anything."""

_TABLE = re.compile(r"((?:models|segments|feeds)\.[a-z][a-z0-9_]*)\.(?=.)", re.DOTALL)
# The fraction without zeros at its end.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(?:\.([0-9]*?)0*)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# Numbers of so many digits are told apart by floats of these types.
_FLOAT_DIGITS = {"FLOAT": 6, "DOUBLE": 15}
_AND = re.compile(r"\s+and\s+(?=[^\s=]+=)", re.IGNORECASE)
# What no letter, digit or underscore is beside.
_LEFT, _RIGHT = r"(^|[^\pL\pN_])", r"($|[^\pL\pN_])"
_BETWEEN = rf"\1{EMPTIED}\2"


@dataclass(frozen=True)
class Column:
    """A column that a record has: SQL for its value, and its DuckDB type."""

    sql: str
    type: str


@dataclass(frozen=True)
class Description:
    """Columns that together say that a record is the person's, in one table or in all that have them."""

    values: tuple[tuple[str, str], ...]
    table: str | None = None

    def condition(self, tables: Collection[str], columns: Mapping[str, Column]) -> str | None:
        """Return SQL that is true for such records of a table, by its names and its columns, folded; None where it cannot have any."""
        if self.table is not None and self.table not in tables:
            return None
        if not all(folded(name) in columns for name, _ in self.values):
            return None
        return " AND ".join(_equals(columns[folded(name)], value) for name, value in self.values)

    @property
    def columns(self) -> str:
        """The columns alone, for messages: values stay out of them."""
        names = " and ".join(name for name, _ in self.values)
        return names if self.table is None else f"{self.table}.{names}"


@dataclass(frozen=True)
class Person:
    """All descriptions of one person, or of several; a record is theirs if one fits. `fitting` are those that some table could have."""

    descriptions: tuple[Description, ...]
    fitting: set[Description] = field(default_factory=set, compare=False)

    @classmethod
    def described(cls, texts: Iterable[str]) -> Person:
        """Return the person of these `[TABLE.]COLUMN=VALUE[ and COLUMN=VALUE…]`. CallError, without the values, where one is none."""
        found = tuple(_description(text, number) for number, text in enumerate(texts, start=1))
        if not found:
            raise CallError(f"name the person by what stands in columns: {FORM}")
        for value in (value for description in found for _, value in description.values):
            remember_secret(value)
        return cls(found)

    def condition(self, tables: Collection[str], columns: Mapping[str, Column]) -> str | None:
        """Return SQL that is true for the person's records of a table, never null; None where it cannot have any."""
        found = {each: each.condition(tables, columns) for each in self.descriptions}
        conditions = [condition for condition in found.values() if condition is not None]
        self.fitting.update(each for each, condition in found.items() if condition is not None)
        return f"coalesce({' OR '.join(f'({condition})' for condition in conditions)}, false)" if conditions else None

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The values that are looked for in texts, longest first."""
        values = {value.strip() for each in self.descriptions for _, value in each.values}
        return tuple(sorted((value for value in values if len(value) >= SHORTEST_WORD), key=lambda value: (-len(value), value)))

    def mentions_sql(self, text: str) -> str:
        """Make SQL that says whether a text (SQL) has one of the words, as it is or written with escapes."""
        return f"coalesce(regexp_matches({text}, {self._pattern_sql}), false)" if self.words else "false"

    def emptied_sql(self, text: str) -> str:
        """Make SQL of a text without the words."""
        # Twice: of two that share the character between them the first time finds one.
        for _ in range(2 if self.words else 0):
            text = f"regexp_replace({text}, {self._pattern_sql}, {quote_literal(_BETWEEN)}, 'g')"
        return text

    def mentions(self, text: str) -> bool:
        """Whether a text has one of the words, as it is or written with escapes."""
        return any(self._has(text, form) for form in self._patterns)

    def mentioned(self, text: str) -> set[str]:
        """Those of the words that a text has, whatever escapes others write it with; slower."""
        return {word for reading in readings(text) for word in self.words if self._has(reading, word)}

    def emptied(self, text: str) -> str:
        """Return a text without the words."""
        for pattern in self._patterns.values():
            text = pattern.sub(EMPTIED, text)
        return text

    @cached_property
    def _pattern_sql(self) -> str:
        return quote_literal(f"{_LEFT}(?:{'|'.join(map(re.escape, self._patterns))}){_RIGHT}")

    @cached_property
    def _patterns(self) -> Mapping[str, re.Pattern[str]]:
        """For each form of a word, longest first, what finds it in a text."""
        found = {form for word in self.words for form in forms(word)}
        return {form: re.compile(rf"(?<!\w){re.escape(form)}(?!\w)") for form in sorted(found, key=lambda form: (-len(form), form))}

    def _has(self, text: str, form: str) -> bool:
        # Looking for the plain text first is many times faster.
        return form in text and self._patterns[form].search(text) is not None


def _description(text: str, number: int) -> Description:
    place = f"description {number}"
    found = _TABLE.match(text)
    table, rest = (found[1], text[found.end() :]) if found is not None else (None, text)
    values = []
    for part in _AND.split(rest):
        name, equals, value = part.partition("=")
        if not equals or not name.strip() or not value:
            raise CallError(
                f"{place}: it is none; write {FORM}, such as customer_id=C-42, models.customers.id=42, or 'country=FR and customer_id=42'"
            )
        try:
            value.encode()
        except UnicodeEncodeError:
            raise CallError(f"{place}: the value of {name} is no UTF-8; give it in that encoding") from None
        values.append((name.strip(), value))
    return Description(tuple(values), table)


def _equals(column: Column, value: str) -> str:
    """Return whether a column has the value that this text stands for; a list, whether one of its values is that."""
    text = quote_literal(value)
    parsed = parse_type(column.type)
    if parsed.kind in ("LIST", "ARRAY"):
        return f"list_contains(CAST({column.sql} AS VARCHAR[]), {text})"
    as_text = f"CAST({column.sql} AS VARCHAR) = {text}"
    if parsed.kind == "VARCHAR":
        return as_text
    if parsed.kind == "JSON":
        return f"({as_text} OR json_extract_string({column.sql}, '$') = {text})"
    if parsed.kind in ("STRUCT", "MAP", "UNION", "TUPLE"):
        return as_text
    # 42 and 42.00 are one number, and an instant may be written in many ways.
    return f"({as_text} OR {column.sql} = TRY_CAST({text} AS {column.type}))" if _is_exact(parsed, value) else as_text


def _is_exact(column_type: DuckType, value: str) -> bool:
    """Return whether the text means the same as a value of this type.

    A cast rounds 41.6 to 42, and takes `007`, `1e3`, `0x2a` for numbers.
    """
    kind = column_type.kind
    if kind in EXACT_NUMBERS | FLOATS:
        number = _NUMBER.fullmatch(value)
        if number is None:
            return False
        whole, fraction = number[1], number[2] or ""
        if kind in FLOATS:
            return len(whole + fraction) <= _FLOAT_DIGITS[kind]
        return len(fraction) <= (column_type.digits[1] if column_type.digits is not None else 0)
    if kind == "DATE":
        return _DATE.fullmatch(value) is not None
    return kind != "BOOLEAN" or value.lower() in ("true", "false")
