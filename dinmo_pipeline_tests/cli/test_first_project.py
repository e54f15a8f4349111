"""From nothing to files, as the README says it; then a project of one's own in its place."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from ..people import A_MODE_EACH as MODES
from ..people import FIRST, SECOND, delivered, make_people, run_command, write_definitions, write_people
from .conftest import Dinmo


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The project that `dinmo init` makes, delivered once, and what the commands said."""
    folder = tmp_path_factory.mktemp("first")
    done = run_command("sh", "-c", "dinmo init shop && cd shop && dinmo check && dinmo sync --all", cwd=folder)
    assert done.code == 0, done.out + done.err
    return folder / "shop", done.out


def test_init_check_and_sync_in_one_line_deliver_files(shop: tuple[Path, str]) -> None:
    root, said = shop

    files = sorted(path.relative_to(root / "deliveries").as_posix() for path in (root / "deliveries").rglob("*") if path.is_file())
    names = [re.sub(r"\d{4}-\d\d-\d\d_\d{6}", "WHEN", name) for name in files]
    assert names == [
        "big_spenders/WHEN_big_spenders_added.csv",
        "big_spenders/WHEN_big_spenders_removed.csv",
        "big_spenders/WHEN_big_spenders_updated.csv",
        "customers.json",
    ]
    assert "next: cd shop && dinmo check && dinmo sync --all" in said
    assert "1 model, 1 segment, 1 storage, 2 activations: no errors, 0 warnings" in said
    assert [row["name"] for row in json.loads((root / "deliveries" / "customers.json").read_text(encoding="utf-8"))][2] == "Chloé Martin"


def test_init_project_keeps_its_state_out_of_git(shop: tuple[Path, str]) -> None:
    root, _ = shop

    assert {".dinmo/", "deliveries/"} <= set((root / ".gitignore").read_text(encoding="utf-8").splitlines())
    assert (root / ".dinmo").stat().st_mode & 0o077 == 0


def test_changed_parquet_file_sends_exactly_the_changed_rows(shop: tuple[Path, str], tmp_path: Path, dinmo: Dinmo) -> None:
    root = Path(shutil.copytree(shop[0], tmp_path / "shop"))
    shutil.rmtree(root / "shop_pipeline" / "defs" / "shop")
    write_definitions(root, MODES, folder="shop_pipeline/defs")
    write_people(root, FIRST)
    first = dinmo("sync", "--all", "--at", "2025-04-14T07:00:00+00:00", project=root)
    write_people(root, SECOND)
    second = dinmo("sync", "--all", "--at", "2025-04-15T07:00:00+00:00", project=root)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    all_first, all_second = [[(str(id_), name, str(age)) for id_, name, age in people] for people in (FIRST, SECOND)]
    bruno, dana = ("2", "Bruno", "46"), ("4", "Dana", "52")
    assert delivered(root) == {
        "changes/2025-04-14T070000.csv": all_first,
        "changes/2025-04-15T070000.csv": [bruno, dana],
        "everyone/everyone.json": all_second,
        "newcomers/2025-04-14T070000.ndjson": all_first,
        "newcomers/2025-04-15T070000.ndjson": [dana],
        "triple/2025-04-14T070000_added.csv": all_first,
        "triple/2025-04-14T070000_removed.csv": [],
        "triple/2025-04-14T070000_updated.csv": [],
        "triple/2025-04-15T070000_added.csv": [dana],
        "triple/2025-04-15T070000_removed.csv": [("3", "Chloé", "27")],
        "triple/2025-04-15T070000_updated.csv": [bruno],
    }


def test_init_in_a_folder_with_something_in_it_is_refused(tmp_path: Path, dinmo: Dinmo) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")

    done = dinmo("init", tmp_path)

    assert done.code == 2
    assert "there is something already; name a folder that is new or empty" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["2025 exports", "json", "été", "a-b"])
def test_init_any_folder_name_gives_a_project_that_checks(tmp_path: Path, dinmo: Dinmo, name: str) -> None:
    made = dinmo("init", tmp_path / name)
    checked = dinmo("check", project=tmp_path / name)

    assert (made.code, checked.code) == (0, 0), checked.err
    modules = [path.parent.name for path in (tmp_path / name).glob("*/__init__.py")]
    assert len(modules) == 1
    assert modules[0].isidentifier()


def test_project_of_tool_dinmo_alone_is_found_from_a_folder_inside(tmp_path: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_people(tmp_path / "outer" / "inner")
    (tmp_path / "outer" / "pyproject.toml").write_text("[project]\nname = 'outer'\n", encoding="utf-8")
    monkeypatch.chdir(root / "defs" / "people")

    done = dinmo("sync", "changes")

    assert done.code == 0, done.err
    assert len(delivered(root)) == 1
    assert (root / ".dinmo" / "warehouse.duckdb").exists()


def test_folder_without_project_says_how_to_make_one(tmp_path: Path, dinmo: Dinmo) -> None:
    done = dinmo("check", project=tmp_path)

    assert done.code == 2
    assert "no project in" in done.err
    assert "dinmo init DIR" in done.err
