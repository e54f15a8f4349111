"""`max_age`: a sync uses a table that is fresh enough as it is, and says so; everybody else gets it made anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import AssetKey, materialize

from dinmo_pipeline.engines.duckdb.tables import refresh
from dinmo_pipeline.io_managers.warehouse import REUSED
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.table_refs import TableRef

from ..people import SECOND, activation, make_people, write_people
from .conftest import Dagster, delivery_metadata, materialization

PEOPLE = AssetKey(["models", "people"])
CHANGES = activation("changes", file_name='"{x}"')
NOW = datetime(2025, 4, 14, 7, tzinfo=UTC)


def edit(root: Path, old: str, new: str) -> None:
    path = root / "defs" / "people" / "defs.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = make_people(tmp_path, CHANGES)
    edit(root, "primary_key: [id]", "primary_key: [id], max_age: 1 hour")
    return root


@pytest.mark.parametrize(
    ("later", "reused"),
    [(timedelta(), True), (timedelta(hours=1), True), (timedelta(hours=1, seconds=1), False), (timedelta(seconds=-1), False)],
)
def test_table_is_reused_while_it_is_no_older_than_its_max_age(project: Path, later: timedelta, reused: bool) -> None:
    loaded = load_project(project)
    spec = loaded.tables[TableRef("models", "people")]
    refresh(replace(loaded, clock=lambda: NOW), spec)
    write_people(project, SECOND[:2])

    table = refresh(replace(loaded, clock=lambda: NOW + later), spec, reuse=True)

    assert (table.reused, table.rows) == (reused, 3 if reused else 2)
    assert table.at == (NOW if reused else NOW + later)


def test_sync_reuses_and_says_when_it_was_made(project: Path, in_dagster: Callable[[Path], Dagster]) -> None:
    dagster = in_dagster(project)
    dagster.run("changes", "monday")
    write_people(project, SECOND)
    second = dagster.run("changes", "tuesday")

    assert delivery_metadata(second, "changes")["rows sent"] == 0
    assert REUSED in materialization(second, PEOPLE).metadata


def test_edited_query_is_run_whatever_the_age(project: Path, in_dagster: Callable[[Path], Dagster]) -> None:
    dagster = in_dagster(project)
    dagster.run("changes", "monday")
    edit(project, "SELECT * FROM 'people.parquet'", "SELECT * FROM 'people.parquet' WHERE id < 99")
    write_people(project, SECOND)
    second = dagster.run("changes", "tuesday")

    assert delivery_metadata(second, "changes")["rows sent"] == 2
    assert REUSED not in materialization(second, PEOPLE).metadata


def test_refresh_by_hand_runs_the_query_whatever_the_age(project: Path, in_dagster: Callable[[Path], Dagster]) -> None:
    dagster = in_dagster(project)
    dagster.run("changes", "monday")
    write_people(project, SECOND[:1])
    result = materialize([dagster.repository.assets_defs_by_key[PEOPLE]], instance=dagster.instance)

    assert materialization(result, PEOPLE).metadata["rows"].value == 1
