"""An activation's `consumer`: the options that it sets are in the file's bytes, written ones win, each limit is told where it is met."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import duckdb
import pyarrow.parquet as pq
import pytest

from dinmo_pipeline.delta.export import Counts
from dinmo_pipeline.errors import DefinitionErrors
from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.formats.base import Column, Rows
from dinmo_pipeline.project.consumers.consumers import CONSUMERS, Consumer, consumer_warnings, with_options_for
from dinmo_pipeline.project.consumers.limits import Limit, format_text
from dinmo_pipeline.project.load import LoadedProject, load_with_warnings

from ..cli.conftest import Dinmo
from ..people import SECOND, activation, make_people, sync_people, write_definitions, write_people
from .conftest import WriteProject
from .test_names import SPEC

QUERY = """SELECT true AS flag, TIMESTAMPTZ '2025-07-01 12:00:00+00' AS at, 1.50::DECIMAL(9,2) AS amount, 'nan'::DOUBLE AS share,
    '=a' AS formula, '' AS nothing, 'NULL' AS word, NULL::VARCHAR AS missing"""
COLUMNS = ("flag", "at", "amount", "share", "formula", "nothing", "word", "missing")
HEADER = ",".join(COLUMNS)
PLAIN = 'true,2025-07-01T14:00:00+02:00,1.50,NaN,=a,"","NULL",'
SQL = '1,2025-07-01 12:00:00,1.50,NaN,=a,"","NULL",'
TEXTS_QUOTED = 'true,2025-07-01T14:00:00+02:00,1.50,NaN,"=a","","NULL",'
# The line of a CSV file after its header; those that are not here have `PLAIN`.
IN_CSV = {
    "mysql": SQL + "NULL",
    "mariadb": SQL + "NULL",
    "sqlite": PLAIN.replace("true", "1"),
    "sqlserver": SQL,
    "spark": TEXTS_QUOTED + "\\N",
    "snowflake": TEXTS_QUOTED,
    "bigquery": TEXTS_QUOTED + "\\N",
    "libreoffice": 'true,2025-07-01 14:00:00,1.50,NaN,"=a","","NULL",',
}
OBJECT: dict[str, Any] = {
    "flag": True,
    "at": "2025-07-01T14:00:00+02:00",
    "amount": 1.5,
    "share": "NaN",
    "formula": "=a",
    "nothing": "",
    "word": "NULL",
    "missing": None,
}
UTC_WITHOUT_OFFSET = "2025-07-01 12:00:00"
IN_JSON: dict[str, dict[str, Any]] = {
    "mysql": {"flag": 1, "at": UTC_WITHOUT_OFFSET},
    "mariadb": {"flag": 1, "at": UTC_WITHOUT_OFFSET},
    "pyarrow": {"share": None},
    **{name: {"amount": "1.50"} for name in ("sqlite", "pandas", "polars", "r", "php", "ruby", "perl", "node")},
}
EVERY_CONSUMER = pytest.mark.parametrize("consumer", CONSUMERS)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def project_with(write_project: WriteProject, consumer: str, format_: str | dict[str, Any], **fields: Any) -> LoadedProject:
    attributes = {
        "name": "export",
        "model": "customers",
        "destination": "out",
        "file_name": "export",
        "run_type": "full_only",
        "sync_mode": "snapshot",
        "mapping": ["id", "name"],
        "timezone": "Europe/Paris",
        "consumer": consumer,
        "format": format_,
        **fields,
    }
    text = json.dumps({"type": "dinmo_pipeline.Activation", "attributes": attributes}, indent=1)
    return load_with_warnings(write_project({"defs/a/defs.yaml": text}))


def written(loaded: LoadedProject, connection: duckdb.DuckDBPyConnection, folder: Path) -> bytes:
    types = [str(row[1]) for row in connection.execute(f"DESCRIBE {QUERY}").fetchall()]
    columns = tuple(Column(name, kind) for name, kind in zip(COLUMNS, types, strict=True))
    names = ", ".join(f"v{index}" for index in range(len(columns)))
    path = folder / "written"
    spec = loaded.project.activations["export"]
    spec.format.write(connection, Rows(f"SELECT * FROM ({QUERY}) AS given({names})", columns, spec.timezone), path)
    return path.read_bytes()


@EVERY_CONSUMER
def test_csv_has_the_options_that_serve_the_consumer(
    consumer: str, write_project: WriteProject, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    found = written(project_with(write_project, consumer, "csv"), connection, tmp_path).decode()
    if consumer == "excel":
        assert found == "\ufeff" + HEADER.replace(",", ";") + '\r\ntrue;2025-07-01 14:00:00;1,50;NaN;\'=a;"";"NULL";\r\n'
        return
    end = "\r\n" if consumer == "sqlserver" else "\n"
    header, line, rest = found.split(end)
    assert (header.replace('"', ""), line, rest) == (HEADER, IN_CSV.get(consumer, PLAIN), "")


@EVERY_CONSUMER
def test_ndjson_has_the_options_that_serve_the_consumer(
    consumer: str, write_project: WriteProject, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    found = json.loads(written(project_with(write_project, consumer, "ndjson"), connection, tmp_path))
    assert found == OBJECT | IN_JSON.get(consumer, {})


@EVERY_CONSUMER
def test_parquet_has_the_options_that_serve_the_consumer(
    consumer: str, write_project: WriteProject, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    written(project_with(write_project, consumer, "parquet"), connection, tmp_path)
    codec = pq.read_metadata(tmp_path / "written").row_group(0).column(0).compression
    assert codec == ("SNAPPY" if consumer == "node" else "ZSTD")


SET = [(name, form, option) for name, reader in CONSUMERS.items() for form, options in reader.options.items() for option in options]


@pytest.mark.parametrize(("consumer", "form", "option"), SET)
def test_option_that_is_written_wins(consumer: str, form: str, option: str, write_project: WriteProject) -> None:
    own_default = FORMATS[form].model_fields[option].default
    assert CONSUMERS[consumer].options[form][option] != own_default, "it would set nothing"
    loaded = project_with(write_project, consumer, {"type": form, option: own_default})
    expected = {**CONSUMERS[consumer].options[form], "type": form, option: own_default}
    assert loaded.project.activations["export"].format == FORMATS[form].model_validate(expected)


def warnings_with(consumer: str, block: dict[str, Any], **fields: Any) -> list[str]:
    form = FORMATS[block["type"]].model_validate(with_options_for(consumer, block))
    return [message for _, message in consumer_warnings(replace(SPEC, consumer=consumer, format=form, **fields))]


@EVERY_CONSUMER
@pytest.mark.parametrize("form", FORMATS)
def test_consumer_can_take_what_it_sets(consumer: str, form: str) -> None:
    told = warnings_with(consumer, {"type": form}, empty_files="skip")
    unread = any(limit.option == "type" and form in limit.refused for limit in CONSUMERS[consumer].limits)
    assert all(message.startswith("format: ") for message in told)
    assert len(told) == unread


def choices(option: str, form: str, limit: Limit) -> list[Any]:
    """Values that the option may have in a format."""
    if option == "type":
        return [form]
    if option == "empty_files":
        return ["write", "skip"]
    annotation = FORMATS[form].model_fields[option].annotation
    listed = literals(annotation) or ([True, False] if annotation is bool else [])
    return listed or list(
        {*limit.refused, *(limit.allowed or ()), "NULL", "", "\\N"} if option == "null_text" else ("iso", "sql", "%d.%m.%Y")
    )


def literals(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for part in get_args(annotation) for value in literals(part)]


LIMITS = [(name, index) for name, reader in CONSUMERS.items() for index in range(len(reader.limits))]


@pytest.mark.parametrize(("consumer", "index"), LIMITS)
def test_limit_is_told_where_it_is_met_and_nowhere_else(consumer: str, index: int) -> None:
    reader = CONSUMERS[consumer]
    limit = reader.limits[index]
    unread = {form for each in reader.limits if each.option == "type" for form in each.refused}
    met, unmet = 0, 0
    for form in FORMATS:
        if limit.option not in (*FORMATS[form].model_fields, "empty_files") or (form in unread and limit.option != "type"):
            continue
        for value in choices(limit.option, form, limit):
            block: dict[str, Any] = {"type": form}
            fields: dict[str, Any] = {"empty_files": "skip"}
            (fields if limit.option == "empty_files" else block)[limit.option] = value
            told = warnings_with(consumer, block, **fields)
            is_met = (value in limit.refused if limit.allowed is None else value not in limit.allowed) and form in (
                limit.formats or FORMATS
            )
            words = f"{'.'.join(limit.path)}: {reader.title} {limit.words.format(value=value)}"
            assert told.count(words) == is_met, f"{block} {fields}"
            met, unmet = met + is_met, unmet + (not is_met)
    assert met > 0, "a limit that nothing meets"
    assert unmet > 0, "a limit that everything meets"


@pytest.mark.parametrize(
    ("consumer", "format_", "expected"),
    [
        ("clickhouse", {"type": "csv", "quoting": "all"},
         "format.quoting: ClickHouse refuses a boolean in quotes; write minimal, or texts"),
        ("clickhouse", {"type": "csv", "quoting": "texts"}, None),
        ("spark", {"type": "parquet", "uuid": "native"}, "format.uuid: Spark reads no column of a file that has a UUID; write text"),
        ("spark", {"type": "xml", "nulls": "nil"}, "format.nulls: Spark makes an empty text of xsi:nil; write absent"),
        ("spark", {"type": "csv", "decimal": ","}, 'format.decimal: Spark reads 1,50 as 150; write "."'),
        ("bigquery", "json", "format: BigQuery loads a record a line; write ndjson"),
        ("postgres", "parquet", "format: PostgreSQL has no reader of parquet of its own; write csv"),
        ("postgres", {"type": "csv", "encoding": "windows-1252"}, None),
        ("pandas", {"type": "csv", "escape_formulas": True},
         "format.escape_formulas: pandas keeps the ' that stands before a text, "
        "and the value is another one; leave the option out"),
    ],
)  # fmt: skip
def test_check_warns_of_what_the_consumer_does_not_read(
    consumer: str, format_: str | dict[str, Any], expected: str | None, write_project: WriteProject
) -> None:
    loaded = project_with(write_project, consumer, format_)
    assert [warning.message.removeprefix("Activation export: ") for warning in loaded.warnings] == ([] if expected is None else [expected])


def test_warning_stands_at_the_option(tmp_path: Path) -> None:
    root = make_people(tmp_path, activation("changes", consumer="clickhouse", format="\n    type: csv\n    quoting: all"))
    (warning,) = load_with_warnings(root).warnings
    text = (root / warning.file).read_text(encoding="utf-8").splitlines()
    assert text[warning.line - 1] == "    quoting: all"


def test_check_shows_the_options_of_the_format(tmp_path: Path, dinmo: Dinmo) -> None:
    make_people(tmp_path, activation("changes") + activation("more", consumer="excel", format="{type: csv, delimiter: '\\t'}"))
    done = dinmo("check", project=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[:-1] == [
        'more: consumer excel: csv with timestamps: %Y-%m-%d %H:%M:%S, decimal: ",", delimiter: \\t, line_ending: \\r\\n, '
        "encoding: utf-8-bom, escape_formulas: true"
    ]


def test_consumer_that_is_added_changes_no_row(tmp_path: Path) -> None:
    make_people(tmp_path, activation("changes", sync_mode="difference"))
    sync_people(tmp_path, "changes", datetime(2025, 1, 1, tzinfo=UTC))
    write_definitions(tmp_path, activation("changes", sync_mode="difference", consumer="excel"))
    write_people(tmp_path, SECOND)
    delivery = sync_people(tmp_path, "changes", datetime(2025, 1, 2, tzinfo=UTC))
    assert (delivery.export.reason, delivery.export.counts) == ("", Counts(3, 1, 1, 1))
    assert (tmp_path / "out/changes/2025-01-02T000000_updated.csv").read_bytes() == b"\xef\xbb\xbfid;full name;age\r\n2;Bruno;46\r\n"
    sync_people(tmp_path, "changes", datetime(2025, 1, 3, tzinfo=UTC))
    assert (tmp_path / "out/changes/2025-01-03T000000_updated.csv").read_bytes() == b"\xef\xbb\xbfid;full name;age\r\n"


@pytest.mark.parametrize(
    ("found", "nearest"), [("postgresql", "postgres"), ("Excel", "excel"), ("sparc", "spark"), ("big_query", "bigquery")]
)
def test_consumer_that_is_not_known_is_answered_with_the_nearest(found: str, nearest: str, write_project: WriteProject) -> None:
    with pytest.raises(DefinitionErrors) as raised:
        project_with(write_project, found, {"type": "csv", "quoting": "al"})
    assert [problem.message for problem in raised.value.problems] == [
        f"Activation export: consumer: unknown value {found!r}; did you mean {nearest!r}?",
        "Activation export: format.quoting: unknown value 'al'; did you mean 'all'?",
    ]


def test_option_that_does_not_go_with_one_of_the_consumer_says_so(write_project: WriteProject) -> None:
    with pytest.raises(DefinitionErrors, match=r"format.null_text: 'NULL' has a delimiter"):
        project_with(write_project, "mysql", {"type": "csv", "delimiter": "N"})


def test_table_has_every_consumer() -> None:
    assert tuple(CONSUMERS) == get_args(Consumer)


def test_format_is_told_with_its_options(write_project: WriteProject) -> None:
    loaded = project_with(write_project, "sqlserver", {"type": "csv", "header": False})
    told = format_text(loaded.project.activations["export"].format)
    assert told == "csv with booleans: 1/0, timestamps: sql, header: false, line_ending: \\r\\n"
