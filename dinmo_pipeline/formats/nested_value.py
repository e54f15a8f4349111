"""SQL that makes nested values again: of JSON text, and of what stands in their place in a Parquet file."""

from __future__ import annotations

import secrets

from dinmo_pipeline.formats.parquet.write_values import union_tag
from dinmo_pipeline.formats.text_value import type_name, value_of_text
from dinmo_pipeline.formats.value_text import NESTED, TextStyle
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal
from dinmo_pipeline.sql.types import DuckType

# Their digits would be a double's, or they hold numbers of others.
_INEXACT = frozenset({"DECIMAL", "DECIMAL BELOW ONE", "JSON", "VARIANT"})
# A number outside a string, and what stands before it; at last the end, so that no search begins inside a string.
_NUMBERS = r"""((?:[^"\d-]|"(?:[^"\\]|\\.)*")*)(-?\d[\d.eE+-]*|$)"""


class NestedValues:
    """Makes the SQL of values whose parts stand in nested DuckDB values, those of tuples and unions as in Parquet.

    `column` is the name of their column, for errors.
    """

    def __init__(self, style: TextStyle, column: str) -> None:
        self._style, self._column = style, column

    def value(self, column_type: DuckType, found: str, depth: int = 0) -> str:
        """Make the SQL for the value of this type that stands in `found`; what is no value of its type becomes an error."""
        kind, members, item = column_type.kind, column_type.members, f"x{depth}"
        if kind not in NESTED:
            return self._plain(column_type, found)
        if kind in ("LIST", "ARRAY"):
            return f"list_transform({found}, lambda {item}: {self.value(members[0][1], item, depth + 1)})"
        if kind == "MAP":
            key, value = self._key(members[0][1], f"{item}.key", depth + 1), self.value(members[1][1], f"{item}.value", depth + 1)
            return f"map_from_entries(list_transform(map_entries({found}), lambda {item}: struct_pack(k := {key}, v := {value})))"
        if kind == "UNION":
            made = {name: self.value(part, self._alternative(found, name, part), depth + 1) for name, part in members}
            target = sql_type(column_type)
            cases = [f"WHEN {quote_literal(n)} THEN CAST(union_value({quote_identifier(n)} := {v}) AS {target})" for n, v in made.items()]
            return f"CASE {self._tag(column_type, found)} {' '.join(cases)} ELSE {self._checked(column_type, found, 'NULL')} END"
        if kind == "TUPLE":
            parts = [self.value(part, self._element(found, number, part), depth + 1) for number, (_, part) in enumerate(members, 1)]
            found = self._elements(column_type, found)
            return f"CASE WHEN {found} IS NOT NULL THEN row({', '.join(parts)}) END"
        named = [f"{quote_identifier(n)} := {self.value(t, f'struct_extract({found}, {quote_literal(n)})', depth + 1)}" for n, t in members]
        return f"CASE WHEN {found} IS NOT NULL THEN struct_pack({', '.join(named)}) END"

    def _plain(self, column_type: DuckType, found: str) -> str:
        return self._checked(column_type, found, value_of_text(column_type, found, self._style))

    def _checked(self, column_type: DuckType, text: str, value: str) -> str:
        """Make the SQL that is an error in words where `value` is null and `text`, of which it was made, is not."""
        if value == text:
            return value
        before, after = f"column {self._column!r}: '", f"' is no {column_type.kind}"
        words = f"concat({quote_literal(before)}, left(CAST({text} AS VARCHAR), 80), {quote_literal(after)})"
        return f"CASE WHEN {text} IS NOT NULL THEN coalesce({value}, error({words})) END"

    def _key(self, key_type: DuckType, found: str, depth: int) -> str:
        return self.value(key_type, found, depth)

    def _tag(self, union: DuckType, found: str) -> str:
        return f"struct_extract({found}, '{union_tag(union)}')"

    def _alternative(self, found: str, name: str, part: DuckType) -> str:
        return f"struct_extract({found}, {quote_literal(name)})"

    def _elements(self, tuple_type: DuckType, found: str) -> str:
        return found

    def _element(self, found: str, number: int, part: DuckType) -> str:
        return f"struct_extract({found}, 'element{number}')"


