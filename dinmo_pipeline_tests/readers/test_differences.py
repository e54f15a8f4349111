"""Ten days of a table that changes, delivered as differences and applied by the documented commands alone: equal each day."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from dinmo_pipeline_tests.people import sync_people

from .page import DIFFERENCES, Recipe, activations, recipes
from .product import NOW
from .programs import PYTHON, ROOT, run
from .servers import Server, json_lines
from .spark import Spark
from .table import TEXTS

pytestmark = pytest.mark.readers

Key = tuple[str, str]
Row = tuple[Decimal | None, date | None, str | None]
Prices = dict[Key, Row]

DAYS: Final = 10
SHORT: Final = [text for text in TEXTS if len(text) <= 60]
RECIPES: Final = {recipe.consumer: recipe for recipe in recipes() if recipe.form == DIFFERENCES}


def histories() -> list[Prices]:
    """The table on each day: keys come, change, leave and come back; keys and notes are nasty texts, values may be null."""
    chance = random.Random(20)
    keys = [(shop, sku) for shop in ("", "a", "A", "a ", " a", "NULL", "\\N", "é", "e\u0301", "ß") for sku in SHORT]
    found: list[Prices] = []
    prices: Prices = {}
    for day in range(DAYS):
        if day == 6:
            # A day on which nothing happens.
            found.append(dict(prices))
            continue
        left = chance.sample(sorted(prices), min(len(prices) // 5, 150))
        for key in left:
            del prices[key]
        for key in chance.sample(sorted(prices), min(len(prices) // 4, 150)):
            prices[key] = row(chance)
        for key in chance.sample([key for key in keys if key not in left], 250):
            # One that is there changes, one that left on an earlier day comes back.
            prices[key] = row(chance)
        found.append(dict(prices))
    return found


def row(chance: random.Random) -> Row:
    price = chance.choice([None, Decimal(chance.randrange(-(10**17), 10**17)).scaleb(-4)])
    return price, chance.choice([None, date(1900, 1, 1) + timedelta(days=chance.randrange(100_000))]), chance.choice([*SHORT, None])


def write_prices(root: Path, prices: Prices) -> None:
    """Put the rows into the file that the model reads, in an order of no meaning."""
    columns = [*zip(*((*key, *values) for key, values in sorted(prices.items(), key=lambda item: str(item[1][0]))), strict=True)]
    types = [pa.string(), pa.string(), pa.decimal128(18, 4), pa.date32(), pa.string()]
    names = ["shop", "sku", "price", "valid_from", "note"]
    pq.write_table(
        pa.table([pa.array(values, kind) for values, kind in zip(columns, types, strict=True)], names=names), root / "prices.parquet"
    )


def make_project(root: Path, recipe: Recipe) -> None:
    (root / "defs").mkdir()
    (root / "pyproject.toml").write_text("[tool.dinmo]\n", encoding="utf-8")
    documents = [
        {"type": "dinmo_pipeline.LocalFolder", "attributes": {"name": "out", "path": "out"}},
        {
            "type": "dinmo_pipeline.Model",
            "attributes": {"name": "prices", "primary_key": ["shop", "sku"], "sql": "FROM 'prices.parquet'"},
        },
        {"type": "dinmo_pipeline.Activation", "attributes": {**activations()["prices"], **recipe.settings}},
    ]
    (root / "defs" / "defs.yaml").write_text(yaml.safe_dump_all(documents), encoding="utf-8")


@dataclass(frozen=True)
class Consumer:
    """Who applies deliveries, and shows its table; an assertion fails when it refuses one."""

    name: str
    apply: Callable[[Path], object]
    prices: Callable[[], Prices]


def hold_ten_days(root: Path, consumer: Consumer) -> None:
    """Deliver ten days and apply each: the consumer's table is the source's, day by day.

    On the fourth one file or another is missing at first, the sixth one comes twice, the eighth one is in full.
    """
    make_project(root, RECIPES[consumer.name])
    before: Prices = {}
    for day, prices in enumerate(histories()):
        write_prices(root, prices)
        sync_people(root, "prices", NOW + timedelta(days=day), full=day == 7)
        for part in ("removed", "updated", "added") if day == 3 else ():
            shutil.copytree(root / "out", root / part, ignore=shutil.ignore_patterns(f"prices_{part}.*"))
            with pytest.raises(AssertionError):
                consumer.apply(root / part)
            assert consumer.prices() == before, f"without {part}"
        for _ in range(2 if day == 5 else 1):
            consumer.apply(root / "out")
            assert consumer.prices() == prices, f"day {day + 1}"
        before = prices
    assert len(before) > 500


def as_prices(found: list[dict[str, str | None]]) -> Prices:
    """The rows as the source has them."""
    made = {}
    for each in found:
        price, day = each["price"], each["valid_from"]
        key = str(each["shop"]), str(each["sku"])
        assert key not in made
        made[key] = (price if price is None else Decimal(price), day if day is None else date.fromisoformat(day), each["note"])
    return made


def test_postgres_is_equal_each_day(tmp_path: Path, postgres_server: Server) -> None:
    code = RECIPES["PostgreSQL"].code("sql").replace("/data/", f"{postgres_server.data}/")
    shown = "SELECT row_to_json(texts) FROM (SELECT shop, sku, price::text, valid_from::text, note FROM prices) AS texts"

    def apply(folder: Path) -> None:
        postgres_server.take(folder)
        postgres_server.run(f"SET client_min_messages = warning;\n{code}")

    hold_ten_days(tmp_path, Consumer("PostgreSQL", apply, lambda: as_prices(json_lines(postgres_server.run(shown)))))


def test_mariadb_is_equal_each_day(tmp_path: Path, mariadb_server: Server) -> None:
    columns = "'shop', shop, 'sku', sku, 'price', CAST(price AS CHAR), 'valid_from', CAST(valid_from AS CHAR), 'note', note"
    shown = f"SELECT JSON_OBJECT({columns}) FROM prices"

    def apply(folder: Path) -> None:
        mariadb_server.run(RECIPES["MariaDB"].code("sql"), cwd=folder)

    hold_ten_days(tmp_path, Consumer("MariaDB", apply, lambda: as_prices(json_lines(mariadb_server.run(shown)))))


def test_sqlite_is_equal_each_day(tmp_path: Path) -> None:
    def apply(folder: Path) -> None:
        command = ["sqlite3", "-bail", str(tmp_path / "shop.db")]
        done = subprocess.run(command, input=RECIPES["SQLite"].code("sql"), cwd=folder, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    def prices() -> Prices:
        with sqlite3.connect(tmp_path / "shop.db") as connection:
            connection.row_factory = sqlite3.Row
            return as_prices([dict(found) for found in connection.execute("SELECT * FROM prices")])

    hold_ten_days(tmp_path, Consumer("SQLite", apply, prices))


def test_clickhouse_is_equal_each_day(tmp_path: Path) -> None:
    shown = "SELECT shop, sku, toString(price) AS price, toString(valid_from) AS valid_from, note FROM prices;\n"

    def query(code: str, folder: Path) -> str:
        (tmp_path / "recipe.sql").write_text(code, encoding="utf-8")
        command = [str(PYTHON), str(ROOT / "dinmo_pipeline_tests" / "readers" / "clickhouse.py"), str(tmp_path / "db")]
        return run([*command, str(tmp_path / "recipe.sql")], folder)

    def apply(folder: Path) -> None:
        query(RECIPES["ClickHouse"].code("sql"), folder)

    hold_ten_days(tmp_path, Consumer("ClickHouse", apply, lambda: as_prices(json_lines(query(shown, tmp_path)))))


def test_spark_is_equal_each_day(tmp_path: Path, spark_session: Spark) -> None:
    nothing, shown = "customers = []\n", 'customers = spark.table("prices")\n'

    def apply(folder: Path) -> None:
        spark_session.rows(RECIPES["Spark"].code("python") + nothing, folder)

    hold_ten_days(tmp_path, Consumer("Spark", apply, lambda: as_prices(spark_session.rows(shown, tmp_path / "out"))))
