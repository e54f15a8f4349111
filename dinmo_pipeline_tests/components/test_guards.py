"""Guards on real tables: what is measured there, and what Dagster and the command line say of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import ExecuteInProcessResult

from dinmo_pipeline.components.asset_keys import delivery_key
from dinmo_pipeline.sync.labels import label_of_instant

from ..cli.conftest import Dinmo
from ..people import FIRST, STORAGES, activation, delivered, make_people, write_people
from .conftest import Dagster, delivery_metadata, failure

InDagster = Callable[[Path], Dagster]

APPROVE = {"dinmo/approve": "ana"}

TWO_DAYS = '{source_age: "> 2 days"}'
NOON = datetime(2025, 4, 14, 12, tzinfo=UTC)


def give_loaded_at(root: Path, sql: str, *activations: str) -> None:
    """Let the model say when its rows were loaded, by the column `seen` of this SQL."""
    model = f'type: dinmo_pipeline.Model\nattributes: {{name: people, primary_key: [id], loaded_at: seen, sql: "{sql}"}}\n'
    (root / "defs" / "people" / "defs.yaml").write_text(f"{STORAGES}---\n{model}{''.join(activations)}", encoding="utf-8")


@pytest.mark.parametrize("fields", [{"run_type": "full_only", "sync_mode": "snapshot"}, {"sync_mode": "upsert"}], ids=["full", "delta"])
@pytest.mark.parametrize(
    ("seen", "exactly_two_days_later"),
    [("DATE '2025-04-12' + id::INT - 3", NOON.replace(hour=0)), ("TIMESTAMPTZ '2025-04-12 14:00:00+02'", NOON)],
    ids=["dates", "instants"],
)
def test_age_of_the_source_is_that_of_the_newest_row_of_the_model(
    tmp_path: Path, in_dagster: InDagster, fields: dict[str, str], seen: str, exactly_two_days_later: datetime
) -> None:
    dagster = in_dagster(make_people(tmp_path))
    give_loaded_at(tmp_path, f"SELECT *, {seen} AS seen FROM 'people.parquet'", activation("old", fail_if=TWO_DAYS, **fields))
    assert dagster.run("old", label_of_instant(exactly_two_days_later)).success
    late = dagster.run("old", label_of_instant(exactly_two_days_later + timedelta(seconds=1)))
    assert 'source_age: 2 days, 0:00:01; fail_if says "> 2 days"' in failure(late)[0]


def test_column_of_the_source_age_that_holds_no_times_is_told(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path))
    give_loaded_at(tmp_path, "SELECT *, name AS seen FROM 'people.parquet'", activation("old", warn_if=TWO_DAYS))
    text, _ = failure(dagster.run("old", "monday"))
    assert text.startswith("reading when models.people was loaded, from its loaded_at seen: ")


def test_characters_that_xml_replaced_are_measured(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("pages", format="xml", fail_if='{replaced_characters: "> 1"}')))
    write_people(tmp_path, ((1, "one \x01", 1), *FIRST[1:]))
    assert dagster.run("pages", "monday").success
    write_people(tmp_path, ((1, "three \x01\x02\x03", 1), *FIRST[1:]))
    assert "replaced_characters: 3; fail_if" in failure(dagster.run("pages", "tuesday"))[0]


def test_warning_is_told_with_the_delivery(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("told", warn_if='{bytes: "> 1 B"}')))
    told = delivery_metadata(dagster.run("told", "monday"), "told")["warnings"]
    assert told.startswith("bytes: ")
    assert told.endswith(' bytes; warn_if says "> 1 B"')


def test_command_line_tells_what_warned_and_what_blocked(tmp_path: Path, dinmo: Dinmo) -> None:
    make_people(tmp_path, activation("told", warn_if='{rows: "< 4"}', file_name='"{x}"') + activation("held", fail_if='{rows: "< 4"}'))
    told = dinmo("sync", "told", project=tmp_path)
    assert (told.code, told.err.strip()) == (0, 'warning: told: rows: 3 rows; warn_if says "< 4"')
    assert json.loads(dinmo("history", "told", "--json", project=tmp_path).out)[0]["warnings"] == ['rows: 3 rows; warn_if says "< 4"']
    held = dinmo("sync", "held", project=tmp_path)
    assert held.code == 1
    assert 'rows: 3 rows; fail_if says "< 4"' in held.err
    status = {line["activation"]: line for line in json.loads(dinmo("status", "--json", project=tmp_path).out)}
    assert (status["told"]["health"], status["held"]["health"]) == ("warning", "blocked")
    assert dinmo("approve", "held", project=tmp_path).code == 0
    assert len(delivered(tmp_path)) == 2
    assert dinmo("status", project=tmp_path).code == 0, "a warning alone needs nobody"


def checks(result: ExecuteInProcessResult) -> dict[str, tuple[bool, str, str | None]]:
    """Every check of this run by its name: whether it passed, its severity and its words."""
    return {
        evaluation.check_name: (evaluation.passed, evaluation.severity.value, evaluation.description)
        for evaluation in result.get_asset_check_evaluations()
    }


@pytest.mark.parametrize("fields", [{"run_type": "full_only", "sync_mode": "snapshot"}, {"sync_mode": "upsert"}], ids=["full", "delta"])
def test_blocked_sync_is_an_error_of_its_check_and_approved_in_a_run_of_the_delivery_alone(
    tmp_path: Path, in_dagster: InDagster, fields: dict[str, str], dinmo: Dinmo
) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("held", fail_if='{rows: "< 4"}', **fields)))
    held = dagster.run("held", "monday")
    words = 'rows: 3 rows; fail_if says "< 4"'
    assert words in failure(held)[0]
    assert "for partition monday, with the tag dinmo/approve and your name as its value" in failure(held)[0]
    assert checks(held) == {"guards": (False, "ERROR", words)}
    assert delivered(tmp_path) == {}

    write_people(tmp_path, (*FIRST, (5, "Eve", 1)))
    alone = dagster.run("held", "monday", assets=[delivery_key("held")], tags=APPROVE)
    assert alone.success
    assert checks(alone) == {"guards": (True, "WARN", words)}
    history = json.loads(dinmo("history", "held", "--json", project=tmp_path).out)
    assert [(event["event"], event["by"]) for event in history[0]["events"]] == [("blocked", None), ("approved", "ana")]
    ((file, rows),) = delivered(tmp_path).items()
    assert [row[0] for row in rows] == ["1", "2", "3"], f"{file} must hold the rows that were held, not those that came since"


def test_approving_another_partition_or_with_a_new_snapshot_is_refused(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("held", fail_if='{rows: "< 4"}')))
    for no_name in ("true", "yes", "No"):
        text, _ = failure(dagster.run("held", "monday", tags={"dinmo/approve": no_name}))
        assert f"the run has the tag dinmo/approve: {no_name!r}; write your name as its value" in text
    assert "no sync of it waits for approval" in failure(dagster.run("held", "monday", tags=APPROVE))[0]
    dagster.run("held", "tuesday")
    for partition, assets in (("monday", [delivery_key("held")]), ("tuesday", None)):
        text, _ = failure(dagster.run("held", partition, assets=assets, tags=APPROVE))
        assert "are not those that wait for approval; launch activations/held/delivery alone, for partition tuesday" in text
    assert delivered(tmp_path) == {}


def test_broken_warning_is_a_warning_of_its_check_and_delivered(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("told", warn_if='{rows: "< 4"}')))
    told = dagster.run("told", "monday")
    assert told.success
    assert checks(told) == {"guards": (True, "WARN", None), "warnings": (False, "WARN", 'rows: 3 rows; warn_if says "< 4"')}
    write_people(tmp_path, (*FIRST, (5, "Eve", 1)))
    tuesday = dagster.run("told", "tuesday")
    assert checks(tuesday)["warnings"] == (True, "WARN", None)
    (guards,) = [evaluation for evaluation in tuesday.get_asset_check_evaluations() if evaluation.check_name == "guards"]
    measured = {name: value.value for name, value in guards.metadata.items()}
    assert measured.pop("bytes")
    assert measured == {"rows": 4, "added": 1, "updated": 0, "replaced_characters": 0}, "what plots over syncs"
    assert len(delivered(tmp_path)) == 2


def test_delivery_that_fails_gives_its_lock_free(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("changes", create_folder="false")))
    failed = dagster.run("changes", "monday")
    assert not failed.success
    (tmp_path / "out" / "changes").mkdir(parents=True)
    began = time.monotonic()
    assert dagster.run("changes", "tuesday").success
    assert time.monotonic() - began < 300, "it waited for the lock of the run before"
