"""Dagster's side of an erasure: runs whose events quote the person, and the freed pages of its databases."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from dagster import DagsterInstance

from dinmo_pipeline.cli.dagster.cleaning import delete_run
from dinmo_pipeline.cli.dagster.freed_pages import in_postgres, in_sqlite
from dinmo_pipeline.cli.dagster.instance import dagster_databases, dagster_home_in, keeps_storage_elsewhere, open_instance, storage_errors
from dinmo_pipeline.cli.dagster.quoting_runs import QuotingRuns
from dinmo_pipeline.erasure.person import Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.project.specs import Project


@dataclass(frozen=True)
class Runs:
    """The runs that Dagster keeps: previews, where a project asks for them, and errors and checks quote rows."""

    project: Project

    def forget(self, person: Person, *, dry_run: bool) -> Iterator[Receipt]:
        """Delete runs that quote a value of the person, and what Dagster's catalogue tells of the assets that they quote it of."""
        home = dagster_home_in(self.project.home)
        databases = [path for path in dagster_databases(home) if path.exists()]
        if not person.words or not (home / "dagster.yaml").exists():
            return
        with open_instance(home) as instance, storage_errors(home):
            looked = QuotingRuns.found(instance, home, self.project, person)
            yield from _delete_runs(instance, home, looked, dry_run=dry_run)
            yield from _common_words(person, looked.names)
            words = [word for word in looked.person.words if word not in looked.names]
            if keeps_storage_elsewhere(home) and not dry_run:
                yield from in_postgres(instance, words)
        for path in databases if not dry_run else ():
            yield from in_sqlite(path, words)


def _delete_runs(instance: DagsterInstance, home: Path, looked: QuotingRuns, *, dry_run: bool) -> Iterator[Receipt]:
    quoting = {run.dagster_run.run_id: (run, keys) for run, keys in looked.runs()}
    at_work = [run_id for run_id, (run, _) in quoting.items() if not run.dagster_run.is_finished]
    done = [run_id for run_id in quoting if run_id not in at_work]
    assets = {key for run_id in done for key in quoting[run_id][1]}
    if not dry_run:
        for run_id in done:
            delete_run(instance, home, run_id)
        if assets:
            # Its last event and its checks outlive their run.
            instance.wipe_assets(sorted(assets))
    if done:
        told = f"{'would be deleted' if dry_run else 'deleted'}, with the history of {len(assets):,} assets in the UI"
        yield Receipt("runs", str(home), len(done), told)
    if at_work:
        yield Receipt("runs", str(home), len(at_work), "", "they are at work: forget again when they have ended")


def _common_words(person: Person, names: Collection[str]) -> Iterator[Receipt]:
    """Yield a receipt for each value that is also a name used by Dagster or the project: every run contains it, so it identifies nobody."""
    for description in person.descriptions:
        if any(value.strip() in names for _, value in description.values):
            done = (
                "a value is a word of Dagster's or the project's, too: runs were looked into for it as a whole value of a preview alone. "
                "Where an error quotes the person, delete that run in the UI"
            )
            yield Receipt("description", description.columns, 0, done)
