"""Somebody else writes to the state: no entry brings the product to a place, a secret or a file that today's definitions do not name."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dinmo_pipeline.delta.export import Snapshot
from dinmo_pipeline.errors import StateError, SyncRefused
from dinmo_pipeline.sql.types import parse_type
from dinmo_pipeline.storages.publish import Publisher
from dinmo_pipeline.sync.backends.local import LocalBackend, LocalSnapshots
from dinmo_pipeline.sync.ledger import segments as chapters
from dinmo_pipeline.sync.service import Delivery
from dinmo_pipeline_tests.sync.disk import Disk

OTHER = """
---
type: dinmo_pipeline.LocalFolder
attributes: {name: other, path: other}
"""


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A project whose rows were delivered once and have changed since."""
    made = Disk(tmp_path / "project")
    made.set_rows({1: "a", 2: "b"})
    made.run()
    made.set_rows({1: "c", 3: "d"})
    return made


def log_folder(disk: Disk) -> Path:
    return disk.home / "state/activations/export/log"


def entry_of(disk: Disk, kind: str) -> Path:
    """The newest entry of this kind."""
    return [path for path in sorted(log_folder(disk).glob("*.json")) if json.loads(path.read_bytes())["entry"]["type"] == kind][-1]


def append(disk: Disk, *entries: dict[str, Any]) -> None:
    """Write further entries, as anybody can who may write to the folder."""
    position = len(list(log_folder(disk).glob("*.json")))
    for number, entry in enumerate(entries, start=position + 1):
        text = json.dumps({"version": 1, "at": "2025-04-14T09:00:00Z", "entry": entry})
        (log_folder(disk) / f"{number:08d}.json").write_text(text)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the JSON of an entry."""
    record = json.loads(path.read_bytes())
    change(record["entry"])
    path.write_text(json.dumps(record))


def half_delivered(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a sync end after its intent, before it shows its first file."""

    def end(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "show", end)
        with pytest.raises(Killed):
            disk.run()


STARTED = {"type": "started", "number": 2, "label": "x", "instant": "2025-04-14T09:00:00Z"}


def announced(place: dict[str, Any], *paths: str) -> dict[str, Any]:
    return {"type": "announced", "number": 2, "place": place, "temporary_paths": list(paths)}


OUT = {"type": "LocalFolder", "fields": {"name": "out", "path": "out"}}


