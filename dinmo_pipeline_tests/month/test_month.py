"""A month of five activations: thirty nights of orders, a refused password, a folder that is gone, a source that is emptied twice, and the
clocks that are set back on both sides of the ocean. What must have happened is written down or computed here, apart from the product."""

from __future__ import annotations

import base64
import csv
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from dagster import DagsterInstance
from lxml import etree

from demo.source import Senders
from dinmo_pipeline.cli.output.syncs import history_entry
from dinmo_pipeline.project.load import load_with_warnings
from dinmo_pipeline.sync.service import SyncService

from ..servers.password_sftp import password_sftp
from ..servers.web import WebServer, running_web
from .shop import Receipts, Table, make_shop, write_stores
from .world import World

# One month serves all tests here, so they stay in one process.
pytestmark = pytest.mark.xdist_group("month")

NEW_YORK, PARIS, TOKYO = ZoneInfo("America/New_York"), ZoneInfo("Europe/Paris"), ZoneInfo("Asia/Tokyo")
FIRST, NIGHTS = date(2017, 10, 16), 30
MORNINGS = [FIRST + timedelta(days=number) for number in range(NIGHTS)]
UI = "https://dagster.example"


def at(day: date, hour: int, minute: int = 0, zone: ZoneInfo = NEW_YORK, *, fold: int = 0) -> datetime:
    """The instant at which a clock of the zone shows this; with `fold`, for the second time."""
    return datetime.combine(day, time(hour, minute, fold=fold), zone).astimezone(UTC)


def october(day: int) -> date:
    return date(2017, 10, day)


def november(day: int) -> date:
    return date(2017, 11, day)


PASSWORD_REFUSED = (at(november(5), 20), at(november(6), 9, 20))
LAKE_GONE = (at(october(25), 12), at(october(27), 10))
# The mornings on which the file of the stores comes without a row.
EMPTIED = {october(19), *map(november, range(6, 11))}
APPROVED = at(november(10), 10)


@dataclass(frozen=True)
class Attempt:
    """A sync that a schedule, or a delivery before it, must have started at `instant`, and how it must have ended."""

    instant: datetime
    ends: str = "delivered"


# On 5 November 01:30 is there twice, and the schedule comes at the second. The ticks of the 6th: the password is refused at 01:30, 08:00,
# 08:15 and 08:45, after which a sync waits 5, 10, 20 and 40 minutes.
PARTNER = [
    *(
        Attempt(at(day, 1, 30, fold=1 if day == november(5) else 0), "superseded" if day == november(6) else "delivered")
        for day in MORNINGS
    ),
    *(Attempt(at(november(6), hour, minute), "superseded") for hour, minute in ((8, 0), (8, 15), (8, 45))),
    *(Attempt(at(november(6), 9, minute)) for minute in (30, 45)),
]
WAITED = [at(november(6), hour, minute) for hour, minute in ((8, 30), (9, 0), (9, 15))]
LAKE = [
    Attempt(tick, "superseded" if LAKE_GONE[0] < tick < LAKE_GONE[1] else "delivered")
    for tick in (at(day + timedelta(days=1), 0, zone=PARIS) for day in MORNINGS)
]
CRM = [Attempt(at(day, 6, 45)) for day in MORNINGS if day.weekday() in (0, 3)]
MAILING = [Attempt(attempt.instant + timedelta(seconds=30)) for attempt in CRM]
MARKETPLACE = [
    Attempt(at(day, 5, zone=TOKYO), {october(20): "superseded", november(7): "superseded"}.get(day, "delivered"))
    for day in (morning + timedelta(days=1) for morning in MORNINGS)
    if day.weekday() in (1, 4)
]
EXPECTED = {
    "households_to_partner": sorted(PARTNER, key=lambda attempt: attempt.instant),
    "sales_to_lake": LAKE,
    "households_to_crm": CRM,
    "regulars_to_mailing": MAILING,
    "stores_to_marketplace": MARKETPLACE,
}


