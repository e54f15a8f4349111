"""Every kind of value, in every format, at every storage: the bytes of an activation, and the value again where it is read back."""

# Dagster reads annotations as objects, so these are no postponed texts.

import hashlib
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.resources import FileIOManager, StorageResource
from dinmo_pipeline.resources.event_log import AssetPartition, recorded_files
from dinmo_pipeline_tests.dataframes.writing import written_bytes
from dinmo_pipeline_tests.storages.places import Place

SQL = "SELECT * FROM (VALUES (1::BIGINT, 'Ana', 1.5), (2, NULL, -0.25), (3, 'Chloé;\"', NULL)) AS t(id, name, score)"
FRAME = pl.DataFrame({"id": [1, 2, 3], "name": ["Ana", None, 'Chloé;"'], "score": [1.5, -0.25, None]})
KINDS: dict[str, Any] = {
    "pandas": lambda: FRAME.to_pandas(),
    "polars": lambda: FRAME,
    "lazy": lambda: FRAME.lazy(),
    "arrow": lambda: FRAME.to_arrow(),
    "sql": lambda: SQL.replace("1.5", "1.5::DOUBLE"),
}
READ_AS: dict[str, Any] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "lazy": pl.LazyFrame,
    "arrow": pa.Table,
    "sql": duckdb.DuckDBPyRelation,
}


def rows_of(value: Any) -> list[tuple[Any, ...]]:
    if isinstance(value, duckdb.DuckDBPyRelation):
        return value.fetchall()
    if isinstance(value, pd.DataFrame):
        value = value.astype(object).where(value.notna(), None)
        return [tuple(row) for row in value.itertuples(index=False)]
    frame: Any = value.collect() if isinstance(value, pl.LazyFrame) else pl.from_arrow(value) if isinstance(value, pa.Table) else value
    return list(frame.rows())


@pytest.mark.parametrize("form", FORMATS)
def test_every_kind_of_value_is_written_and_read_back(place: Place, storage: StorageResource, tmp_path: Path, form: str) -> None:
    instance = dg.DagsterInstance.ephemeral()
    io_manager = FileIOManager(storage=storage, format={"type": form}, folder=place.folder, file_name="{asset}")
    expected = written_bytes(tmp_path, FRAME, {"type": form})
    got: dict[str, Any] = {}

    def chain(kind: str) -> list[Any]:
        @dg.asset(name=kind, io_manager_key="files")
        def made() -> Any:
            return KINDS[kind]()

        @dg.asset(name=f"read_{kind}", ins={"value": dg.AssetIn(kind)})
        def read(value: READ_AS[kind]) -> None:  # type: ignore[valid-type]
            got[kind] = rows_of(value)

        return [made, read]

    result = dg.materialize([asset for kind in KINDS for asset in chain(kind)], resources={"files": io_manager}, instance=instance)

    assert result.success
    with place.connect() as connection:
        for kind in KINDS:
            known = recorded_files(instance, AssetPartition(dg.AssetKey(kind), None))
            assert known is not None
            [file] = known.written.files
            connection.read(file.path, tmp_path / "fetched")
            assert (tmp_path / "fetched").read_bytes() == expected, kind
            assert file.sha256 == hashlib.sha256(expected).hexdigest()
    assert {kind: rows == FRAME.rows() for kind, rows in got.items()} == dict.fromkeys(KINDS, True)
