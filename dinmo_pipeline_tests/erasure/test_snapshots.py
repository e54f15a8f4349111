"""A person is taken out of what is kept of syncs: the consumer is told, nobody else's row is lost or sent again, and no file has them."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dinmo_pipeline.engines.duckdb import snapshot_writer as keeping
from dinmo_pipeline.engines.duckdb.session import Engine
from dinmo_pipeline.erasure.person import Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.erasure.snapshots import Snapshots
from dinmo_pipeline.errors import SyncBlocked
from dinmo_pipeline.sync.backends.open import open_state
from dinmo_pipeline.sync.ledger.ledger import Log
from dinmo_pipeline.sync.service import Delivery, SyncService
from dinmo_pipeline_tests.random_cases import CASES
from dinmo_pipeline_tests.sync.disk import Disk
from dinmo_pipeline_tests.sync.remote_states import RemoteState
from dinmo_pipeline_tests.sync.test_redeliver import Consumer

ANA = "ana.planted@example.com"
TRIPLE = 'file_name: "{x}_e", sync_mode: difference, mapping: {id: id, v: value}'


def forget(disk: Disk, *texts: str, dry_run: bool = False, again: str = "") -> list[Receipt]:
    project = disk.project
    place = Snapshots(project, project.activations["export"], again)
    return list(place.forget(Person.described(texts), dry_run=dry_run))


def kept_values(disk: Disk) -> set[str]:
    """Every value of every Parquet file below the project's home, as text."""
    found = set()
    for path in disk.home.rglob("*.parquet"):
        with duckdb.connect() as connection:
            for row in connection.execute(f"SELECT * FROM read_parquet('{path}')").fetchall():
                found |= {str(value) for value in row}
    return found


def sent(delivery: Any, disk: Disk) -> dict[str, list[list[str]]]:
    """The rows of the files of a delivery, by what they hold."""
    assert isinstance(delivery, Delivery)
    return {
        put.change.value: list(csv.reader((disk.out / put.path).read_text().splitlines()))[1:]
        for put in delivery.export.puts
        if put.path.endswith(".csv")
    }


def sent_in_parts(delivery: Delivery, disk: Disk) -> list[tuple[str, list[list[str]]]]:
    """The rows of each file of a delivery, with what it holds."""
    puts = [put for put in delivery.export.puts if put.path.endswith(".csv")]
    return [(put.change.value, list(csv.reader((disk.out / put.path).read_text().splitlines()))[1:]) for put in puts]


def synced(root: Path, *days: dict[int, str], options: str = TRIPLE) -> Disk:
    disk = Disk(root, options)
    for rows in days:
        disk.set_rows(rows)
        disk.run()
    return disk


def rows_of(*numbers: int) -> dict[int, str]:
    return {number: ANA if number == 7 else f"v{number}" for number in numbers}


# The second snapshot and the third are patches of the first one, which has the person.
DAYS = rows_of(*range(1, 60)), rows_of(*range(1, 61)), rows_of(*range(2, 61))
WITHOUT = {number: value for number, value in DAYS[-1].items() if value != ANA}
NOTHING: dict[str, list[list[str]]] = {"added": [], "updated": [], "removed": []}


def erased(disk: Disk) -> None:
    """The source has the person no more, and neither has the warehouse."""
    disk.set_rows(WITHOUT)
    disk.refresh()


def test_person_is_told_as_removed_by_the_next_delta_and_is_nowhere_after_it(tmp_path: Path) -> None:
    disk = synced(tmp_path, *DAYS)
    erased(disk)
    before = disk.syncs().state()
    assert ANA in kept_values(disk)

    told = forget(disk, f"v={ANA}", dry_run=True)
    assert [(each.found, each.done, each.left) for each in told] == [(1, "would be taken out of what is kept", "")]
    assert (ANA in kept_values(disk), disk.syncs().state()) == (True, before)
    done = forget(disk, f"v={ANA}")

    assert [(each.what, each.where, each.found, each.left) for each in done] == [("snapshots", "export", 1, "")]
    assert ANA not in kept_values(disk)
    assert "7" in kept_values(disk)
    assert forget(disk, "id=7")[0].done.startswith("nothing is left but a key")
    assert "7" in kept_values(disk)
    assert [sync.number for sync in disk.syncs().state().delivered] == [sync.number for sync in before.delivered]
    assert sent(disk.run(), disk) == NOTHING | {"removed": [["7", ""]]}
    assert sent(disk.run(), disk) == NOTHING
    # The key is there for a redelivery, until somebody forgets once more.
    assert "7" in kept_values(disk)
    forget(disk, f"v={ANA}")
    assert "7" not in kept_values(disk)
    assert sent(disk.run(), disk) == NOTHING


