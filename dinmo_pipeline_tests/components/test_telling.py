"""Who is told of what, and when: real runs, and a real web server that keeps what is posted to it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import AssetKey, AssetSelection, RunRequest, SkipReason, build_schedule_context, build_sensor_context, materialize

from dinmo_pipeline.alerts.alert_state import AlertState, activation_alert_state
from dinmo_pipeline.components.asset_keys import delivery_key, snapshot_key
from dinmo_pipeline.project.load import load_with_warnings
from dinmo_pipeline.project.specs import now_utc
from dinmo_pipeline.sync.alerts.health import BETWEEN_STEPS
from dinmo_pipeline.sync.alerts.notifier import ActivationNotifier
from dinmo_pipeline.sync.backends.local import LocalBackend
from dinmo_pipeline.sync.service import SyncService
from dinmo_pipeline_tests.servers.web import WebServer, running_web

from ..cli.conftest import Dinmo
from ..inbox_projects import feed
from ..people import FIRST, SECOND, activation, make_people, write_people
from .conftest import Dagster, failure

InDagster = Callable[[Path], Dagster]

APPROVE = {"dinmo/approve": "ana"}

SECRET = base64.b64encode(b"k" * 32).decode()
UI = "https://dagster.example"


def notify(name: str = "team", path: str = "/team", **fields: str) -> str:
    """A webhook at this path of the web server."""
    more = "".join(f", {field}: {value}" for field, value in fields.items())
    channel = f"webhook: {{url: {{env: HOOK{path.replace('/', '_').upper()}}}, secret: {{env: HOOK_SECRET}}}}"
    return f"---\ntype: dinmo_pipeline.Notify\nattributes: {{name: {name}, {channel}{more}}}\n"


# Its folder is not made: the delivery is refused until somebody makes it.
REFUSED = activation("changes", create_folder="false")


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    with running_web() as server:
        monkeypatch.setenv("HOOK_SECRET", SECRET)
        monkeypatch.setenv("DINMO_UI_URL", f"{UI}/")
        for path in ("/team", "/other"):
            monkeypatch.setenv(f"HOOK{path.replace('/', '_').upper()}", server.url + path)
        yield server


def told(web: WebServer, path: str = "/team") -> list[tuple[str, str]]:
    """What was told there so far, as activation and state."""
    data = [json.loads(posted.body)["data"] for posted in web.posted if posted.path == path]
    return [(each["activation"], each["state"]) for each in data]


def newest(web: WebServer) -> dict[str, str]:
    data: dict[str, str] = json.loads(web.posted[-1].body)["data"]
    return data


def alert_state(root: Path, name: str = "changes") -> AlertState:
    return activation_alert_state(load_with_warnings(root).project, name).read()


def notifier(root: Path, *, after: timedelta = timedelta()) -> ActivationNotifier:
    project = load_with_warnings(root).project
    return ActivationNotifier(replace(project, clock=lambda: now_utc() + after), project.activations["changes"])


def test_failure_that_lasts_is_told_once_and_its_end_once(tmp_path: Path, in_dagster: InDagster, web: WebServer) -> None:
    dagster = in_dagster(make_people(tmp_path, REFUSED + notify()))
    first = dagster.run("changes", "1")
    assert told(web) == [("changes", "failed")]
    assert newest(web)["link"] == f"{UI}/runs/{first.run_id}"
    assert "out/changes" in newest(web)["what"]
    assert "dinmo sync changes" in newest(web)["advice"]
    dagster.run("changes", "2")
    dagster.run("changes", "2", assets=[delivery_key("changes")])
    assert told(web) == [("changes", "failed")]
    failed = alert_state(tmp_path).failure
    assert failed is not None
    assert (failed.attempts, failed.error) == (3, "PermanentStorageError")
    assert failed.since < failed.at
    (tmp_path / "out" / "changes").mkdir(parents=True)
    third = dagster.run("changes", "3")
    assert told(web) == [("changes", "failed"), ("changes", "recovered")]
    assert newest(web)["link"] == f"{UI}/runs/{third.run_id}"
    assert "failed: PermanentStorageError" in newest(web)["what"]
    write_people(tmp_path, SECOND)
    dagster.run("changes", "4")
    assert len(told(web)) == 2


def test_delivery_launched_outside_of_its_job_that_fails_is_told(tmp_path: Path, in_dagster: InDagster, web: WebServer) -> None:
    dagster = in_dagster(make_people(tmp_path, REFUSED + notify()))
    assert dagster.run("changes", "1", assets=[AssetKey(["models", "people"]), snapshot_key("changes")]).success
    assert told(web) == []
    # As *Materialize* on the asset's page does.
    assets = list(dagster.repository.assets_defs_by_key.values())
    alone = AssetSelection.assets(delivery_key("changes"))
    assert not materialize(assets, selection=alone, partition_key="1", instance=dagster.instance, raise_on_error=False).success
    assert told(web) == [("changes", "failed")]


def test_another_kind_of_failure_is_told_again(tmp_path: Path, in_dagster: InDagster, web: WebServer) -> None:
    dagster = in_dagster(make_people(tmp_path, REFUSED + notify()))
    dagster.run("changes", "1")
    (tmp_path / "people.parquet").unlink()
    dagster.run("changes", "2")
    assert told(web) == [("changes", "failed")] * 2
    assert newest(web)["what"] == "refreshing models.people (defs/people/defs.yaml:8): the data forbids it"


def test_message_holds_no_key_and_status_does(tmp_path: Path, in_dagster: InDagster, web: WebServer) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("changes") + notify(), people=((4711, "Ana", 1), (4711, "Bea", 2))))
    text, _ = failure(dagster.run("changes", "1"))
    assert "4711" in text
    assert told(web) == [("changes", "failed")]
    assert "4711" not in web.posted[-1].body.decode()
    recorded = alert_state(tmp_path).failure
    assert recorded is not None
    assert "4711" in recorded.text


def test_blocked_sync_is_told_with_its_numbers_and_its_approval_as_recovery(tmp_path: Path, in_dagster: InDagster, web: WebServer) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("changes") + notify(level="failure")))
    dagster.run("changes", "1")
    write_people(tmp_path, ())
    dagster.run("changes", "2")
    dagster.run("changes", "3")
    assert told(web) == [("changes", "blocked")]
    assert newest(web)["what"] == "models.people is empty; sync 1 delivered it with 3 rows"
    assert "`dinmo approve changes`" in newest(web)["advice"]
    assert dagster.run("changes", "3", assets=[delivery_key("changes")], tags=APPROVE).success
    assert told(web) == [("changes", "blocked"), ("changes", "recovered")]


def test_warning_is_told_to_those_who_want_warnings_of_that_activation(tmp_path: Path, in_dagster: InDagster, web: WebServer) -> None:
    # Two syncs of one second would have one name, which is a reason of its own to be blocked.
    named = {"warn_if": '{rows: "> 2"}', "file_name": '"{x}"'}
    definitions = activation("changes", **named) + activation("others", **named)
    definitions += notify(only="[changes]") + notify("nights", "/other", level="failure")
    dagster = in_dagster(make_people(tmp_path, definitions))
    for name in ("changes", "others"):
        dagster.run(name, "1")
    write_people(tmp_path, (*FIRST, (9, "Eve", 1)))
    dagster.run("changes", "2")
    assert told(web) == [("changes", "warning")]
    assert newest(web)["what"] == 'rows: 3 rows; warn_if says "> 2"'
    assert told(web, "/other") == []
    write_people(tmp_path, FIRST[:2])
    dagster.run("changes", "3")
    assert told(web) == [("changes", "warning"), ("changes", "recovered")]


def test_message_that_cannot_be_sent_fails_nothing_and_is_tried_at_the_next_sync(
    tmp_path: Path, in_dagster: InDagster, web: WebServer
) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("changes", warn_if='{rows: "> 2"}') + notify()))
    web.answers = [403]
    assert dagster.run("changes", "1").success
    assert list(alert_state(tmp_path).unsent) == ["team"]
    assert "it answered 403" in alert_state(tmp_path).unsent["team"]
    write_people(tmp_path, SECOND)
    web.answers = [503, 503, 200]
    assert dagster.run("changes", "2").success
    assert [posted.path for posted in web.posted] == ["/team"] * 4, "one that was refused, and three tries"
    assert alert_state(tmp_path).unsent == {}


def test_sync_that_was_cut_off_is_told_by_the_next_one(tmp_path: Path, in_dagster: InDagster, web: WebServer) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("changes") + notify()))
    dagster.run("changes", "1")
    project = load_with_warnings(tmp_path).project
    SyncService(project, project.activations["changes"]).take_snapshot("2", now=datetime.now(UTC))
    dagster.run("changes", "3")
    assert told(web) == [("changes", "failed"), ("changes", "recovered")]
    assert "sync 2 was begun and neither delivered nor ended" in json.loads(web.posted[0].body)["data"]["what"]


def test_sync_that_was_cut_off_is_told_once_by_whoever_looks_and_not_while_it_may_still_run(
    tmp_path: Path, in_dagster: InDagster, web: WebServer
) -> None:
    in_dagster(make_people(tmp_path, activation("changes") + notify())).run("changes", "1")
    project = load_with_warnings(tmp_path).project
    SyncService(project, project.activations["changes"]).take_snapshot("2", now=datetime.now(UTC))
    notifier(tmp_path).look(patience=BETWEEN_STEPS)
    with LocalBackend(tmp_path / ".dinmo" / "state").locked("changes", 0):
        notifier(tmp_path, after=2 * BETWEEN_STEPS).look(patience=BETWEEN_STEPS)
    assert told(web) == []
    for _ in range(2):
        notifier(tmp_path, after=2 * BETWEEN_STEPS).look(patience=BETWEEN_STEPS)
    assert told(web) == [("changes", "failed")]


def test_nobody_is_told_while_deliveries_go_elsewhere_or_of_a_wrong_call(
    tmp_path: Path, in_dagster: InDagster, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("changes") + notify()))
    assert not dagster.run("changes", "1", assets=[delivery_key("changes")]).success
    monkeypatch.setenv("DINMO_REDIRECT", "elsewhere")
    (tmp_path / "people.parquet").unlink()
    assert not dagster.run("changes", "2").success
    assert (told(web), alert_state(tmp_path)) == ([], AlertState())


def test_command_line_tells_and_status_shows_why_and_who_was_not_told(tmp_path: Path, web: WebServer, dinmo: Dinmo) -> None:
    make_people(tmp_path, REFUSED + notify())
    env = {"HOOK_SECRET": SECRET, "HOOK_TEAM": f"{web.url}/team"}
    web.answers = [403, 403]
    for _ in range(2):
        assert dinmo("sync", "changes", project=tmp_path, env=env).code == 1
    status = dinmo("status", project=tmp_path, env=env)
    assert status.code == 1
    assert "2 times since" in status.out
    assert "out/changes" in status.out
    assert told(web) == [("changes", "failed")] * 3, "two that were refused, and one from status"
    web.answers = [403]
    (tmp_path / "out" / "changes").mkdir(parents=True)
    assert dinmo("sync", "changes", project=tmp_path, env=env).code == 0
    untold = dinmo("status", project=tmp_path, env={**env, "HOOK_TEAM": "http://127.0.0.1:1/s3cret"})
    assert "changes: team was not told: sending a message to the webhook" in untold.err
    assert untold.code == 0


def tick(dagster: Dagster, at: datetime) -> RunRequest | SkipReason:
    """What the schedule answers at that moment."""
    repository = dagster.repository
    context = build_schedule_context(instance=dagster.instance, scheduled_execution_time=at, repository_def=repository)
    data = repository.get_schedule_def("changes_schedule").evaluate_tick(context)
    return data.run_requests[0] if data.run_requests else SkipReason(data.skip_message)


def test_tick_is_skipped_while_a_lasting_failure_is_young_and_nothing_was_changed(tmp_path: Path, in_dagster: InDagster) -> None:
    fields = {"create_folder": "false", "schedule": '"*/5 * * * *"'}
    dagster = in_dagster(make_people(tmp_path, activation("changes", **fields)))
    assert isinstance(tick(dagster, datetime.now(UTC)), RunRequest)
    for number, minutes in enumerate((5, 10, 20, 40, 45, 45)):
        assert not dagster.run("changes", str(number)).success
        due = datetime.now(UTC) + timedelta(minutes=minutes)
        assert isinstance(tick(dagster, due - timedelta(minutes=1)), SkipReason)
        assert isinstance(tick(dagster, due), RunRequest)
    skipped = tick(dagster, datetime.now(UTC))
    assert isinstance(skipped, SkipReason)
    assert "nothing was changed since the last attempt ended with: " in str(skipped.skip_message)
    assert "`dinmo sync changes` tries at once" in str(skipped.skip_message)

    make_people(tmp_path, activation("changes", **{**fields, "folder": "elsewhere"}))
    assert isinstance(tick(dagster, datetime.now(UTC)), RunRequest), "the definition was edited"
    make_people(tmp_path, activation("changes", **fields))
    assert isinstance(tick(dagster, datetime.now(UTC)), SkipReason)
    (tmp_path / "out" / "changes").mkdir(parents=True)
    assert dagster.run("changes", "by hand").success
    assert isinstance(tick(dagster, datetime.now(UTC)), RunRequest), "it works again"


def test_tick_after_a_blocked_sync_is_not_skipped(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("changes", fail_if='{rows: "< 4"}', schedule='"*/5 * * * *"')))
    assert not dagster.run("changes", "1").success
    assert isinstance(tick(dagster, datetime.now(UTC)), RunRequest)


FEED = (
    "---\ntype: dinmo_pipeline.Inbox\nattributes: {name: partner, storage: elsewhere, settle_seconds: 0}\n"
    + feed()
    + """---
