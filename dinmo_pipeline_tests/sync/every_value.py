"""Sixty values and more of every type that a snapshot can hold, as SQL and as Python knows them: what Python tells apart is a change.

128-bit values are made of halves that are alike, since DuckDB hashes them to one number; two texts are here that have one hash as well.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from itertools import product
from typing import TypeAlias

from dinmo_pipeline.sql.quoting import quote_literal

Canon: TypeAlias = object
Values: TypeAlias = list[tuple[str, Canon]]

_HALVES = (0, 1, 2, 2**31, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1)
_TEXTS_OF_ONE_HASH = ("eLS1B47aUee9aUsc", "94o 5n3OAhM1F2]R")
_SMALL = [*range(-31, 32)]


def _whole(low: int, high: int) -> list[int]:
    powers = (sign * 2**power + more for sign in (1, -1) for power in range(127) for more in (-1, 0, 1))
    found = {low, low + 1, high - 1, high, *_SMALL, *range(100), *powers}
    kept = sorted(number for number in found if low <= number <= high)
    step = max(len(kept) // 90, 1)
    return sorted({low, high, *kept[::step], *(number for number in _SMALL if low <= number <= high)})


def _integers(type_text: str, bits: int, *, signed: bool) -> Values:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return [(f"CAST('{number}' AS {type_text})", number) for number in _whole(low, high)]


def _of_halves() -> list[int]:
    return [(high << 64) | low for high, low in product(_HALVES, _HALVES)]


def _huge(type_text: str) -> Values:
    numbers = {number - 2**128 if type_text == "HUGEINT" and number >= 2**127 else number for number in _of_halves()}
    return [(f"CAST('{number}' AS {type_text})", number) for number in sorted(numbers)]


def _decimals(width: int, scale: int) -> Values:
    most = 10**width - 1
    numbers = {most, -most, *_SMALL, *(each for number in _of_halves() for each in (number - 2**128, number, -number - 1))}
    found = []
    for number in sorted(number for number in numbers if abs(number) <= most):
        digits = str(abs(number)).rjust(scale + 1, "0")
        text = f"{'-' if number < 0 else ''}{digits[: len(digits) - scale]}.{digits[len(digits) - scale :]}"
        found.append((f"CAST('{text}' AS DECIMAL({width},{scale}))", number))
    return found


def _floats(type_text: str, packed: str) -> Values:
    numbers = [0.0, -0.0, math.nan, math.inf, -math.inf, 0.1, 1 / 3, 5e-324, 1e-45, 1.17549435e-38, 3.4028235e38]
    numbers += [sign * 2.0**power * factor for sign in (1, -1) for power in range(-40, 41, 5) for factor in (1, 1 + 2**-23)]
    found: dict[str, Canon] = {}
    for number in numbers:
        (held,) = struct.unpack(packed, struct.pack(packed, number))
        found[f"CAST('{held!r}' AS {type_text})"] = "nan" if math.isnan(held) else held
    return list(found.items())


def _bytes() -> list[bytes]:
    texts = [
        "",
        " ",
        "a",
        "A",
        "a ",
        "\0",
        "a\0",
        "a\0b",
        "ä",
        "a\u0308",
        "\U0001f600",
        "0",
        "00",
        "1",
        "1.0",
        "NULL",
        "null",
        "true",
        "[]",
        "{}",
    ]
    texts += [letter * length for letter in "xy" for length in (3, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17, 255, 256, 5000)]
    texts += ["x" * 4999 + "y", "y" + "x" * 4999, "x" * 2500 + "y" * 2500, *_TEXTS_OF_ONE_HASH, "'", '"', "\\", "\\x00", "\n", "\r\n", ","]
    return [text.encode() for text in texts]


def _times(unit: int) -> list[str]:
    fractions = ["", ".5", ".000001", ".999999"] + [".000000001", ".999999999"] * (unit == 9)
    clocks = ["00:00:00", "00:00:01", "12:00:00", "12:00:01", "23:59:59", "01:00:00", "10:00:00", "11:11:11", "22:22:22", "08:30:00"]
    clocks += [f"{hour:02}:07:0{hour % 7}" for hour in range(2, 9)]
    return [*(clock + fraction for clock in clocks for fraction in fractions), "24:00:00"]


_NUMBERS = (0, 1, -1, 999, 1000, 1001, 999_999, 10**6, 86_399, 86_400, 1_700_000_000, -2_000_000_000, 4_102_444_800, -1_000_001)
_MOMENTS = sorted({number * factor for number in _NUMBERS for factor in (1, 7, 61, 1000, 86_400)})


def _moments(type_text: str, sql: str, moments: list[int], words: tuple[str, ...] = ("infinity", "-infinity")) -> Values:
    found: Values = [(f"CAST({sql.format(n=moment)} AS {type_text})", moment) for moment in moments]
    return found + [(f"CAST('{word}' AS {type_text})", word) for word in words]


def _intervals() -> Values:
    parts = product((0, 1, -1, 12), (0, 1, -30, 30), (0, 1, -1, 86_400_000_000))
    return [(f"to_months({m}) + to_days({d}) + to_microseconds({u})", (m, d, u)) for m, d, u in parts]


def _nested(values: Values, make: Callable[[str, str], str], nothing: str, null: str) -> Values:
    """Of a struct with a value and a list: one of both differs, is null, is empty, has a null."""
    found: Values = [(make(null, null + "s"), None)]
    for sql, canon in values:
        found.append((make(sql, "[]"), (canon, ())))
        found.append((make(null, f"[{sql}]"), (None, (canon,))))
    first, second = values[0], values[1]
    lists: dict[str, Canon] = {
        "NULL": None,
        "[]": (),
        "[NULL]": (None,),
        "[NULL, NULL]": (None, None),
        f"[{first[0]}, NULL]": (first[1], None),
    }
    lists |= {f"[NULL, {first[0]}]": (None, first[1]), f"[{first[0]}, {second[0]}]": (first[1], second[1])}
    lists |= {f"[{second[0]}, {first[0]}]": (second[1], first[1])}
    found += [(make(null, sql), (None, canon)) for sql, canon in lists.items()]
    return [(sql, canon) for sql, canon in found[1:]] + [(nothing, None)]


def _scalars() -> dict[str, Values]:
    found = {
        f"{'' if signed else 'U'}{name}": _integers(f"{'' if signed else 'U'}{name}", bits, signed=signed)
        for name, bits in {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64}.items()
        for signed in (True, False)
    }
    found |= {name: _huge(name) for name in ("HUGEINT", "UHUGEINT")}
    found |= {f"DECIMAL({w},{s})": _decimals(w, s) for w, s in ((4, 1), (9, 2), (18, 3), (19, 2), (20, 2), (38, 0), (38, 10), (38, 38))}
    found |= {"FLOAT": _floats("FLOAT", "f"), "DOUBLE": _floats("DOUBLE", "d")}
    found["VARCHAR"] = [(f"decode(unhex('{each.hex()}'))", each) for each in _bytes()]
    found["BLOB"] = [(f"unhex('{each.hex()}')", each) for each in [*_bytes(), b"\xff", b"\x80", b"\x00\x00"]]
    found["UUID"] = [(f"CAST('{number:032x}' AS UUID)", number) for number in _of_halves()]
    found["BOOLEAN"] = [("true", True), ("false", False)]
    labels = [f"label {number}" for number in range(70)]
    enum = f"ENUM({', '.join(map(quote_literal, labels))})"
    found[enum] = [(f"CAST({quote_literal(label)} AS {enum})", label) for label in labels]
    found["BIT"] = [
        (f"CAST('{bits}' AS BIT)", bits)
        for bits in [f"{number:0{width}b}" for width in range(1, 6) for number in range(2**width)] + ["0" * 64, "0" * 65]
    ]
    found["BIGNUM"] = [(f"CAST('{number}' AS BIGNUM)", number) for number in [*_SMALL, 10**38, 10**60, 10**60 + 1, -(10**60)]]
    documents = [f'{{"a":{number}}}' for number in range(50)] + [
        "{}",
        "[]",
        "null",
        "1",
        "1.0",
        '"1"',
        '{"a": 1}',
        "[null]",
        "true",
        '{"a":null}',
    ]
    found["JSON"] = [(f"CAST({quote_literal(text)} AS JSON)", text) for text in documents]
    days = list(range(-720_000, 2_900_000, 56_000))
    found["DATE"] = _moments("DATE", "DATE '1970-01-01' + ({n})::INTEGER", [*days, 0, 1])
    found["TIMESTAMP"] = _moments("TIMESTAMP", "make_timestamp(({n})::BIGINT)", _MOMENTS)
    found["TIMESTAMP_S"] = _moments("TIMESTAMP_S", "make_timestamp(({n})::BIGINT * 1000000)", [n for n in _MOMENTS if abs(n) < 10**12])
    found["TIMESTAMP_MS"] = _moments("TIMESTAMP_MS", "make_timestamp(({n})::BIGINT * 1000)", _MOMENTS)
    found["TIMESTAMP_NS"] = _moments("TIMESTAMP_NS", "make_timestamp_ns(({n})::BIGINT)", _MOMENTS)
    found["TIMESTAMP WITH TIME ZONE"] = _moments("TIMESTAMP WITH TIME ZONE", "make_timestamptz(({n})::BIGINT)", _MOMENTS)
    found["TIME"] = [(f"TIME '{text}'", text) for text in _times(6)]
    found["TIME_NS"] = [(f"CAST('{text}' AS TIME_NS)", text) for text in _times(9)]
    zones = ("+00:00", "+02:00", "-05:30", "+15:59:59")
    found["TIME WITH TIME ZONE"] = [(f"TIMETZ '{text}{zone}'", text + zone) for text in _times(6)[:17] for zone in zones]
    found["INTERVAL"] = _intervals()
    return found


def every_value() -> dict[str, Values]:
    """By type; each has NULL, and each is also a member of a struct and an item of a list."""
    found: dict[str, Values] = {}
    for type_text, values in _scalars().items():
        null = f"CAST(NULL AS {type_text})"
        found[type_text] = [*values, (null, None)]
        nested = f"STRUCT(v {type_text}, l {type_text}[])"

        def make(value: str, items: str, nested: str = nested) -> str:
            return f"CAST({{'v': {value}, 'l': {items}}} AS {nested})"

        step = -(-len(values) // 30)
        found[nested] = _nested(values[::step], make, f"CAST(NULL AS {nested})", null)
    for type_text in ("DECIMAL(20,2)", "UUID", "INTERVAL", "TIMESTAMP_NS", "VARCHAR"):
        values = found[type_text][:-1]
        maps = f"MAP(VARCHAR, {type_text})"
        entries: Values = [(f"CAST(MAP {{'k': {sql}}} AS {maps})", (canon,)) for sql, canon in values]
        found[maps] = [
            *entries,
            (f"CAST(MAP {{}} AS {maps})", ()),
            (f"CAST(MAP {{'k': NULL}} AS {maps})", (None,)),
            (f"CAST(NULL AS {maps})", None),
        ]
        pair = f"{type_text}[2]"
        arrays: Values = [(f"CAST([{sql}, NULL] AS {pair})", (canon, None)) for sql, canon in values[:40]]
        arrays += [(f"CAST([NULL, {sql}] AS {pair})", (None, canon)) for sql, canon in values[:40]]
        found[pair] = [*arrays, (f"CAST([NULL, NULL] AS {pair})", (None, None)), (f"CAST(NULL AS {pair})", None)]
    return found
