"""Ten days of a table that changes, delivered as differences and applied by the documented commands alone: equal each day."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
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
Apply = Callable[[Path], Prices]

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


def hold_ten_days(root: Path, consumer: str, apply: Apply) -> None:
    """Deliver ten days and apply each, the sixth one twice, the eighth one in full: the consumer's table is the source's, day by day."""
    make_project(root, RECIPES[consumer])
    changes = 0
    for day, prices in enumerate(histories()):
        write_prices(root, prices)
        sync_people(root, "prices", NOW + timedelta(days=day), full=day == 7)
        for _ in range(2 if day == 5 else 1):
            assert apply(root / "out") == prices, f"day {day + 1}"
        changes += len(prices)
    assert changes > 5000


def as_prices(found: list[dict[str, str | None]]) -> Prices:
    made = {}
    for each in found:
        price, day = each["price"], each["valid_from"]
        key = str(each["shop"]), str(each["sku"])
        assert key not in made
        made[key] = (price if price is None else Decimal(price), day if day is None else date.fromisoformat(day), each["note"])
    return made


def test_postgres_is_equal_each_day(tmp_path: Path, postgres_server: Server) -> None:
    code = RECIPES["PostgreSQL"].code("sql").replace("/data/", f"{postgres_server.data}/")

    def apply(folder: Path) -> Prices:
        postgres_server.take(folder)
        postgres_server.run(f"SET client_min_messages = warning;\n{code}")
        shown = "SELECT row_to_json(texts) FROM (SELECT shop, sku, price::text, valid_from::text, note FROM prices) AS texts"
        return as_prices(json_lines(postgres_server.run(shown)))

    hold_ten_days(tmp_path, "PostgreSQL", apply)


def test_mariadb_is_equal_each_day(tmp_path: Path, mariadb_server: Server) -> None:
    def apply(folder: Path) -> Prices:
        mariadb_server.run(RECIPES["MariaDB"].code("sql"), cwd=folder)
        columns = "'shop', shop, 'sku', sku, 'price', CAST(price AS CHAR), 'valid_from', CAST(valid_from AS CHAR), 'note', note"
        return as_prices(json_lines(mariadb_server.run(f"SELECT JSON_OBJECT({columns}) FROM prices")))

    hold_ten_days(tmp_path, "MariaDB", apply)


def test_sqlite_is_equal_each_day(tmp_path: Path) -> None:
    def apply(folder: Path) -> Prices:
        command = ["sqlite3", "-bail", str(tmp_path / "shop.db")]
        done = subprocess.run(command, input=RECIPES["SQLite"].code("sql"), cwd=folder, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        with sqlite3.connect(tmp_path / "shop.db") as connection:
            connection.row_factory = sqlite3.Row
            return as_prices([dict(found) for found in connection.execute("SELECT * FROM prices")])

    hold_ten_days(tmp_path, "SQLite", apply)


def test_clickhouse_is_equal_each_day(tmp_path: Path) -> None:
    shown = "SELECT shop, sku, toString(price) AS price, toString(valid_from) AS valid_from, note FROM prices;\n"

    def apply(folder: Path) -> Prices:
        shutil.copytree(folder, tmp_path / "work", dirs_exist_ok=True)
        (tmp_path / "recipe.sql").write_text(RECIPES["ClickHouse"].code("sql") + shown, encoding="utf-8")
        command = [str(PYTHON), str(ROOT / "dinmo_pipeline_tests" / "readers" / "clickhouse.py"), str(tmp_path / "db")]
        return as_prices(json_lines(run([*command, str(tmp_path / "recipe.sql")], tmp_path / "work")))

    hold_ten_days(tmp_path, "ClickHouse", apply)


def test_spark_is_equal_each_day(tmp_path: Path, spark_session: Spark) -> None:
    code = RECIPES["Spark"].code("python") + 'customers = spark.table("prices")\n'
    hold_ten_days(tmp_path, "Spark", lambda folder: as_prices(spark_session.rows(code, folder)))