class JsonValues(NestedValues):
    """Makes the SQL of nested values that are JSON text; `embedded`: whether a JSON value stands there as it is, and not as a string."""

    def __init__(self, style: TextStyle, column: str, *, embedded: bool) -> None:
        super().__init__(style, column)
        self._embedded = embedded
        # No string of the file begins so: it is drawn from so many.
        self._mark = secrets.token_hex(16)

    def of_text(self, column_type: DuckType, text: str, depth: int = 0) -> str:
        """Make the SQL for the value of a nested type whose JSON is `text`."""
        json = text
        if any(part.kind in _INEXACT for part in column_type.walk()):
            as_text = quote_literal(rf'\1"{self._mark}\2"')
            json = f"left(regexp_replace({text}, {quote_literal(_NUMBERS)}, {as_text}, 'g'), -{len(self._mark) + 2})"
        carried = f"TRY(CAST(CAST({json} AS JSON) AS {self._carrier(column_type)}))"
        # Bound to a name: TRY takes no error() inside of it.
        value = self.value(column_type, f"j{depth}", depth)
        return f"list_transform([{self._checked(column_type, text, carried)}], lambda j{depth}: {value})[1]"

    def _carrier(self, column_type: DuckType) -> str:
        """Return the type with a text, or JSON, in the place of each value."""
        kind, members = column_type.kind, column_type.members
        if kind in ("LIST", "ARRAY"):
            return self._carrier(members[0][1]) + "[]"
        if kind == "MAP":
            return f"MAP(VARCHAR, {self._carrier(members[1][1])})"
        if kind == "STRUCT":
            return f"STRUCT({', '.join(f'{quote_identifier(name)} {self._carrier(part)}' for name, part in members)})"
        if kind == "TUPLE":
            return "JSON[]"
        return "JSON" if kind == "UNION" or (kind in ("JSON", "VARIANT") and self._embedded) else "VARCHAR"

    def _plain(self, column_type: DuckType, found: str) -> str:
        if column_type.kind in ("JSON", "VARIANT") and self._embedded:
            text = f"regexp_replace(CAST({found} AS VARCHAR), '\"{self._mark}([^\"]*)\"', '\\1', 'g')"
        else:
            text = found if column_type.kind in ("VARCHAR", "ENUM") else f"replace({found}, '{self._mark}', '')"
        return super()._plain(column_type, text)

    def _key(self, key_type: DuckType, found: str, depth: int) -> str:
        return self.of_text(key_type, found, depth) if key_type.kind in NESTED else self.value(key_type, found, depth)

    def _tag(self, union: DuckType, found: str) -> str:
        return f"CASE WHEN len(json_keys({found})) = 1 THEN json_keys({found})[1] END"

    def _alternative(self, found: str, name: str, part: DuckType) -> str:
        return self._carried(f"json_extract({found}, '$.*')[1]", part)

    def _elements(self, tuple_type: DuckType, found: str) -> str:
        return self._checked(tuple_type, found, f"CASE WHEN len({found}) = {len(tuple_type.members)} THEN {found} END")

    def _element(self, found: str, number: int, part: DuckType) -> str:
        return self._carried(f"{found}[{number}]", part)

    def _carried(self, json: str, part: DuckType) -> str:
        carrier = self._carrier(part)
        if carrier == "VARCHAR":
            return f"json_extract_string({json}, '$')"
        return f"CASE WHEN json_type({json}) <> 'NULL' THEN CAST({json} AS {carrier}) END"


def sql_type(column_type: DuckType) -> str:
    """Return the type as SQL has it, with lists for arrays and VARCHAR for ENUMs: a cast makes those of it."""
    kind, members = column_type.kind, column_type.members
    if kind not in NESTED:
        return type_name(column_type)
    if kind in ("LIST", "ARRAY"):
        return sql_type(members[0][1]) + "[]"
    named = kind in ("STRUCT", "UNION")
    return f"{kind}({', '.join(f'{quote_identifier(n)} {sql_type(t)}' if named else sql_type(t) for n, t in members)})"
