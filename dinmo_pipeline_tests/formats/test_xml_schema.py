"""The XML Schema of a delivery: files of every type and style are valid by it, to validators that are not ours, and wrong files are not."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
import xmlschema
from lxml import etree

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.base import Rows
from dinmo_pipeline.formats.xml.schema import SchemaColumn
from dinmo_pipeline.formats.xml.write import XmlFormat
from dinmo_pipeline.formats.xml.write_values import xml_name
from dinmo_pipeline.sql.quoting import quote_identifier

from ..hostile import ODD_NAMES, TEXTS
from ..servers.running import need_program
from ..sync.every_value import every_value
from .conftest import make, rows_of, write
from .test_hostile_values import distinct
from .values import VALUES

STYLES: list[dict[str, Any]] = [
    {},
    {"booleans": "1/0"},
    {"booleans": "Y/N"},
    {"timestamps": "sql"},
    {"timestamps": "%d/%m/%Y %H:%M"},
    {"decimal": ","},
]
ALL_OPTIONS = [{**style, "nulls": nulls} for style in STYLES for nulls in ("absent", "nil")]


def faults(schema: bytes, data: bytes) -> dict[str, list[str]]:
    """What lxml and xmlschema, which share no code, find wrong with a file."""
    by_lxml = etree.XMLSchema(etree.fromstring(schema))
    by_lxml.validate(etree.fromstring(data, etree.XMLParser(huge_tree=True)))
    errors = [str(error.reason) for error in xmlschema.XMLSchema10(schema.decode()).iter_errors(io.BytesIO(data))]
    return {"lxml": str(by_lxml.error_log).splitlines(), "xmlschema": errors}


def schema_of(form: XmlFormat, rows: Rows) -> bytes:
    return form.xml_schema([SchemaColumn(column.name, (column.type,)) for column in rows.columns], rows.timezone)


def xml(**options: Any) -> XmlFormat:
    form = make("xml", **options)
    assert isinstance(form, XmlFormat)
    return form


def table_of(connection: duckdb.DuckDBPyConnection, values: Mapping[str, Sequence[str]], *, timezone: str = "Europe/Paris") -> Rows:
    """A column for each type with all of its values, one below the other, and null where another type has more."""
    for index, texts in enumerate(values.values()):
        selects = " UNION ALL ".join(f"SELECT {text} AS c{index}" for text in texts)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE of_{index} AS {selects}")
    joined = " POSITIONAL JOIN ".join(f"of_{index}" for index in range(len(values)))
    return rows_of(connection, f"SELECT * FROM {joined}", timezone=timezone)


OF_FORMATS: dict[str, list[str]] = {}
for value in VALUES:
    OF_FORMATS.setdefault(value.type, []).append(value.sql)
# Nothing of a column is in the first row, since one type has nothing but nulls there.
OF_SNAPSHOTS = {type_text: [sql for sql, _ in values] for type_text, values in every_value().items()}


@pytest.mark.parametrize("options", ALL_OPTIONS, ids=str)
def test_every_value_in_every_style_is_valid(options: dict[str, Any], connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = table_of(connection, OF_FORMATS)
    data, schema = write(connection, xml(**options), rows, tmp_path), schema_of(xml(**options), rows)
    assert faults(schema, data) == {"lxml": [], "xmlschema": []}


@pytest.mark.parametrize("nulls", ["absent", "nil"])
def test_every_value_of_snapshots_is_valid(nulls: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = table_of(connection, OF_SNAPSHOTS)
    data, schema = write(connection, xml(nulls=nulls), rows, tmp_path), schema_of(xml(nulls=nulls), rows)
    assert faults(schema, data) == {"lxml": [], "xmlschema": []}


@pytest.mark.parametrize("options", ALL_OPTIONS, ids=str)
def test_xmllint_takes_every_value(options: dict[str, Any], connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Debian's is of another year than lxml's, and reads numbers of 24 digits at most."""
    rows = table_of(connection, OF_FORMATS)
    write(connection, xml(**options), rows, tmp_path)
    (tmp_path / "file.xsd").write_bytes(schema_of(xml(**options), rows))
    command = [need_program("xmllint", package="libxml2-utils"), "--noout", "--huge", "--schema", "file.xsd", "file.xml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr.strip()) == (0, "file.xml validates")


@pytest.mark.parametrize("zone", ["Asia/Manila", "America/Juneau", "Pacific/Kiritimati", "America/St_Johns", "Africa/Monrovia", "UTC"])
def test_offsets_of_every_zone_and_time_are_valid(zone: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    query = "SELECT make_timestamptz(i * 86400 * 1000000 * 431) AS v FROM range(-2000, 2000) AS r(i)"
    rows = rows_of(connection, query, timezone=zone)
    assert faults(schema_of(xml(), rows), write(connection, xml(), rows, tmp_path)) == {"lxml": [], "xmlschema": []}


@pytest.mark.parametrize("nulls", ["absent", "nil"])
def test_odd_names_and_texts_are_valid(nulls: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    names = [name for name in distinct(ODD_NAMES, "xml") if not xml(xsd=True).name_problems([name])]
    assert len(names) > 40
    members = ", ".join(f"{quote_identifier(name)} := t" for name in names)
    texts = [text for text in TEXTS if len(text) < 1000]
    connection.execute("CREATE OR REPLACE TEMP TABLE texts AS SELECT unnest(?::VARCHAR[]) AS t", [texts])
    query = f"SELECT {', '.join('t' for _ in names)}, struct_pack({members}) AS s, MAP {{t: [t, NULL]}} AS m FROM texts"
    rows = rows_of(connection, query, [*names, "a struct", "a map"])
    data, schema = write(connection, xml(nulls=nulls), rows, tmp_path), schema_of(xml(nulls=nulls), rows)
    assert faults(schema, data) == {"lxml": [], "xmlschema": []}


@pytest.mark.parametrize("options", [{}, {"root": "clients", "row": "client"}, {"nulls": "nil"}])
def test_file_without_rows_is_valid(options: dict[str, Any], connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, "SELECT 1 AS a, [1] AS l LIMIT 0")
    assert faults(schema_of(xml(**options), rows), write(connection, xml(**options), rows, tmp_path)) == {"lxml": [], "xmlschema": []}


WRONG: list[tuple[str, dict[str, Any], list[str]]] = [
    ("1::TINYINT", {}, ["128", "1.0", "", "x", " "]),
    ("1::UBIGINT", {}, ["-1", "18446744073709551616"]),
    ("1::BIGINT", {}, ["9223372036854775808", "1e3", "1,0"]),
    ("1::HUGEINT", {}, ["1.5", "9" * 40 + "x"]),
    ("1::BIGNUM", {}, ["1" * 50 + ".5"]),
    ("1.5::DECIMAL(4,1)", {}, ["1.55", "1234.5", "1e2", "1,5", "NaN"]),
    ("1.5::DECIMAL(38,10)", {}, ["1.12345678901", "1" * 29 + ".1111111111", "1,5000000000"]),
    ("1.5::DECIMAL(4,1)", {"decimal": ","}, ["1.5", "1234,5", "1,55"]),
    ("1.5::DOUBLE", {}, ["Infinity", "1,5", "", "nan"]),
    ("1.5::DOUBLE", {"decimal": ","}, ["1.5", "Infinity", ""]),
    ("true", {}, ["Y", "TRUE", ""]),
    ("true", {"booleans": "Y/N"}, ["true", "y", "", "YN"]),
    ("DATE '2025-01-01'", {}, ["2025-13-01", "2025-02-30", "01/02/2025", "10000-1-01", "2025-01-01T00:00:00", "Infinity", ""]),
    ("TIMESTAMP '2025-01-01 00:00:00'", {}, ["2025-01-01 00:00:00", "2025-01-01", "2025-01-01T25:00:00"]),
    ("TIMESTAMP '2025-01-01 00:00:00'", {"timestamps": "sql"}, ["2025-01-01T00:00:00", "2025-01-01", "2025-01-01 00:00:00+00:00"]),
    ("TIMESTAMPTZ '2025-01-01 00:00:00+00'", {}, ["2025-01-01T00:00:00+00:09:21", "2025-01-01 00:00:00+00:00", "2025-01-32T00:00:00Z"]),
    ("TIME '12:00:00'", {}, ["12:00", "25:00:00", "noon"]),
    ("INTERVAL 1 DAY", {}, ["1 day", "P", "PT", "P1", "PT-1H-", "P-"]),
    ("'00112233-4455-6677-8899-aabbccddeeff'::UUID", {}, ["00112233445566778899aabbccddeeff", ""]),
    ("'01'::BIT", {}, ["02", ""]),
    ("'a'::BLOB", {}, ["\\x61", "YQ"]),
    ("'a'::VARCHAR", {}, ["<b/>", "a<b>c</b>"]),
    ("[1]", {}, ["1", "<item>x</item>", "<entry>1</entry>", "<item/>"]),
    ("{'a': 1, 'b': 'x'}", {}, ["<b>x</b><a>1</a>", "<a>1</a><a>1</a>", "<c>1</c>", "text"]),
    ("{'a': 1}", {"nulls": "nil"}, ["", "<a/>"]),
    ("MAP {'a': 1}", {}, ["<entry><value>1</value></entry>", "<entry><key>a</key><value>x</value></entry>"]),
    ("union_value(a := 1)", {}, ["", "<a>x</a>", "<a>1</a><a>1</a>"]),
    ("(1, 'x')", {}, ["<item>1</item>", "<item>1</item><item>x</item><item>y</item>"]),
]


@pytest.mark.parametrize(("sql", "options", "texts"), WRONG, ids=[f"{sql} {options}" for sql, options, _ in WRONG])
def test_wrong_value_is_refused(
    sql: str, options: dict[str, Any], texts: list[str], connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows = rows_of(connection, f"SELECT {sql} AS v")
    data, schema = write(connection, xml(**options), rows, tmp_path).decode(), schema_of(xml(**options), rows)
    assert faults(schema, data.encode()) == {"lxml": [], "xmlschema": []}
    start, end = data.index("<v>") + 3, data.index("</v>")
    for text in texts:
        found = faults(schema, (data[:start] + text + data[end:]).encode())
        assert found["lxml"], f"lxml takes {text!r}"
        assert found["xmlschema"], f"xmlschema takes {text!r}"


NIL = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


@pytest.mark.parametrize(
    ("nulls", "rows", "is_valid"),
    [
        ("absent", "<row><id>1</id><name>x</name></row>", True),
        ("absent", "<row><id>1</id></row>", True),
        ("absent", "<row><name>x</name></row>", False),
        ("absent", f'<row><id>1</id><name xsi:nil="true" {NIL}/></row>', False),
        ("nil", f'<row><id>1</id><name xsi:nil="true" {NIL}/></row>', True),
        ("nil", "<row><id>1</id></row>", False),
        ("nil", f'<row><id xsi:nil="true" {NIL}/><name>x</name></row>', False),
        ("absent", "<row><name>x</name><id>1</id></row>", False),
        ("absent", "<row><id>1</id><name>x</name><more>1</more></row>", False),
        ("absent", "<row><id>1</id><id>1</id></row>", False),
        ("absent", '<row more="1"><id>1</id></row>', False),
        ("absent", "<line><id>1</id></line>", False),
        ("absent", "", True),
    ],
)
def test_schema_says_what_may_be_left_out(nulls: Any, rows: str, is_valid: bool) -> None:
    columns = [SchemaColumn("id", ("INTEGER",), has_nulls=False), SchemaColumn("name", ("VARCHAR",))]
    found = faults(xml(nulls=nulls).xml_schema(columns, "UTC"), f"<rows>{rows}</rows>".encode())
    assert [errors == [] for errors in found.values()] == [is_valid, is_valid]


@pytest.mark.parametrize(
    ("types", "valid", "wrong"),
    [
        (("INTEGER", "DATE"), ["1", "2025-01-01", "infinity"], ["x", "1.5"]),
        (("INTEGER", "INTEGER"), ["1"], ["2025-01-01"]),
        (("INTEGER[]", "VARCHAR"), ["text", "<item>1</item>"], []),
        (("BOOLEAN", "VARCHAR"), ["anything"], ["<b/>"]),
    ],
)
def test_column_of_two_types_may_have_either(types: tuple[str, ...], valid: list[str], wrong: list[str]) -> None:
    schema = xml().xml_schema([SchemaColumn("v", types)], "UTC")
    for text in (*valid, *wrong):
        found = faults(schema, f"<rows><row><v>{text}</v></row></rows>".encode())
        assert [errors == [] for errors in found.values()] == [text in valid] * 2, text


@pytest.mark.parametrize("name", ["\u017f", "a\ufb01", "\U0001d4b3", "\u2135"])
def test_name_that_a_schema_cannot_have_is_told(name: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    problem = f"XML Schema knows no element <{name}>: write the name with other letters, or leave xsd out"
    assert xml(xsd=True).name_problems(["a", name]) == [problem]
    assert xml().name_problems(["a", name]) == []
    rows = rows_of(connection, f"SELECT [{{'{name}': 1}}] AS v")
    with pytest.raises(DataError, match=f"writing the XML Schema: it knows no element <{name}>; give it another name in the query"):
        schema_of(xml(), rows)


def test_every_other_name_is_one_that_validators_take() -> None:
    codes = [*range(0x3400), *range(0x4DB0, 0x4E10), *range(0x9F00, 0xAC10), *range(0xD700, 0xD800), *range(0xF900, 0x10010)]
    written = dict.fromkeys(xml_name(part + chr(code)) for code in codes for part in ("", "a"))
    names = [name for name in written if not xml(xsd=True).name_problems([name])]
    assert len(names) > 3000
    for first in range(0, len(names), 200):
        schema = xml().xml_schema([SchemaColumn(name, ("INTEGER",)) for name in names[first : first + 200]], "UTC")
        etree.XMLSchema(etree.fromstring(schema))


def test_three_hundred_columns_have_a_schema(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, f"SELECT {', '.join(f'i * {number} AS c{number}' for number in range(300))} FROM range(3) AS r(i)")
    schema = etree.XMLSchema(etree.fromstring(schema_of(xml(), rows)))
    assert schema.validate(etree.fromstring(write(connection, xml(), rows, tmp_path)))
