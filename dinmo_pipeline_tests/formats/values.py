"""Values of every DuckDB type, and how each must stand in each kind of file; the zone is Europe/Paris."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from .readers import Nil

ZONE = "Europe/Paris"
SAME: Any = object()
UUID_TEXT = "00112233-4455-6677-8899-aabbccddeeff"


class Refused:
    """The format cannot hold this value: a DataError that names the column."""


@dataclass(frozen=True)
class Raw:
    """An Arrow value that Python has no type for, as the number that stands for it in the file."""

    number: int


@dataclass(frozen=True)
class Value:
    """An SQL expression of a type, and what a reader must find: as text (CSV, XML), in JSON, in Parquet.

    A value that is not nested has one text everywhere; JSON has it as a string unless `json` says otherwise. `xml` is the content of
    the element where that is not the text.
    """

    type: str
    sql: str
    text: str
    arrow_type: Any
    arrow: Any
    json: Any = SAME
    xml: Any = SAME

    @property
    def in_json(self) -> Any:
        return self.text if self.json is SAME else self.json

    @property
    def in_xml(self) -> Any:
        return self.text if self.xml is SAME else self.xml

    @property
    def name(self) -> str:
        return f"{self.type}: {self.text[:40]}"


def integers() -> list[Value]:
    types = {
        "TINYINT": pa.int8(),
        "SMALLINT": pa.int16(),
        "INTEGER": pa.int32(),
        "BIGINT": pa.int64(),
        "UTINYINT": pa.uint8(),
        "USMALLINT": pa.uint16(),
        "UINTEGER": pa.uint32(),
        "UBIGINT": pa.uint64(),
    }
    found = []
    for name, arrow in types.items():
        low, high = (0, 2**arrow.bit_width - 1) if name.startswith("U") else (-(2 ** (arrow.bit_width - 1)), 2 ** (arrow.bit_width - 1) - 1)
        found += [Value(name, f"'{number}'::{name}", str(number), arrow, number, json=number) for number in {low, 0, high}]
    huge = pa.decimal128(38, 0)
    for name, numbers in {"HUGEINT": (-(10**38) + 1, 0, 10**38 - 1), "UHUGEINT": (0, 10**38 - 1)}.items():
        found += [Value(name, f"'{number}'::{name}", str(number), huge, Decimal(number), json=number) for number in numbers]
    for name, numbers in {"HUGEINT": (-(2**127), 2**127 - 1), "UHUGEINT": (2**128 - 1, 10**38)}.items():
        found += [Value(name, f"'{number}'::{name}", str(number), huge, Refused(), json=number) for number in numbers]
    found += [Value("BIGNUM", f"'{number}'::BIGNUM", str(number), pa.string(), str(number), json=number) for number in (-(10**60), 7**99)]
    return found


def decimals() -> list[Value]:
    texts = {
        (4, 1): ["-0.5", "0.0", "999.9"],
        (18, 3): ["1.500", "-123456789012345.678"],
        (38, 0): ["12345678901234567890123456789012345678", "-99999999999999999999999999999999999999"],
        (38, 10): ["1234567890123456789012345678.0123456789"],
        (38, 38): ["0.12345678901234567890123456789012345678", "-0.99999999999999999999999999999999999999"],
    }
    return [
        Value(
            f"DECIMAL({p},{s})",
            f"'{text}'::DECIMAL({p},{s})",
            text,
            pa.decimal128(p, s),
            Decimal(text),
            json=Decimal(text) if s else int(text),
        )
        for (p, s), numbers in texts.items()
        for text in numbers
    ]


def floats() -> list[Value]:
    found = []
    for name, arrow, numbers in (
        ("DOUBLE", pa.float64(), (0.0, -0.0, 0.1, 1 / 3, 1e300, 1.7976931348623157e308, 5e-324, -1e15, 1e16, 123456789.125)),
        ("FLOAT", pa.float32(), (0.0, -0.0, 1.5, -16777216.0)),
    ):
        found += [Value(name, f"'{number!r}'::{name}", repr(number), arrow, number, json=Decimal(repr(number))) for number in numbers]
        for text, number in (("NaN", float("nan")), ("Infinity", float("inf")), ("-Infinity", float("-inf"))):
            found.append(Value(name, f"'{text}'::{name}", text, arrow, number, xml=text.replace("Infinity", "INF")))
    for text, number in (("1e-45", 2.0**-149), ("3.4028235e+38", (2 - 2.0**-23) * 2.0**127), ("0.1", 13421773 / 2**27)):
        found.append(Value("FLOAT", f"'{text}'::FLOAT", text, pa.float32(), number, json=Decimal(text)))
    return found


def dates() -> list[Value]:
    found = [
        Value("DATE", f"DATE '{day}'", day, pa.date32(), date.fromisoformat(day)) for day in ("0001-01-01", "2024-02-29", "9999-12-31")
    ]
    for sql, text in (
        ("10000-01-01", "+10000-01-01"),
        ("0044-03-15 (BC)", "-0043-03-15"),
        ("0001-12-31 (BC)", "0000-12-31"),
        ("infinity", "infinity"),
        ("-infinity", "-infinity"),
    ):
        found.append(Value("DATE", f"DATE '{sql}'", text, pa.date32(), Refused()))
    return found


def timestamps() -> list[Value]:
    found = []
    for sql, text in (
        ("0001-01-01 00:00:00", "0001-01-01T00:00:00"),
        ("2025-03-30 02:30:00", "2025-03-30T02:30:00"),
        ("2025-01-01 12:00:00.5", "2025-01-01T12:00:00.500000"),
        ("1969-12-31 23:59:59.999999", "1969-12-31T23:59:59.999999"),
        ("9999-12-31 23:59:59.999999", "9999-12-31T23:59:59.999999"),
    ):
        found.append(Value("TIMESTAMP", f"TIMESTAMP '{sql}'", text, pa.timestamp("us"), datetime.fromisoformat(text)))
    found += [
        Value("TIMESTAMP", "TIMESTAMP '10000-01-01 00:00:01'", "+10000-01-01T00:00:01", pa.timestamp("us"), Refused()),
        Value(
            "TIMESTAMP",
            "TIMESTAMP '0044-03-15 (BC) 12:00:00.25'",
            "-0043-03-15T12:00:00.250000",
            pa.timestamp("us"),
            Refused(),
        ),
        Value("TIMESTAMP", "TIMESTAMP 'infinity'", "infinity", pa.timestamp("us"), Refused()),
        Value("TIMESTAMP", "TIMESTAMP '-infinity'", "-infinity", pa.timestamp("us"), Refused()),
        Value(
            "TIMESTAMP_S",
            "'2025-01-01 00:00:01'::TIMESTAMP_S",
            "2025-01-01T00:00:01",
            pa.timestamp("us"),
            datetime.fromisoformat("2025-01-01T00:00:01"),
        ),
        Value(
            "TIMESTAMP_MS",
            "'2025-01-01 00:00:01.120'::TIMESTAMP_MS",
            "2025-01-01T00:00:01.120",
            pa.timestamp("ms"),
            datetime.fromisoformat("2025-01-01T00:00:01.120"),
        ),
        Value(
            "TIMESTAMP_MS",
            "'1969-12-31 23:59:59'::TIMESTAMP_MS",
            "1969-12-31T23:59:59",
            pa.timestamp("ms"),
            datetime.fromisoformat("1969-12-31T23:59:59"),
        ),
        Value(
            "TIMESTAMP_NS",
            "'2025-01-01 00:00:01.123456789'::TIMESTAMP_NS",
            "2025-01-01T00:00:01.123456789",
            pa.timestamp("ns"),
            Raw(1735689601123456789),
        ),
        Value("TIMESTAMP_NS", "'1677-09-22 00:00:00'::TIMESTAMP_NS", "1677-09-22T00:00:00", pa.timestamp("ns"), Raw(-9223286400000000000)),
    ]
    # Seconds and milliseconds reach as far as microseconds, where nanoseconds end in the year 2262.
    for kind, unit, per_second in (("TIMESTAMP_S", pa.timestamp("us"), 10**6), ("TIMESTAMP_MS", pa.timestamp("ms"), 10**3)):
        for sql, text, seconds in (
            ("0001-01-01", "0001-01-01T00:00:00", -62135596800),
            ("9999-12-31 23:59:59", "9999-12-31T23:59:59", 253402300799),
            ("0044-03-15 (BC)", "-0043-03-15T00:00:00", None),
            ("294247-01-10 04:00:54", "+294247-01-10T04:00:54", None),
            ("infinity", "infinity", None),
            ("-infinity", "-infinity", None),
        ):
            arrow = Refused() if seconds is None else Raw(seconds * per_second)
            found.append(Value(kind, f"'{sql}'::{kind}", text, unit, arrow))
    found.append(Value("TIMESTAMP_NS", "'infinity'::TIMESTAMP_NS", "infinity", pa.timestamp("ns"), Refused()))
    return found


def instants() -> list[Value]:
    kind, arrow = "TIMESTAMP WITH TIME ZONE", pa.timestamp("us", tz="UTC")
    found = []
    for sql, text in (
        ("2025-01-01 00:00:00", "2025-01-01T01:00:00+01:00"),
        ("2025-07-01 12:00:00.000001", "2025-07-01T14:00:00.000001+02:00"),
        # The hour that there is not, and the one that there is twice.
        ("2025-03-30 00:59:59", "2025-03-30T01:59:59+01:00"),
        ("2025-03-30 01:00:00", "2025-03-30T03:00:00+02:00"),
        ("2025-10-26 00:30:00", "2025-10-26T02:30:00+02:00"),
        ("2025-10-26 01:30:00", "2025-10-26T02:30:00+01:00"),
        ("1969-12-31 23:59:59.5", "1970-01-01T00:59:59.500000+01:00"),
        # Local mean time: its offset has seconds, so it is written in UTC.
        ("1890-01-01 00:00:00", "1890-01-01T00:00:00+00:00"),
        ("1911-03-10 23:50:39", "1911-03-10T23:50:39+00:00"),
        ("9999-06-01 00:00:00", "9999-06-01T02:00:00+02:00"),
    ):
        found.append(Value(kind, f"TIMESTAMPTZ '{sql}+00'", text, arrow, datetime.fromisoformat(sql).replace(tzinfo=UTC)))
    found += [
        Value(kind, "TIMESTAMPTZ '10000-01-01 00:00:00+00'", "+10000-01-01T00:00:00+00:00", arrow, Refused()),
        Value(kind, "TIMESTAMPTZ '0001-01-01 00:00:00+00'", "0001-01-01T00:00:00+00:00", arrow, datetime(1, 1, 1, tzinfo=UTC)),
        Value(kind, "TIMESTAMPTZ 'infinity'", "infinity", arrow, Refused()),
        Value(
            "TIMESTAMPTZ_NS",
            "'2025-07-01 00:00:00.123456789+00'::TIMESTAMPTZ_NS",
            "2025-07-01T02:00:00.123456789+02:00",
            pa.timestamp("ns", tz="UTC"),
            Raw(1751328000123456789),
        ),
        # In the zone it would be a time that the type does not hold.
        Value(
            "TIMESTAMPTZ_NS",
            "'2262-04-11 23:47:16.854775806+00'::TIMESTAMPTZ_NS",
            "2262-04-11T23:47:16.854775806+00:00",
            pa.timestamp("ns", tz="UTC"),
            Raw(2**63 - 2),
        ),
    ]
    return found


def times() -> list[Value]:
    text = pa.string()
    found = [
        Value("TIME", f"TIME '{sql}'", written, text, written)
        for sql, written in (
            ("00:00:00", "00:00:00"),
            ("23:59:59.999999", "23:59:59.999999"),
            ("12:00:00.1", "12:00:00.100000"),
            ("24:00:00", "24:00:00"),
        )
    ]
    found += [
        Value("TIME_NS", f"'{written}'::TIME_NS", written, text, written) for written in ("12:00:00.123456789", "00:00:00", "24:00:00")
    ]
    found += [
        Value("TIME WITH TIME ZONE", f"TIMETZ '{sql}'", written, text, written)
        for sql, written in (
            ("12:00:00+02", "12:00:00+02:00"),
            ("12:00:00.25-05:30", "12:00:00.250000-05:30"),
            ("23:59:59.999999+15:59:59", "08:00:00.999999+00:00"),
            ("12:00:00-00:44:30", "12:44:30+00:00"),
        )
    ]
    found += [
        Value("INTERVAL", f"INTERVAL '{sql}'", written, text, written, xml=duration)
        for sql, written, *other in (
            ("0 seconds", "PT0S"),
            ("1 day", "P1D"),
            ("14 months 3 days 1.123456 seconds", "P1Y2M3DT1.123456S"),
            ("-1 month -1 second", "P-1MT-1S", "-P1MT1S"),
            ("-0.5 seconds", "PT-0.500000S", "-PT0.500000S"),
            ("-14 months", "P-1Y-2M", "-P1Y2M"),
            ("-90 minutes", "PT-1H-30M", "-PT1H30M"),
            # With both signs it is no xs:duration.
            ("1 month -1 day", "P1M-1D"),
            ("-1 month 1 day", "P-1M1D"),
            ("90 minutes", "PT1H30M"),
            ("100 hours", "PT100H"),
            ("1000000 days", "P1000000D"),
        )
        for duration in (other or [SAME])
    ]
    return found


def other() -> list[Value]:
    found = [
        Value("BOOLEAN", "true", "true", pa.bool_(), True, json=True),
        Value("BOOLEAN", "false", "false", pa.bool_(), False, json=False),
        Value("UUID", f"'{UUID_TEXT}'::UUID", UUID_TEXT, pa.string(), UUID_TEXT),
        Value("BIT", "'0101'::BIT", "0101", pa.string(), "0101"),
        Value("ENUM('a&b', 'é \"q\"')", "'é \"q\"'", 'é "q"', pa.string(), 'é "q"'),
        Value("ENUM('a&b', 'é \"q\"')", "'a&b'", "a&b", pa.string(), "a&b"),
        Value(
            "JSON",
            """'{"a": [1, 1.10, null]}'""",
            '{"a": [1, 1.10, null]}',
            pa.string(),
            '{"a": [1, 1.10, null]}',
            json={"a": [1, Decimal("1.10"), None]},
        ),
        Value("JSON", "'null'", "null", pa.string(), "null", json=None),
        Value(
            "JSON",
            "'12345678901234567890.123456789'",
            "12345678901234567890.123456789",
            pa.string(),
            "12345678901234567890.123456789",
            json=Decimal("12345678901234567890.123456789"),
        ),
        Value("JSON", """'"NaN, [1,]"'""", '"NaN, [1,]"', pa.string(), '"NaN, [1,]"', json="NaN, [1,]"),
        Value("JSON", "'[1,]'", "[1,]", pa.string(), "[1,]", json="[1,]"),
        Value("JSON", "'[NaN]'", "[NaN]", pa.string(), "[NaN]", json="[NaN]"),
        Value("VARIANT", "'x'::VARIANT", '"x"', pa.string(), '"x"', json="x"),
        Value("VARIANT", "{'a': [1, NULL]}::VARIANT", '{"a":[1,null]}', pa.string(), '{"a":[1,null]}', json={"a": [1, None]}),
        Value(
            "VARIANT",
            "{'a': '1234567890123456789012345678.0123456789'::DECIMAL(38,10)}::VARIANT",
            '{"a":1234567890123456789012345678.0123456789}',
            pa.string(),
            '{"a":1234567890123456789012345678.0123456789}',
            json={"a": Decimal("1234567890123456789012345678.0123456789")},
        ),
    ]
    point = bytes.fromhex("0101000000000000000000f03f0000000000000040")
    found.append(Value("GEOMETRY", "'POINT (1 2)'", "POINT (1 2)", pa.binary(), point))
    for data in (b"", b"\x00", b"\xfb\xff\xbf", bytes(range(256))):
        text = base64.b64encode(data).decode()
        found.append(Value("BLOB", f"from_base64('{text}')", text, pa.binary(), data))
    return found


def nested() -> list[Value]:
    def value(kind: str, sql: str, found: Any, xml: Any, arrow_type: Any, arrow: Any = SAME, *, text: str | None = None) -> Value:
        written = json.dumps(found, separators=(",", ":"), ensure_ascii=False) if text is None else text
        return Value(kind, sql, written, arrow_type, found if arrow is SAME else arrow, json=found, xml=xml)

    def items(*contents: Any) -> Any:
        return [("item", content) for content in contents]

    integers, instant = pa.list_(pa.int32()), pa.timestamp("us", tz="UTC")
    noon = datetime(2025, 7, 1, 12, tzinfo=UTC)
    return [
        value("INTEGER[]", "[]", [], "", integers),
        value("INTEGER[]", "[1, NULL, 3]", [1, None, 3], items("1", Nil(), "3"), integers),
        value("INTEGER[]", "[NULL]", [None], items(Nil()), integers),
        value("INTEGER[][]", "[[], NULL, [NULL, 1]]", [[], None, [None, 1]], items("", Nil(), items(Nil(), "1")), pa.list_(integers)),
        value(
            "VARCHAR[]",
            "['', NULL, 'null', 'a\"b&<c>']",
            ["", None, "null", 'a"b&<c>'],
            items("", Nil(), "null", 'a"b&<c>'),
            pa.list_(pa.string()),
        ),
        value("INTEGER[2]", "[1, NULL]", [1, None], items("1", Nil()), integers),
        value(
            "DOUBLE[]",
            "['nan', '0.5', '-inf']",
            ["NaN", Decimal("0.5"), "-Infinity"],
            items("NaN", "0.5", "-INF"),
            pa.list_(pa.float64()),
            [float("nan"), 0.5, float("-inf")],
            text='["NaN",0.5,"-Infinity"]',
        ),
        value(
            "DECIMAL(38,10)[]",
            "['1234567890123456789012345678.0123456789']",
            [Decimal("1234567890123456789012345678.0123456789")],
            items("1234567890123456789012345678.0123456789"),
            pa.list_(pa.decimal128(38, 10)),
            text="[1234567890123456789012345678.0123456789]",
        ),
        value(
            "HUGEINT[]",
            "[99999999999999999999999999999999999999]",
            [10**38 - 1],
            items(str(10**38 - 1)),
            pa.list_(pa.decimal128(38, 0)),
            [Decimal(10**38 - 1)],
        ),
        value("HUGEINT[]", "[170141183460469231731687303715884105727]", [2**127 - 1], items(str(2**127 - 1)), None, Refused()),
        value(
            "DATE[]",
            "[DATE '2025-01-01', NULL]",
            ["2025-01-01", None],
            items("2025-01-01", Nil()),
            pa.list_(pa.date32()),
            [date(2025, 1, 1), None],
        ),
        value(
            "DATE[]",
            "[DATE '2025-01-01', '0044-03-15 (BC)', NULL]",
            ["2025-01-01", "-0043-03-15", None],
            items("2025-01-01", "-0043-03-15", Nil()),
            None,
            Refused(),
        ),
        value(
            "STRUCT(a TIMESTAMP, t TIME[])",
            "{'a': TIMESTAMP 'infinity', 't': [TIME '24:00:00']}",
            {"a": "infinity", "t": ["24:00:00"]},
            [("a", "infinity"), ("t", items("24:00:00"))],
            None,
            Refused(),
        ),
        value(
            "STRUCT(a TIMESTAMP, t TIME[])",
            "{'a': NULL, 't': [TIME '24:00:00', NULL]}",
            {"a": None, "t": ["24:00:00", None]},
            [("t", items("24:00:00", Nil()))],
            pa.struct({"a": pa.timestamp("us"), "t": pa.list_(pa.string())}),
        ),
        value("UUID[]", f"['{UUID_TEXT}', NULL]", [UUID_TEXT, None], items(UUID_TEXT, Nil()), pa.list_(pa.string())),
        value(
            "TIMESTAMP WITH TIME ZONE[]",
            "[TIMESTAMPTZ '2025-07-01 12:00:00+00']",
            ["2025-07-01T14:00:00+02:00"],
            items("2025-07-01T14:00:00+02:00"),
            pa.list_(instant),
            [noon],
        ),
        value("BLOB[]", "['\\xFF'::BLOB]", ["/w=="], items("/w=="), pa.list_(pa.binary()), [b"\xff"]),
        value(
            "JSON[]",
            "['{\"a\":1}', '[1,]', NULL]",
            [{"a": 1}, "[1,]", None],
            items('{"a":1}', "[1,]", Nil()),
            None,
            ['{"a":1}', "[1,]", None],
        ),
        value("INTERVAL[]", "[INTERVAL 1 DAY, NULL]", ["P1D", None], items("P1D", Nil()), pa.list_(pa.string())),
        value(
            "STRUCT(a INTEGER, b VARCHAR)",
            "{'a': 1, 'b': 'x'}",
            {"a": 1, "b": "x"},
            [("a", "1"), ("b", "x")],
            pa.struct({"a": pa.int32(), "b": pa.string()}),
        ),
        value(
            "STRUCT(a INTEGER, b VARCHAR)",
            "{'a': NULL, 'b': NULL}",
            {"a": None, "b": None},
            "",
            pa.struct({"a": pa.int32(), "b": pa.string()}),
        ),
        value(
            'STRUCT("first ""name""" VARCHAR, "1" STRUCT(d TIMESTAMP, l INTEGER[]))',
            """{'first "name"': 'é', '1': {'d': TIMESTAMP '2025-01-01 00:00:00.5', 'l': []}}""",
            {'first "name"': "é", "1": {"d": "2025-01-01T00:00:00.500000", "l": []}},
            [("first__name_", "é"), ("_1", [("d", "2025-01-01T00:00:00.500000"), ("l", "")])],
            pa.struct({'first "name"': pa.string(), "1": pa.struct({"d": pa.timestamp("us"), "l": integers})}),
            {'first "name"': "é", "1": {"d": datetime.fromisoformat("2025-01-01T00:00:00.500"), "l": []}},
        ),
        value(
            "STRUCT(i INTERVAL, h HUGEINT)[]",
            "[{'i': INTERVAL 1 DAY, 'h': 1}, NULL]",
            [{"i": "P1D", "h": 1}, None],
            items([("i", "P1D"), ("h", "1")], Nil()),
            pa.list_(pa.struct({"i": pa.string(), "h": pa.decimal128(38, 0)})),
            [{"i": "P1D", "h": Decimal(1)}, None],
        ),
        value("MAP(VARCHAR, INTEGER)", "MAP {}", {}, "", pa.map_(pa.string(), pa.int32()), []),
        value(
            "MAP(VARCHAR, INTEGER)",
            "MAP {'a\"': 1, '': NULL}",
            {'a"': 1, "": None},
            [("entry", [("key", 'a"'), ("value", "1")]), ("entry", [("key", "")])],
            pa.map_(pa.string(), pa.int32()),
            [('a"', 1), ("", None)],
        ),
        value(
            "MAP(DATE, INTERVAL)",
            "MAP {DATE '2025-01-01': INTERVAL 1 HOUR}",
            {"2025-01-01": "PT1H"},
            [("entry", [("key", "2025-01-01"), ("value", "PT1H")])],
            pa.map_(pa.date32(), pa.string()),
            [(date(2025, 1, 1), "PT1H")],
        ),
        value(
            "MAP(INTEGER[], BOOLEAN)",
            "MAP {[1, 2]: true}",
            {"[1,2]": True},
            [("entry", [("key", items("1", "2")), ("value", "true")])],
            pa.map_(integers, pa.bool_()),
            [([1, 2], True)],
        ),
        value(
            "UNION(num INTEGER, str VARCHAR)",
            "union_value(num := 2)",
            {"num": 2},
            [("num", "2")],
            pa.struct({"tag": pa.string(), "num": pa.int32(), "str": pa.string()}),
            {"tag": "num", "num": 2, "str": None},
        ),
        value(
            "UNION(num INTEGER, str VARCHAR)",
            "union_value(str := NULL::VARCHAR)",
            {"str": None},
            [("str", Nil())],
            pa.struct({"tag": pa.string(), "num": pa.int32(), "str": pa.string()}),
            {"tag": "str", "num": None, "str": None},
        ),
        value(
            "TUPLE(INTEGER, VARCHAR)",
            "(1, NULL)",
            [1, None],
            items("1", Nil()),
            pa.struct({"element1": pa.int32(), "element2": pa.string()}),
            {"element1": 1, "element2": None},
        ),
    ]


VALUES = [*integers(), *decimals(), *floats(), *dates(), *timestamps(), *instants(), *times(), *other(), *nested()]
