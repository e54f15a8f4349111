"""Runs a recipe in Python and shows the table `customers` that it made as texts; imports nothing that a reader's environment may lack."""

from __future__ import annotations

import base64
import json
import sys
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID


def run(code: str, **given: Any) -> list[dict[str, str | None]]:
    """The rows of `customers` after the code has run, each value as text."""
    names: dict[str, Any] = {"__name__": "recipe", **given}
    exec(compile(code, "recipe", "exec"), names)
    return [{name: text(value) for name, value in row.items()} for row in records(names["customers"])]


def records(table: Any) -> list[dict[str, Any]]:
    """The rows of a table of any of these libraries."""
    if isinstance(table, list):
        return table
    if hasattr(table, "to_pylist"):
        return list(table.to_pylist())
    if hasattr(table, "to_dicts"):
        return list(table.to_dicts())
    if hasattr(table, "fetchall"):
        return [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]
    if hasattr(table, "collect"):
        return [row.asDict(recursive=True) for row in table.collect()]
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*(_column(table[name]) for name in table), strict=True)]


def _column(series: Any) -> list[Any]:
    """The values of a column of pandas, whose own nulls and instants are made Python's."""
    absent = series.isna()
    return [None if gone else getattr(value, "isoformat", lambda value=value: value)() for value, gone in zip(series, absent, strict=True)]


def text(value: Any) -> str | None:
    """A value as text: as Python writes it, JSON for nested ones, base64 for bytes."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (int, Decimal, UUID)):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value.tolist() if hasattr(value, "tolist") else value, default=text)


def main() -> None:
    """Run the recipes that standard input names, a file of code a line, and print a line of JSON of each: its rows, or Spark's error.

    The argument `spark` gives them a session of Spark, which goes on after an error.
    """
    given, errors = _spark() if "spark" in sys.argv else ({}, ())
    for line in sys.stdin:
        try:
            answer: Any = run(Path(line.strip()).read_text(encoding="utf-8"), **given)
        except errors as error:
            answer = str(error)
        print(json.dumps(answer), flush=True)


def answered(line: str) -> list[dict[str, str | None]]:
    """The rows of an answer; an assertion fails where it is an error."""
    answer = json.loads(line)
    assert isinstance(answer, list), answer
    return answer


def _spark() -> tuple[dict[str, Any], tuple[type[Exception], ...]]:
    """A session of Spark on this machine alone, as `pyspark` opens one, and what it raises."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    settings = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false"}
    settings |= {"spark.sql.session.timeZone": "UTC", "spark.sql.shuffle.partitions": "1", "spark.log.level": "ERROR"}
    session = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
    return {"spark": session}, (Py4JError, PySparkException)


if __name__ == "__main__":
    main()
