"""Dagster's side of an erasure: runs whose events quote the person, and the freed pages of its databases."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dagster import AssetKey, DagsterInstance, RunRecord

from dinmo_pipeline.cli.dagster.cleaning import delete_run
from dinmo_pipeline.cli.dagster.instance import dagster_databases, dagster_home_in, open_instance, storage_errors
from dinmo_pipeline.erasure.person import Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.project.specs import Project

_BUSY_S = 30
_ESCAPE = re.compile(r"\\+(?:[abfnrtv0]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})")


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
            quoting = {run.dagster_run.run_id: (run, keys) for run, keys in _quoting(instance, home, person)}
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
        for path in databases if not dry_run else ():
            yield from _without_freed_pages(path, person)


def _quoting(instance: DagsterInstance, home: Path, person: Person) -> Iterator[tuple[RunRecord, set[AssetKey]]]:
    """Runs that quote the person, each with the assets of which its events do."""
    for run in instance.get_run_records():
        run_id = run.dagster_run.run_id
        quoted = [entry for entry in instance.all_logs(run_id) if _mentions(person, repr(entry))]
        events = [entry.dagster_event for entry in quoted if entry.dagster_event is not None]
        keys = {event.asset_key for event in events if event.asset_key is not None}
        keys |= {event.asset_check_evaluation_data.asset_key for event in events if event.event_type_value == "ASSET_CHECK_EVALUATION"}
        if quoted or _mentions(person, repr(run.dagster_run)) or _prints(home / "storage" / run_id, person):
            yield run, keys


def _mentions(person: Person, text: str) -> bool:
    # In previews and in the text of an object characters are escaped; the letter of an escape may stand before a word.
    return any(map(person.mentions, (text, text.replace("\\", ""), _ESCAPE.sub(" ", text))))


def _prints(folder: Path, person: Person) -> bool:
    """Whether what its steps printed quotes the person."""
    return any(_mentions(person, path.read_text(encoding="utf-8", errors="replace")) for path in folder.rglob("*") if path.is_file())


def _is_escaped_in(content: bytes, person: Person) -> bool:
    """Whether JSON in it quotes the person: Dagster writes letters beyond ASCII as numbers."""
    return any(json.dumps(word)[1:-1].encode() in content for word in person.words if not word.isascii())


def _without_freed_pages(path: Path, person: Person) -> Iterator[Receipt]:
    """Write one of Dagster's databases anew without what was deleted; a receipt where it still quotes the person."""
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_S)) as connection:
            # Not every build of SQLite overwrites what it deletes.
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        yield Receipt("database", str(path), 0, "", f"its freed pages stay: {error}. Stop Dagster, and forget again")
        return
    content = path.read_bytes()
    if any(word.encode() in content for word in person.words) or _is_escaped_in(content, person):
        left = "it still quotes the person, in what no run has: ticks go with their retention; else stop Dagster and start anew without it"
        yield Receipt("database", str(path), 0, "", left)
