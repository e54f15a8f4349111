"""What others may put into their files: each value comes in exactly, or its record or file is refused in words; none is another one."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.formats.base import Column, Rows
from dinmo_pipeline.formats.csv.dialect import CsvDialect
from dinmo_pipeline.formats.csv.formulas import inert
from dinmo_pipeline.formats.csv.read import CsvReading, open_csv
from dinmo_pipeline.formats.json.read import open_json
from dinmo_pipeline.formats.reader import FileRefused, Reading
from dinmo_pipeline.inbound.load.column_types import ColumnType, Shape
from dinmo_pipeline.inbound.load.import_ledger import FileRecord, Outcome
from dinmo_pipeline.inbound.profile.feed_yaml import feed_yaml
from dinmo_pipeline.inbound.profile.profile import profile_file
from dinmo_pipeline.project.inbound_specs import InboundColumn
from dinmo_pipeline_tests.hostile import ALIKE, HALF_PAIRS, NAMES, NO_UTF8, TEXTS
from dinmo_pipeline_tests.inbound.inboxes import LocalInbox, contacts
from dinmo_pipeline_tests.inbound.test_json_by_others import content, suite

Row = Mapping[str, str | None]


def as_csv(rows: Sequence[Row]) -> str:
    """Every value in quotes; a null is nothing between two delimiters."""
    lines = [list(rows[0]), *(row.values() for row in rows)]
    return "".join(";".join("" if value is None else '"' + value.replace('"', '""') + '"' for value in line) + "\n" for line in lines)


def as_json(rows: Sequence[Row]) -> str:
    return json.dumps(rows)


def as_lines(rows: Sequence[Row]) -> str:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


WRITERS = {"csv": as_csv, "json": as_json, "ndjson": as_lines}
each_format = pytest.mark.parametrize("extension", WRITERS)


def inbox_of(root: Path, extension: str, *columns: InboundColumn, **options: Any) -> LocalInbox:
    """The inbox of one feed with the key `id` and these columns beside those that are text."""
    usual = {"updated_at": None, "columns": columns, "csv": CsvDialect() if extension == "csv" else None}
    return LocalInbox(root, [contacts(**{**usual, **options})])


def loaded(inbox: LocalInbox, extension: str, rows: Sequence[Row], *, day: int = 15) -> FileRecord:
    """What became of a file with these rows."""
    inbox.drop(f"contacts_shop_202203{day}.{extension}", WRITERS[extension](rows))
    (record,) = inbox.run()
    return record


@each_format
def test_text_of_any_kind_comes_in_as_it_is(extension: str, tmp_path: Path) -> None:
    # CSV knows no NUL: the record is rejected.
    texts = [text for text in TEXTS if extension != "csv" or "\0" not in text]
    rows: list[Row] = [{"id": str(number), "v": text} for number, text in enumerate(texts)] + [{"id": "null", "v": None}]
    inbox = inbox_of(tmp_path, extension)

    record = loaded(inbox, extension, rows)

    assert (record.outcome, record.loaded, record.rejected) == (Outcome.LOADED, len(rows), 0)
    found = dict(inbox.rows("SELECT id, v FROM feeds.contacts_shop"))
    assert found == {row["id"]: row["v"] for row in rows}


def test_nul_in_csv_rejects_its_record_and_no_other(tmp_path: Path) -> None:
    inbox = inbox_of(tmp_path, "csv")

    record = loaded(inbox, "csv", [{"id": "1", "v": "a\0b"}, {"id": "2", "v": "\0"}, {"id": "3", "v": "c"}])

    assert (record.loaded, record.rejected) == (1, 2)
    assert inbox.rows("SELECT id, v FROM feeds.contacts_shop") == [("3", "c")]


@each_format
def test_keys_that_look_alike_stay_records_of_their_own(extension: str, tmp_path: Path) -> None:
    inbox = inbox_of(tmp_path, extension)
    keys = [key for key in (*ALIKE, "a\tb", "\x7f", "\U0010ffff", "👩‍👩‍👧", "👩👩👧") if key.strip(" ")]
    loaded(inbox, extension, [{"id": key, "v": "first"} for key in keys])
    changed = ["é", "A", "\u212a", "ss"]

    record = loaded(inbox, extension, [{"id": key, "v": "second"} for key in changed], day=16)

    assert record.loaded == len(changed)
    assert dict(inbox.rows("SELECT id, v FROM feeds.contacts_shop")) == {key: "second" if key in changed else "first" for key in keys}
    assert inbox.rows("SELECT count(*) FROM entities.contacts") == [(len(keys),)]


@each_format
def test_column_called_like_something_of_ours_is_a_column(extension: str, tmp_path: Path) -> None:
    inbox = inbox_of(tmp_path, extension, InboundColumn("old", "number"), InboundColumn("step", "array"), primary_key=("rowid", "new"))
    names = [*NAMES, "straße", "é", "日本"]

    def row(number: int, version: str) -> Row:
        keys = {"rowid": f"key {number}", "new": "k", "old": str(number), "step": f"{number},{version}"}
        return {name: keys.get(name, f"{name} {version}") for name in names}

    loaded(inbox, extension, [row(1, "a"), row(2, "a"), row(2, "b")])
    loaded(inbox, extension, [{**row(1, "c"), "old": "1.5"}, row(3, "c")], day=16)

    expected = {
        f"key {number}": [keyed.get(name, f"{name} {version}") for name in names]
        for number, version, old in ((1, "c", "1.5"), (2, "b", "2.0"), (3, "c", "3.0"))
        for keyed in [{"rowid": f"key {number}", "new": "k", "old": old, "step": f"[{number}, {version}]"}]
    }
    texts = ", ".join(f'"{name}"::VARCHAR' for name in names)
    for table in ("feeds.contacts_shop", "entities.contacts"):
        assert {key: list(values) for key, *values in inbox.rows(f"SELECT rowid, {texts} FROM {table}")} == expected


@pytest.mark.parametrize("extension", ["csv", "json"])
def test_two_thousand_columns_come_in(extension: str, tmp_path: Path) -> None:
    names = ["id", *(f"c{number}" for number in range(1999))]
    inbox = inbox_of(tmp_path, extension)

    loaded(inbox, extension, [{name: str(place) for place, name in enumerate(names)}])

    assert [row[:2000] for row in inbox.rows("FROM feeds.contacts_shop")] == [tuple(map(str, range(2000)))]


@pytest.mark.parametrize("extension", ["csv", "ndjson"])
def test_profile_of_any_names_and_texts_proposes_a_feed_that_takes_them(extension: str, tmp_path: Path) -> None:
    names = [*NAMES, "text", "times", "sample", "texts", "no", "1e5", "日本"]
    texts = [text for text in TEXTS if "\0" not in text and len(text) < 1000]
    path = tmp_path / f"contacts_shop_20220315.{extension}"
    path.write_text(
        WRITERS[extension]([{name: texts[(row + place) % len(texts)] for place, name in enumerate(names)} for row in range(len(texts))]),
        encoding="utf-8",
        newline="",
    )

    profile = profile_file(path)

    assert [column.name for column in profile.columns] == names
    assert (profile.rows, profile.rejected) == (len(texts), ())
    proposed = yaml.safe_load(feed_yaml(profile))["attributes"]
    assert set(proposed["primary_key"]) <= set(names)
    # No column has nothing but values of another type.
    assert "columns" not in proposed


class BadBytes:
    """Where bytes that are no UTF-8 may stand, and how a file is read."""

    CSV = b'id;a\n1;x\n2;"%b"\n3;y\n'
    LINES = b'{"id": "1"}\n{"id": "%b"}\n'
    ARRAY = b'[{"id": "1"}, {"id": "%b"}]'


@pytest.mark.parametrize("content", [BadBytes.CSV, BadBytes.LINES, BadBytes.ARRAY], ids=["CSV", "lines", "array"])
@pytest.mark.parametrize("bad", NO_UTF8.values(), ids=NO_UTF8)
def test_bytes_that_are_no_utf8_refuse_the_file_with_their_place(content: bytes, bad: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content % bad)
    with pytest.raises(UnicodeDecodeError) as theirs:
        path.read_bytes().decode()

    with pytest.raises(FileRefused, match=rf"byte {theirs.value.start} "):
        list((open_csv(path, CsvDialect()) if content is BadBytes.CSV else open_json(path)).batches())


@pytest.mark.parametrize("bad", NO_UTF8.values(), ids=NO_UTF8)
@pytest.mark.parametrize("block_bytes", [1, 2, 3, 5])
def test_bytes_that_are_no_utf8_are_found_at_the_border_of_blocks(block_bytes: int, bad: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(BadBytes.CSV % bad)
    place = len(BadBytes.CSV.partition(b"%b")[0]) + (3 if bad == b"caf\xe9" else 0)

    with pytest.raises(FileRefused, match=rf"byte {place} "):
        list(CsvReading(path, CsvDialect(), (), block_bytes).batches())


@pytest.mark.parametrize(
    ("encoding", "half"),
    [("utf-16-le", b"\0\xd8"), ("utf-16-le", b"\0\xdc"), ("utf-16-be", b"\xd8\0"), ("utf-32-le", b"\0\xd8\0\0"), ("utf-7", b"+2AA-")],
)
def test_half_of_a_surrogate_pair_in_another_encoding_refuses_the_file(encoding: str, half: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes("id;a\n1;x".encode(encoding) + half + "y\n".encode(encoding))

    with pytest.raises(FileRefused, match=r"byte|is half a character"):
        list(open_csv(path, CsvDialect(encoding=encoding)).batches())


@pytest.mark.parametrize("half", HALF_PAIRS)
@pytest.mark.parametrize(
    "record", ['{"id": "%s"}', '{"id": "a%sb"}', '{"id": 1, "x": ["%s"]}', '{"id": 1, "x": {"%s": 1}}', '{"id": 1, "%s": 1}']
)
def test_half_of_a_surrogate_pair_is_no_text(half: str, record: str, tmp_path: Path) -> None:
    lines, array = tmp_path / "lines", tmp_path / "array"
    lines.write_text('{"id": 0}\n' + record % half + '\n{"id": 2}\n')
    array.write_text('[{"id": 0}, ' + record % half + ', {"id": 2}]')

    reading = open_json(lines)
    assert [row["id"] for batch in reading.batches() for row in batch.to_pylist()] == ["0", "2"]
    assert [reject.line for reject in reading.rejects] == [2]
    with pytest.raises(FileRefused):
        list(open_json(array).batches())


VALUES: dict[str, list[tuple[dict[str, Any], str, str]]] = {
    # Of each type: options of the column, the text in the file, and the value as DuckDB prints it.
    "number": [
        ({}, "9" * 38, "9" * 38),
        ({}, "-" + "9" * 38, "-" + "9" * 38),
        ({}, "-0", "0"),
        ({}, "1e3", "1000"),
        ({}, "9007199254740993", "9007199254740993"),
        ({}, "0." + "0" * 19 + "1", "0." + "0" * 19 + "1"),
        ({"decimal": ","}, "1,50", "1.50"),
    ],
    "date": [
        ({}, "0001-01-01", "0001-01-01"),
        ({}, "0000-01-01", "0001-01-01 (BC)"),
        ({}, "9999-12-31", "9999-12-31"),
        ({"format": "%d/%m/%Y"}, "01/01/0001", "0001-01-01"),
        ({"format": "%d/%m/%Y"}, "31/12/9999", "9999-12-31"),
        ({"format": "%d/%m/%y"}, "31/12/99", "1999-12-31"),
    ],
    "timestamp": [
        ({}, "0001-01-01T00:00:00Z", "0001-01-01 00:00:00+00"),
        ({}, "0001-01-01T00:00:00+14:00", "0001-12-31 (BC) 10:00:00+00"),
        ({}, "9999-12-31T23:59:59.999999-12", "10000-01-01 11:59:59.999999+00"),
        ({}, "2016-12-31T24:00:00", "2017-01-01 00:00:00+00"),
        ({}, "2016-12-31 10:00:00+15:59", "2016-12-30 18:01:00+00"),
        ({}, "1890-01-01T00:09:21+00:09:21", "1890-01-01 00:00:00+00"),
        ({"format": "%a %b %d %H:%M:%S %z %Y"}, "Sat Dec 31 10:00:00 -0330 2016", "2016-12-31 13:30:00+00"),
    ],
    "array": [
        ({}, '["a", "b"]', "[a, b]"),
        ({}, '["x,[]{}\\"", "", null, "null"]', "['x,[]{}\"', '', NULL, 'null']"),
        (
            {},
            "[1.10, 1E2, -0.0, 0.123456789012345678901, 12345678901234567890]",
            "[1.10, 1E2, -0.0, 0.123456789012345678901, 12345678901234567890]",
        ),
        ({}, '["\\ud83d\\ude00"]', "[😀]"),
        ({}, '[{"a": "b"}, ["c"]]', '[\'{"a":"b"}\', \'["c"]\']'),
        ({}, "[ ]", "[]"),
        ({}, "a,,b", "[a, '', b]"),
    ],
    "json": [
        (
            {},
            '{"tags": ["a", "b"], "n": 1.10, "m": 12345678901234567890.5}',
            '{"tags": ["a", "b"], "n": 1.10, "m": 12345678901234567890.5}',
        ),
        ({}, '["nan,]", "inf"]', '["nan,]", "inf"]'),
        ({}, '"\\u0000"', '"\\u0000"'),
    ],
    "boolean": [({}, "TRUE", "true"), ({}, "0", "false")],
}
CASES = [(kind, *case) for kind, cases in VALUES.items() for case in cases]


@pytest.mark.parametrize("kind", VALUES)
def test_value_at_the_ends_of_its_type_is_exact(kind: str, tmp_path: Path) -> None:
    cases = VALUES[kind]
    columns = [InboundColumn(f"v{number}", kind, **options) for number, (options, _, _) in enumerate(cases)]
    row: Row = {"id": "1"} | {f"v{number}": text for number, (_, text, _) in enumerate(cases)}
    inbox = inbox_of(tmp_path, "csv", *columns)

    assert loaded(inbox, "csv", [row]).loaded == 1

    texts = ", ".join(f"v{number}::VARCHAR" for number in range(len(cases)))
    assert inbox.rows(f"SELECT {texts} FROM feeds.contacts_shop") == [tuple(expected for *_, expected in cases)]
    if kind == "date":
        assert {found for _, found, *_ in inbox.rows("DESCRIBE feeds.contacts_shop")[1 : 1 + len(cases)]} == {"DATE"}


BAD: dict[str, tuple[list[str], dict[str, Any], str]] = {
    # Of each type: texts that are no values of it, options of the column, and the words.
    "number": (
        ["NaN", "Infinity", "-inf", "1e99", "9" * 39, str(2**127 - 1), "1_000", "0x1F", "\u0663", "\uff11", "1,5", " 1", ""],
        {},
        "is no number",
    ),
    "date": (
        [
            *("infinity", "-infinity", "epoch", "today", "2022-02-30", "0000-00-00", "10000-01-01", "-0001-01-01", "2022-1-1"),
            *("2022/01/01", "0044-03-15 (BC)", "2022-01-01T23:59:60", ""),
        ],
        {},
        "is no date of the form 2024-01-31",
    ),
    "timestamp": (
        [
            *("2016-12-31T23:59:60Z", "2016-12-31 23:59:60", "2016-12-31T25:00:00", "2016-12-31T10:00:00.1234567", "infinity", "now"),
            *("2016-12-31T10:00:00+99:99", "2016-12-31T10:00:00+16:00", "2016-12-31T10:00:00+01:60", "2016-12-31T10:00:00+01:00:60"),
            *("0044-03-15 (BC) 10:00:00", "2022-02-30T00:00:00", ""),
        ],
        {},
        "is no time of the form 2024-01-31T12:30:00",
    ),
    "date of a form": (
        ["15/03/22", "infinity", "epoch", "30/02/2022", "15/03/20222", ""],
        {"format": "%d/%m/%Y"},
        "is no date of the form %d/%m/%Y",
    ),
    "timestamp of a form": (
        ["2016-12-31 23:59:60+0000", "2016-12-31 10:00:00+9999", "2016-12-31 10:00:00+01:75", "16-12-31 10:00:00+00"],
        {"format": "%Y-%m-%d %H:%M:%S%z"},
        "is no timestamp of the form %Y-%m-%d %H:%M:%S%z",
    ),
    "boolean": (["yes", "2", "t", "\uff34RUE", ""], {}, "is none of 1, 0, true and false"),
    "json": (["[1,]", "[NaN]", '{"a":Infinity}', '"\\ud800"', "{'a': 1}", '{"a": 1', "", "[1] x"], {}, "is no JSON"),
}


@pytest.mark.parametrize("kind", BAD)
def test_value_that_is_none_of_its_type_rejects_its_record_in_words(kind: str, tmp_path: Path) -> None:
    texts, options, words = BAD[kind]
    inbox = inbox_of(tmp_path, "csv", InboundColumn("v", kind.split()[0], **options))

    record = loaded(inbox, "csv", [{"id": str(number), "v": text} for number, text in enumerate(texts)] + [{"id": "null", "v": None}])

    assert (record.loaded, record.rejected) == (1, len(texts))
    (rejects,) = inbox.folder.rglob("*.rejects.csv")
    with rejects.open(encoding="utf-8", newline="") as stream:
        told = list(csv.DictReader(stream))
    assert [(each["column"], each["value"]) for each in told] == [("v", inert(text)) for text in texts]
    assert all(words in each["reason"] for each in told)


def test_numbers_that_have_no_type_in_common_are_told_as_such(tmp_path: Path) -> None:
    inbox, digits = inbox_of(tmp_path, "csv", InboundColumn("v", "number")), "9" * 38
    together = inbox_of(tmp_path / "together", "csv", InboundColumn("v", "number"))

    assert loaded(inbox, "csv", [{"id": "1", "v": digits}]).loaded == 1
    refused = loaded(inbox, "csv", [{"id": "2", "v": "1.5"}], day=16)
    assert str(refused.reason).endswith(
        "it has 1 digits after the point; beside 38 before it, as numbers of this column have, there is room for 0"
    )
    assert inbox.rows("SELECT v FROM feeds.contacts_shop") == [(Decimal(digits),)]

    record = loaded(together, "csv", [{"id": "1", "v": digits}, {"id": "2", "v": "1.5"}])
    assert (record.loaded, record.rejected) == (1, 1)
    assert together.rows("SELECT v FROM feeds.contacts_shop") == [(Decimal("1.5"),)]


def test_json_column_takes_what_the_test_suite_calls_json_and_nothing_else() -> None:
    value = ColumnType(InboundColumn("v", "json"), "UTC").value("t", Shape())
    files = [(name, content(name)) for kind in ("n_", "y_") for name in suite(kind)]
    with duckdb.connect(config={"threads": 1}) as connection:
        for name, given in files:
            try:
                text = given.decode()
            except UnicodeDecodeError:
                continue
            [(found,)] = connection.execute(f"SELECT CAST({value} AS VARCHAR) FROM (SELECT $1::VARCHAR AS t)", [text]).fetchall()
            assert found == (text if name.startswith("y_") else None), name
    assert len(files) > 250


def read_back(reading: Reading) -> list[dict[str, Any]]:
    assert not reading.rejects
    return [{name: row[name] for name in reading.columns} for batch in reading.batches() for row in batch.to_pylist()]


SHORT = [text for text in TEXTS if len(text) < 1000]
CELLS = st.none() | st.sampled_from(SHORT) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=30)
@example(rows=[[None, None]], delimiter=",", line_ending="\n", quoting="minimal")
@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=6),
    delimiter=st.sampled_from([",", ";", "\t", "|", "§", "'"]),
    line_ending=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from(["minimal", "all"]),
)
def test_what_we_export_we_import(
    rows: list[list[str | None]], delimiter: str, line_ending: str, quoting: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "exported"
    options = {"csv": {"delimiter": delimiter, "line_ending": line_ending, "quoting": quoting}, "json": {}, "ndjson": {}}
    with duckdb.connect(config={"threads": 1}) as connection:
        for name, chosen in options.items():
            # The one thing that CSV cannot carry to us.
            kept = [[None if name == "csv" and cell and "\0" in cell else cell for cell in row] for row in rows]
            arrays = [pa.array([row[index] for row in kept], pa.string()) for index in range(2)]
            connection.register("given", pa.table(arrays, names=["v0", "v1"]))
            columns = (Column("id", "VARCHAR"), Column("text", "VARCHAR"))
            path.unlink(missing_ok=True)
            FORMATS[name].model_validate({"type": name, **chosen}).write(connection, Rows("SELECT * FROM given", columns, "UTC"), path)

            reading = open_csv(path, CsvDialect(delimiter=delimiter)) if name == "csv" else open_json(path)

            assert read_back(reading) == [dict(zip(("id", "text"), row, strict=True)) for row in kept]


TYPED = {
    "n": ("number", ["99999999999999999999999999999999999999", "-1", "0"], "DECIMAL(38,0)"),
    "d": ("date", ["9999-12-31", "0001-01-01", "2024-02-29"], "DATE"),
    "t": ("timestamp", ["9999-12-30 23:59:59.999999+00", "0001-01-02 00:00:00+00", "1890-01-01 00:00:00.000001+00"], "TIMESTAMPTZ"),
    "b": ("boolean", ["true", "false", "true"], "BOOLEAN"),
    "j": ("json", ['{"a": ["b", "c"], "d": 1.10}', '["\\u0000"]', "[1e400]"], "JSON"),
    "s": ("text", ["\ufffe\u202e", "é", "e\u0301"], "VARCHAR"),
}


@pytest.mark.parametrize("name", ["csv", "json", "ndjson"])
def test_typed_values_that_we_export_we_import(name: str, tmp_path: Path) -> None:
    inbox = inbox_of(tmp_path, name, *(InboundColumn(column, kind) for column, (kind, _, _) in TYPED.items()))
    lists = [["é", None, "", "null", 'a"b,c'], [], ["\u2028"]]
    path = tmp_path / "exported"
    with duckdb.connect(config={"threads": 1}) as connection:
        columns = ", ".join(f"unnest(?::VARCHAR[])::{sql} AS {column}" for column, (_, _, sql) in TYPED.items())
        given = [values for _, values, _ in TYPED.values()]
        connection.execute(f"CREATE TABLE t AS SELECT unnest(range(3)) AS id, {columns}, unnest(?::VARCHAR[][]) AS l", [*given, lists])
        described = connection.execute("DESCRIBE t").fetchall()
        values = ", ".join(f"{column} AS v{index}" for index, (column, *_) in enumerate(described))
        rows = Rows(f"SELECT {values} FROM t", tuple(Column(column, sql) for column, sql, *_ in described), "Europe/Paris")
        FORMATS[name].model_validate({"type": name}).write(connection, rows, path)
        connection.execute("SET TimeZone = 'UTC'")
        expected = connection.execute("SELECT id::VARCHAR, n, d, t::VARCHAR, b, j::VARCHAR, s, l::JSON::VARCHAR FROM t").fetchall()
    inbox.drop(f"contacts_shop_20220315.{name}", path.read_bytes())

    (record,) = inbox.run()

    assert (record.loaded, record.rejected) == (3, 0)
    # A list comes as JSON, which `array` or `json` takes; undeclared it is its text.
    *found, (*last, listed) = inbox.rows("SELECT id, n, d, t::VARCHAR, b, j::VARCHAR, s, l FROM feeds.contacts_shop ORDER BY id")
    assert [*found, tuple(last)] == [*expected[:2], expected[2][:-1]]
    # The same JSON, in which a line separator may be escaped.
    assert json.loads(listed) == lists[2]
