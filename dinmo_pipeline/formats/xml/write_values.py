"""From a DuckDB type to the SQL of its XML element: nested values nested, every character that XML has."""

from __future__ import annotations

import re

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.name_clashes import clashes
from dinmo_pipeline.formats.value_text import NESTED, TextStyle, plain_text, xml_duration
from dinmo_pipeline.sql.quoting import quote_literal
from dinmo_pipeline.sql.types import DuckType

REPLACEMENT = "\ufffd"

# https://www.w3.org/TR/xml-names/#NT-NCName: a colon would be read as a namespace.
_START = "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff"
_START += "\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
_NOT_IN_NAME = re.compile(f"[^{_START}\\-.0-9\u00b7\u0300-\u036f\u203f\u2040]")
_STARTS_WELL = re.compile(f"(?!(?i:xml))[{_START}]")

# https://www.w3.org/TR/xml/#NT-Char, without the surrogates that DuckDB's texts never hold.
_FORBIDDEN = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]"
_NONCHARACTERS = ("\ufffe", "\uffff")
# A carriage return as it stands would be read as a line feed.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}


def xml_name(name: str) -> str:
    """Return `name` as the name of an XML element: `_` for each character that XML forbids there, and before a start that it forbids."""
    valid = _NOT_IN_NAME.sub("_", name)
    return valid if _STARTS_WELL.match(valid) else "_" + valid


def needs_nil(column_type: DuckType) -> bool:
    """Return whether a null inside such a value has to be shown by `xsi:nil` in any case, because its place counts."""
    return any(part.kind in ("LIST", "ARRAY", "TUPLE", "UNION") for part in column_type.walk())


_TRUE = '"true"'


class XmlElements:
    """Makes the SQL of elements; `nil` shows nulls, `replacement` stands for what XML forbids."""

    def __init__(self, *, style: TextStyle, nil: bool, replacement: str = REPLACEMENT) -> None:
        self._style, self._nil, self._replacement = style, nil, replacement

    def element(self, name: str, column_type: DuckType, value: str, local: str | None = None) -> str:
        """Return SQL for the element `name` of `value`; NULL where the value is null and nulls are absent."""
        return self._element(name, column_type, value, local=local, nil=self._nil, depth=0)

    def _element(self, name: str, column_type: DuckType, value: str, *, nil: bool, depth: int, local: str | None = None) -> str:
        start, end = quote_literal(f"<{name}>"), quote_literal(f"</{name}>")
        content = self._content(column_type, value, local=local, depth=depth)
        if column_type.kind in NESTED:
            text = f"{start} || {content} || {end}"
        elif self._style.is_plain(column_type.kind) or column_type.kind == "BLOB":
            text = f"CASE WHEN {value} IS NOT NULL THEN concat({start}, {content}, {end}) END"
        else:
            # NULL is not clean, so it takes the second way and stays NULL.
            clean, escaped = f"concat({start}, {content}, {end})", f"{start} || {self._escaped(content)} || {end}"
            text = f"CASE WHEN {_is_clean(content)} THEN {clean} ELSE {escaped} END"
        return f"coalesce({text}, {quote_literal(f'<{name} xsi:nil={_TRUE}/>')})" if nil else text

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
                for (name, part), written in zip(members, member_names(column_type), strict=True)
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
                for (name, part), written in zip(members, member_names(column_type), strict=True)
            ]
            return f"CASE WHEN {value} IS NOT NULL THEN concat('', {', '.join(parts)}) END"
        return xml_duration(value) if kind == "INTERVAL" else plain_text(kind, value, self._style, local)

    def _escaped(self, text: str) -> str:
        for character, entity in _ENTITIES.items():
            text = f"replace({text}, chr({ord(character)}), {quote_literal(entity)})"
        return f"regexp_replace({text}, '{_FORBIDDEN}', {quote_literal(self._replacement)}, 'g')"


def _is_clean(text: str) -> str:
    """Return SQL for whether a text surely has nothing to escape: JSON leaves it as it is, too, and that is half the price of a pattern."""
    absent = [f"NOT contains({text}, chr({ord(character)}))" for character in ("&", "<", ">", *_NONCHARACTERS)]
    return f"strlen(to_json({text})) = strlen({text}) + 2 AND {' AND '.join(absent)}"


def member_names(column_type: DuckType) -> list[str]:
    """Name the elements of a struct's or union's members. DataError where two become one."""
    names = [name for name, _ in column_type.members]
    if problems := clashes(names, xml_name, "become one XML element, <{written}>: give them different names"):
        raise DataError(f"writing XML: inside a {column_type.kind.lower()}, {problems[0]} in the query")
    return [xml_name(name) for name in names]
