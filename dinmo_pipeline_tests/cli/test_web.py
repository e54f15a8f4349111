"""Which runs the UI shows: those of the project in whose folder it is started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dinmo_pipeline.cli.dagster.web import use_home_of_project


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DAGSTER_HOME", "DINMO_HOME"):
        # Set first, so that what the test sets is undone.
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)


def test_home_of_the_project_is_used_and_sends_no_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.dinmo]\n")
    monkeypatch.chdir(tmp_path)
    use_home_of_project()
    assert os.environ["DAGSTER_HOME"] == str(tmp_path / ".dinmo" / "dagster")
    assert "telemetry:\n  enabled: false\n" in (tmp_path / ".dinmo" / "dagster" / "dagster.yaml").read_text()


def test_home_that_is_set_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.dinmo]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "elsewhere"))
    use_home_of_project()
    assert os.environ["DAGSTER_HOME"] == str(tmp_path / "elsewhere")
    assert not (tmp_path / ".dinmo").exists()


def test_elsewhere_it_is_left_to_dagster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    use_home_of_project()
    assert "DAGSTER_HOME" not in os.environ
