"""From a DuckDB type to the SQL of its JSON text: exact numbers, nested values nested, never a double in between."""

from __future__ import annotations

import json
from dataclasses import dataclass

from dinmo_pipeline.formats.value_text import (
    BOOLEANS,
    EXACT_NUMBERS,
    FLOATS,
    INTEGERS,
    NESTED,
    TextStyle,
    plain_text,
)
from dinmo_pipeline.sql.quoting import quote_literal
from dinmo_pipeline.sql.types import DuckType

# DuckDB's own to_json is right for these, and fast; not for floats, dates, binary and JSON.
_NATIVE = EXACT_NUMBERS | {"BOOLEAN", "VARCHAR", "UUID", "ENUM", "LIST", "ARRAY", "STRUCT", "MAP"}
# A number in JavaScript, in jq and in many readers is a double: it loses digits of what may lie beyond 2^53.
_INEXACT_ELSEWHERE = EXACT_NUMBERS - {"TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"}

_NOT_JSON = r"(?i)nan|inf|,\s*[\]}]"
_JSON_STRING = r'"(?:[^"\\]|\\.)*"'


def json_key(name: str) -> str:
    """Return `name` as a key with its colon, as JSON writes it: `"first name":`."""
    return json.dumps(name, ensure_ascii=False) + ":"


@dataclass(frozen=True)
class JsonStyle:
    """How values read in JSON: `text` is for those that are not nested.

    `numbers_as_text` writes decimals and the integers of types that go beyond 2^53 as strings, `non_finite_as_null` NaN and the
    infinities as null.
    """

    text: TextStyle
    numbers_as_text: bool = False
    non_finite_as_null: bool = False

    def is_number(self, kind: str) -> bool:
        """Say whether an exact number of this type, or a finite float, stands there as a JSON number."""
        if kind in EXACT_NUMBERS and self.numbers_as_text and kind in _INEXACT_ELSEWHERE:
            return False
        return kind in INTEGERS or self.text.decimal == "."

    def is_native(self, kind: str) -> bool:
        """Say whether DuckDB's own JSON of this type is in this style."""
        if kind == "BOOLEAN":
            return self.text.booleans == BOOLEANS["true/false"]
        return kind in _NATIVE and (kind not in EXACT_NUMBERS or self.is_number(kind))


def json_text(column_type: DuckType, value: str, style: JsonStyle, local: str | None = None) -> str:
    """Make the SQL for the JSON text of `value`, an expression of this type; NULL (not the text `null`) where the value is null."""
    return _json_text(column_type, value, style, local=local, depth=0)


def _json_text(column_type: DuckType, value: str, style: JsonStyle, *, local: str | None, depth: int) -> str:
    kind = column_type.kind
    if kind in NESTED:
        if all(style.is_native(part.kind) and not _has_nested_key(part) for part in column_type.walk()):
            return f"CAST(to_json({value}) AS VARCHAR)"
        return _nested_text(column_type, value, style, depth=depth)
    text = plain_text(kind, value, style.text, local)
    if kind == "BOOLEAN":
        return text if style.text.booleans[0] in ("true", "1") else _string(text)
    if kind in EXACT_NUMBERS:
        return text if style.is_number(kind) else _string(text)
    if kind in FLOATS:
        finite = text if style.is_number(kind) else _string(text)
        words = "CAST(NULL AS VARCHAR)" if style.non_finite_as_null else _string(text)
        return f"CASE WHEN isfinite({value}) THEN {finite} ELSE {words} END"
    if kind in ("JSON", "VARIANT"):
        return _embedded(text)
    return _string(text) if style.text.is_plain(kind) or kind == "BLOB" else f"CAST(to_json({text}) AS VARCHAR)"


def _string(text: str) -> str:
    """Return the string of a text that has nothing to escape."""
    return f"""'"' || {text} || '"'"""


def _has_nested_key(part: DuckType) -> bool:
    return part.kind == "MAP" and part.members[0][1].kind in NESTED


def _embedded(text: str) -> str:
    """Return JSON text as it stands, on one line; as a string where it is not JSON (DuckDB lets `NaN` and `[1,]` pass)."""
    pattern, string = quote_literal(_NOT_JSON), quote_literal(_JSON_STRING)
    outside = f"regexp_replace({text}, {string}, '\"\"', 'g')"
    refused = f"NOT json_valid({text}) OR (regexp_matches({text}, {pattern}) AND regexp_matches({outside}, {pattern}))"
    return f"CASE WHEN {refused} THEN CAST(to_json({text}) AS VARCHAR) ELSE replace(replace({text}, chr(10), ' '), chr(13), ' ') END"


def _nested_text(column_type: DuckType, value: str, style: JsonStyle, *, depth: int) -> str:
    kind, members = column_type.kind, column_type.members
    item = f"x{depth}"

    def member_text(member: DuckType, expression: str) -> str:
        return f"coalesce({_json_text(member, expression, style, local=None, depth=depth + 1)}, 'null')"

    if kind in ("LIST", "ARRAY"):
        items = f"list_transform({value}, lambda {item}: {member_text(members[0][1], item)})"
        return f"'[' || array_to_string({items}, ',') || ']'"
    if kind == "MAP":
        key = f"to_json({key_text(members[0][1], f'{item}.key', style, depth=depth + 1)})"
        entries = f"list_transform(map_entries({value}), lambda {item}: {key} || ':' || {member_text(members[1][1], f'{item}.value')})"
        return f"'{{' || array_to_string({entries}, ',') || '}}'"
    if kind == "UNION":
        cases = " ".join(
            f"WHEN {quote_literal(name)} THEN {quote_literal('{' + json_key(name))} || "
            f"{member_text(member, f'union_extract({value}, {quote_literal(name)})')} || '}}'"
            for name, member in members
        )
        return f"CASE CAST(union_tag({value}) AS VARCHAR) {cases} END"
    named = kind == "STRUCT"
    parts = []
    for index, (name, member) in enumerate(members):
        lead = ("," if index else "") + (json_key(name) if named else "")
        address = quote_literal(name) if named else str(index + 1)
        parts.append(f"{quote_literal(lead)}, {member_text(member, f'struct_extract({value}, {address})')}")
    left, right = ("{", "}") if named else ("[", "]")
    return f"CASE WHEN {value} IS NOT NULL THEN concat('{left}', {', '.join(parts)}, '{right}') END"


def key_text(key_type: DuckType, value: str, style: JsonStyle, *, depth: int) -> str:
    """Return SQL for a map's key as text: its plain text, or JSON where the key itself is nested."""
    if key_type.kind in NESTED:
        return _json_text(key_type, value, style, local=None, depth=depth)
    return plain_text(key_type.kind, value, style.text)
