"""Imports as Dagster runs them: files are partitions with their counts, the sensor asks for runs and rests after failures."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    AssetRecordsFilter,
    DagsterEventType,
    DagsterInstance,
    DefaultSensorStatus,
    ExecuteInProcessResult,
    SensorResult,
    SkipReason,
    build_sensor_context,
)

from dinmo_pipeline.catalog import import_events as imports
from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.project.load import load_with_warnings
from dinmo_pipeline.project.specs import now_utc

from ..inbox_projects import drop, make_inbox
from .conftest import Dagster, failure
from .test_inbox import DEFINITIONS

GOOD = 'id,name,age\n1,"Ana ""A"" Lima",31\n2,Bruno,45\n'
SHOP, WEB, CONTACTS = AssetKey(["feeds", "contacts_shop"]), AssetKey(["feeds", "contacts_web_leads"]), AssetKey(["entities", "contacts"])


def tick(dagster: Dagster) -> SensorResult | SkipReason:
    """What the inbox's sensor answers."""
    with build_sensor_context(instance=dagster.instance, repository_def=dagster.repository) as context:
        answer = dagster.repository.get_sensor_def("partner_inbox")(context)
    assert isinstance(answer, SensorResult | SkipReason)
    return answer


def run_requested(dagster: Dagster) -> list[ExecuteInProcessResult]:
    """The runs that the sensor asks for, done."""
    answer = tick(dagster)
    assert isinstance(answer, SensorResult), answer
    return [
        dagster.repository.get_job(str(request.job_name)).execute_in_process(
            instance=dagster.instance, tags=dict(request.tags), raise_on_error=False
        )
        for request in answer.run_requests or ()
    ]


def skip_words(answer: SensorResult | SkipReason) -> str:
    assert isinstance(answer, SkipReason) or not answer.run_requests
    reason = answer if isinstance(answer, SkipReason) else answer.skip_reason
    return (reason if isinstance(reason, str) else reason.skip_message if reason is not None else None) or ""


def materialized(instance: DagsterInstance, key: AssetKey) -> list[tuple[str | None, dict[str, Any]]]:
    """Each materialization's partition and metadata, oldest first."""
    records = instance.fetch_materializations(key, limit=100, ascending=True).records
    return [(r.partition_key, _values(r.asset_materialization)) for r in records]


def observed(instance: DagsterInstance, key: AssetKey) -> list[tuple[str | None, dict[str, Any]]]:
    records = instance.fetch_observations(AssetRecordsFilter(asset_key=key), limit=100, ascending=True).records
    return [(r.partition_key, _values(r.asset_observation)) for r in records]


def _values(told: AssetMaterialization | AssetObservation | None) -> dict[str, Any]:
    assert told is not None
    return {name: value.value for name, value in told.metadata.items()}


def checks(result: ExecuteInProcessResult) -> list[tuple[bool, str, str | None]]:
    told = [event for event in result.all_events if event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION]
    found = [event.asset_check_evaluation_data for event in told]
    return [(check.passed, check.severity.value, check.description) for check in found]


@pytest.fixture
def partner(in_dagster: Callable[[Path], Dagster], tmp_path: Path) -> Dagster:
    (tmp_path / "drop" / "raw").mkdir(parents=True)
    return in_dagster(make_inbox(tmp_path, DEFINITIONS))


def test_files_of_a_feed_are_partitions_of_one_run_with_their_counts(partner: Dagster) -> None:
    drop(partner.root, "contacts_shop_20220315.csv", GOOD)
    drop(partner.root, "contacts__shop_20220316 [new]....CSV", "id,name,age\n,Nobody,7\n3,Chloé,old\n4,Dana,52\n")
    (result,) = run_requested(partner)

    assert result.success
    (first, told), (second, counted) = materialized(partner.instance, SHOP)
    assert str(first).startswith("contacts_shop_20220315.csv (20")
    assert str(second).startswith("contacts__shop_20220316 [new]_")
    assert [told[name] for name in ("rows", "records", "skipped", "rejected", "bytes")] == [2, 2, 0, 0, len(GOOD)]
    assert [counted[name] for name in ("rows", "records", "skipped", "rejected")] == [1, 3, 1, 1]
    assert counted["seconds"] > 0
    assert partner.instance.get_dynamic_partitions("files_contacts_shop") == [first, second]
    [(passed, severity, words)] = checks(result)
    assert (passed, severity) == (False, "WARN")
    assert str(words).startswith("contacts__shop_20220316 [new]....CSV: 1 of 3 records rejected, the first, line ")
    assert skip_words(tick(partner)) == "there is no new file"


