"""The newest record of each key stays, whatever the order and the batches in which files come."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from dinmo_pipeline_tests.inbound.inboxes import LocalInbox, contacts
from dinmo_pipeline_tests.random_cases import CASES

Row = tuple[int, int, int | None]
# A record is its key, a value that tells it from all others, and how many hours after midnight it was changed.
ROWS = st.lists(st.tuples(st.integers(1, 4), st.none() | st.integers(0, 5)), max_size=5)
FILES = st.lists(ROWS, min_size=1, max_size=5)
DAY = date(2024, 5, 1)


def content(rows: list[Row]) -> str:
    """The file of these records."""
    changed: dict[int | None, str] = {None: "", **{hour: f"2024-05-01 {hour:02d}:00:00" for hour in range(6)}}
    return "id,value,updated_at\n" + "".join(f"{key},{value},{changed[hour]}\n" for key, value, hour in rows)


def expected(files: list[list[Row]]) -> dict[str, str]:
    """The value that stays for each key: by the rules, without any SQL."""
    newest: dict[int, tuple[tuple[float, int, int], int]] = {}
    for number, rows in enumerate(files):
        hours = [hour for _, _, hour in rows if hour is not None]
        # Without any moment in the file its date counts, at midnight: the file's day is its number.
        instead = max(hours) if hours else 24.0 * number
        for place, (key, value, hour) in enumerate(rows):
            age = (float(instead if hour is None else hour), number, place)
            if key not in newest or age > newest[key][0]:
                newest[key] = (age, value)
    return {str(key): str(value) for key, (_, value) in newest.items()}


@given(files=FILES, data=st.data())
@settings(max_examples=int(10 * CASES))
def test_newest_records_stay_in_whatever_order_and_batches_files_come(
    files: list[list[tuple[int, int | None]]], data: st.DataObject
) -> None:
    numbered: list[list[Row]] = []
    for number, rows in enumerate(files):
        numbered.append([(key, 100 * number + place, hour) for place, (key, hour) in enumerate(rows)])
    order = data.draw(st.permutations(range(len(files))), label="order")
    batches = data.draw(st.lists(st.booleans(), min_size=len(files), max_size=len(files)), label="a pass after each")
    with TemporaryDirectory() as folder:
        inbox = LocalInbox(Path(folder), (contacts(columns=()),))
        for number, pass_now in zip(order, batches, strict=True):
            name = f"contacts_shop_{DAY + timedelta(days=number):%Y%m%d}.csv"
            inbox.drop(name, content(numbered[number]))
            if pass_now:
                inbox.run()
        inbox.run()

        found = dict(inbox.rows("SELECT id, value FROM feeds.contacts_shop"))

    assert found == expected(numbered)
