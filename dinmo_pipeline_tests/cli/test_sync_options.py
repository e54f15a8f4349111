"""`dinmo sync` and its options: what is sent, where to, and which base moves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ..people import DATED, FIRST, SECOND, Ran, activation, delivered, make_people, write_definitions, write_people
from .conftest import Dinmo

FIXED = activation("changes", file_name="changes") + activation("everyone", run_type="full_only", sync_mode="snapshot", file_name="all")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_people(tmp_path, FIXED)


def history(dinmo: Dinmo, project: Path, name: str = "changes") -> list[dict[str, Any]]:
    syncs: list[dict[str, Any]] = json.loads(dinmo("history", name, "--json", project=project).out)
    return syncs


def test_name_alone_delivers_that_one(project: Path, dinmo: Dinmo) -> None:
    done = dinmo("sync", "changes", project=project)

    assert done.code == 0
    assert list(delivered(project)) == ["changes/changes.csv"]


def test_dry_run_shows_what_would_be_sent_and_sends_nothing(project: Path, dinmo: Dinmo) -> None:
    done = dinmo("sync", "--all", "--dry-run", project=project)

    assert done.code == 0
    assert "changes: 3 rows: 3 added, 0 updated; full (the first sync)" in done.out
    assert "would send: changes/changes.csv  3 rows" in done.out
    assert "1\tAna\t31" in done.out
    assert not (project / "out").exists()
    assert history(dinmo, project) == []


def test_limit_sends_a_trial_and_moves_no_base(project: Path, dinmo: Dinmo) -> None:
    done = dinmo("sync", "changes", "--limit", 2, project=project)

    assert done.code == 0
    assert {path: len(rows) for path, rows in delivered(project).items()} == {"changes/changes_trial.csv": 2}
    assert history(dinmo, project) == []


def test_to_sends_elsewhere_and_moves_no_base(project: Path, dinmo: Dinmo) -> None:
    dinmo("sync", "changes", project=project)
    write_people(project, SECOND)
    done = dinmo("sync", "changes", "--to", "elsewhere", project=project)

    assert done.code == 0
    assert "sent to elsewhere: out/changes/changes.csv  2 rows" in done.out
    assert [row[0] for row in delivered(project, "elsewhere")["out/changes/changes.csv"]] == ["2", "4"]
    assert [sync["sync"] for sync in history(dinmo, project)] == [1]
    assert len(delivered(project)["changes/changes.csv"]) == 3


def test_redirect_sends_every_delivery_elsewhere_and_moves_no_base(project: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINMO_REDIRECT", "elsewhere")
    done = dinmo("sync", "--all", project=project)

    assert done.code == 0
    assert "→ elsewhere" in done.out
    assert list(delivered(project, "elsewhere")) == ["out/changes/changes.csv", "out/everyone/all.csv"]
    assert not (project / "out").exists()
    assert [sync["state"] for sync in history(dinmo, project)] == ["redirected"]
    status = dinmo("status", "--json", project=project)
    assert status.code == 0
    assert {line["health"] for line in json.loads(status.out)} == {"new"}

    monkeypatch.delenv("DINMO_REDIRECT")
    assert dinmo("sync", "--all", project=project).code == 0
    assert len(delivered(project)["changes/changes.csv"]) == 3


def test_redirect_to_nothing_names_the_variable(project: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINMO_REDIRECT", "elsewere")
    done = dinmo("sync", "changes", project=project)

    assert done.code != 0
    assert "DINMO_REDIRECT: there is no storage 'elsewere'; did you mean 'elsewhere'?" in done.err


def test_full_sends_every_row_and_becomes_the_base(project: Path, dinmo: Dinmo) -> None:
    dinmo("sync", "changes", project=project)
    done = dinmo("sync", "changes", "--full", project=project)

    assert done.code == 0
    assert "full: every row was asked for" in done.out
    assert len(delivered(project)["changes/changes.csv"]) == 3
    dinmo("sync", "changes", project=project)
    assert delivered(project)["changes/changes.csv"] == []
    assert [sync["base"] for sync in history(dinmo, project)] == [None, 1, 2]


def test_full_of_full_only_says_that_it_changes_nothing(project: Path, dinmo: Dinmo) -> None:
    done = dinmo("sync", "everyone", "--full", project=project)

    assert done.code == 0
    assert "everyone: full_only sends every row anyway" in done.err


@pytest.mark.parametrize(
    ("instant", "name"),
    [
        ("2025-04-14T07:00:00+02:00", "2025-04-14T050000.csv"),
        ("2025-04-14T07:00:00", "2025-04-14T070000.csv"),
        ("2025-04-14", "2025-04-14T000000.csv"),
    ],
)
def test_at_sets_the_instant_in_names(tmp_path: Path, dinmo: Dinmo, instant: str, name: str) -> None:
    project = make_people(tmp_path, activation("changes", file_name=DATED))

    done = dinmo("sync", "changes", "--at", instant, "--dry-run", project=project)

    assert done.code == 0
    assert f"changes/{name}" in done.out


def test_baseline_takes_rows_as_delivered(project: Path, dinmo: Dinmo) -> None:
    taken = dinmo("baseline", "changes", project=project)
    write_people(project, SECOND)
    dinmo("sync", "changes", project=project)

    assert taken.code == 0
    assert "changes: 3 rows count as delivered (sync 1)" in taken.out
    assert [row[0] for row in delivered(project)["changes/changes.csv"]] == ["2", "4"]
    assert [sync["state"] for sync in history(dinmo, project)] == ["baseline", "delivered"]


def manifest(project: Path, folder: str = "out") -> dict[str, Any]:
    told: dict[str, Any] = json.loads((project / folder / "changes/changes.manifest.json").read_text())
    return told


def test_sync_after_a_baseline_names_no_base_that_was_never_sent(tmp_path: Path, dinmo: Dinmo) -> None:
    project = make_people(tmp_path, activation("changes", file_name="changes", manifest="true"))
    dinmo("baseline", "changes", project=project)
    write_people(project, SECOND)
    rehearsed = dinmo("sync", "changes", "--dry-run", project=project)
    dinmo("sync", "changes", project=project)
    after_baseline, table = manifest(project), dinmo("history", "changes", project=project).out.splitlines()
    dinmo("sync", "changes", project=project)
    after_sync = manifest(project)
    dinmo("redeliver", "changes", "3", "--to", "elsewhere", project=project)
    redelivered = manifest(project, "elsewhere/out")
    dinmo("sync", "changes", "--to", "elsewhere", project=project)

    assert [(told["base"], told["compared_with"]) for told in (after_baseline, after_sync)] == [(None, 1), (2, 2)]
    assert "what changed since sync 1, of which nothing was sent there" in rehearsed.out
    assert [row.split("\t")[4] for row in table[:3]] == ["base", "-", "1 (not sent)"]
    assert [(sync["base"], sync["compared_with"]) for sync in history(dinmo, project)] == [(None, None), (None, 1), (2, 2)]
    assert [(told["base"], told["compared_with"]) for told in (redelivered, manifest(project, "elsewhere/out"))] == [(None, 2), (None, 3)]


def test_baseline_of_full_only_is_refused(project: Path, dinmo: Dinmo) -> None:
    done = dinmo("baseline", "everyone", project=project)

    assert done.code == 1
    assert "it is full_only, which compares with nothing" in done.err


def test_home_elsewhere_keeps_state_out_of_the_project(project: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINMO_HOME", str(project / "var" / "dinmo"))
    done = dinmo("sync", "changes", project=project)

    assert done.code == 0
    assert (project / "var" / "dinmo" / "state" / "activations" / "changes").is_dir()
    assert not (project / ".dinmo").exists()


def test_roll_forward_under_a_fixed_name_ends_the_run_with_a_word(project: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    dinmo("sync", "changes", project=project)
    write_people(project, SECOND)
    with monkeypatch.context() as patched:
        # The intent is recorded; then the process cannot move the file into place.
        patched.setattr("dinmo_pipeline.storages.publish.Publisher.show", _lost_connection)
        failed = dinmo("sync", "changes", project=project)
    write_people(project, ((1, "Ana", 32), *SECOND[1:]))
    status = dinmo("status", project=project)
    completed = dinmo("sync", "changes", project=project)

    assert (failed.code, completed.code) == (1, 0), failed.err + completed.err
    assert "half delivered" in status.out
    assert "changes: sync 2 had been left half delivered; it is complete now, as it was begun" in completed.err
    assert "changes: run it again for what has changed since" in completed.err
    assert [row[0] for row in delivered(project)["changes/changes.csv"]] == ["2", "4"]
    again = dinmo("sync", "changes", project=project)
    assert again.err == ""
    assert delivered(project)["changes/changes.csv"] == [("1", "Ana", "32")]


def test_roll_forward_under_a_dated_name_goes_on_to_the_new_sync(tmp_path: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_people(tmp_path, activation("changes"))
    with monkeypatch.context() as patched:
        patched.setattr("dinmo_pipeline.storages.publish.Publisher.show", _lost_connection)
        dinmo("sync", "changes", "--at", "2025-04-14", project=project)
    write_people(project, SECOND)
    done = dinmo("sync", "changes", "--at", "2025-04-15", project=project)

    assert done.code == 0, done.err
    assert [line.split("\t")[:2] for line in done.out.splitlines()[1:]] == [["changes", "1"], ["changes", "2"]]
    assert "run it again" not in done.err
    files = {path: [row[0] for row in rows] for path, rows in delivered(project).items()}
    assert files == {"changes/2025-04-14T000000.csv": ["1", "2", "3"], "changes/2025-04-15T000000.csv": ["2", "4"]}


def test_edited_definitions_take_effect_at_the_next_sync(project: Path, dinmo: Dinmo) -> None:
    dinmo("sync", "changes", project=project)
    write_definitions(project, activation("changes", file_name="changes", mapping="{id: id, name: full name}"))
    done = dinmo("sync", "changes", project=project)

    assert done.code == 0
    assert delivered(project)["changes/changes.csv"] == [], "a dropped column makes no row updated"
    write_definitions(project, activation("changes", file_name="changes", mapping="{id: id, name: full name, age: years}"))
    dinmo("sync", "changes", project=project)
    assert len(delivered(project)["changes/changes.csv"]) == len(FIRST), "a new one makes every row updated"


def test_labels_in_history_are_instants(project: Path, dinmo: Dinmo) -> None:
    before = datetime.now(UTC)
    dinmo("sync", "changes", project=project)

    (sync,) = history(dinmo, project)
    assert before <= datetime.fromisoformat(sync["delivered_at"]) <= datetime.now(UTC)
    assert sync["label"].endswith("Z")


def _lost_connection(*_: object) -> None:
    from dinmo_pipeline.errors import PermanentStorageError

    raise PermanentStorageError("the connection was lost")


def test_required_state_is_begun_by_hand_and_once(tmp_path: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_people(tmp_path, activation("changes"))
    monkeypatch.setenv("DINMO_REQUIRE_STATE", "1")
    monkeypatch.setenv("DINMO_STATE_URL", f"file://{tmp_path}/state")

    refused = dinmo("sync", "changes", project=project)
    assert refused.code == 1
    assert f"there is no state at {tmp_path}/state" in refused.err + refused.out
    assert "dinmo state init" in refused.err + refused.out
    assert delivered(project) == {}
    assert dinmo("state", "init", project=project) == Ran(0, f"state begins at {tmp_path}/state\n", "")
    again = dinmo("state", "init", project=project)
    assert (again.code, again.out) == (0, f"there is state at {tmp_path}/state already; nothing was changed\n")
    assert dinmo("sync", "changes", project=project).code == 0
    assert delivered(project)
