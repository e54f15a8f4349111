"""Parquet that others wrote: what its statistics leave out is there all the same."""

from __future__ import annotations

import math
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dinmo_pipeline.engines.duckdb.connection import configure, open_warehouse
from dinmo_pipeline.project.specs import QuerySettings

NAN = math.nan
# NaN is the largest number, as in PostgreSQL.
QUESTIONS = {
    "v > 5": 2,
    "v >= 3": 3,
    "v <= 3": 2,
    "isnan(v)": 2,
    "v = 'nan'": 2,
    "v IN (1, 'nan')": 3,
    "NOT (v < 100)": 2,
    "v BETWEEN 3 AND 'nan'": 3,
    "v IS DISTINCT FROM 1": 4,
}


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()], ids=str)
@pytest.mark.parametrize("value", ["v", "s.v", "l[1]", "d.s.v"])
@pytest.mark.parametrize("rows", [1, 2, 100])
def test_nan_is_seen_by_every_question(tmp_path: Path, kind: pa.DataType, value: str, rows: int) -> None:
    numbers = [1.0, NAN, 3.0, NAN, None]
    table = pa.table(
        {
            "v": pa.array(numbers, kind),
            "s": pa.array([{"v": number} for number in numbers], pa.struct({"v": kind})),
            "l": pa.array([[number] for number in numbers], pa.list_(kind)),
            "d": pa.array([{"s": {"v": number}} for number in numbers], pa.struct({"s": pa.struct({"v": kind})})),
        }
    )
    pq.write_table(table, tmp_path / "theirs.parquet", row_group_size=rows, write_statistics=True)
    with open_warehouse(tmp_path / "warehouse.duckdb", QuerySettings(timezone="UTC", root=tmp_path)) as connection:
        for question, count in QUESTIONS.items():
            where = question.replace("v", value, 1)
            found = connection.execute(f"SELECT count(*) FROM 'theirs.parquet' WHERE {where}").fetchone()
            assert found == (count,), where
        largest = connection.execute(f"SELECT max({value}), min({value}) FROM 'theirs.parquet'").fetchone() or (0.0, 0.0)
        assert math.isnan(largest[0])
        assert largest[1] == 1.0
        connection.execute(f"CREATE TABLE t AS SELECT {value} AS v FROM 'theirs.parquet'")
        assert connection.execute("SELECT count(*) FROM t WHERE v > 5").fetchone() == (2,)


def test_every_connection_is_told_of_nan(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        configure(connection, QuerySettings(timezone="UTC", root=tmp_path))
        assert connection.execute("SELECT current_setting('parquet_can_have_nan')").fetchone() == (True,)