@dataclass
class Month:
    """What was left of it."""

    root: Path
    partner_files: Path
    expected: dict[str, list[Expected]]
    web: WebServer
    world: World


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    """The whole month, from the midnight before its first morning to that after its last one."""
    with (
        pytest.MonkeyPatch.context() as patch,
        password_sftp("first") as partner,
        running_web() as web,
        DagsterInstance.ephemeral() as instance,
    ):
        for name in ("DINMO_HOME", "DINMO_REDIRECT", "DINMO_STATE_URL", "DAGSTER_HOME"):
            patch.delenv(name, raising=False)
        patch.setenv("PARTNER_PASSWORD", partner.password)
        patch.setenv("HOOK_SECRET", base64.b64encode(b"k" * 32).decode())
        patch.setenv("DINMO_UI_URL", UI)
        for name in ("team", "on_call"):
            patch.setenv(f"HOOK_{name.upper()}", f"{web.url}/{name}")
        root = make_shop(tmp_path_factory.mktemp("month") / "shop", partner)
        receipts = Receipts(FIRST - timedelta(days=1), MORNINGS[-1])
        senders = Senders(root / "drop", receipts.write_year(root.parent / "year"))
        world = World(root, instance, at(FIRST, 0))
        lake, away = root / "out" / "lake", root / "away"

        def refuse() -> None:
            partner.password = "second"

        happens: dict[datetime, Callable[[], object]] = {
            LAKE_GONE[0]: lambda: lake.rename(away),
            LAKE_GONE[1]: lambda: away.rename(lake),
            PASSWORD_REFUSED[0]: refuse,
            PASSWORD_REFUSED[1]: lambda: patch.setenv("PARTNER_PASSWORD", "second"),
            APPROVED: lambda: world.approve("stores_to_marketplace", "2017-11-09T20-00-00.000Z"),
        }
        # On 5 November, when 01:55 comes twice, nothing is late at either.
        deadlines = [at(november(5), 1, 55), at(november(5), 1, 55, fold=1), at(november(6), 1, 55)]
        deadlines += [at(morning, 0, 40) for morning in MORNINGS[1:]]
        happens |= dict.fromkeys(deadlines, lambda: world.look("deadlines"))
        for morning in MORNINGS:
            senders.send_day_before(morning)
            write_stores(root, {} if morning in EMPTIED else receipts.stores(morning))
            # At the first look files are seen, at the next one they have stood still for a minute.
            happens |= {at(morning, 0, minute): lambda: world.look("grocer_inbox") for minute in (25, 27)}
            midnight = at(morning + timedelta(days=1), 0)
            for instant in sorted(instant for instant in happens if instant < midnight):
                world.advance(instant)
                happens.pop(instant)()
            world.advance(midnight)
        expected = {name: list(expected_syncs(receipts, name)) for name in EXPECTED}
        yield Month(root, partner.home, expected, web, world)


def syncs_of(month: Month, name: str) -> list[dict[str, Any]]:
    """All that is known of each sync, as `dinmo history --json` tells it."""
    project = load_with_warnings(month.root).project
    state = SyncService(project, project.activations[name]).state()
    return [history_entry(sync, state) for _, sync in sorted(state.syncs.items())]


# What each file of each activation holds, column by column, and where it lies.
@dataclass(frozen=True)
class Promise:
    """What an activation delivers: `table` on a morning has its rows as the file writes them, `files` are the names for an instant."""

    table: Callable[[Receipts, date], Table]
    mode: str
    files: Callable[[datetime], dict[str, str]]


def named(
    folder: str, form: str, zone: ZoneInfo, *, changes: Sequence[str] = ("",), extension: str
) -> Callable[[datetime], dict[str, str]]:
    """The path of each file of a sync, by what it holds."""
    return lambda instant: {change: f"{folder}/{instant.astimezone(zone):{form}}{change}.{extension}" for change in changes}


def texts(table: Table, *columns: int) -> Table:
    """Some columns of a table, as text."""
    return {
        str(key): tuple(row[column].isoformat() if column == 2 else str(row[column]) for column in columns) for key, row in table.items()
    }


def numbers(table: Table, *columns: int) -> Table:
    """Some columns of a table."""
    return {key: tuple(row[column] for column in columns) for key, row in table.items()}


TRIPLE = ("_added", "_updated", "_removed")
PROMISES = {
    "households_to_partner": Promise(
        lambda receipts, day: texts(receipts.households(day), 0, 2),
        "difference",
        named("households", "%Y-%m-%d_%H%M", NEW_YORK, changes=TRIPLE, extension="csv"),
    ),
    "sales_to_lake": Promise(
        lambda receipts, day: numbers(receipts.daily_sales(day), 0, 1), "upsert", named("lake", "%Y%m%d", PARIS, extension="parquet")
    ),
    "households_to_crm": Promise(
        lambda receipts, day: numbers(receipts.households(day), 1), "upsert", lambda instant: {"": f"crm/{int(instant.timestamp())}.json"}
    ),
    "regulars_to_mailing": Promise(
        lambda receipts, day: numbers(receipts.regulars(day), 0), "insert", named("mailing", "%Y-%m-%d", NEW_YORK, extension="ndjson.gz")
    ),
    "stores_to_marketplace": Promise(
        lambda receipts, day: {} if day in EMPTIED else texts(receipts.stores(day), 0),
        "snapshot",
        named("marketplace", "stores_%m%d", TOKYO, extension="xml"),
    ),
}


@dataclass(frozen=True)
class Expected:
    """A sync as it must stand in the history, the rows of each of its files, and the table that the consumer has then."""

    attempt: Attempt
    number: int
    base: int | None
    files: dict[str, Table]
    table: Table


