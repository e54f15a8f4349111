"""The demo's three mornings, run as a user runs them, against a recomputation that shares no code or engine with the product."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from lxml import etree

from demo import source
from demo.shop import MADE_BY_THE_DEMO

from .people import run_command

# One run serves all tests here, so they stay in one process.
pytestmark = pytest.mark.xdist_group("demo")

ROOT = Path(__file__).resolve().parent.parent
MORNINGS = (date(2017, 11, 22), date(2017, 11, 23), date(2017, 11, 24))

Row = tuple[str, ...]


@pytest.fixture(scope="module")
def deliveries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of delivered files after `python -m demo` in a copy of the example project, where an earlier one was stopped in its
    first morning: what that imported, delivered and noted is there, and this one starts anew."""
    project = tmp_path_factory.mktemp("shop")
    shutil.copy(ROOT / "pyproject.toml", project)
    shutil.copytree(ROOT / "dinmo_pipeline" / "defs", project / "dinmo_pipeline" / "defs")
    run_demo(project, "--data-only")
    done = run_command("dinmo", "sync", "lapsed_to_partner", "--at", f"{MORNINGS[0]}T07:00:00-05:00", cwd=project)
    assert done.code == 0, done.err
    left = [project / folder / "of the earlier demo" for folder in MADE_BY_THE_DEMO]
    for file in left:
        file.touch()
    run_demo(project)
    assert not [file for file in left if file.exists()]
    return project / "deliveries"


def run_demo(project: Path, *options: str) -> None:
    command = [sys.executable, "-m", "demo", "--project", str(project), *options]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def receipts() -> list[pa.Table]:
    """For each morning the receipts before it, with `cents` and the product's `department`, computed by Arrow."""
    year = source.find_year()
    table = pq.read_table(year / "transactions.parquet", columns=["household_id", "product_id", "sales_value", "transaction_timestamp"])
    products = pq.read_table(year / "products.parquet", columns=["product_id", "department"])
    place = pc.index_in(table["product_id"], value_set=products["product_id"])
    table = table.append_column("department", products["department"].take(place))
    table = table.append_column("cents", pc.round(pc.multiply(table["sales_value"], 100)).cast(pa.int64()))
    return [table.filter(pc.field("transaction_timestamp") < pc.scalar(morning).cast(pa.timestamp("us"))) for morning in MORNINGS]


@pytest.fixture(scope="module")
def lapsed(receipts: list[pa.Table]) -> list[Mapping[str, Row]]:
    """For each morning, the lapsed households' rows as the files should have them, by household."""
    return [recompute_lapsed(table) for table in receipts]


def recompute_lapsed(receipts: pa.Table) -> dict[str, Row]:
    """`id, stage, last order, lifetime value, favourite department, age` of every household that lapsed."""
    demographics = pq.read_table(source.find_year() / "demographics.parquet", columns=["household_id", "age"])
    ages = dict(zip(demographics["household_id"].to_pylist(), demographics["age"].to_pylist(), strict=True))
    last: dict[int, datetime] = {}
    total: dict[int, int] = defaultdict(int)
    spent: dict[int, dict[str, int]] = defaultdict(dict)
    sums = receipts.group_by(["household_id", "department"]).aggregate([("cents", "sum"), ("transaction_timestamp", "max")])
    for row in sums.to_pylist():
        household = row["household_id"]
        last[household] = max(row["transaction_timestamp_max"], last.get(household, datetime.min))  # noqa: DTZ901 - the data has no zone
        total[household] += row["cents_sum"]
        # Seventeen products that were sold stand in no list of products: they have a price, but no department.
        if row["department"] is not None:
            spent[household][row["department"]] = row["cents_sum"]
    today = max(last.values())
    rows: dict[str, Row] = {}
    for household, at in last.items():
        age = today - at
        if age <= timedelta(days=30):
            continue
        stage = "cooling" if age <= timedelta(days=60) else "lapsed" if age <= timedelta(days=90) else "lost"
        favourite = min(spent[household], key=lambda name: (-spent[household][name], name))
        value = Decimal(total[household]) / 100
        rows[str(household)] = (str(household), stage, at.isoformat(), f"{value:.2f}", favourite, ages.get(household) or "")
    return rows