def test_columns_lead_from_an_entity_to_those_of_its_files(partner: Dagster) -> None:
    drop(partner.root, "contacts_shop_20220315.csv", GOOD)
    drop(partner.root, "contacts_web_leads_20220315.json", '[{"id": "7", "campaign": "spring"}]')
    for result in run_requested(partner):
        assert result.success

    schema = materialized(partner.instance, SHOP)[-1][1]["dagster/column_schema"]
    assert {"id", "name", "age"} <= {column.name for column in schema.columns}
    origins = materialized(partner.instance, CONTACTS)[-1][1]["dagster/column_lineage"].deps_by_column
    found = {name: [(dep.asset_key, dep.column_name) for dep in origins[name]] for name in ("id", "age", "campaign")}
    assert found == {"id": [(SHOP, "id"), (WEB, "id")], "age": [(SHOP, "age")], "campaign": [(WEB, "campaign")]}


def test_entity_is_told_of_with_its_rows(partner: Dagster) -> None:
    drop(partner.root, "contacts_shop_20220315.csv", GOOD)
    drop(partner.root, "contacts_web_leads_20220315.json", '[{"id": 7, "mail": "a@b.c"}]')
    results = run_requested(partner)

    assert [result.success for result in results] == [True, True]
    assert [told["rows"] for _, told in materialized(partner.instance, CONTACTS)] == [2, 3]
    model = partner.repository.get_job("__ASSET_JOB").execute_in_process(
        instance=partner.instance, asset_selection=[AssetKey(["models", "people"])]
    )
    assert model.success


def test_refused_file_is_no_partition_that_is_there_and_fails_the_check(partner: Dagster) -> None:
    drop(partner.root, "contacts_shop_20220315.csv", GOOD)
    drop(partner.root, "contacts_shop_20220316.csv", "id,name\n5,Eve\n")
    (result,) = run_requested(partner)

    assert result.success
    assert [told["rows"] for _, told in materialized(partner.instance, SHOP)] == [2]
    ((partition, told),) = observed(partner.instance, SHOP)
    assert str(partition).startswith("contacts_shop_20220316.csv")
    assert (told["outcome"], told["rows"]) == ("refused", 0)
    assert "it has no column age" in told["reason"]
    ((passed, severity, words),) = checks(result)
    assert (passed, severity) == (False, "ERROR")
    assert str(words).startswith("raw/contacts_shop_20220316.csv: refused: it has no column age")


def test_run_that_has_nothing_to_do_repeats_what_is_known(partner: Dagster) -> None:
    drop(partner.root, "contacts_shop_20220315.csv", "id,name,age\n1,Ana,old\n2,Bruno,45\n")
    run_requested(partner)
    again = partner.repository.get_job("import_contacts_shop").execute_in_process(
        instance=partner.instance, tags={"dagster/partition": partner.instance.get_dynamic_partitions("files_contacts_shop")[0]}
    )

    [(passed, severity, words)] = checks(again)
    assert (passed, severity) == (False, "WARN")
    assert str(words).startswith("contacts_shop_20220315.csv: 1 of 2 records rejected, the first, line ")
    assert len(materialized(partner.instance, SHOP)) == 1


def test_strangers_are_told_of_once_and_stay(partner: Dagster, capfd: pytest.CaptureFixture[str]) -> None:
    drop(partner.root, "contact_shop_20220315.csv", GOOD)

    first, second = (skip_words(tick(partner)) for _ in range(2))

    assert first == second == "there is no new file"
    told = [line for line in capfd.readouterr().err.splitlines() if "contact_shop" in line]
    assert len(told) == 1
    assert "stays where it is: no feed's name stands in it; did you mean 'contacts_shop'?" in told[0]
    assert (partner.root / "drop" / "raw" / "contact_shop_20220315.csv").exists()