def expected_syncs(receipts: Receipts, name: str) -> Iterator[Expected]:
    """The rules of deltas, told once more in a few lines: what is sent is what differs from the newest sync that was delivered."""
    promise = PROMISES[name]
    given: Table = {}
    base = None
    for number, attempt in enumerate(EXPECTED[name], start=1):
        now = promise.table(receipts, attempt.instant.astimezone(NEW_YORK).date())
        added = {key: row for key, row in now.items() if key not in given}
        updated = {key: row for key, row in now.items() if key in given and given[key] != row}
        removed = {key: row for key, row in given.items() if key not in now}
        sent: dict[str, dict[str, Table]] = {
            "difference": {"_added": added, "_updated": updated, "_removed": removed},
            "upsert": {"": added | updated},
            "insert": {"": added},
            "snapshot": {"": now},
        }
        yield Expected(attempt, number, base, sent[promise.mode], now)
        if attempt.ends == "delivered":
            # A key that was inserted once is never sent again.
            given = {**given, **now} if promise.mode == "insert" else now
            base = number if promise.mode != "snapshot" else None


def read(path: Path) -> Table:
    """The rows of a file by their key, which is the first column; each key once."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as lines:
            rows = [tuple(row) for row in csv.reader(lines)][1:]
    elif path.suffix == ".parquet":
        rows = [tuple(row.values()) for row in pq.read_table(path).to_pylist()]
    elif path.suffix == ".json":
        rows = [tuple(row.values()) for row in json.loads(path.read_text(encoding="utf-8"))]
    elif path.suffix == ".xml":
        rows = [tuple(child.text or "" for child in row) for row in etree.parse(path).getroot()]
    else:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [tuple(json.loads(line).values()) for line in lines]
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1:] for row in rows}


def place(month: Month, name: str) -> Path:
    """Where the activation's files lie on this machine."""
    return month.partner_files if name == "households_to_partner" else month.root / "out"


@pytest.mark.parametrize("name", EXPECTED)
def test_history_holds_every_sync_at_its_instant_with_its_counts(month: Month, name: str) -> None:
    mode = PROMISES[name].mode
    expected = month.expected[name]
    found = syncs_of(month, name)

    assert [(sync["sync"], sync["instant"], sync["state"]) for sync in found] == [
        (each.number, each.attempt.instant.isoformat(), each.attempt.ends) for each in expected
    ]
    for sync, each in zip(found, expected, strict=True):
        assert sync["rows"] == len(each.table)
        if each.attempt.ends == "delivered":
            assert (sync["mode"], sync["base"]) == (mode, each.base)
            assert [file["rows"] for file in sync["files"]] == [len(rows) for rows in each.files.values()]
        if each.attempt.ends == "delivered" and mode == "difference":
            assert [sync[change] for change in ("added", "updated", "removed")] == [len(rows) for rows in each.files.values()]


@pytest.mark.parametrize("name", EXPECTED)
def test_every_delivered_file_holds_exactly_what_it_must(month: Month, name: str) -> None:
    promised = {
        path: each.files[change]
        for each in month.expected[name]
        if each.attempt.ends == "delivered"
        for change, path in PROMISES[name].files(each.attempt.instant).items()
    }
    folder = place(month, name) / next(iter(promised)).partition("/")[0]

    assert {path.relative_to(place(month, name)).as_posix() for path in folder.iterdir()} == set(promised)
    for path, rows in promised.items():
        assert read(place(month, name) / path) == rows, path


@pytest.mark.parametrize("name", ["households_to_partner", "sales_to_lake", "households_to_crm", "stores_to_marketplace"])
def test_consumer_who_applies_the_files_in_order_has_the_table_of_each_day(month: Month, name: str) -> None:
    mode, copy = PROMISES[name].mode, dict[Any, Any]()
    for each in month.expected[name]:
        if each.attempt.ends != "delivered":
            continue
        if mode == "snapshot":
            copy = {}
        for change, path in PROMISES[name].files(each.attempt.instant).items():
            rows = read(place(month, name) / path)
            copy = {key: row for key, row in copy.items() if key not in rows} if change == "_removed" else {**copy, **rows}

        # Upsert never tells of rows that left.
        assert (copy if mode != "upsert" else {key: copy[key] for key in each.table}) == each.table


def test_ticks_are_skipped_while_a_refused_password_is_young_and_no_others(month: Month) -> None:
    assert [(skipped.schedule, skipped.at) for skipped in month.world.skipped] == [
        ("households_to_partner_schedule", tick) for tick in WAITED
    ]
    for skipped in month.world.skipped:
        assert "nothing was changed since the last attempt ended with: could not log in to sftp://partner@" in skipped.reason


