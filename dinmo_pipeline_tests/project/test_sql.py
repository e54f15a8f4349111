"""Queries: the tables they read, what is no query, and conditions that cannot leave their parentheses."""

from __future__ import annotations

import duckdb
import pytest

from dinmo_pipeline.errors import CallError
from dinmo_pipeline.project.checks.sql import Reference, bare_condition, read_queries, segment_query, table_refs
from dinmo_pipeline.project.table_refs import TableRef


def refs(*names: str) -> tuple[TableRef, ...]:
    return tuple(TableRef(*name.split(".")) for name in names)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM models.x", refs("models.x")),
        ("FROM models.x", refs("models.x")),
        ("TABLE models.x", refs("models.x")),
        ("SELECT * FROM models.x JOIN segments.y USING (a)", refs("models.x", "segments.y")),
        ("SELECT * FROM models.x, models.y", refs("models.x", "models.y")),
        ("SELECT * FROM models.b UNION ALL FROM models.a", refs("models.a", "models.b")),
        ('SELECT * FROM "Models"."X" a JOIN MODELS.x b USING (id)', refs("models.x")),
        ("WITH x AS (FROM models.y) FROM x", refs("models.y")),
        ("WITH RECURSIVE r AS (SELECT 1 a UNION ALL SELECT a + 1 FROM r, models.stop) FROM r", refs("models.stop")),
        ("WITH models AS (SELECT 1 AS x) SELECT models.x FROM models", refs()),
        ("SELECT (SELECT max(a) FROM models.q) FROM segments.w", refs("models.q", "segments.w")),
        ("SELECT 1 WHERE EXISTS (FROM segments.y)", refs("segments.y")),
        (
            "SELECT * FROM models.x ORDER BY (SELECT 1 FROM models.o) LIMIT (SELECT 1 FROM models.l)",
            refs("models.l", "models.o", "models.x"),
        ),
        ("SELECT 'FROM models.x' -- FROM models.y\n /* models.z */", refs()),
        ("SELECT models.a FROM t AS models", refs()),
        ("SELECT * FROM other.models.x", refs()),
        ("SELECT * FROM 'models.parquet'", refs()),
        ("SELECT * FROM read_parquet('models.x')", refs()),
        ("SELECT * FROM models.x, LATERAL (SELECT * FROM segments.y WHERE y.a = x.a)", refs("models.x", "segments.y")),
        ("FROM models.x ASOF JOIN models.y USING (k)", refs("models.x", "models.y")),
        ("PIVOT models.x ON a USING sum(b)", refs("models.x")),
        ("FROM (PIVOT models.x ON a IN (1, 2) USING sum(b))", refs("models.x")),
        ("UNPIVOT models.x ON a, b", refs("models.x")),
        ("SUMMARIZE models.x", refs("models.x")),
        ("SELECT list_transform(l, lambda v: v + 1), total: 1 FROM models.x GROUP BY ALL", refs("models.x")),
        ("SELECT * FROM models.x QUALIFY row_number() OVER (ORDER BY a) = 1", refs("models.x")),
        ("SELECT * FROM models.x TABLESAMPLE 10%", refs("models.x")),
        ("VALUES (1), (2)", refs()),
    ],
)
def test_table_refs_finds_the_models_and_segments_and_nothing_else(sql: str, expected: tuple[TableRef, ...]) -> None:
    assert table_refs(sql) == expected


def test_references_know_their_line_behind_characters_of_several_bytes() -> None:
    sql = "SELECT 'é€𝄞'\nFROM models.x\n-- é\nJOIN\n  segments.y USING (a)"
    assert read_queries([sql])[sql].references == (
        Reference(TableRef("models", "x"), 2),
        Reference(TableRef("segments", "y"), 5),
    )


@pytest.mark.parametrize(
    ("sql", "line", "words"),
    [
        ("SELECT *\nFROM models.x\nWHER a = 1", 3, "syntax error"),
        ("SELECT", 1, "SELECT clause without selection list"),
        ("", 1, "it holds no query"),
        ("-- nothing", 1, "it holds no query"),
        ("SELECT 1; SELECT 2", 1, "it holds 2 statements"),
        ("INSERT INTO models.x VALUES (1)", 1, "it is a INSERT statement"),
        ("CREATE TABLE t AS SELECT 1", 1, "it is a CREATE statement"),
        ("WITH a AS (DELETE FROM models.x RETURNING *) FROM a", 1, "it writes"),
        ("WITH a AS (COPY (SELECT 1) TO 'x.csv') FROM a", 1, "it writes"),
        ("SELECT ?", 1, "it has a parameter"),
        ("SELECT 'unterminated", 1, "unterminated"),
    ],
)
def test_what_is_no_single_query_is_told_with_its_line(sql: str, line: int, words: str) -> None:
    query = read_queries([sql])[sql]
    assert query.problem is not None
    assert words in query.problem
    assert query.problem_line == line
    assert query.references == ()
    with pytest.raises(CallError, match="cannot read the query"):
        table_refs(sql)


@pytest.mark.parametrize("sql", ["SELECT ';' AS a; -- end", "SELECT 1 ;\n;", "SELECT 'é' || ';' ;", "SELECT 1 -- no end", "FROM range(2)"])
def test_query_text_stands_between_parentheses_after_reading(sql: str) -> None:
    text = read_queries([sql])[sql].sql
    with duckdb.connect() as connection:
        whole = connection.execute(sql).fetchall()
        assert connection.execute(f"SELECT * FROM (\n{text}\n)").fetchall() == whole


@pytest.mark.parametrize(
    "where",
    [
        "a) OR (b",
        "a, b",
        "a FROM t",
        "1; DROP TABLE x",
        "a GROUP BY b",
        "a UNION SELECT b",
        "a ORDER BY 1",
        "a;",
        "",
        "a /*",
        "a --\n) OR (1",
    ],
)
def test_condition_that_leaves_its_parentheses_does_not_parse(where: str) -> None:
    texts = [bare_condition(where), segment_query("m", where)]
    assert any(query.problem is not None for query in read_queries(texts).values())


@pytest.mark.parametrize(
    "where", ["a = 1", "a = 1 -- note", "(a) OR (b)", "a IN (FROM segments.y)", "a = ')' /* ( */", "CASE WHEN a THEN b END"]
)
def test_condition_parses_when_it_is_one(where: str) -> None:
    texts = [bare_condition(where), segment_query("m", where)]
    assert all(query.problem is None for query in read_queries(texts).values())


def test_segment_query_keeps_the_rows_of_the_condition() -> None:
    with duckdb.connect() as connection:
        connection.execute('CREATE SCHEMA models; CREATE TABLE models."m" AS SELECT range AS a FROM range(10)')
        rows = connection.execute(segment_query("m", "a > 3 AND a < 6 -- two of them")).fetchall()
    assert rows == [(4,), (5,)]
