"""What DuckDB says of a query, in words for its author: where, what, and what he can do here."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dinmo_pipeline.engines.duckdb.queries.query_errors import query_problem

CASES = {
    "unknown column": ("SELECT id,\n  nme\nFROM people", 2, "there is no column nme; did you mean 'name'?"),
    "unknown column of a table": ("SELECT p.nme FROM people p", 1, "p has no column nme; did you mean 'name'?"),
    "unknown alias": ("SELECT poeple.id FROM people", 1, "nothing in the query is called poeple; did you mean 'people'?"),
    "unknown function": ("SELECT lowerr(name) FROM people", 1, "there is no function lowerr; did you mean 'lower'?"),
    "function like none": ("SELECT qqqq(name) FROM people", 1, "there is no function qqqq"),
    "unknown table": ("SELECT 1\nFROM poeple", 2, "there is no table poeple; did you mean 'people'?"),
    "extension": ("FROM st_read('x')", 1, "the function st_read is of DuckDB's extension spatial, which is not installed here"),
    "missing file": ("FROM 'nope.parquet'", 1, "there is no file nope.parquet; paths start at the project's folder"),
    "division": (
        "SELECT id // zero FROM people",
        1,
        "division by zero in (id // zero); write nullif(…, 0) around what divides, or TRY(…) around all of it",
    ),
    "cast": (
        "SELECT\nCAST(name AS INT) FROM people WHERE name ~ '^A'",
        2,
        "Could not convert string 'Ana' to INT32 when casting from source column name, at `CAST(name AS INT)`",
    ),
    "types of a function": (
        "SELECT sum(name) FROM people",
        1,
        "No function matches the given name and argument types 'sum(VARCHAR)'. You might need to add explicit type casts, at `sum(name)`",
    ),
    "setting of DuckDB": (
        "SELECT (SELECT range FROM range(3))",
        1,
        "More than one row returned by a subquery used as an expression - scalar subqueries can only return a single row",
    ),
    "memory": (
        "SELECT list(range) FROM range(100_000_000)",
        1,
        "it needs more memory than memory_limit (57.2 MiB) allows; raise that in [tool.dinmo] of pyproject.toml",
    ),
    "value of a CSV file": (
        "FROM read_csv('long.csv')",
        1,
        "long.csv, line 30002: column id: 'x' is no BIGINT; correct the file, or read the column as text: "
        "read_csv('…', types = {'id': 'VARCHAR'})",
    ),
    "file of one column": (
        "SELECT id FROM read_csv('broken.csv')",
        1,
        "there is no column id: a file was read as one column, 'id,name,email', since its delimiter was not found; a line of it may be "
        "broken, or write it: read_csv('…', delim = ',')",
    ),
}


@pytest.mark.parametrize(("query", "line", "words"), CASES.values(), ids=CASES.keys())
def test_error_of_a_query_is_told_with_its_line_and_in_our_words(tmp_path: Path, query: str, line: int, words: str) -> None:
    (tmp_path / "long.csv").write_text("id,age\n" + "".join(f"{n},{n}\n" for n in range(30_000)) + "x,1\n", encoding="utf-8")
    (tmp_path / "broken.csv").write_text('"id,name,email"\n"1,Ana,x"\n', encoding="utf-8")
    with duckdb.connect(config={"memory_limit": "60MB", "max_temp_directory_size": "1MB"}) as connection:
        connection.execute(f"SET file_search_path = '{tmp_path}'")
        connection.execute("CREATE TABLE people AS SELECT 1 AS id, 'Ana' AS name, 0 AS zero")

        with pytest.raises(duckdb.Error) as caught:
            connection.execute(f"CREATE TABLE made AS (\n{query}\n)")

    found, said = query_problem(caught.value, lines_before=1)
    assert said.replace(f"{tmp_path}/", "") == words
    assert found == line
