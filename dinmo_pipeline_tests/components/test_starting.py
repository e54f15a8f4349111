"""What starts a sync by itself: schedules that overlap or rest, and the sensor behind `after:`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterRunStatus, RunRequest, build_schedule_context, build_sensor_context
from dagster._core.definitions.partitions.context import partition_loading_context

from dinmo_pipeline.errors import BusyError
from dinmo_pipeline.project.load import load_with_warnings
from dinmo_pipeline.sync.backends import run_queue as turns
from dinmo_pipeline.sync.service import SyncService

from ..people import activation, make_people
from ..waiting import PATIENCE_S
from .conftest import Dagster

InDagster = Callable[[Path], Dagster]

TICK = datetime(2025, 4, 14, 7, tzinfo=UTC)
PEOPLE = AssetKey(["models", "people"])
HOURLY = activation("changes", every="1 hour", file_name='"{X}"')
CHAIN = activation("first", after="models.people", file_name='"{x}"') + activation("second", after="[first]", file_name='"{x}"')


def tick(dagster: Dagster) -> RunRequest | str:
    """The run that a tick of `changes` asks for, or why there is none."""
    repository = dagster.repository
    context = build_schedule_context(instance=dagster.instance, scheduled_execution_time=TICK, repository_def=repository)
    result = repository.get_schedule_def("changes_schedule").evaluate_tick(context)
    return result.run_requests[0] if result.run_requests else result.skip_message or ""


def syncs(root: Path, name: str = "changes") -> SyncService:
    project = load_with_warnings(root).project
    return SyncService(project, project.activations[name])


@contextmanager
def unfinished_runs(dagster: Dagster, count: int) -> Iterator[None]:
    for _ in range(count):
        dagster.instance.create_run_for_job(dagster.repository.get_job("sync_changes"), status=DagsterRunStatus.STARTED)
    yield


class Sensor:
    """The sensor as the daemon looks through it, again and again."""

    def __init__(self, dagster: Dagster) -> None:
        self._dagster = dagster
        self._cursor: str | None = None

    def look(self) -> dict[str, RunRequest]:
        """The runs that it asks for, by the activation's job."""
        repository = self._dagster.repository
        context = build_sensor_context(instance=self._dagster.instance, cursor=self._cursor, repository_def=repository)
        # As the code server does it.
        with partition_loading_context(dynamic_partitions_store=self._dagster.instance):
            result = repository.get_sensor_def("after").evaluate_tick(context)
        self._cursor = result.cursor
        return {str(request.job_name): request for request in result.run_requests or ()}

    def follow(self) -> list[str]:
        """Launch what it asks for until it asks for nothing more; the jobs in order."""
        ran: list[str] = []
        while requests := self.look():
            for job, request in sorted(requests.items()):
                assert len(ran) < 10, f"they start each other for ever: {ran}"
                ran.append(job)
                result = self._dagster.repository.get_job(job).execute_in_process(
                    partition_key=request.partition_key, instance=self._dagster.instance, tags=dict(request.tags)
                )
                assert result.success
        return ran


def refresh(dagster: Dagster, activation_name: str) -> None:
    """Make the model's table anew, and nothing else, as a run of this activation's job."""
    job = dagster.repository.get_job(f"sync_{activation_name}")
    dagster.instance.add_dynamic_partitions(f"syncs_{activation_name}", ["by hand"])
    job.execute_in_process(partition_key="by hand", instance=dagster.instance, asset_selection=[PEOPLE])


def refresh_alone(dagster: Dagster) -> None:
    """Make the model's table anew as a person does on its page, in a run of no activation."""
    from dagster import materialize

    repository = dagster.repository
    materialize([repository.assets_defs_by_key[PEOPLE]], instance=dagster.instance)


def test_every_comes_as_a_cron(tmp_path: Path, in_dagster: InDagster) -> None:
    schedule = in_dagster(make_people(tmp_path, activation("changes", every="15 minutes"))).repository.get_schedule_def("changes_schedule")

    assert schedule.cron_schedule == "*/15 * * * *"


def test_paused_activation_has_no_schedule_and_starts_after_nothing(tmp_path: Path, in_dagster: InDagster) -> None:
    repository = in_dagster(make_people(tmp_path, activation("changes", every="1 hour", after="models.people", paused="true"))).repository

    assert (repository.schedule_defs, repository.sensor_defs) == ([], [])
    assert repository.has_job("sync_changes")


def test_next_tick_is_launched_while_one_sync_runs(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, HOURLY))

    with syncs(tmp_path).turn(), unfinished_runs(dagster, 1):
        assert isinstance(tick(dagster), RunRequest)


