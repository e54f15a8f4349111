"""The XSD type of each value's text in XML: the other half of the table in `value_text`, which says what that text is."""

from __future__ import annotations

from dataclasses import dataclass

from dinmo_pipeline.formats.value_text import BOOLEANS, FLOATS, ISO, SQL, TIMESTAMPS, ZONED, TextStyle
from dinmo_pipeline.sql.types import DuckType

_DATE, _CLOCK = "[0-9]{2}-[0-9]{2}", r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
# Years that xs:date has not, or counts otherwise: with a sign, and the year 0, which XSD 1.0 leaves out.
_FAR = rf"([+\-][0-9]{{4,}}|0000)-{_DATE}"
_INFINITE = "-?infinity"
# Offsets of XSD end at 14:00.
_FAR_OFFSET = r"[+\-]1[4-9]:[0-9]{2}"
_NUMBER = r"-?[0-9]+(,[0-9]+)?"
# More digits than these not every validator reads as a number: libxml2 had 24 for long, .NET has 28.
_SURE_DIGITS = 24
_LONG_INTEGER = f"[0-9]{{{_SURE_DIGITS + 1},}}"


@dataclass(frozen=True)
class XsdType:
    """A simple type: `base` with `facets`, by name; `others` are patterns of texts that it does not have and that may stand there, too."""

    base: str
    facets: tuple[tuple[str, str], ...] = ()
    others: tuple[str, ...] = ()


_FIXED = {
    "TINYINT": XsdType("xs:byte"),
    "SMALLINT": XsdType("xs:short"),
    "INTEGER": XsdType("xs:int"),
    "BIGINT": XsdType("xs:long"),
    "HUGEINT": XsdType("xs:integer", others=("-?" + _LONG_INTEGER,)),
    "UTINYINT": XsdType("xs:unsignedByte"),
    "USMALLINT": XsdType("xs:unsignedShort"),
    "UINTEGER": XsdType("xs:unsignedInt"),
    "UBIGINT": XsdType("xs:unsignedLong"),
    "UHUGEINT": XsdType("xs:nonNegativeInteger", others=(_LONG_INTEGER,)),
    "BIGNUM": XsdType("xs:integer", others=("-?" + _LONG_INTEGER,)),
    "DATE": XsdType("xs:date", others=(_FAR, _INFINITE)),
    "TIME": XsdType("xs:time"),
    "TIME_NS": XsdType("xs:time"),
    "TIME WITH TIME ZONE": XsdType("xs:time", others=(_CLOCK + _FAR_OFFSET,)),
    # ISO 8601-2 where its parts have both signs, so that one of them at least is negative.
    "INTERVAL": XsdType("xs:duration", others=("P(T?[0-9]+[YMDH])*T?-[0-9.]+[YMDHS](T?-?[0-9.]+[YMDHS])*",)),
    "UUID": XsdType("xs:string", (("pattern", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),)),
    "BIT": XsdType("xs:string", (("pattern", "[01]+"),)),
    "BLOB": XsdType("xs:base64Binary"),
}


def xsd_type(column_type: DuckType, style: TextStyle) -> XsdType:
    """Find the XSD type that the text of every value of this type, which is not nested, has in this style."""
    kind = column_type.kind
    if kind == "BOOLEAN":
        enumerated = tuple(("enumeration", word) for word in style.booleans)
        return XsdType("xs:string", enumerated) if style.booleans == BOOLEANS["Y/N"] else XsdType("xs:boolean")
    if column_type.digits is not None:
        return _decimal(*column_type.digits, style)
    if kind in FLOATS:
        if style.decimal == ".":
            return XsdType(f"xs:{kind.lower()}")
        return XsdType("xs:string", (("pattern", rf"{_NUMBER}(e[+\-][0-9]+)?"), ("pattern", f"NaN|-?{style.infinity}")))
    if kind in TIMESTAMPS | ZONED:
        return _timestamp(kind, style)
    return _FIXED.get(kind, XsdType("xs:string"))


def _decimal(digits: int, behind: int, style: TextStyle) -> XsdType:
    pattern = f"-?[0-9]{{1,{max(digits - behind, 1)}}}" + (rf"[{style.decimal}][0-9]{{{behind}}}" if behind else "")
    if style.decimal != "." and behind:
        return XsdType("xs:string", (("pattern", pattern),))
    facets = (("totalDigits", str(digits)), ("fractionDigits", str(behind)))
    return XsdType("xs:decimal", facets, (pattern,) if digits > _SURE_DIGITS else ())


def _timestamp(kind: str, style: TextStyle) -> XsdType:
    if style.timestamps == SQL:
        return XsdType("xs:string", (("pattern", f"([0-9]{{4}}-{_DATE}|{_FAR}) {_CLOCK}"), ("pattern", _INFINITE)))
    if style.timestamps != ISO:
        return XsdType("xs:string")
    if kind in TIMESTAMPS:
        return XsdType("xs:dateTime", others=(f"{_FAR}T{_CLOCK}", _INFINITE))
    return XsdType("xs:dateTime", others=(rf"{_FAR}T{_CLOCK}\+00:00", f"[0-9]{{4}}-{_DATE}T{_CLOCK}{_FAR_OFFSET}", _INFINITE))
