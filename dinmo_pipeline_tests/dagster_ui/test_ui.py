"""A person in the UI: finds the job, starts a sync, sees what was sent. Daemon, code server and run are processes of their own."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from dagster import DagsterInstance
from playwright.sync_api import Page, expect

from ..people import run_command
from ..waiting import wait_for
from .conftest import Server

# One server serves all tests here, so they stay in one process.
pytestmark = pytest.mark.xdist_group("dagster_ui")

JOB = "sync_big_spenders_to_partner"
SCHEDULE = "big_spenders_to_partner_schedule"
DELIVERY = "/assets/activations/big_spenders_to_partner/delivery"


def start_sync(page: Page, server: Server, partition: str) -> None:
    page.goto(f"{server.url}/jobs")
    page.get_by_text(JOB, exact=True).first.click()
    page.get_by_role("button", name="Materialize all").click()
    # The page behind speaks of it, too.
    page.locator(".dagster-portal").get_by_text("Add a partition", exact=True).click()
    page.get_by_placeholder("name", exact=True).fill(partition)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Launch 1 run").click()


def written(root: Path, change: str) -> list[list[str]]:
    """The ids in each file of this change, the oldest first."""
    files = sorted((root / "deliveries" / "big_spenders").glob(f"*_{change}.csv"))
    return [[row["id"] for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines())] for file in files]


def test_person_starts_a_sync_and_sees_what_was_sent(server: Server, page: Page) -> None:
    start_sync(page, server, "first-look")
    run = server.finished_run("first-look")

    assert (run["status"], run["jobName"]) == ("SUCCESS", JOB)
    assert [written(server.root, change) for change in ("added", "updated", "removed")] == [[["1", "3", "5"]], [[]], [[]]]

    page.goto(server.url + DELIVERY)
    expect(page.get_by_text("first-look").first).to_be_visible()
    expect(page.get_by_text("full: the first sync")).to_be_visible()
    for name, value in {"rows": "3", "added": "3", "updated": "0", "removed": "0", "files": "3"}.items():
        row = page.get_by_role("row").filter(has=page.get_by_text(name, exact=True)).first
        expect(row).to_contain_text(value)
    expect(page.get_by_text("Chloé Martin").first).to_be_visible()
    expect(page.get_by_text("Sends segments.big_spenders to partner, as csv: what was added, updated and removed").first).to_be_visible()


def test_second_sync_by_hand_sends_what_changed(server: Server, page: Page) -> None:
    data = server.root / "data" / "customers.csv"
    data.write_text(data.read_text(encoding="utf-8").replace("219.90", "519.90").replace("640.00", "400.00"), encoding="utf-8")
    start_sync(page, server, "after-a-change")
    run = server.finished_run("after-a-change")

    assert run["status"] == "SUCCESS"
    assert [written(server.root, change)[1] for change in ("added", "updated", "removed")] == [["2"], [], ["3"]]
    page.goto(server.url + DELIVERY)
    expect(page.get_by_text("delta: what changed since sync 1")).to_be_visible()


def test_numbers_of_a_delivery_are_plotted_over_syncs(server: Server, page: Page) -> None:
    page.goto(server.url + DELIVERY)
    page.get_by_text("Plots", exact=True).click()

    for name in ("rows", "added", "updated", "removed", "rows sent", "bytes", "seconds"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.locator("canvas").nth(6)).to_be_visible()


def test_preview_of_a_delivery_is_a_table_a_file(server: Server, page: Page) -> None:
    page.goto(f"{server.url}{DELIVERY}?view=events")

    preview = page.get_by_role("row").filter(has=page.get_by_text("preview", exact=True)).first
    expect(preview.locator("strong", has_text="removed")).to_be_visible()
    expect(preview.get_by_role("row").filter(has_text="Chloé Martin")).to_have_count(1)


def test_schedule_is_switched_on_and_off(server: Server, page: Page) -> None:
    def is_now(status: str) -> bool | None:
        with DagsterInstance.from_config(str(server.root / ".dinmo" / "dagster")) as instance:
            found = {state.instigator_name: state.status.value for state in instance.all_instigator_state()}
        return found.get(SCHEDULE) == status or None

    page.goto(f"{server.url}/locations/shop_pipeline/schedules/{SCHEDULE}")
    expect(page.get_by_text("Starts a sync of big_spenders_to_partner").first).to_be_visible()
    for status in ("RUNNING", "STOPPED"):
        switch = page.get_by_role("checkbox")
        # While one change is under way, the page takes no other.
        expect(switch).to_be_enabled()
        switch.press("Space")
        wait_for(partial(is_now, status), f"the schedule's status {status}", 60)
        expect(switch).to_be_checked(checked=status == "RUNNING")


def test_person_approves_a_sync_that_a_guard_stopped(server: Server, page: Page) -> None:
    data = server.root / "data" / "customers.csv"
    before = data.read_text(encoding="utf-8")
    # Some rows stay, so that the columns keep their types.
    small = [row for row in csv.DictReader(before.splitlines()) if float(row["lifetime_value"]) < 500]
    data.write_text("\n".join((before.splitlines()[0], *(",".join(row.values()) for row in small))) + "\n", encoding="utf-8")
    try:
        start_sync(page, server, "emptied")
        assert server.finished_run("emptied")["status"] == "FAILURE"
    finally:
        data.write_text(before, encoding="utf-8")

    page.goto(f"{server.url}{DELIVERY}?view=checks")
    expect(page.get_by_text("segments.big_spenders is empty; sync 2 delivered it with 3 rows").first).to_be_visible()
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.locator(".dagster-portal")
    dialog.get_by_text("Failed", exact=True).click()
    dialog.get_by_text("Tags", exact=True).click()
    dialog.get_by_role("button", name="Add tags").click()
    page.get_by_placeholder("Tag Key").fill("dinmo/approve")
    page.get_by_placeholder("Tag Value").fill("ana")
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("button", name="Launch 1 run").click()

    assert server.finished_run("emptied", **{"dinmo/approve": "ana"})["status"] == "SUCCESS"
    assert written(server.root, "removed")[2:] == [["1", "2", "5"]]


def test_job_page_says_how_to_start_a_sync(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/locations/shop_pipeline/jobs/{JOB}")

    expect(page.get_by_text("To start a sync by hand:")).to_be_visible()


def test_run_is_a_process_of_its_own_and_the_command_line_sees_it(server: Server) -> None:
    server.launch("sync_customers_to_partner", "by program", "shop_pipeline")
    run = server.finished_run("by program")
    assert run["status"] == "SUCCESS"
    events = server.query(
        "query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events { ... on MessageEvent { message } } } } }", id=run["id"]
    )
    messages = [event.get("message", "") for event in events["logsForRun"]["events"]]
    assert any(message.startswith("Started process for run (pid:") for message in messages), messages

    assert (server.root / "deliveries" / "customers.json").exists()
    done = run_command("dinmo", "history", "customers_to_partner", "--json", cwd=server.root)
    (sync,) = json.loads(done.out)
    assert (sync["label"], sync["state"]) == ("by program", "delivered")


def test_failed_run_says_why_in_our_words(server: Server, page: Page) -> None:
    folder = server.root / "deliveries"
    folder.rename(server.root / "kept")
    try:
        folder.write_text("in the way", encoding="utf-8")
        start_sync(page, server, "in-the-way")
        run = server.finished_run("in-the-way")
    finally:
        folder.unlink()
        (server.root / "kept").rename(folder)

    assert run["status"] == "FAILURE"
    page.goto(f"{server.url}/runs/{run['id']}")
    expect(page.get_by_text("a file stands where a folder is needed").first).to_be_visible()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.localhost"])
def test_page_of_another_origin_changes_nothing(server: Server, page: Page, host: str) -> None:
    """A browser reaches every one of these hosts at this machine; the page tries each way in which one site can ask another."""
    with served(Path(__file__).parent) as port:
        page.goto(f"http://{host}:{port}/foreign.html?ui={server.url}&location=shop_pipeline")
        expect(page.get_by_role("heading")).to_have_text("tried")

    with DagsterInstance.from_config(str(server.root / ".dinmo" / "dagster")) as instance:
        partitions = instance.get_dynamic_partitions("syncs_big_spenders_to_partner")
    assert [partition for partition in partitions if partition.startswith("by-")] == []


def test_ui_under_a_foreign_name_shows_nothing(server: Server, page: Page) -> None:
    """What a page gets whose own name begins to lead to this machine (DNS rebinding)."""
    answer = page.goto(server.url.replace("127.0.0.1", "evil.localhost"))

    assert answer is not None
    assert answer.status == 421
    expect(page.get_by_text("the address names the host 'evil.localhost:")).to_be_visible()


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """The folder's files at a port of this machine."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        Thread(target=web.serve_forever, daemon=True).start()
        try:
            yield web.server_port
        finally:
            web.shutdown()
