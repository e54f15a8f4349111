"""What cannot be delivered is refused before anything is, in words that say what to do, and with the right exit code."""

from __future__ import annotations

import json
import os
import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ..people import FIRST, Person, activation, delivered, make_people, sync_people, write_people
from .conftest import Dinmo

ONE = activation("changes", file_name="changes")
MANY: tuple[Person, ...] = tuple((number, f"person {number}", 40) for number in range(1500))


def test_broken_definitions_list_every_error_and_deliver_nothing(tmp_path: Path, dinmo: Dinmo) -> None:
    project = make_people(tmp_path, activation("first", model="poeple", format="cvs") + activation("second", foldr="x"))

    for arguments in (
        ("check",),
        ("sync", "--all"),
        ("status",),
        ("history", "first"),
        ("approve", "first"),
        ("baseline", "first"),
        ("dev",),
    ):
        done = dinmo(*arguments, project=project)
        assert done.code == 2, arguments
        assert done.out == ""
        assert done.err.splitlines() == [
            "3 errors in the definitions:",
            "defs/people/defs.yaml:13: Activation first: model: there is no model 'poeple'; did you mean 'people'?",
            "defs/people/defs.yaml:17: Activation first: format: unknown format 'cvs'; did you mean 'csv'?",
            "defs/people/defs.yaml:33: Activation second: unknown field 'foldr'; did you mean 'folder'?",
        ]
    assert not (project / "out").exists()
    assert not (project / ".dinmo").exists()


def test_check_warns_on_its_own_stream_and_ends_well(tmp_path: Path, dinmo: Dinmo) -> None:
    project = make_people(tmp_path, activation("changes", mapping='"*"'))

    done = dinmo("check", project=project)

    assert done.code == 0
    assert done.out == "1 model, 0 segments, 2 storages, 1 activation: no errors, 1 warning\n"
    assert done.err.startswith("warning: defs/people/defs.yaml:")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sync",), "name the activations to sync, or say --all"),
        (("sync", "changes", "--all"), "name activations or say --all, not both"),
        (("sync", "chnages"), "there is no activation 'chnages'; did you mean 'changes'?"),
        (("history", "chnages"), "there is no activation 'chnages'; did you mean 'changes'?"),
        (("approve", "xyz"), "there is no activation 'xyz'; valid are changes"),
        (("baseline", "chnages"), "did you mean 'changes'?"),
        (("sync", "changes", "--to", "elsewere"), "--to: there is no storage 'elsewere'; did you mean 'elsewhere'?"),
        (("sync", "changes", "--at", "yesterday"), "--at: 'yesterday' is no instant; write it as in 2025-04-14T07:00:00+02:00"),
        (("sync", "changes", "--limit", "0"), "Invalid value for '--limit': '0' is no number of rows, 1 or more"),
        (("redeliver", "changes", "last"), "Invalid value for 'SYNC': 'last' is no number of a sync, as `dinmo"),
        (("sync", "changes", "--fulll"), "--fulll"),
        (("synk",), "synk"),
    ],
)
def test_wrong_call_ends_with_2_and_begins_nothing(tmp_path: Path, dinmo: Dinmo, arguments: tuple[str, ...], said: str) -> None:
    project = make_people(tmp_path, ONE)

    done = dinmo(*arguments, project=None if arguments == ("synk",) else project)

    assert done.code == 2
    assert said in done.err
    assert not (project / "out").exists()
    assert not (project / ".dinmo").exists()


@pytest.mark.parametrize(
    ("mapping", "people", "said"),
    [
        ("{id: id, nmae: name}", FIRST, "it has no column nmae; it has id, name, age"),
        ("[id, name]", ((1, "Ana", 31), (None, "Nobody", 0)), "1 row has no value in id; nothing is delivered"),
        ("[id, name]", ((1, "Ana", 31), (7, "Bea", 1), (7, "Ben", 2)), "more than one row has the same id, for instance 7 (2 rows)"),
    ],
    ids=["missing column", "null key", "repeated key"],
)
def test_rows_that_forbid_a_delivery_are_named(tmp_path: Path, dinmo: Dinmo, mapping: str, people: tuple[Person, ...], said: str) -> None:
    everyone = activation("everyone", run_type="full_only", sync_mode="snapshot", file_name="all", mapping=mapping)
    project = make_people(tmp_path, activation("changes", mapping=mapping) + everyone, people=people)

    done = dinmo("sync", "--all", project=project)

    assert done.code == 1
    assert [said in line for line in done.err.splitlines()] == [True, True]
    assert "Traceback" not in done.err
    assert not (project / "out").exists()


