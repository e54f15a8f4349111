"""Good projects: what loading makes of them, in which order, under which settings, and again only when something changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dinmo_pipeline.errors import CallError, DefinitionErrors
from dinmo_pipeline.project.load import load_project, load_project_cached, load_with_warnings
from dinmo_pipeline.project.settings import find_project_root, read_settings
from dinmo_pipeline.project.specs import MappedColumn, RunType, SyncMode
from dinmo_pipeline.project.table_refs import TableRef

from .conftest import WriteProject

ACTIVATION = """\
type: dinmo_pipeline.Activation
attributes:
  name: export
  segment: lapsed
  destination: out
  file_name: "{YYYY}-{MM}-{DD}_export"
  format: csv
  run_type: full_then_delta
  sync_mode: upsert
  mapping: {id: id, name: last name}
"""


def model(name: str, sql: str) -> str:
    return f"type: dinmo_pipeline.Model\nattributes: {{name: {name}, primary_key: id, sql: {sql!r}}}\n"


def test_activation_gets_its_defaults(write_project: WriteProject) -> None:
    project = load_project(write_project({"defs/a/defs.yaml": ACTIVATION}))
    spec = project.activations["export"]
    assert (spec.source, spec.primary_key) == (TableRef("segments", "lapsed"), ("id",))
    assert (spec.run_type, spec.sync_mode) == (RunType.FULL_THEN_DELTA, SyncMode.UPSERT)
    assert spec.mapping == (MappedColumn("id", "id"), MappedColumn("name", "last name"))
    assert (spec.folder, spec.timezone, spec.empty_files, spec.if_missing) == (".", "UTC", "write", "delta")
    assert (spec.format.type, spec.format.extension) == ("csv", "csv")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "refuse"),
        ({"file_name": "export"}, "overwrite"),
        ({"run_type": "full_only"}, "overwrite"),
        ({"file_name": "export", "folder": '"{YYYY}"'}, "refuse"),
        ({"on_existing": "overwrite"}, "overwrite"),
    ],
)
def test_on_existing_refuses_by_default_for_dated_deltas_alone(changes: dict[str, str], expected: str, write_project: WriteProject) -> None:
    kept = [line for line in ACTIVATION.splitlines() if line.split(":")[0].strip() not in changes]
    text = "\n".join([*kept, *(f"  {field}: {value}" for field, value in changes.items())])
    assert load_project(write_project({"defs/a/defs.yaml": text})).activations["export"].on_existing == expected


def test_tables_stand_in_dependency_order_however_they_are_written(write_project: WriteProject) -> None:
    files = {
        "defs/a/defs.yaml": model("last", "FROM segments.middle") + "---\n" + model("alone", "SELECT 1 AS id"),
        "defs/b/defs.yaml": "type: dinmo_pipeline.Segment\nattributes: {name: middle, model: second, where: id > 0}\n",
        "defs/c/defs.yaml": model("second", "FROM models.first") + "---\n" + model("first", "SELECT 1 AS id"),
    }
    project = load_project(write_project(files, base=False))
    order = [str(ref) for ref in project.tables]
    chain = ["models.first", "models.second", "segments.middle", "models.last"]
    assert [name for name in order if name in chain] == chain
    assert [str(spec.ref) for spec in project.tables_for(TableRef("segments", "middle"))] == chain[:3]
    assert [str(spec.ref) for spec in project.tables_for(TableRef("models", "alone"))] == ["models.alone"]


def test_sql_file_is_read_beside_its_definition(write_project: WriteProject) -> None:
    text = "type: dinmo_pipeline.Model\nattributes: {name: orders, primary_key: [id], sql_file: sql/orders.sql, deps: dbt/orders}\n"
    project = load_project(write_project({"defs/a/defs.yaml": text, "defs/a/sql/orders.sql": "\ufeffFROM models.customers;\n"}))
    spec = project.tables[TableRef("models", "orders")]
    assert spec.sql.strip() == "FROM models.customers"
    assert (spec.depends_on, spec.external_deps) == ((TableRef("models", "customers"),), ("dbt/orders",))


def test_positions_name_the_file_and_line_of_each_definition(write_project: WriteProject) -> None:
    root = write_project({"defs/a/defs.yaml": "# a comment\n" + ACTIVATION})
    positions = load_with_warnings(root).positions
    assert set(positions) == {"storages.out", "models.customers", "segments.lapsed", "activations.export"}
    assert (positions["activations.export"].file, positions["activations.export"].line) == (root / "defs/a/defs.yaml", 2)
    assert positions["segments.lapsed"].line == 7


FULL = {"run_type": "full_only", "sync_mode": "snapshot"}
ALONE = (
    "mapping: name is the only column, and a CSV line of a null alone is empty: pandas, Python and PyArrow drop the row; "
    "write a null_text in the format, such as NULL, or map another column beside it"
)
WARNINGS: dict[str, tuple[dict[str, str], list[str]]] = {
    "nothing to warn of": ({}, []),
    "every column": ({"mapping": '"*"'}, ['mapping: "*" sends every column of the source; list those that may leave']),
    "key that is not mapped": (
        {"mapping": "[name]"},
        [ALONE, "mapping: the primary key's id is not mapped; whoever reads the changes cannot tell which rows they change"],
    ),
    "key that is mapped in another case": ({"mapping": "[ID]"}, []),
    "key that a snapshot does not need": ({"mapping": "[name, more]", **FULL}, []),
    "column alone whose null is an empty line": ({"mapping": "{first: name}", **FULL}, [ALONE]),
    "column alone whose null has a text": ({"mapping": "[name]", "format": "{type: csv, null_text: \\N}", **FULL}, []),
    "column alone of another format": ({"mapping": "[name]", "format": "ndjson", **FULL}, []),
    "column alone that is the key": ({"mapping": "{ID: name}", **FULL}, []),
    "full_only with upsert": (
        {"run_type": "full_only"},
        ["sync_mode: with full_only, upsert sends all rows every time, as snapshot does; write snapshot, or full_then_delta"],
    ),
    "fixed name of a scheduled delta": (
        {"file_name": "export", "schedule": '"0 7 * * *"'},
        ["file_name: the name is the same at every sync; changes that nobody has read by the next one are overwritten"],
    ),
    "fixed name without a schedule": ({"file_name": "export"}, []),
    "name of the day, daily": ({"schedule": '"0 7 * * *"'}, []),
    "name of the day, twice daily": (
        {"schedule": '"0 7,19 * * *"'},
        [
            "file_name: the schedule comes sooner than the name changes (at 2025-01-01 07:00 and 2025-01-01 19:00 it is one and the same), "
            "so the later one refuses to run; add a variable"
        ],
    ),
    "name of the day of the month, daily": (
        {"file_name": '"{DD}_export"', "schedule": '"0 7 * * *"'},
        [
            "file_name: the schedule comes sooner than the name changes (at 2025-01-01 07:00 and 2025-02-01 07:00 it is one and the same), "
            "so the later one refuses to run; add a variable"
        ],
    ),
    "name of the hour, where clocks are set back": (
        {"file_name": '"{YYYY}{MM}{DD}{HH}"', "every": "1 hour", "timezone": "Europe/Paris"},
        [
            "file_name: the schedule comes sooner than the name changes (at 2025-10-26 02:00 CEST and 2025-10-26 02:00 CET it is one and "
            "the same), so the later one refuses to run; add a variable"
        ],
    ),
    "name of the hour, where they are not": ({"file_name": '"{YYYY}{MM}{DD}{HH}"', "every": "1 hour"}, []),
    "name of the second, where clocks are set back": ({"file_name": '"{X}"', "every": "1 hour", "timezone": "Europe/Paris"}, []),
    "name that comes round and may be overwritten": (
        {"file_name": '"{DD}_export"', "schedule": '"0 7 * * *"', "on_existing": "overwrite"},
        [],
    ),
}


@pytest.mark.parametrize("case", WARNINGS)
def test_check_warns_of_what_is_valid_but_seldom_meant(case: str, write_project: WriteProject) -> None:
    changes, expected = WARNINGS[case]
    kept = [line for line in ACTIVATION.splitlines() if line.split(":")[0].strip() not in changes]
    text = "\n".join([*kept, *(f"  {field}: {value}" for field, value in changes.items())])
    loaded = load_with_warnings(write_project({"defs/a/defs.yaml": text}))
    assert [warning.message.removeprefix("Activation export: ") for warning in loaded.warnings] == expected
    assert all(warning.file == "defs/a/defs.yaml" and warning.line > 2 for warning in loaded.warnings)


def test_project_timezone_is_the_activations_unless_it_has_its_own(write_project: WriteProject) -> None:
    other = ACTIVATION.replace("name: export", "name: other\n  timezone: Asia/Tokyo\n  folder: x")
    root = write_project({"defs/a/defs.yaml": f"{ACTIVATION}---\n{other}"}, pyproject='[tool.dinmo]\ntimezone = "Europe/Paris"\n')
    project = load_project(root)
    assert project.timezone == "Europe/Paris"
    assert {name: spec.timezone for name, spec in project.activations.items()} == {"export": "Europe/Paris", "other": "Asia/Tokyo"}


@pytest.mark.parametrize(("home", "expected"), [(None, ".dinmo"), ("state", "state"), ("/var/lib/dinmo", "/var/lib/dinmo")])
def test_home_is_in_the_project_unless_it_is_absolute(
    home: str | None, expected: str, write_project: WriteProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    if home is not None:
        monkeypatch.setenv("DINMO_HOME", home)
    root = write_project({})
    assert load_project(root).home == root / expected


@pytest.mark.parametrize(
    ("files", "pyproject", "expected"),
    [
        ({}, "[tool.dinmo]\n", "defs"),
        ({}, '[tool.dg.project]\nroot_module = "shop"\n', "shop/defs"),
        ({}, '[tool.dg.project]\nroot_module = "shop"\ndefs_module = "shop.exports"\n', "shop/exports"),
        ({"src/shop/defs/x": ""}, '[tool.dg.project]\nroot_module = "shop"\n', "src/shop/defs"),
    ],
)
def test_definitions_are_where_dg_looks_for_them(files: dict[str, str], pyproject: str, expected: str, write_project: WriteProject) -> None:
    root = write_project(files, base=False, pyproject=pyproject)
    assert read_settings(root).defs_folder == root / expected


def test_project_is_found_from_a_folder_inside_it(write_project: WriteProject, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = write_project({"defs/a/b/x": "", "inner/pyproject.toml": "[tool.other]\n"})
    assert find_project_root(root / "defs" / "a" / "b") == root
    assert find_project_root(root / "inner") == root
    with pytest.raises(CallError, match=r"there is no folder .*typo, so nothing was done"):
        find_project_root(root / "typo")
    with pytest.raises(CallError, match=r"pyproject\.toml is no folder, so nothing was done; name the project's folder with --project"):
        find_project_root(root / "pyproject.toml")
    with pytest.raises(CallError, match="no project in"):
        find_project_root(tmp_path_factory.mktemp("elsewhere"))


def test_cached_project_is_read_again_when_a_file_of_it_changes(write_project: WriteProject) -> None:
    text = "type: dinmo_pipeline.Model\nattributes: {name: orders, primary_key: [id], sql_file: orders.sql}\n"
    root = write_project({"defs/a/defs.yaml": text, "defs/a/orders.sql": "SELECT 1 AS id"})
    first = load_project_cached(root)
    assert load_project_cached(root) is first
    _change(root / "defs/a/orders.sql", "SELECT 2 AS id, 3 AS x")
    second = load_project_cached(root)
    assert second.tables[TableRef("models", "orders")].sql == "SELECT 2 AS id, 3 AS x"
    _change(root / "defs/b/defs.yaml", "type: dinmo_pipeline.Modl\n")
    with pytest.raises(DefinitionErrors, match=r"unknown type 'dinmo_pipeline\.Modl'"):
        load_project_cached(root)
    (root / "defs/b/defs.yaml").unlink()
    assert load_project_cached(root).tables == second.tables


def _change(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    # A clock with coarse ticks would give a quick change the time of the file before it.
    os.utime(path, ns=(1, 1))