def read_triple(folder: Path, morning: date) -> dict[str, dict[str, Row]]:
    """The rows of `_added`, `_updated` and `_removed`, by household."""
    found = {}
    for change in ("added", "updated", "removed"):
        with (folder / f"{morning:%y-%m-%d}_lapsed_{change}.csv").open(encoding="utf-8", newline="") as lines:
            header, *rows = csv.reader(lines, delimiter=";")
        assert header == ["id", "stage", "last order", "lifetime value", "favourite department", "age"]
        assert len({row[0] for row in rows}) == len(rows)
        found[change] = {row[0]: tuple(row) for row in rows}
    return found


def test_difference_first_morning_adds_every_lapsed_household(deliveries: Path, lapsed: list[Mapping[str, Row]]) -> None:
    triple = read_triple(deliveries / "partners" / "win_back", MORNINGS[0])

    assert triple == {"added": lapsed[0], "updated": {}, "removed": {}}


@pytest.mark.parametrize("day", [1, 2])
def test_difference_later_mornings_hold_exactly_what_changed(deliveries: Path, lapsed: list[Mapping[str, Row]], day: int) -> None:
    triple = read_triple(deliveries / "partners" / "win_back", MORNINGS[day])
    before, after = lapsed[day - 1], lapsed[day]

    assert triple["added"] == {key: row for key, row in after.items() if key not in before}
    assert triple["updated"] == {key: row for key, row in after.items() if key in before and row != before[key]}
    assert triple["removed"] == {key: row for key, row in before.items() if key not in after}
    assert all(triple.values()), "a demo day on which nothing was added, updated or removed shows nothing"


def test_insert_over_three_mornings_sends_no_household_twice(deliveries: Path) -> None:
    sent: list[int] = []
    for morning in MORNINGS:
        with gzip.open(
            deliveries / "partners" / "mailing" / "2017" / f"thank_you_{morning:%m%d}.ndjson.gz", "rt", encoding="utf-8"
        ) as lines:
            rows = [json.loads(line, parse_float=Decimal) for line in lines]
        assert rows, f"nobody is thanked on {morning}"
        assert all(row["spent"] >= 4000 for row in rows)
        sent += [row["household"] for row in rows]

    assert len(sent) == len(set(sent))


def test_upsert_files_applied_in_order_give_every_customer(deliveries: Path, receipts: list[pa.Table]) -> None:
    copy: dict[int, Decimal] = {}
    sizes = []
    for morning in MORNINGS:
        text = (deliveries / "partners" / "crm" / f"customers_{morning:%Y%m%d}.json").read_text(encoding="utf-8")
        rows = json.loads(text, parse_float=Decimal)
        sizes.append(len(rows))
        copy |= {row["id"]: row["lifetimeValue"] for row in rows}

    sums = receipts[-1].group_by("household_id").aggregate([("cents", "sum")])
    assert copy == {row["household_id"]: Decimal(row["cents_sum"]) / 100 for row in sums.to_pylist()}
    assert max(sizes[1:]) < sizes[0] / 2


def test_snapshot_parts_hold_at_most_ten_thousand_products_each(deliveries: Path) -> None:
    parts = sorted((deliveries / "partners" / "marketplace").iterdir())

    counts = [len(etree.parse(part).getroot().findall("product")) for part in parts]

    assert [part.name for part in parts] == [f"products_{number}.xml" for number in range(1, len(parts) + 1)]
    assert counts[:-1] == [10_000] * (len(parts) - 1)
    assert 0 < counts[-1] <= 10_000


def test_parquet_upsert_third_morning_holds_the_second_day_alone(deliveries: Path) -> None:
    table = pq.read_table(deliveries / "lake" / "daily_sales" / "2017-11-24.parquet")

    assert set(table["sold_on"].to_pylist()) == {date(2017, 11, 23)}
    assert table.column_names == ["sold_on", "department", "orders", "units", "revenue", "discounts"]
