"""Dagster's own commands on our projects, and our components in a project of somebody else's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..people import Ran, activation, make_people, run_command, write_definitions, write_people

ROOT = Path(__file__).resolve().parents[2]

PYPROJECT = """\
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "bakery"
code_location_name = "bakery"
"""
DEFINITIONS = """\
from pathlib import Path

from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
OVEN = """\
from dagster import asset


@asset(key_prefix="oven")
def bread() -> None:
    "Baked by somebody else."
"""


def dagster(*command: str, cwd: Path) -> Ran:
    done = run_command(*command, cwd=cwd, env={"PYTHONPATH": str(cwd)} if cwd.name == "bakery" else None)
    return Ran(done.code, done.out, done.err)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `dinmo init` makes."""
    folder = tmp_path_factory.mktemp("tools")
    assert run_command("dinmo", "init", "shop", cwd=folder).code == 0
    return folder / "shop"


@pytest.fixture(scope="module")
def bakery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of `dg` with its own module, a Python asset, and our components beside it."""
    root = tmp_path_factory.mktemp("other") / "bakery"
    (root / "bakery" / "defs").mkdir(parents=True)
    for name, text in {
        "pyproject.toml": PYPROJECT,
        "bakery/__init__.py": "",
        "bakery/definitions.py": DEFINITIONS,
        "bakery/defs/__init__.py": "",
        "bakery/defs/oven.py": OVEN,
    }.items():
        (root / name).write_text(text, encoding="utf-8")
    write_definitions(root, activation("changes", schedule='"0 7 * * *"'), folder="bakery/defs")
    write_people(root, ((1, "Ana", 31),))
    path = root / "bakery" / "defs" / "people" / "defs.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("primary_key: [id]", "primary_key: [id], deps: [oven/bread]"), encoding="utf-8"
    )
    return root


def test_initialised_project_passes_dagsters_checks(shop: Path) -> None:
    checked = dagster("dg", "check", "defs", cwd=shop)
    validated = dagster("dagster", "definitions", "validate", cwd=shop)

    assert checked.code == 0, checked.out + checked.err
    assert "All component YAML validated successfully." in checked.out
    assert "All definitions loaded successfully." in checked.out
    assert validated.code == 0, validated.err
    assert "Validation successful for code location shop_pipeline." in validated.out + validated.err
    assert "WARNING" not in validated.out + validated.err


def test_example_shop_passes_dagsters_checks() -> None:
    checked = dagster("dg", "check", "defs", cwd=ROOT)
    validated = dagster("dagster", "definitions", "validate", cwd=ROOT)

    assert checked.code == 0, checked.out + checked.err
    assert validated.code == 0, validated.err
    assert "WARNING" not in validated.out + validated.err


def test_components_are_found_by_dg(shop: Path) -> None:
    listed = dagster("dg", "list", "components", "--json", cwd=shop)

    assert listed.code == 0, listed.err
    found = {each["key"]: each["summary"] for each in json.loads(listed.out)["items"]}
    ours = {key: summary for key, summary in found.items() if key.startswith("dinmo_pipeline.")}
    assert {"dinmo_pipeline.Model", "dinmo_pipeline.Segment", "dinmo_pipeline.Activation", "dinmo_pipeline.LocalFolder"} <= set(ours)
    assert all(ours.values())


def test_components_work_in_another_project(bakery: Path) -> None:
    checked = dagster("dg", "check", "defs", cwd=bakery)
    listed = dagster("dg", "list", "defs", "--json", cwd=bakery)

    assert checked.code == 0, checked.out + checked.err
    found = json.loads(listed.out)
    deps = {each["asset_key"]: each["dependency_keys"] for each in found["assets"]}
    assert deps == {
        "oven/bread": [],
        "models/people": ["oven/bread"],
        "activations/changes/snapshot": ["models/people"],
        "activations/changes/delivery": ["activations/changes/snapshot"],
    }
    assert [each["name"] for each in found["schedules"]] == ["changes_schedule"]


def test_command_line_works_in_another_project(bakery: Path) -> None:
    done = dagster("dinmo", "sync", "changes", cwd=bakery)

    assert done.code == 0, done.err
    assert len(list((bakery / "out" / "changes").iterdir())) == 1


def test_broken_project_tells_every_error_with_its_line(tmp_path: Path) -> None:
    root = make_people(tmp_path, activation("first", format="cvs") + activation("second", foldr="x"))
    (root / "pyproject.toml").write_text('[tool.dinmo]\n[tool.dagster]\nmodule_name = "dinmo_pipeline.definitions"\n', encoding="utf-8")
    done = dagster("dagster", "definitions", "validate", cwd=root)

    assert done.code == 1
    said = done.out + done.err
    assert "2 errors in the definitions:" in said
    assert "defs/people/defs.yaml:17: Activation first: format: unknown format 'cvs'; did you mean 'csv'?" in said
    assert "defs/people/defs.yaml:33: Activation second: unknown field 'foldr'; did you mean 'folder'?" in said
