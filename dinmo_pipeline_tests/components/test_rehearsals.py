"""Dry runs and trials from Dagster: what the command line does, told as an observation, and nothing counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dagster import ExecuteInProcessResult

from dinmo_pipeline.components.asset_keys import delivery_key

from ..people import activation, delivered, make_people
from .conftest import Dagster

CHANGES = activation("changes", file_name="changes")
EVERYONE = activation("everyone", run_type="full_only", sync_mode="snapshot", file_name="everyone", warn_if="{rows: '> 2'}")


def observed(result: ExecuteInProcessResult, name: str) -> dict[str, Any]:
    (event,) = [event for event in result.all_events if event.event_type_value == "ASSET_OBSERVATION"]
    observation = event.asset_observation_data.asset_observation
    assert observation.asset_key == delivery_key(name)
    return {key: value.value for key, value in observation.metadata.items()}


def config(name: str, step: str, **options: object) -> dict[str, Any]:
    return {"ops": {f"activations__{name}__{step}": {"config": options}}}


@pytest.mark.parametrize(("name", "step"), [("changes", "snapshot"), ("everyone", "delivery")])
def test_dry_run_tells_what_would_be_sent_and_sends_nothing(
    tmp_path: Path, in_dagster: Callable[[Path], Dagster], name: str, step: str
) -> None:
    dagster = in_dagster(make_people(tmp_path, CHANGES + EVERYONE, settings="preview_rows = 1\n"))
    result = dagster.run(name, "try", config=config(name, step, dry_run=True))

    assert result.success
    told = observed(result, name)
    assert (told["rows sent"], told["sent to"]) == (3, "nobody: a dry run")
    assert f"| {name}/{name}.csv | 3 |" in told["files that would be written"]
    assert "| 1 | Ana | 31 |" in told["preview"]
    assert "Bruno" not in told["preview"]
    assert not (tmp_path / "out").exists()
    assert dagster.state(name).syncs == {}
    assert [key for key in result.get_asset_materialization_events() if key.asset_key == delivery_key(name)] == []


@pytest.mark.parametrize(("name", "step"), [("changes", "snapshot"), ("everyone", "delivery")])
def test_trial_sends_so_many_rows_and_moves_no_base(tmp_path: Path, in_dagster: Callable[[Path], Dagster], name: str, step: str) -> None:
    dagster = in_dagster(make_people(tmp_path, CHANGES + EVERYONE))
    result = dagster.run(name, "try", config=config(name, step, limit=2))

    assert observed(result, name)["sent to"] == "out"
    assert {path: len(rows) for path, rows in delivered(tmp_path).items()} == {f"{name}/{name}_trial.csv": 2}
    assert dagster.state(name).syncs == {}
