"""Anyone's asset becomes files by the IO manager: its bytes, its names, its partitions, and what stays when it fails."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from dinmo_pipeline.dataframes.write import WrittenFile, WrittenFiles
from dinmo_pipeline.errors import CallError
from dinmo_pipeline.formats.base import Column
from dinmo_pipeline.resources import FileIOManager, LocalFolder
from dinmo_pipeline.resources.event_log import FILES, AssetPartition, announce, left_temporary_paths, recorded_files
from dinmo_pipeline.storages.temporary import temporary_beside

CSV = {"type": "csv"}
FRAME = pl.DataFrame({"id": [1, 2], "name": ["Ana", None]})


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def manager(root: Path, **fields: Any) -> FileIOManager:
    return FileIOManager(storage=LocalFolder(path=str(root)), **{"format": CSV, **fields})


def run(
    instance: dg.DagsterInstance, io_manager: FileIOManager, value: Any, *, key: str | None = None, **options: Any
) -> dg.ExecuteInProcessResult:
    """A run of an asset that returns this value; it may fail."""

    def people() -> Any:
        return value

    asset = dg.asset(name="people", io_manager_key="files", **options)(people)

    return dg.materialize([asset], resources={"files": io_manager}, instance=instance, partition_key=key, raise_on_error=False)


def failure(result: dg.ExecuteInProcessResult) -> str:
    """What a person reads of a run that failed."""
    assert not result.success
    [event] = result.get_step_failure_events()
    return str(event.step_failure_data.user_failure_data.description)  # type: ignore[union-attr]


def files(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


def test_asset_becomes_a_file_with_its_name_and_tells_of_it(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    result = run(instance, manager(tmp_path, folder="in"), FRAME)

    assert files(tmp_path) == {"in/people.csv": "id,name\n1,Ana\n2,\n"}
    [told] = result.asset_materializations_for_node("people")
    assert told.metadata["dagster/row_count"].value == 2
    assert told.metadata["bytes"].value == 17
    assert [(column.name, column.type) for column in told.metadata["dagster/column_schema"].value.columns] == [  # type: ignore[union-attr]
        ("id", "BIGINT"),
        ("name", "VARCHAR"),
    ]
    assert "in/people.csv" in str(told.metadata["written files"].value)


def test_key_with_a_prefix_is_told_apart_from_others_of_its_name(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    run(instance, manager(tmp_path), FRAME, key_prefix=["shop", "eu"])

    assert list(files(tmp_path)) == ["shop__eu__people.csv"]


def test_run_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    latin = manager(tmp_path, format={"type": "csv", "encoding": "latin-1"})
    run(instance, latin, FRAME)

    result = run(instance, latin, pl.DataFrame({"id": [1], "name": ["€"]}))

    assert "is not in that encoding" in failure(result)
    assert files(tmp_path) == {"people.csv": "id,name\n1,Ana\n2,\n"}


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "writing people: it returned nothing; return its rows"), ({"a": 1}, "the rows of a dict"), ("SELEC", "running the query")],
)
def test_value_without_rows_fails_in_words(tmp_path: Path, instance: dg.DagsterInstance, value: Any, words: str) -> None:
    assert words in failure(run(instance, manager(tmp_path), value))
    assert files(tmp_path) == {}


def test_parts_of_an_earlier_run_that_there_are_no_more_of_go(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    parts = manager(tmp_path, max_rows=1)
    run(instance, parts, FRAME)
    assert list(files(tmp_path)) == ["people_1.csv", "people_2.csv"]

    run(instance, parts, FRAME.head(1))

    assert list(files(tmp_path)) == ["people_1.csv"]


def test_file_of_another_asset_is_not_lost(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    shared = manager(tmp_path, file_name="export")
    run(instance, shared, FRAME, key_prefix="eu")

    other = run(instance, shared, FRAME.head(1), key_prefix="us")
    again = run(instance, shared, FRAME.head(1), key_prefix="eu")

    assert "export.csv is the file of the asset eu/people, which would be lost; put {asset} into folder or file_name" in failure(other)
    assert again.success
    assert files(tmp_path) == {"export.csv": "id,name\n1,Ana\n"}


DAYS = dg.DailyPartitionsDefinition("2026-03-01", end_date="2026-03-05", timezone="Europe/Paris")
REGIONS = dg.StaticPartitionsDefinition(["eu", "us", "a/b"])
BOTH = dg.MultiPartitionsDefinition({"day": DAYS, "region": REGIONS})


@pytest.mark.parametrize(
    ("partitions", "key", "folder", "file_name", "path"),
    [
        (DAYS, "2026-03-02", "in", "{asset}_{partition}", "in/people_2026-03-02.csv"),
        (DAYS, "2026-03-02", "{YYYY}/{MM}", "{DD}", "2026/03/02.csv"),
        (REGIONS, "eu", "{partition}", "{asset}", "eu/people.csv"),
        (BOTH, "2026-03-04|us", "{partition.region}", "{YYYY}{MM}{DD}", "us/20260304.csv"),
    ],
)
def test_partition_is_in_the_names(
    tmp_path: Path, instance: dg.DagsterInstance, partitions: Any, key: str, folder: str, file_name: str, path: str
) -> None:
    result = run(
        instance,
        manager(tmp_path, folder=folder, file_name=file_name, timezone="Europe/Paris"),
        FRAME,
        key=key,
        partitions_def=partitions,
    )

    assert result.success, failure(result)
    assert list(files(tmp_path)) == [path]


@pytest.mark.parametrize(
    ("partitions", "key", "file_name"),
    [
        (DAYS, "2026-03-02", "{asset}"),
        (DAYS, "2026-03-02", "{YYYY}-{MM}"),
        (REGIONS, "eu", "{asset}_{YYYY}"),
        (BOTH, "2026-03-04|us", "{YYYY}{MM}{DD}"),
        (BOTH, "2026-03-04|us", "{partition.region}"),
    ],
)
def test_two_partitions_never_share_a_file(tmp_path: Path, instance: dg.DagsterInstance, partitions: Any, key: str, file_name: str) -> None:
    result = run(instance, manager(tmp_path, file_name=file_name), FRAME, key=key, partitions_def=partitions)

    assert "and so is that of other partitions" in failure(result)
    assert files(tmp_path) == {}


def test_partition_that_cannot_stand_in_a_path_is_refused(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    result = run(instance, manager(tmp_path, file_name="{partition}"), FRAME, key="a/b", partitions_def=REGIONS)

    assert "'a/b' cannot stand in a path" in failure(result)


def backfill(instance: dg.DagsterInstance, io_manager: FileIOManager, value: Any) -> dg.ExecuteInProcessResult:
    """One run of three days."""

    @dg.asset(io_manager_key="files", partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def people() -> Any:
        return value

    tags = {"dagster/asset_partition_range_start": "2026-03-01", "dagster/asset_partition_range_end": "2026-03-03"}
    return dg.materialize([people], resources={"files": io_manager}, instance=instance, tags=tags, raise_on_error=False)


def test_run_of_several_partitions_writes_each(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    days = {f"2026-03-0{day}": pl.DataFrame({"day": [day]}) for day in (1, 2, 3)}

    assert backfill(instance, manager(tmp_path, file_name="{partition}"), days).success

    assert files(tmp_path) == {f"2026-03-0{day}.csv": f"day\n{day}\n" for day in (1, 2, 3)}
    known = recorded_files(instance, AssetPartition(dg.AssetKey("people"), "2026-03-02"))
    assert known is not None
    assert [file.path for file in known.written.files] == ["2026-03-02.csv"]


def test_run_of_several_partitions_writes_none_where_one_has_no_rows(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    days = {f"2026-03-0{day}": None if day == 2 else FRAME for day in (1, 2, 3)}

    assert "writing people [2026-03-02]: it returned nothing" in failure(
        backfill(instance, manager(tmp_path, file_name="{partition}"), days)
    )
    assert files(tmp_path) == {}


@pytest.mark.parametrize("value", [FRAME, {"2026-03-01": FRAME}, {f"2026-03-0{day}": FRAME for day in (1, 2, 3, 4)}])
def test_run_of_several_partitions_says_what_it_wants(tmp_path: Path, instance: dg.DagsterInstance, value: Any) -> None:
    result = backfill(instance, manager(tmp_path, file_name="{partition}"), value)

    assert "a run of 3 partitions returns a dict of each partition's key to its rows" in failure(result)
    assert files(tmp_path) == {}


def test_temporary_files_of_a_run_that_was_killed_go(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    of, address = AssetPartition(dg.AssetKey("people"), None), f"local:{tmp_path}"
    left, used = temporary_beside("people.csv"), temporary_beside("people.csv")
    for name in (left, used, "kept.csv"):
        (tmp_path / name).write_text("half")
    announce(instance, of, "a run that is gone", address, [left, "kept.csv"])
    running = instance.create_run_for_job(dg.GraphDefinition(name="g").to_job(), status=dg.DagsterRunStatus.STARTED)
    announce(instance, of, running.run_id, address, [used])

    run(instance, manager(tmp_path), FRAME)

    # Neither what a run that goes on uses, nor what no write of ours is called.
    assert sorted(files(tmp_path)) == sorted([used, "kept.csv"])
    assert left_temporary_paths(instance, of, "local:/elsewhere") == []


def test_temporary_files_of_a_process_that_is_gone_go_though_dagster_takes_its_run_for_running(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = temporary_beside("people.csv")
    (tmp_path / left).write_text("half")
    killed = instance.create_run_for_job(dg.GraphDefinition(name="g").to_job(), status=dg.DagsterRunStatus.STARTED)
    with monkeypatch.context() as patch:
        # No process has so large a number.
        patch.setattr(os, "getpid", lambda: 2**30)
        announce(instance, AssetPartition(dg.AssetKey("people"), None), killed.run_id, f"local:{tmp_path}", [left])

    run(instance, manager(tmp_path), FRAME)

    assert list(files(tmp_path)) == ["people.csv"]


def test_of_two_runs_that_write_one_file_the_first_goes_on(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    of, address = AssetPartition(dg.AssetKey("people"), None), f"local:{tmp_path}"
    running = instance.create_run_for_job(dg.GraphDefinition(name="g").to_job(), status=dg.DagsterRunStatus.STARTED)
    announce(instance, of, running.run_id, address, [temporary_beside("people.csv")])

    second = run(instance, manager(tmp_path), FRAME)

    assert f"run {running.run_id} is writing it, too; start this one again when that has ended" in failure(second)
    assert files(tmp_path) == {}
    instance.report_run_failed(running)
    assert run(instance, manager(tmp_path), FRAME).success


def test_op_is_told_that_files_are_for_assets(tmp_path: Path) -> None:
    @dg.op(out=dg.Out(io_manager_key="files"))
    def made() -> str:
        return "SELECT 1 AS a"

    @dg.job(resource_defs={"files": manager(tmp_path)})
    def job() -> None:
        made()

    assert "FileIOManager writes assets" in failure(job.execute_in_process(raise_on_error=False))


def test_entry_of_another_place_removes_nothing_here(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    run(instance, manager(tmp_path / "a", max_rows=1), FRAME)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "people_2.csv").write_text("somebody's")

    run(instance, manager(tmp_path / "b", max_rows=1), FRAME.head(1))

    assert sorted(files(tmp_path / "b")) == ["people_1.csv", "people_2.csv"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": {"type": "cvs"}}, "its `type` is 'cvs'; did you mean 'csv'"),
        ({"format": {}}, "its `type` is None"),
        ({"format": {"type": "csv", "delimiterr": ";"}}, "format csv: delimiterr"),
        ({"format": {"type": "csv", "delimiter": "ab"}}, "'ab' is no delimiter"),
        ({"max_row": 1}, "'max_row' is no option of it; did you mean 'max_rows'"),
        ({"file_name": "{YYYYY}"}, "unknown variable '{YYYYY}'"),
        ({"folder": "{partition.day"}, "has no partner"),
        ({"timezone": "Europe/Pari"}, "Europe/Paris"),
    ],
)
def test_fault_of_the_definition_is_told_when_the_code_is_loaded(tmp_path: Path, fields: Mapping[str, Any], words: str) -> None:
    with pytest.raises(CallError, match=words):
        manager(tmp_path, **fields)


def test_metadata_is_read_as_it_was_written(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run(instance, manager(tmp_path, format={"type": "csv", "delimiter": ";"}, timezone="Asia/Tokyo"), FRAME)

    known = recorded_files(instance, AssetPartition(dg.AssetKey("people"), None))

    assert known is not None
    [file] = known.written.files
    columns = (Column("id", "BIGINT"), Column("name", "VARCHAR"))
    assert known.written == WrittenFiles(f"local:{tmp_path}", (WrittenFile("people.csv", 2, 17, file.sha256),), columns)
    assert (known.format_options, known.timezone) == ({"type": "csv", "delimiter": ";"}, "Asia/Tokyo")
    [record] = instance.fetch_materializations(dg.AssetKey("people"), limit=1).records
    assert record.asset_materialization is not None
    assert FILES in record.asset_materialization.metadata
