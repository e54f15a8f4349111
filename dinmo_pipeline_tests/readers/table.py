"""The table that is delivered to every reader: hostile values of each type, made in Python, apart from the product's SQL."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from dinmo_pipeline_tests.hostile import TEXTS as HOSTILE

ROWS: Final = 211
ZONE: Final = "Europe/Berlin"


def _is_storable(text: str) -> bool:
    """Whether every format and server has its characters: XML forbids controls and noncharacters, and few of Latin-1's are enough."""
    return all(character in "\t\n\r" or _is_character(ord(character)) for character in text)


def _is_character(code: int) -> bool:
    return code >= 32 and not (0x86 <= code < 0xA0 or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF)


TEXTS: Final = [
    *filter(_is_storable, HOSTILE),
    "a\n\\.\nb",
    "\\.\n",
    " lead",
    "trail ",
    "\ttab",
    "tab\t",
    "\n",
    "a\r\n",
    "N/A",
    "NA",
    "nan",
    "-",
    "+1",
    "-1",
    "1,5",
    "2024-01-01",
    '{"a": "b\\"c"}',
    "ends in a backslash\\",
    '\\""',
    "a;b|c\td",
    "''",
    "\u00a0",
]
BYTES: Final = [b"", b"\x00", b"\xff\xfe", bytes(range(256)), b"plain", b"\\N"]
INSTANTS: Final = [
    datetime(2024, 3, 31, 0, 59, 59, tzinfo=UTC),
    datetime(2024, 3, 31, 1, tzinfo=UTC),
    datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
    datetime(2024, 10, 27, 1, 30, tzinfo=UTC),
    datetime(1880, 1, 1, tzinfo=UTC),
    datetime(1900, 1, 1, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2024, 7, 1, 12, 0, 0, 1, tzinfo=UTC),
    datetime(2262, 4, 12, tzinfo=UTC),
    datetime(9999, 6, 1, tzinfo=UTC),
]
# As the query writes it, and as months, days and microseconds.
INTERVALS: Final = {
    "0 days": (0, 0, 0),
    "1 year 2 months 3 days": (14, 3, 0),
    "-1 hour -30 minutes": (0, 0, -5_400_000_000),
    "26 hours": (0, 0, 93_600_000_000),
    "1.5 seconds": (0, 0, 1_500_000),
    "-1 month": (-1, 0, 0),
    "30 days": (0, 30, 0),
}
VALUES: Final[dict[str, list[Any]]] = {
    "name": [*TEXTS, None],
    "zip": ["00001", "", None, "01067", "0", "1e5", "007", "12345", "NULL", "0x1F", "\\N"],
    "visits": [0, 2**63 - 1, -(2**63), None, 2**53 + 1, -1, 9007199254740993, 42],
    "amount": [*map(Decimal, ("0.0000", "-0.0001", "99999999999999.9999", "-99999999999999.9999", "1.5000", "1234.5600")), None],
    "total": [
        *map(Decimal, ("0.0000000000", "1234567890123456789012345678.0123456789", "-9999999999999999999999999999.9999999999")),
        Decimal("1234567890123456789012.5000000000"),
        Decimal("0.1000000000"),
        None,
    ],
    "score": [0.0, -0.0, 0.1, None, float("nan"), float("inf"), float("-inf"), 5e-324, 1e300, 1.7976931348623157e308, 1 / 3, 1e16, -2.5],
    "active": [True, False, None],
    "born": [date(1, 1, 1), date(9999, 12, 31), None, date(2024, 2, 29), date(1582, 10, 15), date(1970, 1, 1), date(1900, 3, 1)],
    "seen_at": [
        datetime(1, 1, 1),  # noqa: DTZ001
        datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001
        None,
        datetime(2024, 3, 31, 2, 30),  # noqa: DTZ001
        datetime(2024, 1, 1, 12, 0, 0, 500000),  # noqa: DTZ001
        datetime(1969, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001
    ],
    "created_at": [*INSTANTS, None],
    "opens_at": [time(0), time(23, 59, 59, 999999), None, time(12), time(9, 30, 0, 100000)],
    "term": [*INTERVALS.values(), None],
    "uid": [str(uuid.UUID(int=number)) for number in (0, 2**128 - 1, 0x00112233445566778899AABBCCDDEEFF)] + [None],
    "tier": ["gold", "new and\nold", None, "", 'a"b'],
    "photo": [*BYTES, None],
    "tags": [[], [""], ["a", "b"], None, [None], ['quote " and \\', "line\nend"], ["NULL", None, "é"]],
    "address": [
        {"city": "Köln", "zip": "00001"},
        None,
        {"city": None, "zip": ""},
        {"city": 'the "Hof"\r\n', "zip": "\\"},
        {"city": None, "zip": None},
    ],
    "quotas": [{"a": 1}, {}, None, {"": 0, 'b"': None}, {"x y": -1, "é": 2}],
    "profile": ['{"a":1}', '{"a":[1,null,"\\""],"b":{"c":true}}', "[]", '"text"', None, "12.50", '{"é\\n":"\\u0001"}'],
}
COLUMNS: Final = ("id", *VALUES)
TYPES: Final = {
    "id": pa.int64(),
    "visits": pa.int64(),
    "amount": pa.decimal128(18, 4),
    "total": pa.decimal128(38, 10),
    "score": pa.float64(),
    "active": pa.bool_(),
    "born": pa.date32(),
    "seen_at": pa.timestamp("us"),
    "created_at": pa.timestamp("us", tz="UTC"),
    "opens_at": pa.time64("us"),
    "photo": pa.binary(),
    "tags": pa.list_(pa.string()),
    "address": pa.struct({"city": pa.string(), "zip": pa.string()}),
    "quotas": pa.map_(pa.string(), pa.int32()),
}
MODEL: Final = """\
SELECT * REPLACE (term::INTERVAL AS term, uid::UUID AS uid, tier::ENUM ('gold', 'new and
old', '', 'a"b') AS tier, profile::JSON AS profile) FROM 'customers.parquet'"""


def rows() -> list[dict[str, Any]]:
    """All rows: each list of values begins anew where it ends, so every value comes and few go together twice."""
    return [{"id": number, **{name: values[number % len(values)] for name, values in VALUES.items()}} for number in range(ROWS)]


def write_source(path: Path) -> None:
    """Write the rows as the file that the model reads."""
    texts = {value: text for text, value in INTERVALS.items()}
    columns = []
    for name in COLUMNS:
        values = [row[name] for row in rows()]
        if name == "term":
            values = [value if value is None else texts[value] for value in values]
        columns.append(pa.array(values, TYPES.get(name, pa.string())))
    pq.write_table(pa.table(columns, names=list(COLUMNS)), path)
