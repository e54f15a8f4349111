"""What Dagster keeps its runs in: made once, mended, and truthful about runs and definitions that are gone."""

from __future__ import annotations

import importlib.resources
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from dagster import AssetKey, AssetMaterialization, DagsterInstance, DagsterRunStatus

from dinmo_pipeline.cli.dagster.instance import prepare_storage, storage_problem
from dinmo_pipeline.project.settings import find_project_root

from ..people import BIN, activation, make_people, write_definitions
from .conftest import Dinmo

_PATIENCE_S = 300.0
_AT_ONCE = 3


def versions(home: Path) -> list[int]:
    found = []
    for name in ("history/runs.db", "history/runs/index.db", "schedules/schedules.db"):
        with closing(sqlite3.connect(home / name)) as connection:
            found.append(connection.execute("SELECT count(*) FROM alembic_version").fetchone()[0])
    return found


def test_storage_that_several_make_at_once_is_whole(tmp_path: Path) -> None:
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path / "home")}
    started = [subprocess.Popen([BIN / "dinmo", "instance", "init"], cwd=tmp_path, env=environment) for _ in range(_AT_ONCE)]

    assert [process.wait(_PATIENCE_S) for process in started] == [0] * _AT_ONCE
    assert versions(tmp_path / "home") == [1, 1, 1]
    assert storage_problem(tmp_path / "home") is None


def test_storage_that_two_made_at_once_is_told_and_mended(tmp_path: Path, dinmo: Dinmo) -> None:
    root = make_people(tmp_path / "people", activation("changes"))
    assert dinmo("sync", "changes", project=root).code == 0
    home = root / ".dinmo" / "dagster"
    with closing(sqlite3.connect(home / "history" / "runs.db")) as connection, connection:
        connection.execute("ALTER TABLE alembic_version RENAME TO had_a_key")
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        for _ in range(2):
            connection.execute("INSERT INTO alembic_version SELECT version_num FROM had_a_key")
    told = dinmo("status", project=root)
    mended = dinmo("instance", "init", project=root)

    assert told.code == 1
    assert "Dagster's storage is broken: history/runs.db has 2 versions where one belongs" in told.err
    assert "mended history/runs.db" in mended.out
    assert (dinmo("status", project=root).code, versions(home)) == (0, [1, 1, 1])


def test_init_leaves_a_storage_that_is_whole_and_its_settings_alone(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")

    assert prepare_storage(tmp_path) == ("made history/runs.db, history/runs/index.db, schedules/schedules.db",)
    assert prepare_storage(tmp_path) == ()
    assert (tmp_path / "dagster.yaml").read_text(encoding="utf-8") == "telemetry: {enabled: false}\n"


def test_sync_that_was_killed_is_ended_by_the_next_one(tmp_path: Path, dinmo: Dinmo) -> None:
    fifo = tmp_path / "people" / "wait.csv"
    root = make_people(tmp_path / "people", activation("changes"))
    definitions = next((root / "defs").rglob("defs.yaml"))
    fast = definitions.read_text(encoding="utf-8")
    os.mkfifo(fifo)
    slow = fast.replace("SELECT * FROM 'people.parquet'", "SELECT p.* FROM 'people.parquet' p, read_csv('wait.csv')")
    assert slow != fast
    definitions.write_text(slow, encoding="utf-8")
    home = root / ".dinmo" / "dagster"
    process = subprocess.Popen([BIN / "dinmo", "sync", "changes"], cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + _PATIENCE_S
    while not any(status == DagsterRunStatus.STARTED for status in statuses(home)):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    definitions.write_text(fast, encoding="utf-8")
    tried = dinmo("clean", "--dry-run", project=root)
    after_the_kill = statuses(home)
    synced = dinmo("sync", "changes", project=root)

    assert "its process was killed" in tried.out
    assert after_the_kill == [DagsterRunStatus.STARTED]
    assert synced.code == 0, synced.err
    assert sorted(statuses(home), key=str) == [DagsterRunStatus.FAILURE, DagsterRunStatus.SUCCESS]


def statuses(home: Path) -> list[DagsterRunStatus]:
    if storage_problem(home) is not None:
        return []
    with DagsterInstance.from_config(str(home)) as instance:
        return [record.dagster_run.status for record in instance.get_run_records()]


def test_clean_wipes_what_was_ours_and_has_no_definition_any_more(tmp_path: Path, dinmo: Dinmo) -> None:
    root = make_people(tmp_path / "people", activation("kept") + activation("gone"))
    assert dinmo("sync", "--all", project=root).code == 0
    foreign = AssetKey(["models", "of somebody else"])
    with DagsterInstance.from_config(str(root / ".dinmo" / "dagster")) as instance:
        instance.report_runless_asset_event(AssetMaterialization(foreign))
    write_definitions(root, activation("kept"))
    told = dinmo("clean", "--dry-run", project=root)
    with DagsterInstance.from_config(str(root / ".dinmo" / "dagster")) as instance:
        before = len(instance.all_asset_keys())
    cleaned = dinmo("clean", project=root)

    assert "activations/gone/delivery" in told.out.replace('["activations", "gone", "delivery"]', "activations/gone/delivery")
    assert cleaned.code == 0
    with DagsterInstance.from_config(str(root / ".dinmo" / "dagster")) as instance:
        assert {*instance.all_asset_keys()} == {
            foreign, AssetKey(["models", "people"]), *(AssetKey(["activations", "kept", name]) for name in ("snapshot", "delivery")),
        }  # fmt: skip
        assert before == 6
        assert instance.get_dynamic_partitions("syncs_gone") == []
        assert len(instance.get_dynamic_partitions("syncs_kept")) == 1


@pytest.mark.parametrize("folder", ["feature%2Fx", "100%", "a#b;c", 'it\'s "so"', "[x]*", "ünï ☃", "line\nbreak", "{b}$x&~"])
def test_sync_works_in_a_folder_of_any_name(tmp_path: Path, dinmo: Dinmo, folder: str) -> None:
    root = make_people(tmp_path / folder / "people", activation("changes"))
    synced = dinmo("sync", "changes", project=root)

    assert synced.code == 0, synced.err
    assert len([*(root / "out").rglob("*.csv")]) == 1


@pytest.mark.parametrize("folder", ["what?", "back\\slash", "x,y", "all*", "[1]", "all of it: ?\\,*[1]%2F #;'\""])
def test_project_in_any_folder_is_delivered(tmp_path: Path, dinmo: Dinmo, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "states"))
    made = make_people(tmp_path / "made", activation("changes"))
    root = made.rename(tmp_path / folder)
    checked, synced = dinmo("check", project=root), dinmo("sync", "changes", project=root)

    assert (checked.code, synced.code) == (0, 0), checked.err + synced.err
    assert len([*(root / "out").rglob("*.csv")]) == 1
    moved = "?" in folder or "\\" in folder
    assert (root / ".dinmo").exists() == (not moved)
    assert ("its state and Dagster's runs are kept in" in checked.err) == moved
    assert len([*(tmp_path / "states").glob("dinmo/*/state")]) == moved
    assert dinmo("status", project=root).code == 0


def test_folder_whose_name_is_no_text_is_refused_in_one_line(tmp_path: Path, dinmo: Dinmo) -> None:
    # Arrow, which writes the rows, cannot have every folder, either.
    made = make_people(tmp_path / "made", activation("changes"))
    root = made.rename(tmp_path / "\udcff")

    for command in (("check",), ("sync", "changes"), ("status",), ("clean",), ("history", "changes")):
        refused = dinmo(*command, project=root)
        assert (refused.code, len(refused.err.splitlines())) == (2, 1), refused.err
        assert "no UTF-8 (0xff)" in refused.err


def test_home_elsewhere_helps_where_a_path_has_a_question_mark(tmp_path: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_people(tmp_path / "what?" / "people", activation("changes"))
    monkeypatch.setenv("DINMO_HOME", str(tmp_path / "home"))
    synced = dinmo("sync", "changes", project=root)

    assert synced.code == 0, synced.err
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "what?"))
    assert "set DAGSTER_HOME to a folder elsewhere" in dinmo("sync", "changes", project=root).err


