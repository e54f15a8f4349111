"""The readers that the tests' own environment has: Python, DuckDB, polars, PyArrow. `test_programs.py` has all others."""

from __future__ import annotations

import duckdb
import pytest

from . import dump
from .cells import differences
from .limits import LIMITS
from .page import Recipe, recipes
from .product import Files
from .table import rows

LIBRARIES = ("Python", "DuckDB", "polars", "PyArrow")


def in_duckdb(code: str) -> list[dict[str, str | None]]:
    """The rows of `customers` after the statements, each value as text."""
    with duckdb.connect() as connection:
        connection.execute(code)
        return dump.run("", customers=connection.sql("FROM customers"))


@pytest.mark.parametrize("recipe", [recipe for recipe in recipes() if recipe.consumer in LIBRARIES], ids=lambda recipe: recipe.name)
def test_library_has_every_value(recipe: Recipe, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files.folder(recipe))
    found = in_duckdb(recipe.code("sql")) if recipe.consumer == "DuckDB" else dump.run(recipe.code("python"))
    wrong, compared = differences(rows(), found, LIMITS.get(recipe.name, ()))

    assert wrong == []
    assert compared == 4220