def test_each_night_is_imported_once_and_nothing_else_is_touched(month: Month) -> None:
    drop = month.root / "drop"
    taken = {path.relative_to(drop / "imports").as_posix() for path in (drop / "imports").rglob("*") if path.is_file()}

    assert taken == {f"{morning}/orders_till_{morning:%Y%m%d}.csv" for morning in MORNINGS}
    assert {path.name for path in (drop / "raw").iterdir()} == {
        name for morning in MORNINGS for name in (f"ordersitems_till_{morning:%Y%m%d}.csv", f"events_coupons_{morning:%Y%m%d}.ndjson.gz")
    }


EMPTY = "models.stores is empty; sync {number} delivered it with {rows} rows"
MESSAGES = [
    ("households_to_crm", "warning", at(october(19), 6, 45), 'added: {added} rows; warn_if says "> 200"'),
    ("stores_to_marketplace", "blocked", at(october(20), 5, zone=TOKYO), EMPTY),
    ("stores_to_marketplace", "recovered", at(october(24), 5, zone=TOKYO), "Before, since 2017-10-20 05:00 JST: blocked: rows."),
    ("sales_to_lake", "failed", at(october(26), 0, zone=PARIS), "the folder is missing: make it, or correct the path"),
    ("sales_to_lake", "late", at(october(26), 2, 45, zone=PARIS), "nothing has come; it was expected by 02:30 on Thursday, 2017-10-26"),
    (
        "sales_to_lake",
        "recovered",
        at(october(28), 0, zone=PARIS),
        "Before, since 2017-10-26 02:45 CEST: failed: PermanentStorageError, late.",
    ),
    ("households_to_partner", "failed", at(november(6), 1, 30), "the server refused the user partner with the password"),
    ("households_to_partner", "late", at(november(6), 1, 50), "nothing has come; it was expected by 01:30 on Monday, 2017-11-06"),
    (
        "households_to_partner",
        "recovered",
        at(november(6), 9, 30),
        "Before, since 2017-11-06 01:50 EST: failed: PermanentStorageError, late.",
    ),
    ("stores_to_marketplace", "blocked", at(november(7), 5, zone=TOKYO), EMPTY),
    ("households_to_crm", "recovered", at(november(9), 6, 45), "Before, since 2017-10-19 06:45 EDT: warning: added."),
    ("stores_to_marketplace", "recovered", APPROVED, "Before, since 2017-11-07 05:00 JST: blocked: rows."),
    ("households_to_crm", "warning", at(november(13), 6, 45), 'added: {added} rows; warn_if says "> 200"'),
]


def test_people_are_told_once_of_each_change_and_those_on_call_of_no_warning(month: Month) -> None:
    told = [(path, data) for path, data in messages_of(month) if data["kind"] == "activation"]
    team = [data for path, data in told if path == "/team"]
    on_call = [data for path, data in told if path == "/on_call"]

    assert [(data["activation"], data["state"], datetime.fromisoformat(data["since"])) for data in team] == [
        (activation, state, since) for activation, state, since, _ in MESSAGES
    ]
    assert on_call == [data for data in team if data["activation"] != "households_to_crm"]
    for data, (activation, _, since, words) in zip(team, MESSAGES, strict=True):
        assert words.format(**facts(month, activation, since)) in data["what"]


def messages_of(month: Month) -> list[tuple[str, dict[str, Any]]]:
    """All that was posted, with where to."""
    return [(posted.path, json.loads(posted.body)["data"]) for posted in month.web.posted]


def test_files_that_fit_no_feed_are_one_message_each_morning_and_no_feed_was_late(month: Month) -> None:
    told = [(path, data) for path, data in messages_of(month) if data["kind"] != "activation"]

    assert [(path, data["inbox"], data["state"]) for path, data in told] == [("/team", "grocer", "warning")] * NIGHTS
    for morning, (_, data) in zip(MORNINGS, told, strict=True):
        for name in (f"ordersitems_till_{morning:%Y%m%d}.csv", f"events_coupons_{morning:%Y%m%d}.ndjson.gz"):
            assert f"raw/{name}: unmatched: " in data["what"]


def facts(month: Month, activation: str, instant: datetime) -> dict[str, int]:
    """The numbers that a message about the sync of this instant has."""
    before = None
    for each in month.expected[activation]:
        if each.attempt.instant == instant and before is not None:
            return {"number": before.number, "rows": len(before.table), "added": len(each.table.keys() - before.table.keys())}
        if each.attempt.ends == "delivered":
            before = each
    return {}


def test_each_message_leads_to_the_run_that_it_is_about(month: Month) -> None:
    jobs = {f"{UI}/runs/{run_id}": job for job, run_id in month.world.runs}
    told = [data for _, data in messages_of(month) if data["kind"] == "activation"]

    assert [jobs.get(data["link"]) for data in told if data["state"] != "late"] == [
        f"sync_{data['activation']}" for data in told if data["state"] != "late"
    ]
