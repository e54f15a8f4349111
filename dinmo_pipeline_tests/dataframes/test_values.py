"""What holds rows in Python becomes the very bytes that an activation sends of the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from textwrap import indent
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline_tests.people import activation, make_people, sync_people

from .writing import write, written_bytes

# Of the types that all of these libraries have.
ROWS = """
SELECT * FROM (VALUES
    (1::BIGINT, 'Ana', 31::INTEGER, 1.5::DOUBLE, 12.30::DECIMAL(9,2), true, DATE '2026-01-31', TIMESTAMP '2026-01-31 12:00:00.25',
     '\\x00\\xFF'::BLOB, TIMESTAMPTZ '2026-07-01 10:00:00+00'),
    (2, 'Bru"no', NULL, -0.0, -0.01, false, NULL, NULL, NULL, NULL),
    (3, E'Chloé;\\n,', -5, 1e300, NULL, NULL, DATE '1999-12-31', TIMESTAMP '1969-12-31 23:59:59', ''::BLOB,
     TIMESTAMPTZ '2026-01-01 10:00:00+00'),
    (4, '', 7, NULL, 99999.99, true, DATE '2000-02-29', TIMESTAMP '2000-01-01', 'abc'::BLOB, TIMESTAMPTZ '1970-01-01 00:00:00+00')
) AS t(id, name, age, score, amount, active, born, seen, photo, updated)
"""
MODEL = "type: dinmo_pipeline.Model\nattributes:\n  name: rows\n  primary_key: id\n  sql: |\n" + indent(ROWS, "    ", lambda _: True)


def arrow_table() -> pa.Table:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection.sql(ROWS).to_arrow_table()


def as_pandas() -> pd.DataFrame:
    # With pandas' own missing values for what may be null; a column of Decimal objects would have as many digits as they need.
    own = {pa.int32(): pd.Int32Dtype(), pa.bool_(): pd.BooleanDtype(), pa.decimal128(9, 2): pd.ArrowDtype(pa.decimal128(9, 2))}
    return arrow_table().to_pandas(types_mapper=own.get)


def halves() -> Iterator[pl.DataFrame]:
    frame = as_polars()
    yield frame.head(1)
    yield frame.slice(1)


def as_polars() -> pl.DataFrame:
    frame = pl.from_arrow(arrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


KINDS: dict[str, Callable[[], Any]] = {
    "pandas": as_pandas,
    "polars": as_polars,
    "polars, lazy": lambda: as_polars().lazy().filter(pl.col("id") > 0),
    "arrow table": arrow_table,
    "arrow reader": lambda: arrow_table().to_reader(max_chunksize=2),
    "arrow dataset": lambda: pyarrow.dataset.dataset(arrow_table()),
    "relation": lambda: duckdb.sql(ROWS),
    "sql": lambda: ROWS,
    "iterator": halves,
    "list": lambda: [arrow_table().slice(0, 2), as_polars().slice(2)],
}


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of an activation's file, by format."""
    root = tmp_path_factory.mktemp("project")
    usual = {"model": "rows", "run_type": "full_only", "sync_mode": "snapshot", "mapping": '"*"', "file_name": "rows"}
    make_people(root, f"---\n{MODEL}" + "".join(activation(f"as_{name}", format=name, **usual) for name in FORMATS))
    for name in FORMATS:
        sync_people(root, f"as_{name}", datetime(2026, 1, 1, tzinfo=UTC))
    return {path.suffix[1:]: path.read_bytes() for path in (root / "out").rglob("rows.*")}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_value_becomes_the_bytes_of_an_activation(tmp_path: Path, sent: dict[str, bytes], kind: str, form: str) -> None:
    assert written_bytes(tmp_path, KINDS[kind](), {"type": form}) == sent[form]


def test_levels_of_an_index_are_columns_where_they_have_a_name(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": [1, 2]})

    assert written_bytes(tmp_path, frame.iloc[::-1]) == b"n\n2\n1\n"
    assert written_bytes(tmp_path, frame.set_index(pd.Index(["a", "b"], name="key"))) == b"key,n\na,1\nb,2\n"


def test_missing_numbers_of_pandas_are_null_and_those_of_polars_are_what_they_are(tmp_path: Path) -> None:
    assert written_bytes(tmp_path, pd.DataFrame({"n": [1.5, float("nan")]})) == b"n\n1.5\n\n"
    assert written_bytes(tmp_path, pl.DataFrame({"n": [1.5, float("nan"), None]})) == b"n\n1.5\nNaN\n\n"


def test_columns_that_differ_in_case_keep_their_names(tmp_path: Path) -> None:
    assert written_bytes(tmp_path, pl.DataFrame({"id": [1], "ID": [2], "Id": [3]})) == b"id,ID,Id\n1,2,3\n"


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])

    with pytest.raises(DataError, match="stand in one header"):
        write(tmp_path, frame)


