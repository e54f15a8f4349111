"""The readers that the tests' own environment has: Python, DuckDB, polars, PyArrow. `test_programs.py` has all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from . import dump
from .cells import differences
from .limits import limits_of
from .page import Recipe, whole_files
from .product import Files
from .programs import Rows
from .table import rows

LIBRARIES = ("Python", "DuckDB", "polars", "PyArrow")


def library_rows(recipe: Recipe) -> Rows:
    """The rows of `customers` after the recipe, run in this process and the current folder, each value as text."""
    if recipe.consumer != "DuckDB":
        return dump.run(recipe.code("python"))
    with duckdb.connect() as connection:
        connection.execute(recipe.code("sql"))
        return dump.run("", customers=connection.sql("FROM customers"))


def tried() -> Iterator[Any]:
    """The recipes of these libraries; `make test` leaves their variants to `make test-readers`."""
    for recipe in whole_files():
        if recipe.consumer in LIBRARIES:
            yield pytest.param(recipe, id=recipe.full_name, marks=[pytest.mark.readers] if recipe.variant else [])


@pytest.mark.parametrize("recipe", list(tried()))
def test_library_has_every_value(recipe: Recipe, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files.folder(recipe))
    wrong, compared = differences(rows(), library_rows(recipe), limits_of(recipe))

    assert wrong == []
    assert compared == 4220
