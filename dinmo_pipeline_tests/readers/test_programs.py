"""The readers that `scripts/ensure-readers` installs: databases, languages, Spark, a spreadsheet. `make test-readers` runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from . import programs
from .cells import differences
from .conftest import ONE_COLUMN
from .databases import mariadb_rows, postgres_rows
from .limits import REFUSED, limits_of
from .page import Recipe, recipes, whole_files
from .product import Files
from .programs import Rows
from .servers import Server, json_lines
from .spark import Spark
from .table import ROWS, rows

pytestmark = pytest.mark.readers


def recipes_of(*consumers: str) -> pytest.MarkDecorator:
    """The test for each recipe of these consumers that loads a whole file."""
    found = [recipe for recipe in whole_files() if recipe.consumer in consumers]
    return pytest.mark.parametrize("recipe", found, ids=lambda recipe: recipe.full_name)


def hold(recipe: Recipe, load: Callable[[], Rows]) -> None:
    """Every value is what was sent, or the reader's own limit; or the reader refuses the file, and says why."""
    if recipe.full_name in REFUSED:
        with pytest.raises(AssertionError, match=REFUSED[recipe.full_name]):
            load()
        return
    wrong, compared = differences(rows(), load(), limits_of(recipe))
    assert wrong == []
    assert compared == 4220


@recipes_of(*programs.PROGRAMS)
def test_program_has_every_value(recipe: Recipe, files: Files, tmp_path: Path) -> None:
    hold(recipe, lambda: programs.rows_of(recipe, files.folder(recipe), tmp_path))


@recipes_of("PostgreSQL")
def test_postgres_has_every_value(recipe: Recipe, files: Files, postgres_server: Server) -> None:
    hold(recipe, lambda: postgres_rows(postgres_server, recipe, files.folder(recipe)))


@recipes_of("MariaDB")
def test_mariadb_has_every_value(recipe: Recipe, files: Files, mariadb_server: Server) -> None:
    hold(recipe, lambda: mariadb_rows(mariadb_server, recipe, files.folder(recipe)))


@recipes_of("Spark")
def test_spark_has_every_value(recipe: Recipe, files: Files, spark_session: Spark) -> None:
    hold(recipe, lambda: spark_session.rows(recipe.code("python"), files.folder(recipe)))


@recipes_of("xmllint")
def test_xmllint_counts_every_row(recipe: Recipe, files: Files) -> None:
    assert int(programs.run(["sh", "-c", recipe.code("sh")], files.folder(recipe))) == ROWS


def test_copy_of_psql_stops_where_the_page_says(files: Files, postgres_server: Server) -> None:
    recipe = next(recipe for recipe in recipes() if recipe.name == "PostgreSQL, CSV")
    table = recipe.code("sql").partition("COPY")[0]
    copy = f"\\copy customers FROM '{files.folder(recipe) / 'customers.csv'}' (FORMAT csv, HEADER MATCH)"
    problem = postgres_server.refused(f"SET client_min_messages = warning; DROP TABLE IF EXISTS customers;\n{table}\n{copy}\n")
    assert "unterminated CSV quoted field" in problem


def test_postgres_has_every_text_of_a_file_of_one_column(files: Files, postgres_server: Server) -> None:
    postgres_server.take(files.folder(ONE_COLUMN))
    copy = f"CREATE TEMP TABLE texts (name text); COPY texts FROM '{postgres_server.data}/customers.csv' (FORMAT csv, HEADER MATCH);"
    found = json_lines(postgres_server.run(f"{copy} SELECT row_to_json(texts) FROM texts"))
    assert [row["name"] for row in found] == [row["name"] for row in rows()]


def test_warnings_of_mariadb_would_be_seen(mariadb_server: Server) -> None:
    shown = mariadb_server.run("CREATE TEMPORARY TABLE numbers (number int); INSERT IGNORE INTO numbers VALUES ('text')")
    assert "Warning (Code 1366)" in shown