def test_person_who_left_before_is_taken_out_and_nobody_is_told_again(tmp_path: Path) -> None:
    disk = synced(tmp_path, *DAYS, WITHOUT)
    assert ANA in kept_values(disk)
    assert [receipt.done for receipt in forget(disk, "id=7")] == ["taken out of 2 files"]
    assert {ANA, "7"}.isdisjoint(kept_values(disk))
    assert sent(disk.run(), disk) == NOTHING


@pytest.mark.parametrize("mode", ["upsert", "insert"])
def test_modes_that_tell_nobody_who_left_keep_no_key_and_send_nothing_again(mode: str, tmp_path: Path) -> None:
    disk = synced(tmp_path, *DAYS, options=f'file_name: "{{x}}_e", sync_mode: {mode}, mapping: {{id: id, v: value}}')
    erased(disk)
    forget(disk, f"v={ANA}")
    assert {ANA, "7"}.isdisjoint(kept_values(disk))
    (rows,) = sent(disk.run(), disk).values()
    assert rows == []
    disk.set_rows({**WITHOUT, 99: "new"})
    (rows,) = sent(disk.run(), disk).values()
    assert rows == [["99", "new"]]


def test_key_that_insert_keeps_of_a_person_who_left_is_forgotten_too(tmp_path: Path) -> None:
    disk = synced(tmp_path, *DAYS, WITHOUT, options='file_name: "{x}_e", sync_mode: insert, mapping: {id: id, v: value}')
    assert "7" in kept_values(disk)
    forget(disk, "id=7")
    assert {ANA, "7"}.isdisjoint(kept_values(disk))
    # Key 1 has left as well, and is not sent again when it comes back.
    disk.set_rows({1: "v1", **WITHOUT})
    assert sent(disk.run(), disk) == {"added": []}


def test_what_the_source_still_has_is_left_as_it_is(tmp_path: Path) -> None:
    disk = synced(tmp_path, *DAYS)
    before = {path: path.read_bytes() for path in disk.home.rglob("*.parquet")}
    (told,) = forget(disk, f"v={ANA}", again="the query of models.people still gives the person")
    assert (told.found, told.done) == (1, "")
    assert told.left.startswith("the query of models.people still gives the person; then forget again")
    assert {path: path.read_bytes() for path in disk.home.rglob("*.parquet")} == before


def test_record_of_the_same_key_that_is_not_described_is_left_as_it_is(tmp_path: Path) -> None:
    disk = synced(tmp_path, *DAYS)
    disk.set_rows({**WITHOUT, 7: "somebody.else@example.com"})
    disk.refresh()
    (told,) = forget(disk, f"v={ANA}")
    assert "has a record of the same key" in told.left
    assert ANA in kept_values(disk)
    assert sent(disk.run(), disk) == NOTHING | {"updated": [["7", "somebody.else@example.com"]]}


def test_activation_that_keeps_no_such_column_says_which_it_keeps(tmp_path: Path) -> None:
    disk = synced(tmp_path, *DAYS, options='file_name: "{x}_e", sync_mode: difference, mapping: {id: id}')
    erased(disk)
    assert [told.done for told in forget(disk, f"v={ANA}")] == [
        "not looked into, since it keeps id alone: describe the person by one of these"
    ]
    assert [told.found for told in forget(disk, "id=7")] == [1]


def test_sync_that_waits_for_approval_delivers_everybody_else_and_tells_the_person_as_removed(tmp_path: Path) -> None:
    disk = synced(tmp_path, *DAYS, options=f"{TRIPLE}, fail_if: {{added: '> 1'}}")
    disk.set_rows({**DAYS[-1], 90: "new", 91: "new"})
    with pytest.raises(SyncBlocked):
        disk.run()
    disk.set_rows({**WITHOUT, 90: "new", 91: "new"})
    disk.refresh()
    forget(disk, f"v={ANA}")
    assert ANA not in kept_values(disk)
    waiting = disk.syncs().approve()
    delivery = disk.syncs().deliver(waiting.label, now=waiting.instant)
    assert sent(delivery, disk) == {"added": [["90", "new"], ["91", "new"]], "updated": [], "removed": [["7", ""]]}
    assert sent(disk.run(), disk) == NOTHING


def test_half_delivered_sync_is_completed_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = synced(tmp_path, *DAYS)
    disk.set_rows({**DAYS[-1], 90: "new"})
    with monkeypatch.context() as patch:
        patch.setattr("dinmo_pipeline.sync.deliver.commit._show", killed)
        with pytest.raises(Killed):
            disk.run()
    erased(disk)
    (told,) = forget(disk, f"v={ANA}")
    assert told.left == "sync 4 is half delivered: `dinmo sync export` completes it; then forget again"
    assert ANA in kept_values(disk)
    disk.run()
    forget(disk, f"v={ANA}")
    assert ANA not in kept_values(disk)


