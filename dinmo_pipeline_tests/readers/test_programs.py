"""The readers that `scripts/ensure-readers` installs: databases, languages, Spark, a spreadsheet. `make test-readers` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import programs
from .cells import differences
from .databases import mariadb_rows, postgres_rows
from .limits import LIMITS
from .page import DIFFERENCES, Recipe, recipes
from .product import Files
from .programs import Rows
from .servers import Server
from .spark import Spark
from .table import ROWS, rows
from .test_libraries import LIBRARIES

pytestmark = pytest.mark.readers


def recipes_of(*consumers: str) -> pytest.MarkDecorator:
    """The test for each recipe of these consumers that loads a whole file."""
    found = [recipe for recipe in recipes() if recipe.consumer in consumers and recipe.form != DIFFERENCES]
    return pytest.mark.parametrize("recipe", found, ids=lambda recipe: recipe.name)


def hold(recipe: Recipe, found: Rows) -> None:
    """Every value is what was sent, or the reader's own limit."""
    wrong, compared = differences(rows(), found, LIMITS.get(recipe.name, ()))
    assert wrong == []
    assert compared == 4220


@recipes_of(*programs.CONSUMERS)
def test_program_has_every_value(recipe: Recipe, files: Files, tmp_path: Path) -> None:
    hold(recipe, programs.rows_of(recipe, files.folder(recipe), tmp_path))


@recipes_of("PostgreSQL")
def test_postgres_has_every_value(recipe: Recipe, files: Files, postgres_server: Server) -> None:
    hold(recipe, postgres_rows(postgres_server, recipe, files.folder(recipe)))


@recipes_of("MariaDB")
def test_mariadb_has_every_value(recipe: Recipe, files: Files, mariadb_server: Server) -> None:
    hold(recipe, mariadb_rows(mariadb_server, recipe, files.folder(recipe)))


@recipes_of("Spark")
def test_spark_has_every_value(recipe: Recipe, files: Files, spark_session: Spark) -> None:
    hold(recipe, spark_session.rows(recipe.code("python"), files.folder(recipe)))


@recipes_of("xmllint")
def test_xmllint_counts_every_row(recipe: Recipe, files: Files) -> None:
    assert int(programs.run(["sh", "-c", recipe.code("sh")], files.folder(recipe))) == ROWS


def test_copy_of_psql_stops_where_the_page_says(files: Files, postgres_server: Server) -> None:
    recipe = next(recipe for recipe in recipes() if recipe.name == "PostgreSQL, CSV")
    table = recipe.code("sql").partition("COPY")[0]
    copy = f"\\copy customers FROM '{files.folder(recipe) / 'customers.csv'}' (FORMAT csv, HEADER MATCH)"
    problem = postgres_server.refused(f"SET client_min_messages = warning; DROP TABLE IF EXISTS customers;\n{table}\n{copy}\n")
    assert "unterminated CSV quoted field" in problem


def test_warnings_of_mariadb_would_be_seen(mariadb_server: Server) -> None:
    shown = mariadb_server.run("CREATE TEMPORARY TABLE numbers (number int); INSERT IGNORE INTO numbers VALUES ('text')")
    assert "Warning (Code 1366)" in shown


def test_every_recipe_is_tried() -> None:
    tried = {*LIBRARIES, *programs.CONSUMERS, "PostgreSQL", "MariaDB", "Spark", "xmllint"}
    assert {recipe.consumer for recipe in recipes()} == tried
    assert set(LIMITS) <= {recipe.name for recipe in recipes()}
