"""`dinmo explain`: when a record was sent, with which values, and why or why not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dinmo_pipeline.engines.duckdb.tables import refresh
from dinmo_pipeline.project.load import load_project

from ..people import FIRST, activation, make_people, sync_people, write_people
from .conftest import Dinmo

# Bruno has a birthday, Chloé leaves the segment by getting too old for it, Dana comes, Ana stays; Emil never was young enough.
BEFORE = (*FIRST, (5, "Emil", 90))
AFTER = ((1, "Ana", 31), (2, "Bruno", 46), (3, "Chloé", 70), (4, "Dana", 52), (5, "Emil", 90))
SEGMENT = "---\ntype: dinmo_pipeline.Segment\nattributes: {name: young, model: people, where: age < 60}\n"
DAYS = (datetime(2025, 4, 14, tzinfo=UTC), datetime(2025, 4, 15, tzinfo=UTC))


def project_of(tmp_path: Path, **fields: str) -> Path:
    """Two syncs of the segment, the second after a change."""
    definition = activation("changes", segment="young", **fields).replace("  model: people\n", "")
    root = make_people(tmp_path, SEGMENT + definition, people=BEFORE)
    for day, people in zip(DAYS, (BEFORE, AFTER), strict=True):
        write_people(root, people)
        sync_people(root, "changes", day)
    return root


def explained(dinmo: Dinmo, root: Path, *key: object) -> tuple[list[str], str]:
    """What each sync did with the record, and what the next one would."""
    told: dict[str, Any] = json.loads(dinmo("explain", "changes", *key, "--json", project=root).out)
    return [each["what"] for each in told["syncs"]], told["next"]["what"]


@pytest.mark.parametrize(
    ("key", "difference", "upsert", "insert"),
    [
        pytest.param(1, ["sent", "unchanged"], ["sent", "unchanged"], ["sent", "unchanged"], id="unchanged"),
        pytest.param(2, ["sent", "updated"], ["sent", "updated"], ["sent", "unchanged"], id="updated"),
        pytest.param(3, ["sent", "removed"], ["sent", "left"], ["sent", "left"], id="removed"),
        pytest.param(4, ["absent", "added"], ["absent", "added"], ["absent", "added"], id="added"),
        pytest.param(5, ["absent", "absent"], ["absent", "absent"], ["absent", "absent"], id="filtered out"),
        pytest.param(99, ["absent", "absent"], ["absent", "absent"], ["absent", "absent"], id="never seen"),
    ],
)
def test_each_mode_tells_what_it_did_with_a_record(
    tmp_path: Path, dinmo: Dinmo, key: int, difference: list[str], upsert: list[str], insert: list[str]
) -> None:
    now = {3: "filtered out", 5: "filtered out", 99: "never seen"}.get(key, "unchanged")
    for mode, expected in {"difference": difference, "upsert": upsert, "insert": insert}.items():
        root = project_of(tmp_path / mode, sync_mode=mode)

        assert explained(dinmo, root, key) == (expected, now), mode


def test_values_and_files_are_those_that_were_sent(tmp_path: Path, dinmo: Dinmo) -> None:
    root = project_of(tmp_path, sync_mode="difference")
    bruno, chloe = (json.loads(dinmo("explain", "changes", key, "--json", project=root).out)["syncs"] for key in (2, 3))

    assert bruno[0]["values"] == {"id": "2", "full name": "Bruno", "age": "45"}
    assert bruno[1]["values"]["age"] == "46"
    assert bruno[1]["before"]["age"] == "45"
    assert (bruno[0]["files"], bruno[1]["files"]) == (
        ["changes/2025-04-14T000000_added.csv"],
        ["changes/2025-04-15T000000_updated.csv"],
    )
    assert chloe[1]["files"] == ["changes/2025-04-15T000000_removed.csv"]
    assert chloe[1]["values"] == {"id": "3", "full name": "Chloé", "age": "27"}, "the values last delivered"


def test_people_read_why(tmp_path: Path, dinmo: Dinmo) -> None:
    root = project_of(tmp_path, sync_mode="difference")
    updated, filtered = dinmo("explain", "changes", 2, project=root).out, dinmo("explain", "changes", 3, project=root).out

    assert updated.splitlines()[0] == "changes: id = 2"
    assert "every row was sent: the first sync" in updated
    assert "a mapped value was another than in the base\tage: 45 → 46" in updated
    assert "it is in models.people but not in segments.young, which leaves it out; the next sync does not send it" in filtered


@pytest.mark.parametrize(
    ("people", "key", "words"),
    [
        (((1, "Ana", 32), *AFTER[1:]), 1, "the next sync sends it as updated"),
        ((*AFTER, (6, "Finn", 20)), 6, "the next sync sends it as added"),
        (AFTER[1:], 1, "it is not in segments.young; the next sync tells it as removed"),
        (((1, "Ana", 77), *AFTER[1:]), 1, "which leaves it out; the next sync tells it as removed"),
    ],
)
def test_next_sync_is_told_from_the_table_as_it_is(tmp_path: Path, dinmo: Dinmo, people: tuple[Any, ...], key: int, words: str) -> None:
    root = project_of(tmp_path, sync_mode="difference")
    write_people(root, people)
    project = load_project(root)
    for table in project.tables.values():
        refresh(project, table)

    assert words in dinmo("explain", "changes", key, project=root).out


def test_composite_key_takes_a_value_for_each_column(tmp_path: Path, dinmo: Dinmo) -> None:
    root = make_people(tmp_path, activation("changes"))
    path = root / "defs" / "people" / "defs.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("primary_key: [id]", "primary_key: [id, name]"), encoding="utf-8")
    sync_people(root, "changes", DAYS[0])

    assert explained(dinmo, root, 2, "Bruno") == (["sent"], "unchanged")
    assert explained(dinmo, root, 2, "Ana, and more") == (["absent"], "never seen")
    assert explained(dinmo, root, "two", "Bruno") == (["absent"], "never seen")
    wrong = dinmo("explain", "changes", 2, project=root)
    assert (wrong.code, wrong.out) == (2, "")
    assert "its primary key is id, name, so give 2 values, one after the other; 1 were given" in wrong.err


def test_pruned_and_full_only_syncs_are_said_to_be_forgotten(tmp_path: Path, dinmo: Dinmo) -> None:
    root = make_people(tmp_path, activation("changes", keep_syncs="1", file_name='"{x}"'))
    for hour in range(5):
        sync_people(root, "changes", DAYS[0] + timedelta(hours=hour))
    told = json.loads(dinmo("explain", "changes", 1, "--json", project=root).out)

    # The first is whole, and all others are patches of it.
    assert told["forgotten"] == [2, 3]
    assert "sync 2 to 3: the rows are not kept any more (keep_syncs: 1)" in dinmo("explain", "changes", 1, project=root).out


def test_before_the_first_sync_nothing_is_known(tmp_path: Path, dinmo: Dinmo) -> None:
    told = dinmo("explain", "changes", 1, project=make_people(tmp_path, activation("changes")))

    assert told.code == 0
    assert "models.people was never refreshed: `dinmo sync changes` does it" in told.out