def test_categories_are_their_words_whatever_each_batch_calls_them(tmp_path: Path) -> None:
    batches = [pl.DataFrame({"c": pl.Series([word], dtype=pl.Categorical)}) for word in ("b", "a")]

    assert written_bytes(tmp_path, iter(batches)) == b"c\nb\na\n"
    assert written_bytes(tmp_path, pd.DataFrame({"c": pd.Categorical(["x", None, "y"])})) == b"c\nx\n\ny\n"


@pytest.mark.parametrize(
    ("type_text", "text"),
    [
        ("UHUGEINT", "340282366920938463463374607431768211455"),
        ("HUGEINT", "-170141183460469231731687303715884105728"),
        ("TIMETZ", "12:00:00+02:00"),
        ("BIT", "1010"),
        ("UUID", "00112233-4455-6677-8899-aabbccddeeff"),
        ("INTERVAL", "P1M2DT0.000003S"),
        ("TIMESTAMP_NS", "2026-01-01T00:00:00.123456789"),
    ],
)
def test_relation_loses_nothing_that_arrow_would(tmp_path: Path, type_text: str, text: str) -> None:
    sql = f"SELECT CAST('{text}' AS {type_text}) AS x" if type_text != "INTERVAL" else "SELECT INTERVAL '1 month 2 days 3 us' AS x"
    relation, query = duckdb.sql(sql), sql

    assert written_bytes(tmp_path / "relation", relation) == written_bytes(tmp_path / "query", query)


def test_json_of_a_relation_stays_json(tmp_path: Path) -> None:
    relation = duckdb.sql("""SELECT '{"a": [1]}'::JSON AS x""")

    assert written_bytes(tmp_path, relation, {"type": "ndjson"}) == b'{"x":{"a": [1]}}\n'


def test_relation_with_what_arrow_loses_inside_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column 'x' has a UHUGEINT inside"):
        write(tmp_path, duckdb.sql("SELECT [1::UHUGEINT] AS x"))


def test_no_rows_make_a_whole_file(tmp_path: Path) -> None:
    assert written_bytes(tmp_path, pl.DataFrame(schema={"a": pl.Int64, "b": pl.String})) == b"a,b\n"
    assert written_bytes(tmp_path, pd.DataFrame({"a": []}), {"type": "json"}) == b"[]\n"


def test_column_of_nothing_is_text(tmp_path: Path) -> None:
    [file] = write(tmp_path, pd.DataFrame({"a": [None, None]}), {"type": "parquet"}).files

    assert pa.parquet.read_schema(tmp_path / "out" / file.path).field("a").type == pa.string()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [1]}, "the rows of a dict: it is none of what holds rows here: a DataFrame of pandas or polars"),
        (42, "the rows of a int"),
        ([], "it gave nothing, and so nothing tells the columns"),
        ([{"a": 1}], "the rows of a dict"),
        ([pl.DataFrame({"a": [1]}), pl.DataFrame({"b": [1]})], "value 2 has the columns b, and the first has a"),
        ([pl.DataFrame({"a": [1]}), pl.DataFrame({"a": ["x"]})], "value 2 has another type than the first"),
        (pd.DataFrame({"a": [1, "x"]}), "column 'a' holds int and str; give it one type"),
        (pd.DataFrame({"a": [True, 2]}), "holds bool and int"),
        (pd.DataFrame({"a": [2**70]}), "give each column one type"),
        (pd.DataFrame({"a": pd.period_range("2026-01", periods=2, freq="M")}), "is a period of pandas"),
        (pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)}), "column 'a' holds objects of Python"),
        (pl.DataFrame({"a": pl.Series([1], dtype=pl.Duration("ns"))}), "durations are written to the microsecond"),
        (pl.DataFrame({"": [1]}), "one has no name"),
        ([pl.DataFrame({"a": [date(2026, 1, 1)]}), pl.DataFrame({"a": [datetime(2026, 1, 1, 5, tzinfo=UTC)]})], "column 'a' is timestamp"),
        ([pl.DataFrame({"a": [{"x": 1}]}), pl.DataFrame({"a": [{"x": 1, "y": 2}]})], "column 'a' is struct"),
        ("SELEC 1", "running the query: syntax error at or near"),
        ("SELECT 1 AS a; DROP TABLE x", "running the query: syntax error"),
        ("SELECT * FROM nowhere", "there is no table nowhere"),
    ],
)
def test_what_holds_no_rows_is_refused_in_words(tmp_path: Path, value: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        write(tmp_path, value)
    assert not (tmp_path / "out").exists()


def test_error_of_the_callers_own_iterator_comes_out_as_it_is(tmp_path: Path) -> None:
    def failing() -> Iterator[pl.DataFrame]:
        yield pl.DataFrame({"a": [1]})
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        write(tmp_path, failing())


def test_query_reads_the_tables_of_a_database_and_cannot_write_there(tmp_path: Path) -> None:
    database = tmp_path / "mine.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE people AS SELECT 1 AS id")

    assert written_bytes(tmp_path, "SELECT * FROM people -- all of them", database=database) == b"id\n1\n"
    with pytest.raises(DataError):
        write(tmp_path, "INSERT INTO people VALUES (2)", database=database)
