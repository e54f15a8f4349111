"""From a DuckDB type to the SQL of its XML element: nested values nested, every character that XML has."""

from __future__ import annotations

import re

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.duck_types import DuckType
from dinmo_pipeline.formats.names import clashes
from dinmo_pipeline.formats.types import PLAIN, plain_text
from dinmo_pipeline.warehouse.identifiers import quote_literal

REPLACEMENT = "\ufffd"

# https://www.w3.org/TR/xml-names/#NT-NCName: a colon would be read as a namespace.
_START = "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff"
_START += "\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
_NOT_IN_NAME = re.compile(f"[^{_START}\\-.0-9\u00b7\u0300-\u036f\u203f\u2040]")
_STARTS_WELL = re.compile(f"(?!xml)[{_START}]", re.IGNORECASE)

# https://www.w3.org/TR/xml/#NT-Char, without the surrogates that DuckDB's texts never hold.
_FORBIDDEN = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]"
# One look at a text that needs nothing is cheaper than replacing in it; a line ending would be read as a line feed.
_SPECIAL = r"[&<>\x00-\x08\x0B-\x1F\x{FFFE}\x{FFFF}]"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}


def xml_name(name: str) -> str:
    """`name` as the name of an XML element: `_` for each character that XML forbids there, and before a start that it forbids."""
    valid = _NOT_IN_NAME.sub("_", name)
    return valid if _STARTS_WELL.match(valid) else "_" + valid


def needs_nil(column_type: DuckType) -> bool:
    """Whether a null inside such a value has to be shown by `xsi:nil` in any case, because its place counts."""
    return any(part.kind in ("LIST", "ARRAY", "TUPLE", "UNION") for part in column_type.walk())


class XmlElements:
    """Makes the SQL of elements; `nil` shows nulls, `replacement` stands for what XML forbids, `zone` is for instants."""

    def __init__(self, *, zone: str, nil: bool, replacement: str = REPLACEMENT) -> None:
        self._zone, self._nil, self._replacement = zone, nil, replacement

    def element(self, name: str, column_type: DuckType, value: str, local: str | None = None) -> str:
        """SQL for the element `name` of `value`; NULL where the value is null and nulls are absent."""
        return self._element(name, column_type, value, local=local, nil=self._nil, depth=0)

    def _element(self, name: str, column_type: DuckType, value: str, *, nil: bool, depth: int, local: str | None = None) -> str:
        start, end, null = quote_literal(f"<{name}>"), quote_literal(f"</{name}>"), quote_literal(f'<{name} xsi:nil="true"/>')
        text = f"{start} || {self._content(column_type, value, local=local, depth=depth)} || {end}"
        return f"coalesce({text}, {null})" if nil else text

    def _content(self, column_type: DuckType, value: str, *, local: str | None, depth: int) -> str:
        kind, members = column_type.kind, column_type.members
        item = f"x{depth}"
        if kind in ("LIST", "ARRAY"):
            element = self._element("item", members[0][1], item, nil=True, depth=depth + 1)
            return f"array_to_string(list_transform({value}, lambda {item}: {element}), '')"
        if kind == "MAP":
            parts = [self._element(name, part, f"{item}.{name}", nil=self._nil, depth=depth + 1) for name, part in members]
            entry = f"concat('<entry>', {', '.join(parts)}, '</entry>')"
            return f"array_to_string(list_transform(map_entries({value}), lambda {item}: {entry}), '')"
        if kind == "UNION":
            cases = " ".join(
                f"WHEN {quote_literal(name)} THEN "
                + self._element(written, part, f"union_extract({value}, {quote_literal(name)})", nil=True, depth=depth + 1)
                for (name, part), written in zip(members, _member_names(column_type), strict=True)
            )
            return f"CASE CAST(union_tag({value}) AS VARCHAR) {cases} END"
        if kind == "TUPLE":
            parts = [
                self._element("item", part, f"struct_extract({value}, {index})", nil=True, depth=depth + 1)
                for index, (_, part) in enumerate(members, 1)
            ]
            return f"CASE WHEN {value} IS NOT NULL THEN concat({', '.join(parts)}) END"
        if kind == "STRUCT":
            parts = [
                self._element(written, part, f"struct_extract({value}, {quote_literal(name)})", nil=self._nil, depth=depth + 1)
                for (name, part), written in zip(members, _member_names(column_type), strict=True)
            ]
            return f"CASE WHEN {value} IS NOT NULL THEN concat('', {', '.join(parts)}) END"
        text = plain_text(kind, value, self._zone, local)
        return text if kind in PLAIN or kind == "BLOB" else self._escaped(text)

    def _escaped(self, text: str) -> str:
        escaped = text
        for character, entity in _ENTITIES.items():
            escaped = f"replace({escaped}, chr({ord(character)}), {quote_literal(entity)})"
        escaped = f"regexp_replace({escaped}, '{_FORBIDDEN}', {quote_literal(self._replacement)}, 'g')"
        return f"CASE WHEN regexp_matches({text}, '{_SPECIAL}') THEN {escaped} ELSE {text} END"


def _member_names(column_type: DuckType) -> list[str]:
    names = [name for name, _ in column_type.members]
    if problems := clashes(names, xml_name, "become one XML element, <{written}>: give them different names"):
        raise DataError(f"writing XML: inside a {column_type.kind.lower()}, {problems[0]} in the query")
    return [xml_name(name) for name in names]
