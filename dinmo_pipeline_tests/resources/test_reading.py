"""What a downstream asset gets: the rows that were written, as the type that it asks for, or the reason why not."""

# Dagster reads annotations as objects, so these are no postponed texts.

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest

from dinmo_pipeline.resources import FileIOManager, LocalFolder

FRAME = pl.DataFrame({"id": [1, 2, 3], "ID": ["a", None, ""], "when": [None, "2026-01-01", "x"]})
TYPES = pl.DataFrame(
    {
        "took": [timedelta(days=2, microseconds=3), None],
        "count": pl.Series([2**63 - 1, None], dtype=pl.Int64),
        "ok": [True, None],
        "small": pl.Series([1, 2], dtype=pl.UInt8),
    }
)
KEYS = dg.StaticPartitionsDefinition(["eu", "us"])


def manager(root: Path, **fields: Any) -> FileIOManager:
    return FileIOManager(storage=LocalFolder(path=str(root)), **{"format": {"type": "csv"}, **fields})


def read_back(io_manager: FileIOManager, wanted: Any, *, between: Any = None, frame: pl.DataFrame = FRAME, **options: Any) -> Any:
    """The value that an asset gets which asks for `wanted`; `between` is called after the file is written."""
    got: list[Any] = []

    @dg.asset(io_manager_key="files")
    def made() -> pl.DataFrame:
        return frame

    @dg.asset(ins={"made": dg.AssetIn(**options)})
    def used(made: wanted) -> None:
        # Looked at here, while the run goes on.
        if isinstance(made, pyarrow.dataset.Dataset):
            made = made.to_table()
        got.append(made.collect() if isinstance(made, pl.LazyFrame) else made)

    resources, instance = {"files": io_manager}, dg.DagsterInstance.ephemeral()
    assert dg.materialize([made], resources=resources, instance=instance).success
    if between is not None:
        between()
    result = dg.materialize([made, used], selection=[used], resources=resources, instance=instance, raise_on_error=False)
    if not result.success:
        [event] = result.get_step_failure_events()
        return event.step_failure_data.user_failure_data.description  # type: ignore[union-attr]
    return got[0]


@pytest.mark.parametrize("wanted", [pl.DataFrame, pl.LazyFrame])
def test_frame_is_the_one_that_was_written(tmp_path: Path, wanted: Any) -> None:
    assert read_back(manager(tmp_path), wanted).equals(FRAME)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_types_of_frames_come_back(tmp_path: Path, form: str) -> None:
    io_manager = manager(tmp_path, format={"type": form})

    assert read_back(io_manager, pl.DataFrame, frame=TYPES).equals(TYPES)
    frame = read_back(io_manager, pd.DataFrame, frame=TYPES)
    assert [str(kind) for kind in frame.dtypes] == ["timedelta64[us]", "Int64", "boolean", "uint8"]
    assert frame["count"][0] == 2**63 - 1


@pytest.mark.parametrize("wanted", [Any, pa.Table, pyarrow.dataset.Dataset, pa.RecordBatchReader])
def test_arrow_has_the_rows_types_and_names(tmp_path: Path, wanted: Any) -> None:
    value = read_back(manager(tmp_path), wanted)
    table = value.read_all() if wanted is pa.RecordBatchReader else value

    assert table.schema.names == ["id", "ID", "when"]
    assert table.to_pydict() == FRAME.to_dict(as_series=False)


def test_parts_are_read_in_order(tmp_path: Path) -> None:
    assert read_back(manager(tmp_path, max_rows=1), pl.DataFrame).equals(FRAME)


def test_only_the_columns_that_the_input_names(tmp_path: Path) -> None:
    assert read_back(manager(tmp_path), pl.DataFrame, metadata={"columns": ["ID", "id"]}).equals(FRAME.select("ID", "id"))
    assert "reading column 'Id': the file has no such column" in read_back(manager(tmp_path), pl.DataFrame, metadata={"columns": ["Id"]})


def test_type_that_nobody_can_make_is_refused_in_words(tmp_path: Path) -> None:
    assert "reading files as builtins.dict: it is none of duckdb.DuckDBPyRelation, pandas.DataFrame" in read_back(manager(tmp_path), dict)


def test_file_that_somebody_has_changed_is_refused(tmp_path: Path) -> None:
    told = read_back(manager(tmp_path), pl.DataFrame, between=lambda: (tmp_path / "made.csv").write_text("id,ID,when\n1,a,x\n2,b,y\n\n"))

    assert "reading made.csv of LocalFolder" in told
    assert "it is not the file that was written there" in told


def test_file_that_is_gone_is_told(tmp_path: Path) -> None:
    assert "made.csv" in read_back(manager(tmp_path), pl.DataFrame, between=(tmp_path / "made.csv").unlink)


def partitions(instance: dg.DagsterInstance, io_manager: FileIOManager, keys: list[str], metadata: Any = None) -> dg.ExecuteInProcessResult:
    """A run of an asset that reads all partitions of another, of which these were made."""

    @dg.asset(io_manager_key="files", partitions_def=KEYS)
    def made(context: dg.AssetExecutionContext) -> pl.DataFrame:
        return pl.DataFrame({"region": [context.partition_key]})

    @dg.asset(ins={"made": dg.AssetIn(metadata=metadata)})
    def used(made: dict[str, pl.DataFrame]) -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"got": {key: frame["region"].to_list() for key, frame in made.items()}})

    resources = {"files": io_manager}
    for key in keys:
        assert dg.materialize([made], resources=resources, instance=instance, partition_key=key).success
    return dg.materialize([made, used], selection=[used], resources=resources, instance=instance, raise_on_error=False)


def test_input_of_several_partitions_is_a_dict(tmp_path: Path) -> None:
    result = partitions(dg.DagsterInstance.ephemeral(), manager(tmp_path, file_name="{partition}"), ["eu", "us"])

    [told] = result.asset_materializations_for_node("used")
    assert told.metadata["got"].value == {"eu": ["eu"], "us": ["us"]}


def test_partition_that_was_not_made_is_told_unless_it_may_be_missing(tmp_path: Path) -> None:
    io_manager = manager(tmp_path, file_name="{partition}")

    refused = partitions(dg.DagsterInstance.ephemeral(), io_manager, ["eu"])
    left_out = partitions(dg.DagsterInstance.ephemeral(), io_manager, ["eu"], {"allow_missing_partitions": True})

    [event] = refused.get_step_failure_events()
    assert "reading made [us]: nothing is known of a file of it" in str(event.step_failure_data.user_failure_data)
    [told] = left_out.asset_materializations_for_node("used")
    assert told.metadata["got"].value == {"eu": ["eu"]}
