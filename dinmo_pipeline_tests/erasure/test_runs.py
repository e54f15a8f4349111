"""Dagster's runs: those that quote the person go, however Dagster writes the value, and no others, whatever else has that word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance, MetadataValue, Output, asset, materialize

from dinmo_pipeline.catalog.metadata import markdown_table
from dinmo_pipeline.cli.dagster.forgotten_runs import Runs
from dinmo_pipeline.erasure.person import Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline_tests.people import activation, make_people

NAMES = (
    "Zoltan\tPlanted",
    "Zoltan\nPlanted",
    "Zoltan 'Zo' \"Zed\" Planted",
    "Zoltàn Plantéd",
    "Zoltan \U0001f600 Planted",
    "C:\\new\\Zoltan",
    "Zoltan|Planted <b>[x]`&",
    "Zoltan\x01\x7fPlanted",
    "zoltan." + "planted" * 12 + "@example.com",
)
OTHER = "Bea Bystander"


@dataclass
class Dagster:
    """A project, and the home of its Dagster, in which any run can be made."""

    project: Project
    instance: DagsterInstance

    def run(self, name: str, *, fails: bool = False, prints: bool = False, how: str = "preview") -> str:
        """A run whose asset tells a name: in a preview, as JSON, in an error or in print."""

        @asset(key=["models", "people"])
        def made() -> Output[None]:
            if fails:
                raise ValueError(f"Constraint Error: Duplicate key {name!r} violates it; {json.dumps({'name': name})}")
            if prints:
                print(f"taking {name}")
            values = {
                "preview": markdown_table(["id", "name"], [("1", name), ("2", OTHER)]),
                "json": MetadataValue.json({"rows": [{"name": name}]}),
                "json in json": MetadataValue.text(json.dumps({"record": json.dumps({"name": name})})),
            }
            return Output(None, metadata={"rows": 2, "shown": values[how]})

        return materialize([made], instance=self.instance, raise_on_error=False).run_id

    def forget(self, *values: str, dry_run: bool = False) -> list[Receipt]:
        person = Person.described([f"name={value}" for value in values])
        return list(Runs(self.project).forget(person, dry_run=dry_run))

    @property
    def runs(self) -> set[str]:
        return {run.run_id for run in self.instance.get_runs()}


@pytest.fixture
def dagster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dagster]:
    root = make_people(tmp_path, activation("changes"))
    home = tmp_path / ".dinmo" / "dagster"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with DagsterInstance.from_config(str(home)) as instance:
        yield Dagster(load_project(root), instance)


@pytest.mark.parametrize("how", ["preview", "json in json", "error"])
def test_person_is_found_however_dagster_writes_the_name(how: str, dagster: Dagster) -> None:
    made = {name: dagster.run(name, fails=how == "error", how="preview" if how == "error" else how) for name in NAMES}
    kept = dagster.run(OTHER)
    for name, run in made.items():
        assert run in dagster.runs
        receipts = dagster.forget(name)
        assert run not in dagster.runs, name
        assert [(each.what, each.found) for each in receipts] == [("runs", 1)], (name, receipts)
    assert dagster.runs == {kept}
    home = dagster.project.home / "dagster"
    assert [path for path in home.rglob("*") if path.is_file() and b"oltan" in path.read_bytes()] == []


def test_person_that_was_printed_is_found(dagster: Dagster) -> None:
    run, kept = dagster.run("Zoltàn Plantéd", prints=True, how="json"), dagster.run(OTHER)
    dagster.forget("Zoltàn Plantéd")
    assert (run in dagster.runs, kept in dagster.runs) == (False, True)


WORDS = (
    *("dagster", "success", "SUCCESS", "PIPELINE_SUCCESS", "EventLogEntry", "execution", "Started", "models", "people", "made"),
    *("models__people", "changes", "rows", "shown", "name", "none", "unknown", "customers", "result", "DEBUG", "Nothing"),
)


def test_word_of_dagster_or_the_project_takes_no_run_but_those_with_a_row_of_it(dagster: Dagster) -> None:
    others = {dagster.run(OTHER), dagster.run(OTHER, fails=True)}
    for word in WORDS:
        theirs = dagster.run(word)
        told = dagster.forget(word, dry_run=True)
        assert dagster.runs == {*others, theirs}, word
        done = dagster.forget(word)
        assert dagster.runs == others, word
        assert [(each.what, each.found) for each in told] == [("runs", 1), ("description", 0)], word
        assert [(each.what, each.left) for each in done] == [("runs", ""), ("description", "")], word
        assert dagster.instance.get_latest_materialization_event(AssetKey(["models", "people"])) is None
        assert [each.what for each in dagster.forget(word)] == ["description"], word


def test_key_in_an_error_is_found_and_a_longer_one_is_not(dagster: Dagster) -> None:
    run, kept = dagster.run("C-4711", fails=True), dagster.run("C-47110", fails=True)
    dagster.forget("C-4711")
    assert dagster.runs == {kept}
    assert run not in dagster.runs
