"""Runs as Dagster launches them, whole or in part, once or again: what they tell, and that none changes what the next sync sends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import AssetKey, ExecuteInProcessResult, TableColumnLineage, TableSchema

from dinmo_pipeline.components.asset_keys import delivery_key, snapshot_key

from ..people import FIRST, SECOND, Person, activation, delivered, make_people, write_people
from .conftest import Dagster, delivery_metadata, failure, materialization

InDagster = Callable[[Path], Dagster]

ONE = activation("changes", file_name='"{x}"', on_existing="overwrite")
TRIPLE = activation("triple", file_name="triple", sync_mode="difference")
PEOPLE = AssetKey(["models", "people"])
THIRD: tuple[Person, ...] = ((1, "Ana", 32), *SECOND[1:])
MANY: tuple[Person, ...] = tuple((number, f"person {number}", 40) for number in range(1500))


def keys(root: Path) -> list[list[str]]:
    """The keys in each delivered file, the oldest file first; names are unix times to the millisecond."""
    return [[row[0] for row in rows] for rows in delivered(root).values()]


def test_no_event_holds_a_value_of_a_row_unless_it_is_asked_for(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, TRIPLE))
    dagster.run("triple", "monday")
    write_people(tmp_path, SECOND)
    second = dagster.run("triple", "tuesday")
    told = "".join(map(str, dagster.instance.all_logs(second.run_id)))

    assert second.success
    assert [name for name in ("Ana", "Bruno", "Chloé", "Dana") if name in told] == []


def test_materializations_tell_what_was_done_in_numbers(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, TRIPLE, settings="preview_rows = 5\n"))
    first = dagster.run("triple", "monday")
    write_people(tmp_path, SECOND)
    second = dagster.run("triple", "tuesday")

    told = delivery_metadata(second, "triple")
    numbers = {name: told[name] for name in ("rows", "added", "updated", "removed", "rows sent", "files", "sync", "dagster/row_count")}
    assert numbers == {
        "rows": 3, "added": 1, "updated": 1, "removed": 1, "rows sent": 3, "files": 3, "sync": 2, "dagster/row_count": 3,
    }  # fmt: skip
    assert told["bytes"] == sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.csv"))
    assert isinstance(told["seconds"], float)
    assert (told["base"], told["kind"]) == ("sync 1", "delta: what changed since sync 1")
    assert delivery_metadata(first, "triple")["kind"] == "full: the first sync"
    assert "| triple/triple_removed.csv | 1 |" in told["written files"]
    assert "**removed**\n\n| id | full name | age |\n| --- | --- | --- |\n| 3 | Chloé | 27 |" in told["preview"]
    assert materialization(second, delivery_key("triple")).partition == "tuesday"

    model = materialization(second, PEOPLE)
    assert model.partition is None, "a model has no partitions, whatever the run's"
    assert model.metadata["rows"].value == 3
    schema = model.metadata["dagster/column_schema"].value
    assert isinstance(schema, TableSchema)
    assert [(column.name, column.type) for column in schema.columns] == [("id", "BIGINT"), ("name", "VARCHAR"), ("age", "INTEGER")]
    assert "| 2 | Bruno | 46 |" in str(model.metadata["preview"].value)

    snapshot = materialization(second, snapshot_key("triple")).metadata
    assert (snapshot["rows"].value, snapshot["sync"].value, snapshot["base"].value) == (3, 2, "sync 1")
    assert Path(str(snapshot["file"].value)).exists()


def test_snapshot_only_run_changes_nothing_of_the_next_sync(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, ONE))
    dagster.run("changes", "monday")
    write_people(tmp_path, SECOND)
    alone = dagster.run("changes", "only the snapshot", assets=[PEOPLE, snapshot_key("changes")])
    dagster.run("changes", "tuesday")

    assert alone.success
    assert keys(tmp_path) == [["1", "2", "3"], ["2", "4"]]


def test_snapshot_of_a_delivered_partition_made_again_changes_nothing(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, ONE))
    dagster.run("changes", "monday")
    write_people(tmp_path, SECOND)
    again = dagster.run("changes", "monday", assets=[PEOPLE, snapshot_key("changes")])
    write_people(tmp_path, THIRD)
    dagster.run("changes", "tuesday")

    assert again.success
    assert keys(tmp_path) == [["1", "2", "3"], ["1", "2", "4"]]
    assert dagster.state("changes").syncs[3].base == 1


def test_delivered_partition_launched_again_sends_what_changed_since(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, TRIPLE))
    dagster.run("triple", "monday")
    write_people(tmp_path, SECOND)
    again = dagster.run("triple", "monday")

    assert again.success
    assert [delivery_metadata(again, "triple")[name] for name in ("sync", "added", "updated", "removed")] == [2, 1, 1, 1]


def test_delivery_alone_of_a_delivered_partition_is_refused(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, ONE))
    dagster.run("changes", "monday")
    again = dagster.run("changes", "monday", assets=[delivery_key("changes")])

    assert "sync 1 is delivered already; start a new sync instead" in failure(again)[0]
    assert keys(tmp_path) == [["1", "2", "3"]]


def test_delivery_alone_without_a_snapshot_names_the_job(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, ONE))
    alone = dagster.run("changes", "monday", assets=[delivery_key("changes")])

    words, failed = failure(alone)
    assert words == "delivering changes: partition monday has no snapshot; launch the job sync_changes, which takes one"
    assert failed.step_failure_data.user_failure_data.metadata["error"].value == "SyncRefused"


def test_delivery_launched_alone_does_not_pass_a_guard(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, ONE, people=MANY))
    dagster.run("changes", "monday")
    write_people(tmp_path, MANY[:10])
    held = dagster.run("changes", "tuesday")
    alone = dagster.run("changes", "tuesday", assets=[delivery_key("changes")])
    write_people(tmp_path, (*MANY, (9999, "New", 1)))
    dagster.run("changes", "wednesday")

    for result in (held, alone):
        assert "models.people has 10 rows, less than half of the 1,500" in failure(result)[0]
    assert [len(file) for file in keys(tmp_path)] == [1500, 1]
    assert keys(tmp_path)[1] == ["9999"]


def test_failed_delivery_launched_again_delivers_what_it_would_have(
    tmp_path: Path, in_dagster: InDagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    dagster = in_dagster(make_people(tmp_path, ONE))
    dagster.run("changes", "monday")
    write_people(tmp_path, SECOND)
    (tmp_path / "out").rename(tmp_path / "kept")
    (tmp_path / "out").write_text("in the way", encoding="utf-8")
    failed = dagster.run("changes", "tuesday")
    (tmp_path / "out").unlink()
    (tmp_path / "kept").rename(tmp_path / "out")
    # The retry is of the delivery alone, as the UI's "from failure" does it: the rows are those of the first attempt.
    write_people(tmp_path, THIRD)
    retried = dagster.run("changes", "tuesday", assets=[delivery_key("changes")])
    dagster.run("changes", "wednesday")

    assert "could not make the folder" in failure(failed)[0]
    assert retried.success
    assert keys(tmp_path) == [["1", "2", "3"], ["2", "4"], ["1"]]


def test_whole_job_launched_again_after_a_failure_keeps_its_instant(
    tmp_path: Path, in_dagster: InDagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    dagster = in_dagster(make_people(tmp_path, ONE))
    (tmp_path / "out").write_text("in the way", encoding="utf-8")
    failed = dagster.run("changes", "monday")
    (tmp_path / "out").unlink()
    retried = dagster.run("changes", "monday")

    syncs = dagster.state("changes").syncs
    assert (failed.success, retried.success) == (False, True)
    assert syncs[1].instant == syncs[2].instant
    assert syncs[2].delivered_at is not None


def test_full_resync_in_the_run_config_sends_every_row(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, ONE))
    dagster.run("changes", "monday")
    full = dagster.run("changes", "tuesday", config={"ops": {"activations__changes__snapshot": {"config": {"full_resync": True}}}})

    assert delivery_metadata(full, "changes")["kind"] == "full: every row was asked for"
    assert keys(tmp_path) == [["1", "2", "3"], ["1", "2", "3"]]


def test_sync_by_hand_takes_the_instant_of_its_run(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("changes", file_name='"{YYYY}"') + activation("labelled")))
    by_hand = dagster.run("changes", "before Easter")
    labelled = dagster.run("labelled", "2025-04-14T05-00-00.000Z")

    assert by_hand.success
    assert labelled.success
    run = dagster.instance.get_run_by_id(by_hand.run_id)
    assert run is not None
    assert dagster.state("changes").syncs[1].instant.year > 2025
    assert list(delivered(tmp_path))[1] == "labelled/2025-04-14T050000.csv"


def test_failed_query_fails_the_model_in_our_words(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, ONE))
    (tmp_path / "people.parquet").unlink()
    result = dagster.run("changes", "monday")

    words, failed = failure(result)
    assert words.startswith("refreshing models.people (defs/people/defs.yaml:8): its query failed: ")
    assert failed.step_key == "models__people"
    assert dagster.state("changes").syncs == {}


def test_interrupted_sync_is_completed_under_its_own_partition(
    tmp_path: Path, in_dagster: InDagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    dagster = in_dagster(make_people(tmp_path, TRIPLE))
    dagster.run("triple", "monday")
    write_people(tmp_path, SECOND)
    with monkeypatch.context() as patched:
        patched.setattr("dinmo_pipeline.storages.publish.Publisher.show", _killed)
        dagster.run("triple", "tuesday")
    write_people(tmp_path, FIRST)
    result = dagster.run("triple", "wednesday")

    assert result.success
    made = [event.materialization for event in result.all_events if event.is_step_materialization]
    assert [(each.asset_key, each.partition) for each in made if each.asset_key != PEOPLE] == [(delivery_key("triple"), "tuesday")]
    assert [row[0] for row in delivered(tmp_path)["triple/triple_added.csv"]] == ["4"]


def _killed(*_: object) -> None:
    raise RuntimeError("killed")


def lineage(result: ExecuteInProcessResult, key: AssetKey) -> dict[str, list[str]]:
    """Where each column of the asset comes from, as Dagster's catalog has it."""
    found = materialization(result, key).metadata["dagster/column_lineage"].value
    assert isinstance(found, TableColumnLineage)
    return {name: [f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in deps] for name, deps in found.deps_by_column.items()}