@contextmanager
def attackers_server() -> Iterator[tuple[int, list[str]]]:
    """A port and what was said to it: it takes every connection and agrees to every command, as an FTP server would."""
    heard: list[str] = []

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rw", newline="\r\n") as stream:
                heard.append("connected")
                print("220 welcome", file=stream, flush=True)
                for line in stream:
                    heard.append(line.strip())
                    answer = "331 password" if line.startswith("USER") else "230 in" if line.startswith("PASS") else "250 fine"
                    print(answer, file=stream, flush=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1], heard
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_place_that_no_definition_names_gets_no_connection_and_no_secret(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNRELATED_SECRET", "prod-db-password-42")
    with attackers_server() as (port, heard):
        fields = {
            "name": "out",
            "host": "127.0.0.1",
            "port": port,
            "username": "x",
            "tls": "none",
            "password": {"env": "UNRELATED_SECRET"},
        }
        append(disk, STARTED, announced({"type": "FtpServer", "fields": fields}, ".dinmo-0123456789abcdef.part"))
        done = disk.syncs().clean(dry_run=False)
        delivery = disk.run()
    assert heard == []
    assert isinstance(delivery, Delivery)
    (note,) = delivery.outcome.notes
    assert "may be left at storage out (ftp://x@127.0.0.1" in note
    assert "the project defines no such storage; delete them there" in note
    assert [each.problem for each in done if each.what == "temporary files"] == ["the project defines no such storage; delete them there"]


@pytest.mark.parametrize("form", ["as this version writes it", "as earlier ones wrote it"])
def test_local_folder_of_an_entry_deletes_nothing(disk: Disk, form: str, tmp_path: Path) -> None:
    victim = tmp_path / "elsewhere" / ".dinmo-0123456789abcdef.part"
    victim.parent.mkdir()
    victim.write_text("another program's")
    place = (
        {"name": "out", "address": "local:/"}
        if form.startswith("as this")
        else {"type": "LocalFolder", "fields": {"name": "out", "path": "/"}}
    )
    append(disk, STARTED, announced(place, str(victim).removeprefix("/")))
    disk.run()
    assert victim.exists()


@pytest.mark.parametrize(
    "path", ["notes.csv", ".dinmo-0123456789abcdef.part.csv", ".dinmo-x.part", ".dinmo-0123456789abcdef.part/notes.csv"]
)
def test_temporary_name_that_the_product_never_gives_stops_every_step(disk: Disk, path: str) -> None:
    (disk.out / path).parent.mkdir(exist_ok=True)
    (disk.out / path).write_text("the partner's")
    append(disk, STARTED, announced(OUT, path))
    stops(disk, f"'{path}' as a temporary name")
    assert (disk.out / path).exists()


def test_temporary_name_outside_of_a_local_folder_is_told_and_stays(disk: Disk) -> None:
    victim = disk.root / "outside/.dinmo-0123456789abcdef.part"
    victim.parent.mkdir()
    victim.write_text("another project's")
    append(disk, STARTED, announced(OUT, "../outside/.dinmo-0123456789abcdef.part"))
    delivery = disk.run()
    assert victim.exists()
    assert isinstance(delivery, Delivery)
    (note,) = delivery.outcome.notes
    assert "it leaves the storage's path" in note


def stops(disk: Disk, found: str) -> None:
    """Every step ends with what was found in the log, and nothing is gone or another than before."""
    before = {path: path.read_bytes() for path in disk.root.rglob("*") if path.is_file() and path.name != "lock"}
    syncs = disk.syncs()
    for step in (syncs.roll_forward, lambda: syncs.clean(dry_run=False), syncs.state, syncs.whole_history):
        with pytest.raises(StateError, match=f"it has {re.escape(found)}, which no version of this product writes"):
            step()
    assert [path for path, content in before.items() if not path.exists() or path.read_bytes() != content] == []


@pytest.mark.parametrize(
    "place",
    [
        {"name": "other", "address": "local:elsewhere"},
        {"name": "out", "address": "local:elsewhere"},
        {"name": "elsewhere", "address": "local:elsewhere"},
        {"type": "LocalFolder", "fields": {"name": "elsewhere", "path": "elsewhere"}},
        {"type": "Gone", "fields": {"name": "out", "path": "elsewhere"}},
        {"type": "LocalFolder", "fields": {"name": "out", "path": "elsewhere", "and": "more"}},
    ],
    ids=["another's name", "own name", "unknown", "as it was kept", "unknown type", "unknown field"],
)
def test_forged_intent_sends_rows_to_no_place_that_the_project_does_not_define(
    disk: Disk, place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    definitions = disk.root / "defs/defs.yaml"
    definitions.write_text(definitions.read_text() + OTHER)
    half_delivered(disk, monkeypatch)
    for waiting in disk.out.glob(".dinmo-*"):
        waiting.unlink()
    edit(entry_of(disk, "prepared"), lambda entry: entry["export"].update(place=place))
    delivered = disk.files()

    with pytest.raises(SyncRefused, match=r"completing sync 2 of export: its files go to storage .*`dinmo sync export --full`"):
        disk.run()
    assert disk.files() == delivered
    assert not (disk.root / "elsewhere").exists()
    assert not (disk.root / "other").exists()
    delivery = disk.run(full=True)
    assert isinstance(delivery, Delivery)
    assert not (disk.root / "elsewhere").exists()
    disk.consume()
    assert {key: row["value"] for key, row in disk.copy.items()} == {
        str(("number", key)): repr(value) for key, value in (("1", "c"), ("3", "d"))
    }


def test_storage_that_is_defined_as_it_was_completes_it(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    half_delivered(disk, monkeypatch)
    definitions = disk.root / "defs/defs.yaml"
    text = definitions.read_text()
    definitions.write_text(text.replace("path: out", "path: moved"))
    with pytest.raises(SyncRefused, match=r"its files go to storage out \(local:out\), and the project defines no such storage"):
        disk.run()
    assert not (disk.root / "moved").exists()
    definitions.write_text(text)
    assert isinstance(disk.run(), Delivery)
    disk.consume()
    assert len(disk.copy) == 2


def test_entries_of_earlier_versions_are_read_as_before(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    half_delivered(disk, monkeypatch)
    old = {"type": "LocalFolder", "fields": {"name": "out", "path": "out", "retries": 3, "retry_for": "2 hours"}}
    edit(entry_of(disk, "prepared"), lambda entry: entry["export"].update(place=old))
    left = disk.out / ".dinmo-0123456789abcdef.part"
    left.write_text("")
    append(disk, announced(old, left.name))

    assert isinstance(disk.run(), Delivery)
    assert not list(disk.out.glob(".dinmo-*"))
    disk.consume()
    assert len(disk.copy) == 2


@pytest.mark.parametrize(
    "path", ["../../../../victim.csv", "/VICTIM", "activations/export/snapshots/../../../../../victim.csv", "defs/defs.yaml"]
)
def test_path_of_a_snapshot_leads_nowhere_else(disk: Disk, path: str) -> None:
    victim = disk.root / "victim.csv"
    victim.write_text("not ours")
    path = path.replace("/VICTIM", str(victim))
    edit(entry_of(disk, "snapshot"), lambda entry: entry["snapshot"].update(path=path))
    stops(disk, f"'{path}' as the path of a snapshot")
    assert victim.exists()


def test_wrong_path_of_a_snapshot_has_no_other_one_deleted(disk: Disk) -> None:
    path = "activations/export/snapshots/000009-deadbeef.parquet"
    for kind in ("snapshot", "prepared"):
        entry = entry_of(disk, kind)
        entry.write_text(re.sub(r"activations/export/snapshots/[^\"]+", path, entry.read_text()))
    before = sorted((disk.home / "state/activations/export/snapshots").iterdir())
    assert disk.syncs().clean(dry_run=False) == ()
    assert sorted((disk.home / "state/activations/export/snapshots").iterdir()) == before


@pytest.mark.parametrize("kind", ["key", "columns"])
def test_type_of_a_column_is_no_sql(disk: Disk, kind: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("prod-db-password-42")
    # Its parentheses are even for whoever counts those in comments, too: it was sent to the consumer as the value of a removed row.
    sql = f"VARCHAR /*((*/ ) || ((SELECT content FROM read_text('{secret}') /*))*/ )"
    assert parse_type(sql)
    for path in (entry_of(disk, "snapshot"), entry_of(disk, "prepared")):
        edit(path, lambda entry: [column.update(type=sql) for found in contracts(entry) for column in found[kind][-1:]])
    stops(disk, f"{sql!r} as the type of a column")


def contracts(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All contracts in it, however deep."""
    for name, value in entry.items():
        if name == "contract":
            yield value
        elif isinstance(value, dict):
            yield from contracts(value)


def test_file_that_is_no_part_of_what_was_delivered_is_not_deleted_as_a_stale_one(disk: Disk) -> None:
    disk.define('file_name: "e", on_existing: overwrite, sync_mode: upsert, mapping: {id: id, v: value}')
    disk.run()
    victim = disk.out / "another_activations.csv"
    victim.write_text("rows of others")
    disk.set_rows({1: "x"})
    edit(entry_of(disk, "prepared"), lambda entry: entry["export"]["puts"][0].update(path=victim.name))
    stops(disk, f"the file '{victim.name}' as a part of 'e.csv'")


@pytest.mark.parametrize("field", ["path", "temporary_path", "stale"])
def test_export_writes_and_deletes_in_its_folder_alone(disk: Disk, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    half_delivered(disk, monkeypatch)
    (disk.out / "sub").mkdir()

    def move(entry: dict[str, Any]) -> None:
        export = entry["export"]
        if field == "stale":
            export["stale"] = ["sub/victim.csv"]
        else:
            put = export["puts"][0]
            put.update({field: f"sub/{put[field]}"} | ({"series": f"sub/{put['series']}"} if field == "path" else {}))

    (disk.out / "sub/victim.csv").write_text("")
    edit(entry_of(disk, "prepared"), move)
    with pytest.raises(StateError, match=r"it has the file '.*' outside of its folder '\.'"):
        disk.run()
    assert [path.name for path in (disk.out / "sub").iterdir()] == ["victim.csv"]


@pytest.mark.parametrize("name", ["../../../elsewhere", "/elsewhere", "", "a/b"])
def test_name_of_another_log_is_a_name(disk: Disk, name: str) -> None:
    append(disk, {"type": "renamed", "name": name, "entries": 1})
    stops(disk, f"{name!r} as the name of an activation")


def test_what_a_checkpoint_tells_of_is_looked_at_as_well(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chapters, "CHAPTER", 8)
    disk.run()
    disk.run()
    checkpoint = max((disk.home / "state/activations/export/checkpoints").iterdir())
    text = checkpoint.read_text()
    for old, new, found in (
        (r"activations/export/snapshots/", "../../snapshots/", "as the path of a snapshot"),
        (r'"VARCHAR"', '"VARCHAR) x"', "as the type of a column"),
        (r"\.dinmo-[0-9a-f]+\.part", "notes.csv", "as a temporary name"),
    ):
        assert re.search(old, text)
        checkpoint.write_text(re.sub(old, new, text))
        with pytest.raises(StateError, match=f"{found}, which no version of this product writes"):
            disk.syncs().state()
    checkpoint.write_text(text)
    assert disk.syncs().state().next_number == 4


@pytest.mark.parametrize("part", ["named", "standing for it", "compared with"])
@pytest.mark.parametrize("path", ["../../../../outside.parquet", "/etc/passwd", "activations/export/log/00000001.json"])
def test_rewritten_entry_leads_to_no_file_outside_of_snapshots(disk: Disk, part: str, path: str) -> None:
    own = json.loads(entry_of(disk, "snapshot").read_bytes())["entry"]["snapshot"]
    foreign = own | {"path": path}
    forged: dict[str, Any] = {"type": "rewritten", "snapshots": {own["path"]: own}}
    if part == "named":
        forged["snapshots"] = {path: own}
    elif part == "standing for it":
        forged["snapshots"] = {own["path"]: foreign}
    else:
        forged |= {"number": 1, "base": foreign}
    append(disk, forged)
    with pytest.raises(StateError, match="as the path of a snapshot, which no version of this product writes"):
        disk.run()


def test_rewritten_entry_has_no_sql_run(disk: Disk) -> None:
    own = json.loads(entry_of(disk, "snapshot").read_bytes())["entry"]["snapshot"]
    text = json.dumps(own).replace('"type": "INTEGER"', '"type": "INTEGER); SELECT getenv(\'HOME\'"')
    assert text != json.dumps(own)
    append(disk, {"type": "rewritten", "snapshots": {own["path"]: json.loads(text)}})
    with pytest.raises(StateError, match="as the type of a column"):
        disk.run()


def planted(kind: str, path: Path) -> None:
    """Put there what is no entry and no snapshot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as stream:
            stream.truncate(2**40)


@pytest.mark.parametrize("kind", ["pipe", "device", "terabyte"])
def test_what_is_no_entry_is_not_waited_for_and_takes_no_memory(kind: str, tmp_path: Path) -> None:
    planted(kind, tmp_path / "activations/some/log/00000001.json")
    found = "it has more than 268,435,456 bytes" if kind == "terabyte" else "it is no file"
    with pytest.raises(StateError, match=f"reading the log of activation some .*00000001.json.*: {found}"):
        LocalBackend(tmp_path).read("some", "log")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_snapshot_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    planted(kind, tmp_path / "activations/some/snapshots/1.parquet")
    snapshot = cast(Snapshot, SimpleNamespace(path="activations/some/snapshots/1.parquet", sha256="0"))
    with pytest.raises(StateError, match=r"reading the snapshot .*: it is no file"):
        LocalSnapshots(tmp_path).verify(snapshot)