def test_sensor_waits_for_files_that_do_not_stand_still(in_dagster: Callable[[Path], Dagster], tmp_path: Path) -> None:
    dagster = in_dagster(make_inbox(tmp_path, DEFINITIONS.replace("settle_seconds: 0", "settle_seconds: 30")))
    drop(dagster.root, "contacts_shop_20220315.csv", GOOD)

    assert skip_words(tick(dagster)) == "1 files are not whole yet, such as raw/contacts_shop_20220315.csv"


def test_sensor_rests_longer_after_each_failure(partner: Dagster) -> None:
    drop(partner.root, "contacts_shop_20220315.csv", GOOD)
    # Nothing can be moved to a folder in whose place a file lies.
    (partner.root / "drop" / "imports").write_text("in the way", encoding="utf-8")
    past = timedelta()
    partner = replace(partner, clock=lambda: now_utc() + past)
    for failures, rest in ((1, 1), (2, 2), (3, 4)):
        (result,) = run_requested(partner)
        assert "imports" in failure(result)[0]
        past = timedelta(minutes=rest) - timedelta(seconds=30)
        assert f"{failures} runs of contacts_shop failed; the next try is at" in skip_words(tick(partner))
        past = timedelta(minutes=rest)

    (partner.root / "drop" / "imports").unlink()
    (result,) = run_requested(partner)
    assert result.success


def test_older_file_comes_after_one_that_failed(partner: Dagster) -> None:
    drop(partner.root, "contacts_shop_20220316.csv", GOOD)
    blocker = partner.root / "drop" / "imports"
    blocker.write_text("in the way", encoding="utf-8")
    run_requested(partner)
    blocker.unlink()
    drop(partner.root, "contacts_shop_20220315.csv", "id,name,age\n1,Ana,30\n3,Chloé,29\n")
    (result,) = run_requested(replace(partner, clock=lambda: now_utc() + timedelta(minutes=1)))

    assert result.success
    assert [str(partition)[:26] for partition, _ in materialized(partner.instance, SHOP)] == [
        "contacts_shop_20220315.csv",
        "contacts_shop_20220316.csv",
    ]


def test_sensor_asks_for_no_second_run_while_one_imports(partner: Dagster) -> None:
    drop(partner.root, "contacts_shop_20220315.csv", GOOD)
    with InboxPass(load_with_warnings(partner.root).project, "partner"):
        assert skip_words(tick(partner)) == "files of inbox partner are being imported"


def test_sensor_asks_for_no_second_run_while_one_is_on_its_way(partner: Dagster) -> None:
    drop(partner.root, "contacts_shop_20220315.csv", GOOD)
    partner.instance.create_run_for_job(partner.repository.get_job("import_contacts_shop"))

    assert skip_words(tick(partner)) == "a run of contacts_shop is on its way"


@pytest.mark.parametrize(("value", "status"), [(None, DefaultSensorStatus.STOPPED), ("1", DefaultSensorStatus.RUNNING)])
def test_sensor_starts_as_autostart_says(
    partner: Dagster, monkeypatch: pytest.MonkeyPatch, value: str | None, status: DefaultSensorStatus
) -> None:
    if value is not None:
        monkeypatch.setenv("DINMO_AUTOSTART", value)

    sensor = partner.repository.get_sensor_def("partner_inbox")

    assert (sensor.default_status, sensor.minimum_interval_seconds) == (status, 60)


def test_lost_storage_fails_the_tick_in_our_words(partner: Dagster) -> None:
    shutil.rmtree(partner.root / "drop", ignore_errors=True)
    (partner.root / "drop").write_text("no folder", encoding="utf-8")

    with pytest.raises(Exception, match="drop"):
        tick(partner)