def test_source_file_that_is_gone_fails_with_the_querys_words(tmp_path: Path, dinmo: Dinmo) -> None:
    project = make_people(tmp_path, ONE)
    (project / "people.parquet").unlink()

    for arguments in (("sync", "changes"), ("sync", "changes", "--dry-run"), ("baseline", "changes")):
        done = dinmo(*arguments, project=project)
        assert done.code == 1
        assert "refreshing models.people (defs/people/defs.yaml:8): its query failed: there is no file " in done.err
        assert "people.parquet" in done.err


@pytest.mark.parametrize("cause", ["a file stands there", "no right"])
def test_folder_that_cannot_be_written_says_what_to_do_and_loses_nothing(tmp_path: Path, dinmo: Dinmo, cause: str) -> None:
    project = make_people(tmp_path, ONE)
    if cause == "no right":
        if os.geteuid() == 0:
            # Root may write anywhere but into the kernel's own file system.
            (project / "out").symlink_to("/sys/kernel")
        else:
            (project / "out").mkdir(mode=0o500)
    else:
        (project / "out").write_text("in the way", encoding="utf-8")
    failed = dinmo("sync", "changes", project=project)
    status = dinmo("status", project=project)
    if (project / "out").is_symlink() or (project / "out").is_file():
        (project / "out").unlink()
    else:
        (project / "out").chmod(0o700)
    done = dinmo("sync", "changes", project=project)

    assert failed.code == 1
    assert "could not make the folder" in failed.err
    assert "(storage out)" in failed.err
    assert (
        "or correct the path" in failed.err
        if cause == "a file stands there"
        else "lacks the right" in failed.err or "read-only" in failed.err
    )
    assert status.code == 1
    assert "changes\tfailed\t" in status.out
    assert "could not make the folder" in status.out
    assert done.code == 0
    assert len(delivered(project)["changes/changes.csv"]) == len(FIRST)


def test_one_that_fails_does_not_keep_the_others_from_being_delivered(tmp_path: Path, dinmo: Dinmo) -> None:
    project = make_people(tmp_path, activation("bad", mapping="[id, nmae]") + activation("good"))

    done = dinmo("sync", "--all", project=project)

    assert done.code == 1
    assert done.err.startswith("bad: ")
    assert [line.split("\t")[0] for line in done.out.splitlines()] == ["activation", "good"]


@pytest.mark.parametrize("run_type", ["full_only", "full_then_delta"])
def test_guard_holds_the_sync_until_it_is_approved(tmp_path: Path, dinmo: Dinmo, run_type: str) -> None:
    mode = "snapshot" if run_type == "full_only" else "difference"
    project = make_people(tmp_path, activation("export", file_name="export", run_type=run_type, sync_mode=mode), people=MANY)
    dinmo("sync", "export", project=project)
    before = delivered(project)
    write_people(project, MANY[:600])
    held = dinmo("sync", "export", project=project)

    assert held.code == 1
    assert "models.people has 600 rows, less than half of the 1,500 that sync 1 delivered" in held.err
    assert "`dinmo approve export` delivers this very snapshot" in held.err
    assert delivered(project) == before
    (status,) = json.loads(dinmo("status", "--json", project=project).out)
    assert status["health"] == "blocked"
    assert status["advice"].endswith("`dinmo approve export`, or mend the source and sync again")

    # What is approved is what was held, whatever the source says by now.
    write_people(project, MANY)
    approved = dinmo("approve", "export", project=project)
    assert approved.code == 0, approved.err
    assert approved.out.startswith("approved: models.people has 600 rows, less than half")
    files = delivered(project)
    if run_type == "full_only":
        assert {path: len(rows) for path, rows in files.items()} == {"export/export.csv": 600}
    else:
        assert {path: len(rows) for path, rows in files.items()} == {
            "export/export_added.csv": 0,
            "export/export_removed.csv": 900,
            "export/export_updated.csv": 0,
        }
    again = dinmo("approve", "export", project=project)
    assert again.code == 1
    assert "no sync of it waits for approval" in again.err


