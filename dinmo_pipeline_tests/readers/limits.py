"""What readers make of values that they cannot hold, by recipe.

Each is seen by the tests, so that a reader that gets better is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from .cells import Limit
from .page import Recipe
from .table import COLUMNS

NULLABLE: Final = COLUMNS[1:]


def empty_for_null(columns: Iterable[str] = NULLABLE) -> list[Limit]:
    """The reader tells no null from an empty text: all are empty texts."""
    return [Limit(name, "null is the empty text", lambda value: "" if value is None else value) for name in columns]


def null_for_empty(*columns: str) -> list[Limit]:
    """The reader tells no null from an empty text: all are null."""
    return [Limit(name, "the empty text is null", lambda value: None if value in ("", b"") else value) for name in columns]


def plain_list(value: Any) -> Any:
    """A list of XML without a schema: one of no items is an empty element."""
    return "" if value == [] else value


def plain_struct(value: Any) -> Any:
    """A struct of XML: a null member is no element, and one that has none is empty."""
    return value if value is None else {name: member for name, member in value.items() if member is not None} or ""


def plain_map(value: Any) -> Any:
    """A map of XML without a schema: its values are texts."""
    return value if value is None else {key: None if number is None else str(number) for key, number in value.items()} or ""


def limit(column: str, reason: str, instead: Callable[[Any], Any]) -> Limit:
    return Limit(column, reason, instead)


def no_negative_zero(value: Any) -> Any:
    return "0.0" if value == "-0.0" else value


def finite(value: Any) -> Any:
    return None if value in ("nan", "inf", "-inf") else no_negative_zero(value)


def cell(value: Any) -> Any:
    """The text of a spreadsheet's cell: no tabs, one kind of line ending, and so long at most."""
    return "" if value is None else value[:65535].replace("\r\n", "\n").replace("\r", "\n").replace("\t", "")


LIMITS: Final[dict[str, list[Limit]]] = {
    "Python, CSV": empty_for_null(),
    "pandas, CSV": [*empty_for_null(["name", "zip", "tier"]), *null_for_empty("photo")],
    "PHP, CSV": empty_for_null(),
    "R, CSV with readr": null_for_empty("name", "zip", "tier", "photo"),
    "MariaDB, CSV": [limit("score", "NaN, the infinities and -0.0 are none of its numbers", finite)],
    "SQLite, CSV": [
        *empty_for_null(name for name in NULLABLE if name != "score"),
        limit("score", "-0.0 is 0.0, null an empty text", lambda value: "" if value is None else no_negative_zero(value)),
    ],
    "SQLite, JSON": [limit("score", "-0.0 is 0.0", no_negative_zero)],
    "Spark, CSV": [
        limit(name, "a text that is the null text is null, though it is quoted", lambda value: None if value == "\\N" else value)
        for name in ("name", "zip")
    ],
    "Spark, CSV, line_ending '\\r\\n'": [
        limit("zip", "a text that is the null text is null, though it is quoted", lambda value: None if value == "\\N" else value),
        limit("name", "the same, and CR LF is LF", lambda value: None if value in (None, "\\N") else value.replace("\r\n", "\n")),
    ],
    "Spark, XML": [
        limit("tags", "an empty list is null, a null item an empty text", lambda value: [item or "" for item in value] if value else None),
        limit("quotas", "an empty map is null", lambda value: value or None),
    ],
    "ClickHouse, Parquet": [
        limit("tags", "a null list is an empty one", lambda value: value or []),
        limit("address", "a null tuple is one of nulls", lambda value: value or {"city": None, "zip": None}),
        limit("quotas", "a null map is an empty one", lambda value: value or {}),
    ],
    "LibreOffice, CSV": [
        *empty_for_null(name for name in NULLABLE if name != "name"),
        limit("name", "null is the empty text, a tab is left out, CR is LF", cell),
    ],
    "Python, XML": [
        limit("tags", "an empty list is an empty text", plain_list),
        limit("address", "a null member is left out", plain_struct),
        limit("quotas", "numbers are texts", plain_map),
    ],
}

# What a reader refuses by the same commands, and what it says then.
REFUSED: Final = {
    "ClickHouse, CSV, quoting all": "CANNOT_PARSE_BOOL",
    "MariaDB, CSV, line_ending '\\r\\n'": "Warning",
    "Spark, Parquet, compression brotli": "(?i)brotli",
}


def limits_of(recipe: Recipe) -> list[Limit]:
    """The limits of a recipe: those of its variant where it has some."""
    return LIMITS.get(recipe.full_name, LIMITS.get(recipe.name, []))