def test_sync_at_work_is_left_alone(tmp_path: Path) -> None:
    disk = synced(tmp_path, *DAYS)
    erased(disk)
    with disk.syncs().turn():
        (told,) = forget(disk, f"v={ANA}")
    assert told.left == "a sync is at work, so its snapshots were not looked into: forget again later"


@pytest.mark.parametrize("parts", ["", ", max_rows: 5"])
def test_what_is_delivered_again_has_everybody_else(parts: str, tmp_path: Path) -> None:
    disk = synced(tmp_path, *DAYS, options=f"{TRIPLE}, manifest: true{parts}")
    for path in disk.files():
        path.unlink()
    erased(disk)
    forget(disk, f"v={ANA}")
    assert all(ANA not in path.read_text() for path in disk.files())
    deliveries = disk.syncs().redeliver(1)
    manifest = json.loads(next(path for path in disk.files() if path.name.endswith(".manifest.json")).read_text())
    rows: dict[int, str] = {}
    for delivery in deliveries:
        for change, lines in sent_in_parts(delivery, disk):
            for key, value in lines:
                rows.pop(int(key)) if change == "removed" else rows.update({int(key): value})

    assert rows == WITHOUT
    for delivery in deliveries:
        assert any("rows fewer than recorded: they were forgotten since" in note for note in delivery.outcome.notes) == (
            delivery.export.number == 1
        )
    assert (manifest["rows"], sum(file["rows"] for file in manifest["files"])) == (58, 58)
    newest = disk.run()
    assert isinstance(newest, Delivery)
    assert sent_in_parts(newest, disk) == [("added", []), ("updated", []), ("removed", [["7", ""]])]


def test_entries_stay_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINMO_STATE_KEY", "k" * 32)
    disk = synced(tmp_path, *DAYS)
    erased(disk)
    forget(disk, f"v={ANA}")
    newest = max((disk.home / "state/activations/export/log").glob("*.json"), key=lambda path: path.name)
    assert b'"mac"' in newest.read_bytes()
    assert ANA.encode() not in newest.read_bytes()
    assert sent(disk.run(), disk) == NOTHING | {"removed": [["7", ""]]}


def test_state_in_an_object_store_and_copies_on_another_machine(state: RemoteState, tmp_path: Path) -> None:
    disk = synced(tmp_path, *DAYS)
    other = Disk(tmp_path / "other")
    other.set_rows(DAYS[-1])
    other.refresh()
    erased(disk)
    old = disk.syncs().state()
    for sync in old.delivered:
        assert sync.snapshot is not None
        for file in sync.snapshot.files:
            open_state(other.project).snapshots.verify(file)
    assert ANA in kept_values(other)
    forget(disk, f"v={ANA}")
    assert ANA not in kept_values(disk)
    with state.storage() as (storage, folder):
        assert len(storage.list(f"{folder}/activations/export/snapshots")) == 4
    other.set_rows(WITHOUT)
    other.refresh()
    assert {litter.why for litter in other.syncs().clean(dry_run=True)} == {"a sync that crashed left it"}
    forget(other, f"v={ANA}")
    assert ANA not in kept_values(other)
    assert sent(disk.run(), disk) == NOTHING | {"removed": [["7", ""]]}


def test_renamed_activation_forgets_what_it_goes_on_from(tmp_path: Path) -> None:
    disk = synced(tmp_path, *DAYS)
    erased(disk)
    definitions = disk.root / "defs/defs.yaml"
    definitions.write_text(definitions.read_text().replace("name: export,", "name: other, renamed_from: export,"))
    project = disk.project
    list(Snapshots(project, project.activations["other"]).forget(Person.described([f"v={ANA}"]), dry_run=False))
    assert ANA not in kept_values(disk)
    syncs = SyncService(project, project.activations["other"])
    syncs.take_snapshot("a", now=disk.tick())
    assert sent(syncs.deliver("a", now=disk.tick()), disk) == NOTHING | {"removed": [["7", ""]]}