def test_storage_that_works_is_tried_step_by_step_and_left_as_it_was(tmp_path: Path, dinmo: Dinmo) -> None:
    project = make_people(tmp_path, ONE)

    done = dinmo("test", "out", "--folder", "deep/er", project=project)

    assert done.code == 0
    assert [line.split("  ")[0] for line in done.out.splitlines()] == [
        "✓ connect",
        "✓ folder",
        "✓ write and verify",
        "✓ rename",
        "✓ list",
        "✓ read back",
        "✓ delete",
    ]
    assert list((project / "out" / "deep" / "er").iterdir()) == []


def test_storage_that_does_not_work_ends_at_its_first_failure(tmp_path: Path, dinmo: Dinmo) -> None:
    project = make_people(tmp_path, ONE)
    (project / "out").write_text("in the way", encoding="utf-8")

    failed = dinmo("test", "out", project=project)
    unknown = dinmo("test", "ot", project=project)

    assert failed.code == 1
    assert [line.split("  ")[0] for line in failed.out.splitlines()] == ["✓ connect", "✗ folder"]
    assert "could not make the folder" in failed.err
    assert unknown.code == 2
    assert "there is no storage 'ot'; did you mean 'out'?" in unknown.err


def test_state_that_was_lost_is_noticed_by_what_dagster_knows(tmp_path: Path, dinmo: Dinmo) -> None:
    root = make_people(tmp_path, activation("changes", file_name='"{x}"'))
    assert [dinmo("sync", "changes", project=root).code for _ in range(2)] == [0, 0]
    sent = delivered(root)
    for lost in ("state", "marks"):
        shutil.rmtree(root / ".dinmo" / lost)

    refused = dinmo("sync", "changes", project=root)
    assert refused.code == 1
    assert "it ends at sync 0, and Dagster knows of sync 2: the state was restored from an older backup, or lost" in " ".join(
        refused.err.split()
    )
    assert delivered(root) == sent

    assert dinmo("sync", "changes", "--full", project=root).code == 0
    assert [sync["sync"] for sync in json.loads(dinmo("history", "changes", "--json", project=root).out)] == [3]
    assert dinmo("sync", "changes", project=root).code == 0


def test_full_sync_goes_on_from_an_older_backup_after_one_that_failed(tmp_path: Path, dinmo: Dinmo) -> None:
    root = make_people(tmp_path, activation("changes", file_name='"{x}"'))
    assert dinmo("sync", "changes", project=root).code == 0
    shutil.copytree(root / ".dinmo/state", root / "backup")
    assert dinmo("sync", "changes", project=root).code == 0
    shutil.rmtree(root / ".dinmo/state")
    shutil.copytree(root / "backup", root / ".dinmo/state")

    refused = dinmo("sync", "changes", project=root)
    assert refused.code == 1
    assert "it was restored from an older backup" in " ".join(refused.err.split())
    # The failure is recorded, so the next attempt looks at how the activation stands.
    assert (root / ".dinmo/state/activations/changes/standing.json").exists()
    assert dinmo("sync", "changes", "--full", project=root).code == 0
    assert dinmo("status", project=root).code == 0


def test_log_that_ends_too_early_is_told_by_status(tmp_path: Path, dinmo: Dinmo) -> None:
    root = make_people(tmp_path, activation("changes") + activation("others"))
    for name in ("changes", "others"):
        sync_people(root, name, datetime(2025, 4, 14, 7, tzinfo=UTC))
    max((root / ".dinmo/state/activations/changes/log").iterdir()).unlink()

    told = dinmo("status", "--json", project=root)
    assert told.code == 1
    lines = {line["activation"]: line for line in json.loads(told.out)}
    assert lines["changes"]["health"] == "unknown"
    assert "it was restored from an older backup, or something of it was deleted" in lines["changes"]["advice"]
    assert lines["others"]["health"] == "ok"


def test_dev_does_not_start_on_a_port_that_is_taken(tmp_path: Path, dinmo: Dinmo) -> None:
    project = make_people(tmp_path, ONE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = dinmo("dev", "--port", str(port), project=project)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"opening the Dagster UI at 127.0.0.1:{port}: Address already in use; choose another with --port or --host\n"