type: dinmo_pipeline.Model
attributes: {name: contacts, primary_key: [name], sql: "SELECT id, name FROM entities.contacts WHERE id::INT > (FROM 'n.csv')"}
"""
)


def import_contacts(dagster: Dagster, day: str, *names: str) -> None:
    raw = dagster.root / "elsewhere" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{number},{name}\n" for number, name in enumerate(names, start=1))
    (raw / f"contacts_shop_{day}.csv").write_text(f"id,name\n{lines}", encoding="utf-8")
    assert dagster.repository.get_job("import_contacts_shop").execute_in_process(instance=dagster.instance).success


def test_tick_is_not_skipped_once_a_feed_or_a_file_that_the_sync_reads_has_changed(tmp_path: Path, in_dagster: InDagster) -> None:
    # Two of one name: a key that stands there twice.
    fields = {"model": "contacts", "mapping": "{name: name}", "schedule": '"*/5 * * * *"'}
    dagster = in_dagster(make_people(tmp_path, FEED + activation("changes", **fields)))
    long_ago = (1_000_000_000, 1_000_000_000)
    (tmp_path / "n.csv").write_text("n\n0\n", encoding="utf-8")
    os.utime(tmp_path / "n.csv", long_ago)
    import_contacts(dagster, "20260301", "Ana", "Ana")

    def fails_and_waits() -> None:
        assert not dagster.run("changes", str(next(numbers))).success
        failed = alert_state(tmp_path).failure
        assert failed is not None
        assert failed.error == "DataError"
        assert isinstance(tick(dagster, datetime.now(UTC)), SkipReason)

    numbers = iter(range(100))
    fails_and_waits()
    import_contacts(dagster, "20260302", "Ana", "Ana", "Cid")
    assert isinstance(tick(dagster, datetime.now(UTC)), RunRequest), "its feed has imported a file"
    fails_and_waits()
    (tmp_path / "n.csv").write_text("n\n-1\n", encoding="utf-8")
    os.utime(tmp_path / "n.csv", long_ago)
    assert isinstance(tick(dagster, datetime.now(UTC)), RunRequest), "a file that its query names was changed"
    fails_and_waits()
    (tmp_path / ".env").write_text("KEY=1\n", encoding="utf-8")
    assert isinstance(tick(dagster, datetime.now(UTC)), RunRequest), "a variable was changed"
    (tmp_path / ".env").unlink()
    import_contacts(dagster, "20260303", "Ana", "Bea", "Cid")
    assert dagster.run("changes", "good").success


def test_activation_that_is_late_is_told_once_and_its_delivery_once(
    tmp_path: Path, in_dagster: InDagster, web: WebServer, monkeypatch: pytest.MonkeyPatch, dinmo: Dinmo
) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("changes", expected='{by: "00:00"}', create_folder="false") + notify()))
    sensor = dagster.repository.get_sensor_def("deadlines")

    def look() -> None:
        sensor.evaluate_tick(build_sensor_context(instance=dagster.instance, repository_def=dagster.repository))

    for _ in range(2):
        look()
    assert told(web) == [("changes", "late")]
    assert newest(web)["what"].startswith("nothing has come; it was expected by 00:00 on ")
    status = dinmo("status", "--json", project=tmp_path, env={"HOOK_SECRET": SECRET, "HOOK_TEAM": f"{web.url}/team"})
    assert status.code == 1
    assert json.loads(status.out)[0]["health"] == "late"
    assert told(web) == [("changes", "late")], "status shows it, and tells nobody"
    assert not dagster.run("changes", "1").success
    assert told(web) == [("changes", "late"), ("changes", "failed")]
    (tmp_path / "out" / "changes").mkdir(parents=True)
    assert dagster.run("changes", "2").success
    for _ in range(2):
        look()
    assert told(web) == [("changes", "late"), ("changes", "failed"), ("changes", "recovered")]
    assert "late" in newest(web)["what"]


def test_paused_activation_is_never_late(tmp_path: Path, in_dagster: InDagster) -> None:
    dagster = in_dagster(make_people(tmp_path, activation("changes", expected='{by: "00:00"}', paused="true")))
    assert "deadlines" not in [sensor.name for sensor in dagster.repository.sensor_defs]