def test_env_file_of_the_project_is_read_as_dagster_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_people(tmp_path / "people", activation("changes"))
    monkeypatch.setenv("SET_ALREADY", "in the environment")
    for name in ("WORD", "LONGER"):
        monkeypatch.setenv(name, "")
    (root / ".env").write_text("export WORD='two words' # a comment\nLONGER=${WORD}!\nSET_ALREADY=in the file\nNOTHING\n", encoding="utf-8")
    find_project_root(root / "defs")

    found = {name: os.environ.get(name) for name in ("WORD", "LONGER", "SET_ALREADY", "NOTHING")}
    assert found == {"WORD": "two words", "LONGER": "two words!", "SET_ALREADY": "in the file", "NOTHING": None}


def test_home_that_the_env_file_names_is_that_of_every_command(tmp_path: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_people(tmp_path / "people", activation("changes"))
    monkeypatch.setenv("DINMO_HOME", "")
    (root / ".env").write_text(f"DINMO_HOME={tmp_path / 'home'}\n", encoding="utf-8")
    synced = dinmo("sync", "changes", project=root)

    assert synced.code == 0, synced.err
    assert (tmp_path / "home" / "warehouse.duckdb").exists()
    assert not (root / ".dinmo").exists()
    assert "changes\tok" in dinmo("status", project=root).out


def test_time_zones_are_those_of_the_installed_package(tmp_path: Path) -> None:
    (tmp_path / "America").mkdir()
    berlin = importlib.resources.files("tzdata") / "zoneinfo" / "Europe" / "Berlin"
    (tmp_path / "America" / "Vancouver").write_bytes(berlin.read_bytes())
    program = "import zoneinfo, datetime; zoneinfo.ZoneInfo('America/Vancouver'); import dinmo_pipeline; " + (
        "print(datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo('America/Vancouver')).utcoffset())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONTZPATH": str(tmp_path)}, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip

    assert ran.stdout == "-1 day, 17:00:00\n"


def test_full_disk_below_dagsters_home_is_told_in_one_line(tmp_path: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_people(tmp_path / "people", activation("changes"))
    assert dinmo("sync", "changes", project=root).code == 0

    def full(*_: object, **__: object) -> object:
        from sqlalchemy.exc import OperationalError

        raise OperationalError("INSERT INTO runs", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr(DagsterInstance, "add_dynamic_partitions", full)
    refused = dinmo("sync", "changes", project=root)

    assert (refused.code, len(refused.err.splitlines())) == (1, 1)
    assert "database or disk is full" in refused.err
