"""The XML Schema (XSD 1.0) of the files of a delivery: which elements, in which order, of which type, and which may be left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.value_text import NESTED, TextStyle
from dinmo_pipeline.formats.xml.write_values import member_names, xml_name
from dinmo_pipeline.formats.xml.xsd_types import XsdType, xsd_type
from dinmo_pipeline.sql.types import DuckType, parse_type

_NAMESPACE = "http://www.w3.org/2001/XMLSchema"
_ANY_NUMBER = {"minOccurs": "0", "maxOccurs": "unbounded"}


@dataclass(frozen=True)
class SchemaColumn:
    """A column of a delivery's files: its name, and the DuckDB types that it has in them, mostly one.

    `has_nulls` is False where no value is ever null; `in_all_files` is False where a file may be without the column.
    """

    name: str
    types: tuple[str, ...]
    has_nulls: bool = True
    in_all_files: bool = True


class XmlSchema:
    """Makes the schema of files whose values are in `style`; `nulls` says how a null is shown, as the format's option does."""

    def __init__(self, *, root: str, row: str, style: TextStyle, nulls: Literal["absent", "nil"]) -> None:
        self._root, self._row, self._style, self._nil = root, row, style, nulls == "nil"

    def render(self, columns: Sequence[SchemaColumn]) -> bytes:
        """Write the schema of files with these columns, in UTF-8."""
        schema = Element("xs:schema", {"xmlns:xs": _NAMESPACE, "elementFormDefault": "qualified"})
        root = SubElement(schema, "xs:element", name=self._root)
        row = SubElement(_sequence(root), "xs:element", {"name": self._row, **_ANY_NUMBER})
        sequence = _sequence(row)
        for column in columns:
            types = list(dict.fromkeys(map(parse_type, column.types)))
            element = self._element(xml_name(column.name), types, nil=self._nil and column.has_nulls)
            if not column.in_all_files or (column.has_nulls and not self._nil):
                element.set("minOccurs", "0")
            sequence.append(element)
        ElementTree.indent(schema)
        text: str = ElementTree.tostring(schema, encoding="unicode")
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()

    def _element(self, name: str, types: Sequence[DuckType], *, nil: bool) -> Element:
        if not is_schema_name(name):
            raise DataError(f"writing the XML Schema: it knows no element <{name}>; give it another name in the query")
        element = Element("xs:element", name=name)
        if nil:
            element.set("nillable", "true")
        nested = [column_type for column_type in types if column_type.kind in NESTED]
        if nested and len(types) > 1:
            element.set("type", "xs:anyType")
        elif nested:
            self._add_content(element, nested[0])
        else:
            _set_simple(element, list(dict.fromkeys(xsd_type(column_type, self._style) for column_type in types)))
        return element

    def _add_content(self, element: Element, column_type: DuckType) -> None:
        """Say what stands inside an element of a nested type: what `XmlElements` writes."""
        kind, members = column_type.kind, column_type.members
        sequence = _sequence(element)
        if kind in ("LIST", "ARRAY"):
            item = self._element("item", [members[0][1]], nil=True)
            item.attrib.update(_ANY_NUMBER)
            sequence.append(item)
        elif kind == "MAP":
            entry = _sequence(SubElement(sequence, "xs:element", {"name": "entry", **_ANY_NUMBER}))
            entry.append(self._element("key", [members[0][1]], nil=False))
            entry.append(self._member("value", members[1][1]))
        elif kind == "TUPLE":
            # Elements of one name have one type in a schema, and these may have others each.
            count = str(len(members))
            SubElement(sequence, "xs:element", name="item", type="xs:anyType", nillable="true", minOccurs=count, maxOccurs=count)
        elif kind == "UNION":
            choice = SubElement(sequence, "xs:choice")
            choice.extend([self._element(name, [part], nil=True) for name, part in _named_members(column_type)])
        else:
            sequence.extend([self._member(name, part) for name, part in _named_members(column_type)])

    def _member(self, name: str, part: DuckType) -> Element:
        element = self._element(name, [part], nil=self._nil)
        if not self._nil:
            element.set("minOccurs", "0")
        return element


def is_schema_name(name: str) -> bool:
    """Say whether an XML name is one in XML Schema, which knows the letters of XML 1.0 before its fifth edition, as expat does."""
    try:
        ElementTree.fromstring(f"<{name}/>")
    except ElementTree.ParseError:
        return False
    return True


def _named_members(column_type: DuckType) -> list[tuple[str, DuckType]]:
    return [(name, part) for name, (_, part) in zip(member_names(column_type), column_type.members, strict=True)]


def _sequence(element: Element) -> Element:
    return SubElement(SubElement(element, "xs:complexType"), "xs:sequence")


def _set_simple(element: Element, types: Sequence[XsdType]) -> None:
    """Give an element one of these simple types."""
    if len(types) == 1 and not types[0].facets and not types[0].others:
        element.set("type", types[0].base)
    elif len(types) == 1 and not types[0].others:
        _restrict(element, types[0].base, types[0].facets)
    else:
        union = SubElement(SubElement(element, "xs:simpleType"), "xs:union")
        for each in types:
            _restrict(union, each.base, each.facets)
            if each.others:
                _restrict(union, "xs:string", [("pattern", pattern) for pattern in each.others])


def _restrict(parent: Element, base: str, facets: Sequence[tuple[str, str]]) -> None:
    restriction = SubElement(SubElement(parent, "xs:simpleType"), "xs:restriction", base=base)
    for name, value in facets:
        SubElement(restriction, f"xs:{name}", value=value)
