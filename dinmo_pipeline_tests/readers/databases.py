"""Recipes in SQL, run by each database, and the table `customers` that they made, as texts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .page import Recipe
from .servers import Server, json_lines
from .table import COLUMNS

Rows = list[dict[str, str | None]]

_POSTGRES: Final = f"""SET timezone = 'UTC'; SET intervalstyle = iso_8601; SET datestyle = ISO;
SELECT row_to_json(texts) FROM (SELECT {", ".join(f"{name}::text" for name in COLUMNS if name != "photo")},
  PHOTO FROM customers) AS texts;"""


def postgres_rows(server: Server, recipe: Recipe, folder: Path) -> Rows:
    """What PostgreSQL has after the recipe."""
    server.take(folder)
    server.run(
        f"SET client_min_messages = warning; DROP TABLE IF EXISTS customers;\n{recipe.code('sql').replace('/data/', f'{server.data}/')}"
    )
    photo = "encode(photo, 'base64') AS photo" if "TYPE bytea" in recipe.code("sql") else "photo"
    return json_lines(server.run(_POSTGRES.replace("PHOTO", photo)))


def mariadb_rows(server: Server, recipe: Recipe, folder: Path) -> Rows:
    """What MariaDB has after the recipe."""
    server.run("DROP TABLE IF EXISTS customers")
    warnings = server.run(recipe.code("sql"), cwd=folder)
    assert warnings == "", warnings
    columns = ", ".join(f"'{name}', {'TO_BASE64(photo)' if name == 'photo' else f'CAST({name} AS CHAR)'}" for name in COLUMNS)
    return json_lines(server.run(f"SELECT JSON_OBJECT({columns}) FROM customers"))