def test_third_tick_is_dropped_with_a_word(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, HOURLY))

    with syncs(tmp_path).turn(), unfinished_runs(dagster, 2):
        dropped = tick(dagster)

    assert dropped == ("changes: a sync is running and another one waits, which will send what this one would have; this one is dropped")
    assert dagster.instance.get_dynamic_partitions("syncs_changes") == [], "no partition without a sync"


def test_runs_that_died_with_their_machine_drop_nothing(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, HOURLY))

    with unfinished_runs(dagster, 2):
        assert isinstance(tick(dagster), RunRequest)


def test_second_run_waits_and_a_third_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_people(tmp_path, HOURLY)
    waiting = threading.Event()
    order = []
    only_waiting = turns._only_waiting

    @contextmanager
    def noted(*arguments: Any) -> Iterator[None]:
        with only_waiting(*arguments):
            waiting.set()
            yield

    monkeypatch.setattr(turns, "_only_waiting", noted)

    def second() -> None:
        with syncs(tmp_path).turn(wait_s=PATIENCE_S):
            order.append("second")

    with syncs(tmp_path).turn():
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(PATIENCE_S)
        with pytest.raises(BusyError, match="one is running and another one waits"), syncs(tmp_path).turn(wait_s=0):
            pass
        order.append("first")
    thread.join(PATIENCE_S)

    assert order == ["first", "second"]


def test_turn_ends_when_a_sync_fails_before_its_delivery(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, HOURLY, people=((1, "Ana", 31), (1, "Ana", 31))))
    failed = dagster.run("changes", "monday")

    assert not failed.success
    assert not syncs(tmp_path).is_running


def test_turn_lasts_from_the_rows_to_the_delivery(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, HOURLY))
    dagster.run("changes", "monday", assets=[PEOPLE, AssetKey(["activations", "changes", "snapshot"])])
    between = syncs(tmp_path).is_running
    dagster.run("changes", "monday", assets=[AssetKey(["activations", "changes", "delivery"])])

    assert (between, syncs(tmp_path).is_running) == (True, False)


def test_refresh_starts_what_comes_after_it_once(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, CHAIN))
    refresh_alone(dagster)
    sensor = Sensor(dagster)
    at_first = sensor.look()
    refresh_alone(dagster)
    refresh_alone(dagster)
    requests = sensor.look()

    assert at_first == {}, "what happened before it first looked starts nothing"
    assert list(requests) == ["sync_first"]
    assert requests["sync_first"].tags["dinmo/after"] == "models.people"
    assert sensor.look() == {}


def test_delivery_starts_the_activation_after_it_and_no_sync_starts_itself(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, CHAIN))
    sensor = Sensor(dagster)
    sensor.look()
    refresh_alone(dagster)

    assert sensor.follow() == ["sync_first", "sync_second"]


def test_two_after_one_model_do_not_start_each_other(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, CHAIN.replace("after: [first]", "after: models.people")))
    sensor = Sensor(dagster)
    sensor.look()
    refresh_alone(dagster)

    assert sensor.follow() == ["sync_first", "sync_second"]


def test_sync_by_hand_starts_the_others_after_its_model_and_not_itself(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, CHAIN.replace("after: [first]", "after: models.people")))
    sensor = Sensor(dagster)
    sensor.look()
    dagster.run("second", "by hand")

    assert sensor.follow() == ["sync_first"]


def test_foreign_asset_starts_a_sync(tmp_path: Path, in_dagster: InDagster) -> None:
    from dagster import AssetMaterialization

    dagster = in_dagster(make_people(tmp_path, activation("changes", after="[dbt/orders]")))
    sensor = Sensor(dagster)
    sensor.look()
    dagster.instance.report_runless_asset_event(AssetMaterialization(AssetKey(["dbt", "orders"])))

    assert list(sensor.look()) == ["sync_changes"]


def test_third_after_is_dropped_with_a_word(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("changes", after="models.people")))
    sensor = Sensor(dagster)
    sensor.look()
    refresh_alone(dagster)

    with syncs(tmp_path).turn(), unfinished_runs(dagster, 2):
        assert sensor.look() == {}
    assert sensor.look() == {}, "the one that waits sends it"


def test_table_that_a_sync_reused_starts_nothing(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, CHAIN.replace("after: [first]", "after: models.people")))
    path = tmp_path / "defs" / "people" / "defs.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("primary_key: [id]", "primary_key: [id], max_age: 1 day"), encoding="utf-8")
    refresh_alone(dagster)
    sensor = Sensor(dagster)
    sensor.look()
    dagster.run("second", "by hand")

    assert sensor.look() == {}
