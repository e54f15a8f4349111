"""Values of others on the way to a person's screen: they are shown, and do nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dinmo_pipeline.inbound.inbox.file_names import printable

from ..people import activation, make_people, sync_people
from .conftest import Dinmo

WRITTEN_OUT = {
    "\x1b[2J\x1b]0;owned\x07": r"\x1b[2J\x1b]0;owned\x07",
    "\x9b31m": r"\x9b31m",
    "\u202egpj.exe": r"\u202egpj.exe",
    "a\x00b\x7f": r"a\x00b\x7f",
    "\u2028": r"\u2028",
    "👩\u200d👩\u200d👧 é": "👩\u200d👩\u200d👧 é",
    "[red]x[/red]": "[red]x[/red]",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    names = ["x" * 100_000, *WRITTEN_OUT]
    return make_people(tmp_path, activation("changes"), people=[(number, name, 1) for number, name in enumerate(names)])


def test_value_cannot_command_a_terminal_or_forge_a_line(root: Path, dinmo: Dinmo) -> None:
    sync_people(root, "changes", datetime(2025, 4, 14, tzinfo=UTC))
    shown = dinmo("sync", "changes", "--full", "--dry-run", project=root).out

    for number, (name, written) in enumerate(WRITTEN_OUT.items(), 1):
        # The first five rows are shown.
        assert number > 4 or f"\n{number}\t{written}\t1\n" in shown
        assert f"full name={written}," in dinmo("explain", "changes", number, project=root).out
        as_json = dinmo("explain", "changes", number, "--json", project=root).out
        assert json.loads(as_json)["next"]["values"]["full name"] == name
        assert printable(as_json.replace("\n", "").replace("\u200d", "")) == as_json.replace("\n", "").replace("\u200d", "")


def test_long_value_is_cut_for_people_and_whole_for_programs(root: Path, dinmo: Dinmo) -> None:
    sync_people(root, "changes", datetime(2025, 4, 14, tzinfo=UTC))
    assert len(dinmo("sync", "changes", "--full", "--dry-run", project=root).out) < 5_000
    assert len(dinmo("explain", "changes", 0, project=root).out) < 2_000
    told = json.loads(dinmo("explain", "changes", 0, "--json", project=root).out)
    assert told["next"]["values"]["full name"] == "x" * 100_000


def test_key_that_is_no_text_is_told_as_such(root: Path, dinmo: Dinmo) -> None:
    # What a shell hands over as the byte FF.
    done = dinmo("explain", "changes", "\udcff", project=root)

    assert done.code == 2
    assert r"explaining a record of changes: the key '\udcff' is no UTF-8" in done.err
