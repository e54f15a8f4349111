"""Imports go one way, and only the rooms at Dagster's side know Dagster."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from .people import make_people

PACKAGE = "dinmo_pipeline"
ROOT = Path(__file__).resolve().parent.parent / PACKAGE

# A room may import from itself and from the rooms of a lower floor.
FLOORS = (
    {"masking"},
    {"errors", "time_zones", "gc_tuning", "suggestions", "loopback", "pyproject", "activity"},
    {"sql", "local_files", "secrets", "durations", "intake_limits", "counted_sockets"},
    {"formats", "storages", "notify"},
    {"project"},
    {"alerts", "delta"},
    {"engines"},
    {"sync", "inbound", "dataframes"},
    {"erasure"},
    {"catalog"},
    {"io_managers", "operations", "webserver"},
    {"components", "resources"},
    {"definitions", "cli"},
    {"launching"},
)
KNOW_DAGSTER = {"definitions", "components", "catalog", "io_managers", "cli", "launching", "operations", "resources", "webserver"}
# When its scheduler starts on a night when clocks change, nobody knows but Dagster.
ASKS_DAGSTER = {"dinmo_pipeline.project.cron"}


def room_of(module: str) -> str:
    """`sync` for `dinmo_pipeline.engines.duckdb.session`; the package itself is no room."""
    return (*module.split("."), "")[1]


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        if "files" not in parts and "defs" not in parts:
            yield ".".join(part for part in parts if part != "__init__"), path


def imports(path: Path, *, types_too: bool = True) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, wherever it does; without `types_too` only those that are imported when it runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not types_too:
        tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: modules are imported by their whole name"
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def test_imports_of_rooms_go_one_way() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    wrong = []
    for name, path in modules():
        room = room_of(name)
        for line, imported in imports(path):
            other = room_of(imported)
            if not imported.startswith(f"{PACKAGE}.") or not room or other == room or other not in floor:
                continue
            if floor[other] >= floor[room]:
                wrong.append(f"{path.relative_to(ROOT.parent)}:{line}: {room} imports {imported}")
    assert wrong == []


def test_modules_import_each_other_in_no_circle() -> None:
    files = {name: path for name, path in modules() if path.name != "__init__.py"}
    graph = {name: {other for _, other in imports(path, types_too=False)} & files.keys() - {name} for name, path in files.items()}

    TopologicalSorter(graph).prepare()


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(name) for name, _ in modules()} - {""}

    assert rooms <= set().union(*FLOORS)


def test_only_the_rooms_at_dagsters_side_import_dagster() -> None:
    found = {name for name, path in modules() for _, imported in imports(path) if imported.split(".")[0].startswith("dagster")}

    assert {room_of(name) for name in found - ASKS_DAGSTER} <= KNOW_DAGSTER


def test_nothing_that_is_read_is_run() -> None:
    modules_that_run, calls_that_run = {"pickle", "marshal", "shelve", "dill"}, {"eval", "exec", "compile", "system", "popen"}
    wrong = []
    for _, path in modules():
        where = path.relative_to(ROOT.parent)
        wrong += [f"{where}:{line}: {imported}" for line, imported in imports(path) if imported.split(".")[0] in modules_that_run]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            function = node.func
            name = function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
            # `re.compile` makes no code of Python.
            is_of_re = isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "re"
            by_shell = any(keyword.arg == "shell" for keyword in node.keywords)
            if (
                (name in calls_that_run and not is_of_re)
                or by_shell
                or (name in {"load", "load_all", "unsafe_load"} and "yaml" in ast.dump(function))
            ):
                wrong.append(f"{where}:{node.lineno}: {name}")
    assert wrong == []


# What has no public name: an instance whose settings differ from its file's, and how a run was ended by Ctrl-C.
WITHOUT_PUBLIC_NAME = {
    "dagster._core.instance",
    "dagster._core.instance.InstanceRef",
    "dagster._core.events",
    "dagster._core.events.RunFailureReason",
}


def test_nothing_private_of_dagster_is_imported() -> None:
    wrong = [
        f"{path.relative_to(ROOT.parent)}:{line}: {imported}"
        for _, path in modules()
        for line, imported in imports(path)
        if imported not in WITHOUT_PUBLIC_NAME
        and imported.split(".")[0].startswith("dagster")
        and any(part.startswith("_") for part in imported.split("."))
    ]
    assert wrong == []


CHECK = """\
sys.argv = ["dinmo", "check", "--project", {project!r}]
from dinmo_pipeline.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code
"""


@pytest.mark.parametrize(
    "code",
    ["import dinmo_pipeline", "from dinmo_pipeline.cli.app import main", CHECK],
    ids=["import of the package", "import of the command", "dinmo check"],
)
def test_dagster_is_not_imported_for(code: str, tmp_path: Path) -> None:
    project = str(make_people(tmp_path))
    program = f"import sys\n{code.format(project=project)}\nprint([name for name in sys.modules if name.startswith('dagster')])"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
