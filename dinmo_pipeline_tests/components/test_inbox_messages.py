"""Who is told of what waits in inboxes, and of files that do not come: real imports, a real mail server and a real web server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, build_sensor_context

from dinmo_pipeline.components import project_repository
from dinmo_pipeline.project.load import load_with_warnings
from dinmo_pipeline.project.specs import now_utc
from dinmo_pipeline_tests.servers.mail import running_mail
from dinmo_pipeline_tests.servers.web import WebServer, running_web

from ..cli.conftest import Dinmo
from ..inbox_projects import INBOX, drop, feed, make_inbox
from .test_telling import SECRET, notify

MAIL = """---
type: dinmo_pipeline.Notify
attributes: {name: mail, email: {host: 127.0.0.1, port: PORT, tls: none, from: dinmo@shop.example, to: team@shop.example}}
"""


def project(root: Path, definitions: str, *, expected: str = "") -> Path:
    contacts = feed(expected=expected) if expected else feed()
    make_inbox(root, INBOX + contacts + feed("orders") + definitions)
    (root / "drop" / "raw").mkdir(parents=True)
    return root


def messages(web: WebServer, path: str = "/team") -> list[dict[str, Any]]:
    return [json.loads(posted.body) for posted in web.posted if posted.path == path]


def env(web: WebServer) -> dict[str, str]:
    return {"HOOK_SECRET": SECRET, "HOOK_TEAM": f"{web.url}/team", "HOOK_OTHER": f"{web.url}/other"}


def test_files_that_wait_for_a_person_are_one_message_and_their_end_another(tmp_path: Path, dinmo: Dinmo) -> None:
    with running_web() as web:
        root = project(tmp_path, notify() + notify("orders", "/other", only="[orders_shop]"))
        for day in ("20260301", "20260302"):
            drop(root, f"contacts_shop_{day}.csv", 'id,name\n1,"open\n')
        drop(root, "nobody_knows.csv")
        assert dinmo("import", project=root, env=env(web)).code == 1
        (message,) = messages(web)
        assert message["type"] == "inbox.failed"
        data = message["data"]
        assert (data["inbox"], data["kind"], data["name"], data["state"]) == ("partner", "inbox", "partner", "failed")
        for file in ("contacts_shop_20260301.csv", "contacts_shop_20260302.csv", "nobody_knows.csv"):
            assert file in data["what"]
        dinmo("import", project=root, env=env(web))
        assert len(messages(web)) == 1
        for day in ("20260301", "20260302"):
            drop(root, f"contacts_shop_{day}.csv")
        dinmo("import", project=root, env=env(web))
        assert [each["type"] for each in messages(web)] == ["inbox.failed", "inbox.recovered"]
        assert "Still open: unmatched" in messages(web)[-1]["data"]["what"]
        (root / "drop" / "raw" / "nobody_knows.csv").unlink()
        assert dinmo("import", project=root, env=env(web)).code == 0
        assert [each["type"] for each in messages(web)] == ["inbox.failed", "inbox.recovered", "inbox.recovered"]
        assert messages(web, "/other") == [], "it is of no orders"


def test_who_wants_failures_alone_is_not_told_of_files_that_fit_no_feed(tmp_path: Path, dinmo: Dinmo) -> None:
    with running_web() as web:
        root = project(tmp_path, notify() + notify("nights", "/other", level="failure"))
        drop(root, "nobody_knows.csv")
        dinmo("import", project=root, env=env(web))
        assert [each["type"] for each in messages(web)] == ["inbox.warning"]
        assert messages(web, "/other") == []


def test_mail_names_the_file_and_no_value_of_it(tmp_path: Path, dinmo: Dinmo) -> None:
    with running_mail() as server:
        root = project(tmp_path, MAIL.replace("PORT", str(server.port)))
        drop(root, "orders_shop_20260301.csv", 'id,name\n1,"s3cret-customer\n')
        dinmo("import", project=root)
        ((_, message),) = server.messages
    assert message["Subject"] == "inbox partner: refused"
    text = message.get_content()
    assert "orders_shop_20260301.csv" in text
    assert "s3cret" not in text


def test_server_that_is_away_is_told_once_and_its_return(tmp_path: Path, dinmo: Dinmo) -> None:
    with running_web() as web:
        root = project(tmp_path, notify())
        drop(root, "orders_shop_20260301.csv")
        (root / "drop" / "raw").rename(root / "drop" / "kept")
        (root / "drop" / "raw").write_text("a file in the place of the folder", encoding="utf-8")
        for _ in range(2):
            assert dinmo("import", project=root, env=env(web)).code == 1
        assert [each["type"] for each in messages(web)] == ["inbox.failed"]
        (root / "drop" / "raw").unlink()
        (root / "drop" / "kept").rename(root / "drop" / "raw")
        assert dinmo("import", project=root, env=env(web)).code == 0
        assert [each["type"] for each in messages(web)] == ["inbox.failed", "inbox.recovered"]


@pytest.fixture
def clock() -> list[datetime]:
    return [datetime(2026, 3, 2, 6, tzinfo=UTC)]


Tick = Callable[..., str]


def ticking(root: Path, clock: list[datetime], instance: DagsterInstance) -> Tick:
    """The sensor, as it looks at that moment: what it says."""

    def tick(name: str = "deadlines", *, later: timedelta = timedelta()) -> str:
        clock[0] += later
        loaded = load_with_warnings(root)
        repository = project_repository(replace(loaded, project=replace(loaded.project, clock=lambda: clock[0])))
        sensor = repository.get_sensor_def(name)
        return sensor.evaluate_tick(build_sensor_context(instance=instance, repository_def=repository)).skip_message or ""

    return tick


def run_feed(root: Path, clock: list[datetime], instance: DagsterInstance, feed: str) -> None:
    loaded = load_with_warnings(root)
    repository = project_repository(replace(loaded, project=replace(loaded.project, clock=lambda: clock[0])))
    assert repository.get_job(f"import_{feed}").execute_in_process(instance=instance).success


def test_feed_that_is_late_is_told_once_and_its_file_once(tmp_path: Path, clock: list[datetime], monkeypatch: pytest.MonkeyPatch) -> None:
    with running_web() as web, DagsterInstance.ephemeral() as instance:
        for name, value in env(web).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("DINMO_HOME", raising=False)
        root = project(tmp_path, notify(only="[contacts_shop]"), expected='{by: "07:00", days: mon-fri, grace: 30 minutes, rows: ">= 2"}')
        tick = ticking(root, clock, instance)
        tick()
        tick(later=timedelta(hours=1, minutes=29))
        assert messages(web) == []
        for _ in range(3):
            tick(later=timedelta(minutes=1))
        assert [each["type"] for each in messages(web)] == ["feed.late"]
        assert messages(web)[0]["data"]["feed"] == "contacts_shop"
        assert "expected by 07:00 on Monday, 2026-03-02" in messages(web)[0]["data"]["what"]
        # Whoever starts again repeats nothing; nor does the night.
        ticking(root, clock, instance)(later=timedelta(hours=20))
        drop(root, "contacts_shop_20260303.csv", "id,name\n1,Ana\n")
        run_feed(root, clock, instance, "contacts_shop")
        assert len(messages(web)) == 1, "one row is not enough"
        drop(root, "contacts_shop_20260303.csv")
        run_feed(root, clock, instance, "contacts_shop")
        assert [each["type"] for each in messages(web)] == ["feed.late", "feed.recovered"]
        for _ in range(4):
            tick(later=timedelta(hours=1))
        assert len(messages(web)) == 2


@pytest.mark.parametrize(
    ("earlier", "now", "late"),
    [
        # The date of the name, the date of the data, the next one's; a correction of an old file, and an old one for the first time.
        ("20260301", "20260302", False),
        ("20260228", "20260301", False),
        ("20260301", "20260303", False),
        ("20260301", "20260301", True),
        ("20260301", "20251231", True),
    ],
)
def test_file_that_covers_the_day(tmp_path: Path, clock: list[datetime], earlier: str, now: str, *, late: bool) -> None:
    with DagsterInstance.ephemeral() as instance:
        root = project(tmp_path, "", expected='{by: "07:00"}')
        clock[0] = datetime(2026, 3, 1, 22, tzinfo=UTC)
        drop(root, f"contacts_shop_{earlier}.csv")
        run_feed(root, clock, instance, "contacts_shop")
        clock[0] = datetime(2026, 3, 2, 6, tzinfo=UTC)
        drop(root, f"contacts_shop_{now}.csv", "id,name\n3,Cid\n")
        run_feed(root, clock, instance, "contacts_shop")
        clock[0] = datetime(2026, 3, 2, 8, tzinfo=UTC)
        from dinmo_pipeline.inbound.troubles.alerts import find_late_feed

        loaded = load_with_warnings(root).project
        found = find_late_feed(replace(loaded, clock=lambda: clock[0]), loaded.feeds["contacts_shop"], since=None)
    assert (found is not None) == late


def test_status_shows_what_is_late_and_sends_nothing(tmp_path: Path, dinmo: Dinmo) -> None:
    with running_web() as web:
        root = project(tmp_path, notify(), expected='{by: "00:00", days: [mon-sun]}')
        status = dinmo("status", "--json", project=root, env=env(web))
        assert status.code == 1
        lines = {line["feed"]: line for line in json.loads(status.out) if "feed" in line}
        assert lines["contacts_shop"]["health"] == "late"
        assert "nothing has come" in lines["contacts_shop"]["late"]
        assert lines["orders_shop"]["late"] is None
        assert web.posted == []
        drop(root, f"contacts_shop_{now_utc():%Y%m%d}.csv")
        assert dinmo("import", project=root, env=env(web)).code == 0
        assert dinmo("status", project=root, env=env(web)).code == 0
        assert web.posted == []
