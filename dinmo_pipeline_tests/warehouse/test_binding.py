"""`dinmo check` finds what a query, a mapping or a key names and is not there, on the line where its author wrote it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dinmo_pipeline.engines.duckdb.queries.binding import Bound, bind_queries
from dinmo_pipeline.project.load import load_with_warnings

from ..inbox_projects import INBOX, feed
from ..people import activation, make_people

BLOCK = "---\ntype: dinmo_pipeline.Model\nattributes:\n  name: more\n  primary_key: [id]\n"
SEGMENT = "---\ntype: dinmo_pipeline.Segment\nattributes:\n  name: old\n  model: people\n"

WRONG = {
    "column in a block": (
        BLOCK + "  sql: |\n    SELECT id,\n\n      nmae\n    FROM models.people\n",
        "defs/people/defs.yaml:17: Model more: there is no column nmae; did you mean 'name'?",
    ),
    "column in one line": (
        BLOCK + "  sql: SELECT nmae FROM models.people\n",
        "defs/people/defs.yaml:14: Model more: there is no column nmae; did you mean 'name'?",
    ),
    "column in a folded text": (
        BLOCK + "  sql: >\n    SELECT id,\n      nmae\n    FROM models.people\n",
        "defs/people/defs.yaml:14: Model more: there is no column nmae; did you mean 'name'?",
    ),
    "condition": (
        SEGMENT + "  where: |\n    id > 0\n    AND agee > 40\n",
        "defs/people/defs.yaml:16: Segment old: there is no column agee; did you mean 'age'?",
    ),
    "condition in one line": (SEGMENT + "  where: agee > 40\n", "defs/people/defs.yaml:14: Segment old: there is no column agee; did you"),
    "function": (BLOCK + "  sql: SELECT lowerr(name) AS id FROM models.people\n", "Model more: there is no function lowerr"),
    "time zone": (
        BLOCK + "  sql: |\n    SELECT id,\n      now() AT TIME ZONE 'Europe/Pariss' AS at\n    FROM models.people\n",
        "defs/people/defs.yaml:16: Model more: unknown time zone 'Europe/Pariss'",
    ),
    "key": (
        BLOCK + "  sql: SELECT id AS idd FROM models.people\n",
        "defs/people/defs.yaml:14: Model more: its query gives no column id, which is in its primary key; did you mean 'idd'?",
    ),
    "mapping": (
        activation("changes", mapping="{id: id, nmae: name}"),
        "Activation changes: mapping: models.people has no column nmae; did you mean 'name'?",
    ),
    "mapping that is a list": (
        activation("changes", mapping="[id, nmae]"),
        "Activation changes: mapping: models.people has no column nmae; did you mean 'name'?",
    ),
}


def bound(root: Path) -> Bound:
    return bind_queries(load_with_warnings(root))


@pytest.mark.parametrize(("definitions", "told"), WRONG.values(), ids=WRONG.keys())
def test_name_that_is_not_there_is_a_problem_on_its_own_line(tmp_path: Path, definitions: str, told: str) -> None:
    [problem] = bound(make_people(tmp_path, definitions)).problems

    assert told in str(problem)


def test_project_that_is_fine_has_no_problem_and_nothing_is_written(tmp_path: Path) -> None:
    root = make_people(tmp_path, activation("changes") + activation("all_of_them", mapping='"*"'))
    before = sorted(path for path in root.rglob("*"))

    found = bound(root)

    assert (found.problems, found.unseen) == ([], [])
    assert sorted(path for path in root.rglob("*")) == before


def test_query_is_bound_and_not_run(tmp_path: Path) -> None:
    slow = "SELECT count(*) AS id FROM range(1_000_000_000) a, range(100_000_000) b WHERE (a.range * b.range) % 7 = 3"
    fails = "SELECT error('never') AS id"
    root = make_people(tmp_path, BLOCK + f"  sql: {slow}\n" + BLOCK.replace("more", "less") + f'  sql: "{fails}"\n')

    assert bound(root).problems == []


def test_source_that_cannot_be_read_here_is_a_warning_and_what_reads_it_is_left_alone(tmp_path: Path) -> None:
    root = make_people(tmp_path, activation("changes", mapping="[id, nmae]"))
    (root / "people.parquet").unlink()

    found = bound(root)

    assert found.problems == []
    assert [str(each) for each in found.unseen] == [
        "defs/people/defs.yaml:8: Model people: there is no file people.parquet; paths start at the project's folder; "
        "the query was not checked further"
    ]


def test_source_at_another_server_is_not_asked(tmp_path: Path) -> None:
    root = make_people(tmp_path, BLOCK + "  sql: FROM 'https://192.0.2.1/never.parquet'\n")

    found = bound(root)

    assert (found.problems, found.unseen) == ([], [])


def test_columns_of_a_feed_are_those_of_the_warehouse_once_it_has_them(tmp_path: Path) -> None:
    root = make_people(tmp_path, f"---\n{INBOX}" + feed() + BLOCK + "  sql: SELECT id, nmae FROM feeds.contacts_shop\n")
    unknown = bound(root).problems
    (root / ".dinmo").mkdir()
    with duckdb.connect(str(root / ".dinmo" / "warehouse.duckdb")) as connection:
        connection.execute("CREATE SCHEMA feeds")
        connection.execute("CREATE TABLE feeds.contacts_shop AS SELECT '1' AS id, 'Ana' AS name")

    [problem] = bound(root).problems

    assert unknown == []
    assert "Model more: there is no column nmae; did you mean 'name'?" in str(problem)
