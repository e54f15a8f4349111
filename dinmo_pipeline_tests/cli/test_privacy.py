"""What the commands keep is their user's alone, whatever the umask; what is delivered, and a new project, is not; an open home is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dinmo_pipeline_tests.people import make_people

from .conftest import Dinmo

ONE = """
---
type: dinmo_pipeline.Activation
attributes:
  {name: changes, model: people, destination: out, format: csv, run_type: full_then_delta, sync_mode: upsert, file_name: "{x}_e",
   mapping: {id: id}}
"""


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that everybody on this machine may enter, as a temporary one of pytest's is not."""
    with TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


def shell(*arguments: object, home: Path, umask: int) -> subprocess.CompletedProcess[str]:
    """The command from a shell with this umask."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("DINMO_", "DAGSTER_"))}
    command = [str(Path(sys.executable).with_name("dinmo")), *map(str, arguments)]
    return subprocess.run(
        command,
        env={**variables, "DINMO_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def rights(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o000, 0o666, 0o777)])
def test_whatever_a_sync_keeps_is_private_in_a_home_that_is_not(reachable: Path, umask: int, file: int, folder: int) -> None:
    project, home = make_people(reachable / "project", ONE), reachable / "home"
    for made in (home, home / "dagster"):
        made.mkdir()
        made.chmod(0o755)
    done = shell("sync", "--all", "--project", project, home=home, umask=umask)
    assert done.returncode == 0, done.stderr

    kept = [path for path in home.rglob("*") if path != home / "dagster"]
    assert {path.name for path in kept} >= {"index.db", "warehouse.duckdb", "state.json"}
    assert {path: f"{rights(path):04o}" for path in kept if rights(path) & 0o077} == {}
    (delivered,) = (project / "out").glob("*.csv")
    assert (rights(delivered), rights(delivered.parent)) == (file, folder)


def test_project_that_is_made_is_for_all_who_work_on_it(reachable: Path) -> None:
    done = shell("init", reachable / "shop", home=reachable / "home", umask=0o022)
    assert done.returncode == 0, done.stderr
    assert {rights(path) for path in (reachable / "shop").rglob("*") if path.is_file()} == {0o644}


@pytest.mark.parametrize(
    ("mode", "told"), [(0o755, "open to everybody"), (0o750, "open to its group"), (0o711, "open to everybody"), (0o700, None)]
)
@pytest.mark.parametrize("variable", ["DINMO_HOME", "DAGSTER_HOME"])
def test_home_that_others_may_enter_is_told_with_what_closes_it(
    variable: str, mode: int, told: str | None, reachable: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_people(reachable / "project", ONE)
    homes = {"DINMO_HOME": reachable / "home", "DAGSTER_HOME": reachable / "dagster"}
    for name, home in homes.items():
        home.mkdir(mode=0o700)
        monkeypatch.setenv(name, str(home))
    homes[variable].chmod(mode)

    checked, status = dinmo("check", project=project), dinmo("status", "--json", project=project)
    for ran in (checked, status):
        if told is None:
            assert "chmod" not in ran.err
        else:
            (line,) = [line for line in " ".join(ran.err.split()).split("warning: ") if "chmod" in line]
            assert line.startswith(f"{variable} {homes[variable]} is {told} on this machine (mode {mode:04o})")
            assert f"`chmod -R go= {homes[variable]}` closes it" in line
    assert checked.code == 0


def test_open_home_below_a_closed_folder_is_none(reachable: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    project, home = make_people(reachable / "project", ONE), reachable / "closed" / "home"
    home.mkdir(parents=True)
    home.chmod(0o755)
    home.parent.chmod(0o700)
    monkeypatch.setenv("DINMO_HOME", str(home))
    assert "chmod" not in dinmo("check", project=project).err
