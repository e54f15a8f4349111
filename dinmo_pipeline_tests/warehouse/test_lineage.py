"""Where columns come from, for queries whose answer a person can see."""

from __future__ import annotations

import pytest

from dinmo_pipeline.catalog.lineage import column_origins
from dinmo_pipeline.project.table_refs import TableRef

READ = {
    TableRef("models", "people"): ("id", "name", "Birth Day"),
    TableRef("models", "orders"): ("order_id", "person", "amount"),
}

QUERIES = {
    "a segment": ("SELECT * FROM models.\"people\" WHERE (\nname <> '' -- a comment\n)", {"id": "people.id", "name": "people.name"}),
    "renamed and made from": (
        'SELECT p.id AS key, upper(p.name) || p."Birth Day" AS label, 1 AS one FROM models.people AS p',
        {"key": "people.id", "label": "people.Birth Day people.name", "one": ""},
    ),
    "sums over a join": (
        "SELECT p.*, sum(o.amount) AS total FROM models.people AS p LEFT JOIN models.orders AS o ON o.person = p.id GROUP BY ALL",
        {"id": "people.id", "Birth Day": "people.Birth Day", "total": "orders.amount"},
    ),
    "through a WITH": (
        "WITH o AS (SELECT person, max(amount) AS best FROM models.orders GROUP BY 1) "
        "SELECT id, best FROM models.people JOIN o ON id = person",
        {"id": "people.id", "best": "orders.amount"},
    ),
    "FROM first": ("FROM models.people SELECT ID", {"ID": "people.id"}),
    "a file": ("SELECT * FROM 'people.parquet'", {}),
    "what sqlglot does not read": ("SELECT COLUMNS('n.*') FROM models.people", {}),
    "no query at all": ("SELEC", {}),
}


@pytest.mark.parametrize("case", QUERIES)
def test_columns_come_from_where_a_person_sees_it(case: str) -> None:
    sql, expected = QUERIES[case]

    found = column_origins(sql, list(expected), READ)

    assert {name: " ".join(f"{ref.name}.{column}" for ref, column in origins) for name, origins in found.items()} == expected
