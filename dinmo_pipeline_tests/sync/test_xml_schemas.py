"""The XML Schema that goes with a delivery: each of its files is valid by it, whatever it holds, and it comes as every other file does."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from lxml import etree

from dinmo_pipeline.errors import StorageError
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.storages.publish import Publisher
from dinmo_pipeline.sync.service import Delivery, SyncService
from dinmo_pipeline_tests.people import activation, make_people, sync_people

DAY = datetime(2025, 4, 14, 7, tzinfo=UTC)
XML = "{type: xml, xsd: true}"
NIL = "{type: xml, xsd: true, nulls: nil, compression: gzip}"
FIRST = "(1, 'Ana', 31, [1]), (2, NULL, NULL, NULL), (3, 'Chloé', 27, [NULL])"
SECOND = "(1, 'Ana', NULL, [2]), (2, NULL, NULL, NULL), (4, 'Dana', 52, [])"


def set_people(root: Path, rows: str, *, age: str = "INTEGER") -> None:
    """The source has these rows of id, name, age and marks."""
    (root / "people.parquet").unlink(missing_ok=True)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT id, name, age::{age} AS age, marks::INTEGER[] AS marks FROM (VALUES {rows}) AS t(id, name, age, marks)) "
            f"TO '{root / 'people.parquet'}'"
        )


def make_shop(root: Path, **fields: str) -> None:
    usual = {"sync_mode": "difference", "format": XML, "mapping": "{id: id, name: full name, age: age, marks: marks}"}
    make_people(root, activation("changes", **{**usual, **fields}))


def sync(root: Path, day: int, rows: str, *, age: str = "INTEGER") -> Delivery:
    set_people(root, rows, age=age)
    return sync_people(root, "changes", DAY + timedelta(days=day))


def files(root: Path, day: int) -> dict[str, bytes]:
    """What was delivered on a day, by what the name says after its date."""
    stem = f"{DAY + timedelta(days=day):%Y-%m-%dT%H%M%S}"
    return {path.name.removeprefix(stem): path.read_bytes() for path in (root / "out" / "changes").iterdir() if path.name.startswith(stem)}


def check_valid(found: dict[str, bytes]) -> list[str]:
    """Hold every file of rows to the schema beside it; which they were."""
    schema = etree.XMLSchema(etree.fromstring(found[".xsd"]))
    names = sorted(name for name in found if ".xml" in name)
    for name in names:
        schema.assertValid(etree.fromstring(gzip.decompress(found[name]) if name.endswith(".gz") else found[name]))
    return names


@pytest.mark.parametrize("removed_columns", ["all", "key"])
@pytest.mark.parametrize(("format_", "ending"), [(XML, "xml"), (NIL, "xml.gz")])
def test_one_schema_is_that_of_all_three_files(format_: str, ending: str, removed_columns: str, tmp_path: Path) -> None:
    make_shop(tmp_path, format=format_, removed_columns=removed_columns)
    for day, rows in enumerate((FIRST, SECOND, SECOND)):
        delivery = sync(tmp_path, day, rows)
        assert check_valid(files(tmp_path, day)) == [f"_{change}.{ending}" for change in ("added", "removed", "updated")]
        assert [put.change.value for put in delivery.export.puts] == ["added", "updated", "removed", "schema"]


def test_removed_rows_of_an_earlier_type_are_valid(tmp_path: Path) -> None:
    make_shop(tmp_path)
    sync(tmp_path, 0, FIRST)
    sync(tmp_path, 1, "(1, 'Ana', '31 years', [1])", age="VARCHAR")
    check_valid(files(tmp_path, 1))
    sync(tmp_path, 2, "(4, 'Dana', '2025-01-01', [1])", age="DATE")
    found = files(tmp_path, 2)
    check_valid(found)
    assert b"<age>31 years</age>" in found["_removed.xml"]
    wrong = found["_added.xml"].replace(b"<id>4</id>", b"<id>four</id>")
    assert wrong != found["_added.xml"]
    with pytest.raises(etree.DocumentInvalid):
        check_valid({**found, "_added.xml": wrong})


def test_key_is_never_left_out(tmp_path: Path) -> None:
    make_shop(tmp_path, run_type="full_only", sync_mode="snapshot")
    sync(tmp_path, 0, FIRST)
    found = files(tmp_path, 0)
    assert check_valid(found) == [".xml"]
    for lost, is_valid in (b"<full_name>Ana</full_name>", True), (b"<id>1</id>", False):
        changed = found[".xml"].replace(lost, b"")
        assert changed != found[".xml"]
        assert etree.XMLSchema(etree.fromstring(found[".xsd"])).validate(etree.fromstring(changed)) == is_valid


def test_parts_have_one_schema_and_the_manifest_lists_rows_alone(tmp_path: Path) -> None:
    make_shop(tmp_path, sync_mode="upsert", max_rows="2", manifest="true", done_file=".done", extension="txt")
    delivery = sync(tmp_path, 0, FIRST)
    found = files(tmp_path, 0)
    assert sorted(found) == [".done", ".manifest.json", ".xsd", "_1.txt", "_2.txt"]
    assert check_valid({name.replace("txt", "xml"): data for name, data in found.items()}) == ["_1.xml", "_2.xml"]
    assert [file["name"][-6:] for file in json.loads(found[".manifest.json"])["files"]] == ["_1.txt", "_2.txt"]
    assert [put.change.value for put in delivery.export.puts] == ["changed", "changed", "schema", "manifest", "done"]


def test_schema_that_was_lost_half_way_comes_with_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_shop(tmp_path)
    set_people(tmp_path, FIRST)
    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "show", _lost)
        with pytest.raises(StorageError):
            sync_people(tmp_path, "changes", DAY)
    for path in (tmp_path / "out" / "changes").iterdir():
        path.unlink()
    project = load_project(tmp_path)
    completed = SyncService(project, project.activations["changes"]).roll_forward()
    assert completed is not None
    assert completed.delivery.outcome.notes == ()
    found = files(tmp_path, 0)
    assert check_valid(found) == ["_added.xml", "_removed.xml", "_updated.xml"]


def _lost(*_: object) -> None:
    raise StorageError("the line is cut")


def test_redelivered_files_have_the_same_schema(tmp_path: Path) -> None:
    make_shop(tmp_path)
    sync(tmp_path, 0, FIRST)
    sync(tmp_path, 1, SECOND)
    before = files(tmp_path, 1)
    for path in (tmp_path / "out" / "changes").iterdir():
        path.unlink()
    project = load_project(tmp_path)
    SyncService(project, project.activations["changes"]).redeliver(1)
    assert files(tmp_path, 1) == before
    assert check_valid(files(tmp_path, 0)) == ["_added.xml", "_removed.xml", "_updated.xml"]


def test_without_the_option_there_is_no_schema(tmp_path: Path) -> None:
    make_shop(tmp_path, format="xml")
    sync(tmp_path, 0, FIRST)
    assert sorted(files(tmp_path, 0)) == ["_added.xml", "_removed.xml", "_updated.xml"]
