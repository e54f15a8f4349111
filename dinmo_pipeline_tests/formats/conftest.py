"""What the tests of all formats share: a connection as the sync room gives one, rows, and one way to write and read back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.formats.base import Column, Format, Rows

from .values import ZONE

TEXT_FORMATS = [name for name in FORMATS if name != "parquet"]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:", config={"threads": 2}) as opened:
        yield opened


def make(name: str, **options: Any) -> Format:
    return FORMATS[name].model_validate({"type": name, **options})


def rows_of(connection: duckdb.DuckDBPyConnection, query: str, names: Sequence[str] | None = None, *, timezone: str = ZONE) -> Rows:
    """The rows of `query`, whose columns may have any names, with the types that DuckDB gives them."""
    described = connection.execute(f"DESCRIBE {query}").fetchall()
    columns = tuple(Column(name, row[1]) for name, row in zip(names or [row[0] for row in described], described, strict=True))
    renamed = ", ".join(f"v{index}" for index in range(len(columns)))
    return Rows(f"SELECT * FROM ({query}) AS given({renamed})", columns, timezone)


def write(connection: duckdb.DuckDBPyConnection, form: Format, rows: Rows, folder: Path) -> bytes:
    path = folder / f"file.{form.extension}"
    form.write(connection, rows, path)
    return path.read_bytes()
