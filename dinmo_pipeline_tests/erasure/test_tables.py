"""The warehouse: the person's rows and the bytes in freed pages go, everything else is as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from dinmo_pipeline.engines.duckdb import connection as connections
from dinmo_pipeline.engines.duckdb.connection import open_warehouse
from dinmo_pipeline.engines.duckdb.tables import refresh
from dinmo_pipeline.erasure.person import Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.erasure.tables import Tables
from dinmo_pipeline.errors import StateError
from dinmo_pipeline.inbound.load.import_ledger import ImportLedger
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline_tests.cli.conftest import Dinmo
from dinmo_pipeline_tests.inbox_projects import INBOX, drop, feed, make_inbox

EMAIL = "ana.planted@example.com"
MODELS = """\
---
type: dinmo_pipeline.Model
attributes: {name: people, primary_key: [id], max_age: 1 day, sql: "SELECT id, email FROM entities.contacts"}
---
type: dinmo_pipeline.Model
attributes: {name: crm, primary_key: [id], max_age: 1 day, sql: "SELECT id, email FROM read_csv('crm.csv')"}
---
type: dinmo_pipeline.Segment
attributes: {name: some, model: people, where: "id <> 'C-1'"}
"""


@pytest.fixture
def root(tmp_path: Path, dinmo: Dinmo) -> Path:
    """A project whose person came in with a feed, was refreshed into tables twice, and left freed pages behind."""
    root = make_inbox(tmp_path, INBOX + feed(columns="{age: number}", max_rejected='"100%"') + MODELS)
    write_crm(root, "C-9")
    people = [f"C-{number},person{number}@example.com,1" for number in range(3000)]
    for day in (1, 2):
        drop(
            root,
            f"contacts_shop_2025010{day}.csv",
            "\n".join(["id,email,age", *people, f"C-ana,{EMAIL},{day}", f"C-bad,{EMAIL},{EMAIL}", ""]),
        )
        dinmo("import", project=root)
        refresh_all(root)
    return root


def write_crm(root: Path, *keys: str) -> None:
    (root / "crm.csv").write_text("id,email\n" + "".join(f"{key},{EMAIL if key == 'C-ana' else key}\n" for key in keys))


def refresh_all(root: Path) -> None:
    project = load_project(root)
    for table in project.tables.values():
        refresh(project, table)


def forget(root: Path, *texts: str, dry_run: bool = False) -> tuple[list[Receipt], dict[str, str]]:
    tables = Tables(load_project(root))
    receipts = list(tables.forget(Person.described(texts or [f"email={EMAIL}"]), dry_run=dry_run))
    return receipts, {str(ref): why for ref, why in tables.again.items()}


def warehouse(root: Path) -> Path:
    return root / ".dinmo" / "warehouse.duckdb"


def everything(root: Path) -> dict[str, Any]:
    """The catalogue and all rows, but those of the person."""
    with duckdb.connect(str(warehouse(root)), read_only=True) as connection:
        tables = connection.execute(
            "SELECT schema_name, table_name, comment, sql, has_primary_key FROM duckdb_tables() ORDER BY ALL"
        ).fetchall()
        views = connection.execute("SELECT schema_name, view_name, sql FROM duckdb_views() WHERE NOT internal ORDER BY ALL").fetchall()
        found: dict[str, Any] = {"tables": tables, "views": views}
        for schema, name, *_ in [*tables, *views]:
            rows = connection.execute(f'SELECT * FROM "{schema}"."{name}" ORDER BY ALL').fetchall()
            found[f"{schema}.{name}"] = [row for row in rows if EMAIL not in str(row) and "forgotten" not in str(row)]
    return found


def test_bytes_of_the_person_are_gone_and_all_else_is_as_it_was(root: Path) -> None:
    before = everything(root)
    assert EMAIL.encode() in warehouse(root).read_bytes()
    receipts, again = forget(root)

    assert {receipt.where: receipt.found for receipt in receipts if receipt.found} == {
        "feeds.contacts_shop": 1, "models.people": 1, "segments.some": 1, "inbound.rejects": 2
    }  # fmt: skip
    assert "they came last with contacts_shop_20250102.csv" in receipts[0].done
    assert again == {}
    assert EMAIL.encode() not in warehouse(root).read_bytes()
    assert everything(root) == before
    assert warehouse(root).stat().st_mode & 0o777 == 0o600
    # Tables are as fresh as they were.
    project = load_project(root)
    assert all(refresh(project, table, reuse=True).reused for ref, table in project.tables.items() if ref.kind == "models")
    with open_warehouse(project.warehouse_path, project.query_settings) as connection:
        record = ImportLedger(connection)
        with pytest.raises(duckdb.ConstraintException):
            record.add([(record.of_feed("contacts_shop")[0], ())])
    assert [receipt.done for receipt in forget(root)[0]] == ["written anew, without its freed pages"]


def test_pages_that_were_freed_before_are_written_anew(root: Path) -> None:
    project = load_project(root)
    with open_warehouse(project.warehouse_path, project.query_settings) as connection:
        for table in ("feeds.contacts_shop", "models.people", "segments.some"):
            connection.execute(f"DELETE FROM {table} WHERE email = '{EMAIL}'")
        connection.execute("DELETE FROM inbound.rejects")
        connection.execute("CHECKPOINT")
    assert EMAIL.encode() in warehouse(root).read_bytes()
    forget(root)
    assert EMAIL.encode() not in warehouse(root).read_bytes()


def test_dry_run_changes_nothing_and_tells_the_same(root: Path) -> None:
    before = everything(root)
    told, again = forget(root, dry_run=True)
    assert everything(root) == before
    done, _ = forget(root)
    assert [(each.where, each.found) for each in told] == [(each.where, each.found) for each in done if each.what != "warehouse"]
    assert again == {}


@pytest.mark.parametrize("dry_run", [True, False])
def test_model_that_would_bring_the_person_back_is_told(root: Path, dry_run: bool) -> None:
    write_crm(root, "C-9", "C-ana")
    receipts, again = forget(root, dry_run=dry_run)
    assert again == {"models.crm": "the query of models.crm still gives the person: erase them in what it reads"}
    assert [(each.where, each.found) for each in receipts if each.left] == [("models.crm", 1)]


def test_table_that_would_get_the_person_again_keeps_them(root: Path) -> None:
    """Else a sync that uses the table as it is would tell them as removed, and the one after its refresh as added."""
    write_crm(root, "C-9", "C-ana")
    refresh_all(root)
    receipts, _ = forget(root)
    assert "models.crm" not in [each.where for each in receipts if each.what == "table"]
    with duckdb.connect(str(warehouse(root)), read_only=True) as connection:
        counts = [f"(SELECT count(*) FROM models.{name} WHERE email = '{EMAIL}')" for name in ("crm", "people")]
        found = connection.execute(f"SELECT {', '.join(counts)}")
        assert found.fetchall() == [(1, 0)]


@pytest.mark.parametrize("dry_run", [True, False])
def test_query_that_fails_is_told_and_the_others_are_asked(root: Path, dry_run: bool) -> None:
    (root / "crm.csv").unlink()
    receipts, again = forget(root, dry_run=dry_run)
    assert set(again) == {"models.crm"}
    assert "`dinmo sync` says why" in again["models.crm"]
    assert ("feeds.contacts_shop", 1) in [(each.where, each.found) for each in receipts]
    assert (EMAIL.encode() in warehouse(root).read_bytes()) == dry_run


def test_table_that_was_never_made_here_is_told(root: Path) -> None:
    with duckdb.connect(str(warehouse(root))) as connection:
        connection.execute("DROP TABLE models.people")
    assert forget(root, dry_run=True)[1] == {
        "segments.some": "models.people was never made here, so whether it gives the person is unknown: a sync makes it"
    }
    warehouse(root).unlink()
    receipts, again = forget(root)
    assert (receipts, set(again)) == ([], {"models.people", "models.crm", "segments.some"})


def test_description_of_one_table_is_of_that_and_of_its_segments(root: Path) -> None:
    write_crm(root, "C-ana")
    refresh_all(root)
    receipts, again = forget(root, f"models.people.email={EMAIL}", f"feeds.contacts_shop.email={EMAIL}", dry_run=True)
    assert [each.where for each in receipts if each.what == "table"] == ["feeds.contacts_shop", "models.people", "segments.some"]
    assert again == {}
    assert set(forget(root, f"models.people.email={EMAIL}", dry_run=True)[1]) == {"models.people"}, "the feed still has them"


def test_killed_while_it_writes_anew_a_second_one_finishes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(root)

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    left = root / ".dinmo" / "staging" / ".rewriting-killed"
    left.mkdir(parents=True)
    (left / "warehouse.duckdb").write_bytes(EMAIL.encode())
    with monkeypatch.context() as patch:
        patch.setattr(connections, "_require_same", killed)
        with pytest.raises(Killed):
            forget(root)
    assert everything(root) == before
    forget(root)
    assert everything(root) == before
    assert EMAIL.encode() not in warehouse(root).read_bytes()
    assert list((root / ".dinmo" / "staging").iterdir()) == []


def test_copy_that_is_another_one_is_not_put_in_its_place(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(root)
    inode = warehouse(root).stat().st_ino
    require = connections._require_same

    def after_a_loss(connection: duckdb.DuckDBPyConnection, one: str, other: str) -> None:
        connection.execute(f"DELETE FROM {other}.models.people WHERE id = 'C-7'")
        require(connection, one, other)

    monkeypatch.setattr(connections, "_require_same", after_a_loss)
    with pytest.raises(StateError, match="has other tables, rows or views"):
        forget(root)
    assert (everything(root), warehouse(root).stat().st_ino) == (before, inode)


def test_warehouse_behind_a_link_is_written_anew_where_it_lies(root: Path, tmp_path: Path) -> None:
    before, link = everything(root), warehouse(root)
    real = tmp_path / "disk" / "shop.duckdb"
    real.parent.mkdir()
    link.rename(real)
    link.symlink_to(real)
    assert EMAIL.encode() in real.read_bytes()
    forget(root)
    assert (link.is_symlink(), link.resolve()) == (True, real)
    assert EMAIL.encode() not in real.read_bytes()
    assert everything(root) == before
    assert [path for path in (root / ".dinmo").rglob("*.duckdb*") if EMAIL.encode() in path.read_bytes()] == []
    assert [path for path in real.parent.rglob("*") if path.is_file()] == [real]
