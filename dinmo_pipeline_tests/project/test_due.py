"""When schedules are due: on every day on which a clock changes the instants are those that Dagster's scheduler starts a sync at."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from dinmo_pipeline.project.cron import schedule_ticks

# Changes at midnight, at one, two and three, by an hour, half an hour, two; around Ramadan; none at all.
ZERO = timedelta()
YEARS = {
    "Africa/Cairo": 2026,
    "Africa/Casablanca": 2026,
    "America/Asuncion": 2023,
    "America/Havana": 2026,
    "America/Santiago": 2026,
    "America/St_Johns": 2011,
    "Antarctica/Troll": 2026,
    "Asia/Beirut": 2026,
    "Asia/Kathmandu": 2026,
    "Asia/Tehran": 2022,
    "Atlantic/Azores": 2026,
    "Australia/Lord_Howe": 2026,
    "Europe/London": 2026,
    "Europe/Paris": 2026,
    "Pacific/Apia": 2011,
}
CRONS = [
    "0 * * * *",
    "45 * * * *",
    "*/15 * * * *",
    "0 0 * * *",
    "30 0 * * *",
    "0 1 * * *",
    "30 1 * * *",
    "0 2 * * *",
    "15 3 * * *",
    "59 23 * * *",
    "0 */2 * * *",
    "*/20 0-3 * * *",
    "5 0,12 * * mon-fri",
    "30 0 * * sun",
    "0 0 1 * *",
    "30 2 L * *",
    "@daily",
]


def nights(zone: str) -> Iterator[datetime]:
    """The midnights before a change of the clocks in the zone's year, and one at which nothing changes.

    Not that before a day that was skipped (Apia's 30 December 2011): what Dagster starts then depends on when it has looked last.
    """
    days = [datetime(YEARS[zone], 1, 1, tzinfo=ZoneInfo(zone)) + timedelta(days=day) for day in range(366)]
    yield days[14]
    changes = ((day, (following.utcoffset() or ZERO) - (day.utcoffset() or ZERO)) for day, following in pairwise(days))
    yield from (day for day, change in changes if change and abs(change) < timedelta(hours=12))


def dagsters(expressions: list[str], zone: str, start: datetime, end: float) -> list[float]:
    """The instants before `end` at which the scheduler starts, which has looked since `start`."""
    ticks = schedule_execution_time_iterator(start.timestamp(), expressions, zone)
    return [*takewhile(lambda tick: tick < end, (tick.timestamp() for tick in ticks))]


def ours(expressions: list[str], start: datetime, end: float) -> list[float]:
    since = (tick.timestamp() for tick in schedule_ticks(expressions, start=start, days=5))
    return [tick for tick in takewhile(lambda tick: tick < end, since) if tick >= start.timestamp()]


@pytest.mark.parametrize("zone", YEARS)
def test_ticks_around_a_change_of_the_clocks_are_dagsters(zone: str) -> None:
    for night in nights(zone):
        start = night - timedelta(days=1)
        end = (night + timedelta(days=2)).timestamp()
        for expression in CRONS:
            theirs = [*dict.fromkeys(dagsters([expression], zone, start, end))]
            assert ours([expression], start, end) == theirs, (expression, night)


def test_ordinary_days_do_without_dagster() -> None:
    program = (
        "import sys; from datetime import datetime; from zoneinfo import ZoneInfo\n"
        "from dinmo_pipeline.project.cron import schedule_ticks\n"
        "next(schedule_ticks(['0 7 29 2 *'], start=datetime(2025, 1, 1, tzinfo=ZoneInfo('Europe/Paris')), days=1500))\n"
        "sys.exit('dagster' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
