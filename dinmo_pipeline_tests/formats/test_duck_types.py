"""A type's text is a type and nothing else, as DuckDB prints it."""

from __future__ import annotations

import duckdb
import pytest

from dinmo_pipeline.sql.types import is_type

TABLE = """
CREATE TYPE mood AS ENUM ('a''b', 'c)', '--');
CREATE TABLE t (
    a STRUCT(größe INTEGER, "A b" INT[3][], "x""y)" DECIMAL(38, 4)), b mood, c VARCHAR COLLATE NOCASE, d JSON,
    e UNION("日" INT, s VARCHAR), f MAP(VARCHAR, TIMESTAMP WITH TIME ZONE[]), g TIME_NS, h BIGNUM, i STRUCT("select" INT, "1" BIT)
)
"""


def test_whatever_duckdb_calls_a_column_is_a_type() -> None:
    with duckdb.connect() as connection:
        connection.execute(TABLE)
        found = [row[1] for row in connection.execute("DESCRIBE t").fetchall()]
        found += [
            name
            for (name,) in connection.execute(
                "SELECT type_name FROM duckdb_types() UNION SELECT logical_type FROM duckdb_types()"
            ).fetchall()
        ]
    assert len(found) > 50
    assert [text for text in found if not is_type(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "INTEGER)",
        "INTEGER; DROP TABLE t",
        "INTEGER, INTEGER",
        "VARCHAR) FROM read_text('/etc/passwd') --",
        "VARCHAR /*((*/ ) || ((SELECT content FROM read_text('x') /*))*/ )",
        "DECIMAL(read_text('x'))",
        "DECIMAL(1,2",
        "INT(SELECT a)",
        "STRUCT(a (SELECT 1))",
        "STRUCT()",
        "STRUCT(a INTEGER) UNION SELECT (1)",
        "INTEGER -- ",
        "ENUM('a' || 'b')",
        'STRUCT("a INTEGER)',
    ],
)
def test_whatever_else_is_none(text: str) -> None:
    assert not is_type(text)