def test_forged_entry_has_no_file_of_another_activation_deleted(tmp_path: Path) -> None:
    disk = synced(tmp_path, DAYS[0])
    definitions = disk.root / "defs/defs.yaml"
    activation = definitions.read_text().split("---\n")[-1].replace("name: export,", "name: other,")
    definitions.write_text(f"{definitions.read_text()}---\n{activation.replace('{x}_e', '{x}_o')}")
    project = disk.project
    other = SyncService(project, project.activations["other"])
    other.take_snapshot("a", now=disk.tick())
    other.deliver("a", now=disk.tick())
    log = sorted((disk.home / "state/activations/export/log").glob("*.json"))
    [own] = [entry["snapshot"] for entry in (json.loads(path.read_bytes())["entry"] for path in log) if entry["type"] == "snapshot"]
    (theirs,) = (file for sync in other.state().delivered for file in (sync.snapshot.files if sync.snapshot is not None else ()))
    forged = {"type": "rewritten", "snapshots": {own["path"]: own | {"path": theirs.path, "sha256": theirs.sha256}}}
    text = json.dumps({"version": 1, "at": "2025-04-14T09:00:00Z", "entry": forged})
    (log[0].parent / f"{len(log) + 1:08d}.json").write_text(text)

    erased(disk)
    assert [each.found for each in forget(disk, f"v={ANA}") if "deleted" not in each.done] == [1]
    disk.run()
    disk.syncs().clean(dry_run=False)
    open_state(project).snapshots.verify(theirs)
    other.take_snapshot("b", now=disk.tick())
    done = other.deliver("b", now=disk.tick())
    assert sent(done, disk) == {"added": [["60", "v60"]], "updated": [], "removed": [["1", "v1"], ["7", ANA]]}


class Killed(BaseException):
    """The process ends here."""


def killed(*_: object, **__: object) -> None:
    raise Killed


def before(done: Callable[..., Any], moment: int, calls: list[str]) -> Callable[..., Any]:
    """The same function, that is killed before its call number `moment` of all."""

    def call(*arguments: Any, **named: Any) -> Any:
        calls.append(done.__name__)
        if len(calls) == moment:
            raise Killed
        return done(*arguments, **named)

    return call


@pytest.mark.parametrize("moment", range(1, 9))
def test_killed_before_any_step_a_second_one_finishes(moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = synced(tmp_path, *DAYS)
    erased(disk)
    calls: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr("dinmo_pipeline.erasure.rewriting.write_snapshot", before(keeping.write_snapshot, moment, calls))
        patch.setattr(Log, "append", before(Log.append, moment, calls))
        patch.setattr(Engine, "forget", before(Engine.forget, moment, calls))
        patch.setattr("dinmo_pipeline.erasure.snapshots.clean_snapshots", before(lambda *_, **__: iter(()), moment, calls))
        try:
            forget(disk, f"v={ANA}")
        except Killed:
            pass
        else:
            assert len(calls) < moment, calls
    if moment % 2:
        # A sync in between loses nothing, either.
        sent(disk.run(), disk)
    forget(disk, f"v={ANA}")
    assert ANA not in kept_values(disk)
    disk.run()
    consumer = Consumer(disk.out)
    consumer.read()
    assert consumer.copy == WITHOUT
    assert disk.left_behind() == []


@pytest.mark.parametrize("seed", range(int(6 * CASES)))
def test_random_histories_lose_nobody_else_and_send_nobody_twice(seed: int, tmp_path: Path) -> None:
    """Rows come, change and leave; those that have left are forgotten, one after the other, at any moment."""
    chance = random.Random(seed)
    mode = chance.choice(["difference", "difference", "upsert", "insert"])
    disk = Disk(tmp_path, f'file_name: "{{x}}_e", sync_mode: {mode}, mapping: {{id: id, v: value}}, keep_syncs: 3')
    consumer, inserted = Consumer(disk.out), list[str]()
    rows: dict[int, str] = {}
    gone: set[int] = set()
    fresh = iter(range(1, 10_000))
    for day in range(12):
        for _ in range(chance.choice([1, 2, 30])):
            rows[next(fresh)] = f"planted-{day}"
        for key in chance.sample(sorted(rows), len(rows) // chance.choice([2, 5, 10])):
            if chance.random() < 0.5:
                rows[key] = f"changed-{day}-{key}"
            else:
                del rows[key]
                gone.add(key)
        disk.set_rows(rows)
        disk.refresh()
        for key in chance.sample(sorted(gone), min(len(gone), chance.randrange(3))):
            forget(disk, f"id={key}")
        disk.run()
        news = [path for path in disk.files() if not path.stem.endswith("_removed")]
        told = [row for path in news for row in csv.DictReader(path.read_text().splitlines())]
        assert all(row["value"] for row in told), "no row is nothing but a key"
        consumer.read()
        if mode == "difference":
            assert consumer.copy == rows
        elif mode == "upsert":
            assert {key: consumer.copy[key] for key in rows} == rows
        else:
            inserted += [row["id"] for row in told]
            assert sorted(inserted) == sorted(set(inserted)), "no key is sent twice"
