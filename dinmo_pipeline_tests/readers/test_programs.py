"""The readers that `scripts/ensure-readers` installs: databases, languages, Spark, a spreadsheet. `make test-readers` runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from . import programs
from .cells import differences
from .conftest import ONE_COLUMN
from .databases import mariadb_rows, postgres_rows
from .limits import REFUSED, limits_of
from .page import Recipe, whole_files
from .product import Files
from .programs import Rows
from .servers import Server, json_lines
from .table import ROWS, rows
from .test_libraries import LIBRARIES, library_rows

pytestmark = pytest.mark.readers

Load = Callable[[Recipe], Rows]

RECIPES: Final = {recipe.full_name: recipe for recipe in whole_files()}
XMLLINT: Final = RECIPES["xmllint, XML"]
# What the page warns of, or why a recipe has an option: the recipe with another text in place of one of its own, and what is wrong then.
WARNINGS: Final[list[tuple[str, str, str, str]]] = [
    ("DuckDB, CSV", "allow_quoted_nulls = false, ", "", "tier: None for ''"),
    ("PHP, CSV", ", '\"', ''", ", '\"'", "same number of elements"),
    ("MariaDB, CSV", " ESCAPED BY ''", "", "Warning"),
    ("Spark, CSV", "multiLine=True, ", "", "MALFORMED"),
    ("Spark, XML", "score string", "score double", 'Unparseable number: "INF"'),
    ("Spark, XML", "visits decimal(20,0)", "visits long", 'For input string: "9223372036854775808"'),
    ("R, CSV with data.table", "customers[,", "customers[0,", "name"),
    ("R, CSV with readr", '.default = "c", ', '.default = "c", score = "d", ', "score: None for 'inf'"),
    ("SQLite, JSON", "'customers.json'", "'missing.json'", "malformed JSON"),
]


@pytest.fixture
def load(files: Files, tmp_path: Path, request: pytest.FixtureRequest) -> Load:
    """Runs a recipe on its delivered files, whoever its consumer is: the rows that the consumer has then."""

    def loaded(recipe: Recipe) -> Rows:
        delivered = files.folder(recipe)
        if recipe.consumer == "PostgreSQL":
            return postgres_rows(request.getfixturevalue("postgres_server"), recipe, delivered)
        if recipe.consumer == "MariaDB":
            return mariadb_rows(request.getfixturevalue("mariadb_server"), recipe, delivered)
        if recipe.consumer == "Spark":
            found: Rows = request.getfixturevalue("spark_session").rows(recipe.code("python"), delivered)
            return found
        if recipe.consumer in LIBRARIES:
            request.getfixturevalue("monkeypatch").chdir(delivered)
            return library_rows(recipe)
        return programs.rows_of(recipe, delivered, tmp_path)

    return loaded


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.consumer not in LIBRARIES and recipe is not XMLLINT])
def test_program_has_every_value(name: str, load: Load) -> None:
    if name in REFUSED:
        with pytest.raises(AssertionError, match=REFUSED[name]):
            load(RECIPES[name])
        return
    wrong, compared = differences(rows(), load(RECIPES[name]), limits_of(RECIPES[name]))
    assert wrong == []
    assert compared == 4220


def test_xmllint_finds_every_row_valid(files: Files) -> None:
    assert int(programs.run(["sh", "-c", XMLLINT.code("sh")], files.folder(XMLLINT))) == ROWS


@pytest.mark.parametrize(("name", "text", "instead", "problem"), WARNINGS)
def test_what_the_page_warns_of_happens(name: str, text: str, instead: str, problem: str, load: Load) -> None:
    recipe = RECIPES[name]
    blocks = tuple((language, code.replace(text, instead)) for language, code in recipe.blocks)
    assert blocks != recipe.blocks

    try:
        seen = "\n".join(differences(rows(), load(replace(recipe, blocks=blocks)), limits_of(recipe))[0])
    except AssertionError as error:
        seen = str(error)
    assert problem in seen


def test_copy_of_psql_stops_where_the_page_says(files: Files, postgres_server: Server) -> None:
    recipe = RECIPES["PostgreSQL, CSV"]
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