def test_of_very_many_files_each_has_an_event_or_is_told_together(
    tmp_path: Path, in_dagster: Callable[[Path], Dagster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "FILES_WITH_EVENTS", 2)
    dagster = in_dagster(make_inbox(tmp_path, DEFINITIONS))
    for day in range(1, 7):
        drop(tmp_path, f"contacts_shop_2024010{day}.csv", GOOD if day != 5 else GOOD + "3,Carl,old\n")

    [result] = run_requested(dagster)

    events = [event.materialization for event in result.all_events if event.is_step_materialization]
    told = [(event.partition is not None, event.metadata["file"].value) for event in events if event.asset_key == SHOP]
    assert result.success
    assert told == [
        (True, "contacts_shop_20240101.csv"),
        (True, "contacts_shop_20240102.csv"),
        (True, "contacts_shop_20240105.csv"),
        (False, "3 more files"),
    ]


def told_by_sensor(dagster: Dagster) -> list[tuple[str, bool, str]]:
    """The checks that a look tells of, which are then told to Dagster: the feed, whether it is fine, and how grave it is not."""
    answer = tick(dagster)
    assert isinstance(answer, SensorResult)
    told = [event for event in answer.asset_events if isinstance(event, AssetCheckEvaluation)]
    for event in told:
        dagster.instance.report_runless_asset_event(event)
    return [(event.asset_key.path[-1], event.passed, event.severity.value) for event in told]


def test_stranger_makes_checks_yellow_and_green_again_without_a_run(partner: Dagster) -> None:
    assert told_by_sensor(partner) == []
    drop(partner.root, "contact_shop_20220315.csv", GOOD)
    yellow = [("contacts_shop", False, "WARN"), ("contacts_web_leads", False, "WARN")]

    assert told_by_sensor(partner) == yellow
    assert told_by_sensor(partner) == []
    (partner.root / "drop" / "raw" / "contact_shop_20220315.csv").unlink()
    assert [(name, passed) for name, passed, _ in told_by_sensor(partner)] == [(name, True) for name, _, _ in yellow]
    assert told_by_sensor(partner) == []


def test_file_that_is_set_aside_makes_the_check_red_rests_and_is_green_once_it_is_mended(partner: Dagster) -> None:
    now = now_utc()
    partner = replace(partner, clock=lambda: now)
    drop(partner.root, "contacts_shop_20220315.csv", GOOD)
    drop(partner.root, "contacts_shop_20220316.csv", GOOD)
    in_the_way = partner.root / "drop" / "imports" / now.date().isoformat() / "contacts_shop_20220316.csv"
    in_the_way.mkdir(parents=True)

    (first,) = run_requested(partner)

    assert first.success
    ((passed, severity, words),) = checks(first)
    assert (passed, severity) == (False, "ERROR")
    assert "raw/contacts_shop_20220316.csv: set aside: its rows are loaded, and it could not be brought to" in str(words)
    assert [told["rows"] for _, told in materialized(partner.instance, SHOP)] == [2, 2]
    assert skip_words(tick(partner)).startswith("1 files of contacts_shop are set aside; the next try is at ")
    drop(partner.root, "contacts_shop_20220317.csv", GOOD)
    run_requested(partner)
    now += timedelta(minutes=2)
    assert [result.success for result in run_requested(partner)] == [True]
    assert "the next try is at" in skip_words(tick(partner))
    in_the_way.rmdir()
    now += timedelta(hours=1)
    (mended,) = run_requested(partner)
    assert [passed for passed, _, _ in checks(mended)] == [True]
    assert len(materialized(partner.instance, SHOP)) == 3
    assert told_by_sensor(partner) == []


def test_run_that_fails_half_way_leaves_a_red_check_that_turns_green_when_nothing_is_due_any_more(partner: Dagster) -> None:
    drop(partner.root, "contacts_shop_20220315.csv", GOOD)
    (partner.root / "drop" / "imports").write_text("in the way", encoding="utf-8")

    (result,) = run_requested(partner)

    assert not result.success
    ((passed, severity, words),) = checks(result)
    assert (passed, severity) == (False, "ERROR")
    assert "imports" in str(words)
    (partner.root / "drop" / "raw" / "contacts_shop_20220315.csv").unlink()
    (partner.root / "drop" / "imports").unlink()
    (mended,) = run_requested(replace(partner, clock=lambda: now_utc() + timedelta(minutes=2)))
    assert [passed for passed, _, _ in checks(mended)] == [True]
