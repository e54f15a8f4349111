"""Where a project is and what its `pyproject.toml` says, before any definition is read."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from dinmo_pipeline.errors import CallError, Problem
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits, parse_limits
from dinmo_pipeline.project.surroundings import check_database_path, default_home, read_env_file
from dinmo_pipeline.pyproject import PYPROJECT, read_pyproject
from dinmo_pipeline.suggestions import nearest_hint

DEFAULT_TIMEZONE = "UTC"
OPTIONS = {
    "timezone": "The time zone of queries, and of schedules and file names where an activation has none of its own; UTC by default.",
    "memory_limit": "What a query may take of the machine's memory, such as `4GB`, before it goes on to the disk; 600 MiB for each core by "
    "default.",
    "preview_rows": "How many rows of models, segments and deliveries Dagster is given to show, with all columns: they stay in its "
    "event log for as long as the run does. None by default.",
}
"""What `[tool.dinmo]` may say, in words; `[tool.dinmo.limits]` has words of its own."""

_MOST_PREVIEW_ROWS = 100
_SIZE = re.compile(r"\d+(\.\d+)? ?[KMGT]i?B", re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """A project's folders, time zone, limits, and how many of its rows Dagster may show.

    `problems` are the faults of its `pyproject.toml`.
    """

    root: Path
    home: Path
    defs_folder: Path
    timezone: str
    memory_limit: str | None = None
    preview_rows: int = 0
    limits: IntakeLimits = DEFAULT_LIMITS
    problems: tuple[Problem, ...] = ()


def find_project_root(start: Path) -> Path:
    """Return the nearest folder, from `start` upwards, whose `pyproject.toml` has a `[tool.dinmo]` or `[tool.dg]` table.

    Sets the variables of its `.env`. Raises CallError when there is none, or no folder `start` (a name with a typing error must not
    mean the project around it), and where its path is unfit for databases.
    """
    if not start.exists():
        raise CallError(f"there is no folder {start}, so nothing was done; correct --project")
    if not start.is_dir():
        raise CallError(f"{start} is no folder, so nothing was done; name the project's folder with --project")
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / PYPROJECT).is_file() and _is_project((folder / PYPROJECT).read_text(encoding="utf-8", errors="replace")):
            read_env_file(folder)
            check_database_path(_home(folder), variable="DINMO_HOME")
            return folder
    raise CallError(
        f"no project in {start} or above it: no {PYPROJECT} there has a [tool.dinmo] or [tool.dg] table; "
        "name the project's folder with --project DIR, or make a project with `dinmo init DIR`"
    )


def _home(root: Path) -> Path:
    return root / chosen if (chosen := os.environ.get("DINMO_HOME")) is not None else default_home(root)


def is_dg_project(root: Path) -> bool:
    """Return whether the project says, in `[tool.dg]`, how Dagster's `dg` finds its definitions."""
    return "dg" in tomllib.loads(read_pyproject(root)).get("tool", {})


def read_settings(root: Path) -> Settings:
    """Return the settings of the project in `root`; reads `pyproject.toml` and `DINMO_HOME`, changes nothing."""
    text = read_pyproject(root)
    problems: list[Problem] = []
    try:
        tool = tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        problems.append(Problem(PYPROJECT, int(line[1]) if line else max(1, text.count("\n")), f"this is not TOML: {error}"))
        tool = {}
    dinmo = tool.get("dinmo", {})
    limits, limit_problems = parse_limits(dinmo.get("limits", {}))
    problems += [Problem(PYPROJECT, _line_of(text, option), problem) for option, problem in limit_problems.items()]
    for option in dinmo:
        if option not in OPTIONS and option != "limits":
            hint = nearest_hint(option, OPTIONS)
            problems.append(Problem(PYPROJECT, _line_of(text, option), f"[tool.dinmo] has an unknown option {option!r}{hint}"))
    timezone = dinmo.get("timezone", DEFAULT_TIMEZONE)
    if (problem := timezone_problem(timezone)) is not None:
        problems.append(Problem(PYPROJECT, _line_of(text, "timezone"), f"[tool.dinmo] timezone: {problem}"))
        timezone = DEFAULT_TIMEZONE
    memory_limit, preview_rows, found = _checked_values(dinmo)
    problems += [Problem(PYPROJECT, _line_of(text, option), f"[tool.dinmo] {option}: {problem}") for option, problem in found.items()]
    return Settings(
        root=root,
        home=_home(root),
        defs_folder=_defs_folder(root, tool.get("dg", {}).get("project", {})),
        timezone=timezone,
        memory_limit=memory_limit,
        preview_rows=preview_rows,
        limits=limits,
        problems=tuple(problems),
    )


def _checked_values(dinmo: Mapping[str, Any]) -> tuple[str | None, int, Mapping[str, str]]:
    """Return `memory_limit` and `preview_rows`, as they are by default where they are wrong; with why, by the option."""
    problems = {}
    memory_limit, preview_rows = dinmo.get("memory_limit"), dinmo.get("preview_rows", 0)
    if memory_limit is not None and not (isinstance(memory_limit, str) and _SIZE.fullmatch(memory_limit)):
        problems["memory_limit"] = f"expected a size such as 4GB, found {memory_limit!r}"
        memory_limit = None
    if isinstance(preview_rows, bool) or not isinstance(preview_rows, int) or not 0 <= preview_rows <= _MOST_PREVIEW_ROWS:
        problems["preview_rows"] = f"expected a number of rows from 0 to {_MOST_PREVIEW_ROWS}, found {preview_rows!r}"
        preview_rows = 0
    return memory_limit, preview_rows, problems


@lru_cache(maxsize=1024)
def timezone_problem(name: object) -> str | None:
    """Return why `name` is no IANA time zone, with the nearest one, or None."""
    if not isinstance(name, str):
        return f"expected the name of a time zone such as Europe/Paris, found {name!r}"
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return f"unknown time zone {name!r}{nearest_hint(name, available_timezones())}"
    return None


def _is_project(text: str) -> bool:
    try:
        tool = tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError:
        # A broken file is reported with its line when the project is read, rather than passed over in silence here.
        return re.search(r"^\s*\[tool\.(dinmo|dg)\b", text, re.MULTILINE) is not None
    return "dinmo" in tool or "dg" in tool


def _defs_folder(root: Path, dg_project: Mapping[str, Any]) -> Path:
    root_module = dg_project.get("root_module")
    if not isinstance(root_module, str):
        return root / "defs"
    defs_module = dg_project.get("defs_module") or f"{root_module}.defs"
    parts = str(defs_module).split(".")
    # As dg does: with a `src` folder the modules are in it.
    in_src = root.joinpath("src", *parts)
    return in_src if in_src.is_dir() else root.joinpath(*parts)


def _line_of(text: str, option: str) -> int:
    table = re.search(r"^\s*\[tool\.dinmo(\.limits)?\]", text, re.MULTILINE)
    key = re.compile(rf"^\s*\"?{re.escape(option)}\"?\s*=", re.MULTILINE).search(text, table.end() if table else 0)
    return text.count("\n", 0, key.end()) + 1 if key else 1