def test_columns_lead_from_the_delivered_file_back_to_the_model(tmp_path: Path, in_dagster: InDagster) -> None:
    segment = "---\ntype: dinmo_pipeline.Segment\nattributes: {name: young, model: people, where: age < 60}\n"
    changes = activation("changes", segment="young").replace("  model: people\n", "")
    everyone = activation("everyone", run_type="full_only", sync_mode="snapshot", file_name="everyone")
    dagster = in_dagster(make_people(tmp_path, segment + changes + everyone))
    result, full = dagster.run("changes", "monday"), dagster.run("everyone", "monday")

    assert lineage(result, delivery_key("changes")) == {
        "id": ["activations/changes/snapshot.id"],
        "full name": ["activations/changes/snapshot.name"],
        "age": ["activations/changes/snapshot.age"],
    }
    assert lineage(result, snapshot_key("changes"))["name"] == ["segments/young.name"]
    assert lineage(result, AssetKey(["segments", "young"]))["name"] == ["models/people.name"]
    assert lineage(full, delivery_key("everyone"))["full name"] == ["models/people.name"]
    assert "dagster/column_lineage" not in materialization(result, PEOPLE).metadata, "a file has no columns in the catalog"
    schema = materialization(result, delivery_key("changes")).metadata["dagster/column_schema"].value
    assert isinstance(schema, TableSchema)
    assert [(column.name, column.type) for column in schema.columns] == [("id", "BIGINT"), ("full name", "VARCHAR"), ("age", "INTEGER")]

    # What is kept of it can be made again, as after a power failure.
    (tmp_path / ".dinmo/lineage/segments.young.json").write_text("")
    again = dagster.run("changes", "tuesday")
    assert lineage(again, AssetKey(["segments", "young"]))["name"] == ["models/people.name"]
