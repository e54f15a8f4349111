"""From a project's folder to its `Project`, or to every error at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dinmo_pipeline.errors import DefinitionErrors, Problem
from dinmo_pipeline.project.checks.activations import read_activations
from dinmo_pipeline.project.checks.advice import check_warnings
from dinmo_pipeline.project.checks.inboxes import read_inboxes
from dinmo_pipeline.project.checks.notifications import read_notifications
from dinmo_pipeline.project.checks.plain_http import plain_http_warnings
from dinmo_pipeline.project.checks.tables import read_tables
from dinmo_pipeline.project.schema.definitions import Definition, Definitions, by_name, read_definitions
from dinmo_pipeline.project.schema.expected import Holidays, holidays_problem, read_holidays
from dinmo_pipeline.project.schema.inbound import FeedFields
from dinmo_pipeline.project.schema.outbound import ActivationFields
from dinmo_pipeline.project.settings import Settings, read_settings
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.project.surroundings import moved_home_reason
from dinmo_pipeline.project.yaml.documents import read_documents, unread_definitions
from dinmo_pipeline.project.yaml.files import FileMark, file_mark, relative_name, yaml_files
from dinmo_pipeline.pyproject import PYPROJECT
from dinmo_pipeline.secrets import remember_secrets

_Signature = tuple[str, tuple[FileMark, ...]]


@dataclass(frozen=True)
class Position:
    """Where a definition is written: the file, as an absolute path, and the line of its document."""

    file: Path
    line: int


@dataclass(frozen=True)
class LoadedProject:
    """A valid project with what the values themselves do not hold: its warnings, and where each definition is written.

    `positions` has keys such as `models.customers`, `segments.lapsed`, `activations.lapsed_to_partner`, `storages.partner`,
    `inboxes.partner`, `feeds.contacts_salesforce`.
    """

    project: Project
    positions: Mapping[str, Position]
    written: tuple[tuple[ActivationSpec, Definition[ActivationFields]], ...]
    reached: tuple[Definition[Any], ...] = ()
    """Storages and notifications: definitions that name servers."""

    @cached_property
    def warnings(self) -> tuple[Problem, ...]:
        """What is valid and yet may not do what its author wants; found when asked for, since a run does not ask."""
        moved = moved_home_reason(self.project.root)
        root = self.project.root
        unread = unread_definitions(read_settings(root).defs_folder, root=root)
        found = (*unread, *check_warnings(self.written), *sorted(plain_http_warnings(self.reached, root)))
        if moved is None or "DINMO_HOME" in os.environ:
            return found
        told = f"{moved}: its state and Dagster's runs are kept in {self.project.home}; DINMO_HOME names another folder"
        return (Problem(PYPROJECT, 1, told), *found)


@dataclass(frozen=True)
class _Outcome:
    """What one reading of the disk gave, and the marks of the files that definitions name and that it read."""

    loaded: LoadedProject | None
    problems: tuple[Problem, ...]
    files: tuple[FileMark, ...]


_cache: dict[Path, tuple[_Signature, _Outcome]] = {}


def load_project(root: Path) -> Project:
    """Return the project in `root`. Reads files and `DINMO_HOME`, writes nothing; raises DefinitionErrors with every fault found."""
    return load_with_warnings(root).project


def load_with_warnings(root: Path) -> LoadedProject:
    """Return the project in `root`, its warnings and positions; raises DefinitionErrors as `load_project` does."""
    return _value(_read(root.resolve()))


def load_project_cached(root: Path) -> Project:
    """Return what `load_project` does, done again only when a file that it read, or the set of them, has changed.

    Looking for changes costs a walk through the definitions' folders: who asks a thousand times keeps the answer.
    """
    return load_with_warnings_cached(root).project


def load_with_warnings_cached(root: Path) -> LoadedProject:
    """Return what `load_with_warnings` does, cached as `load_project_cached` is; errors are cached, too."""
    root = root.resolve()
    # Taken before the files are read, so that a change meanwhile is seen the next time.
    signature = _signature(root)
    known = _cache.get(root)
    if known is None or known[0] != signature or any(file_mark(mark.path) != mark for mark in known[1].files):
        known = _cache[root] = (signature, _read(root))
    return _value(known[1])


def _value(outcome: _Outcome) -> LoadedProject:
    if outcome.loaded is None:
        raise DefinitionErrors(outcome.problems)
    return outcome.loaded


def _signature(root: Path) -> _Signature:
    settings = read_settings(root)
    files = tuple(file_mark(path) for path in (root / PYPROJECT, *(path for path, _ in yaml_files(settings.defs_folder))))
    return str(settings.home), files


def _read(root: Path) -> _Outcome:
    settings = read_settings(root)
    reading = read_documents(settings.defs_folder, root=root)
    definitions, definition_problems = read_definitions(reading.documents)
    remember_secrets((definition.fields for definition in (*definitions.storages, *definitions.notifications)), root)
    holidays, holiday_problems = _read_holidays(definitions, root)
    inbound = read_inboxes(definitions, timezone=settings.timezone, holidays=holidays)
    tables = read_tables(definitions, root=root)
    activations, activation_problems = read_activations(definitions, timezone=settings.timezone, holidays=holidays)
    notifications, notify_problems = read_notifications(definitions)
    problems = [
        *settings.problems,
        *reading.problems,
        *definition_problems,
        *holiday_problems,
        *inbound.problems,
        *tables.problems,
        *activation_problems,
        *notify_problems,
    ]
    if not problems and not len(definitions):
        problems.append(_nothing_defined(settings))
    if problems:
        return _Outcome(None, tuple(problems), (*tables.files, *holidays.files))
    project = Project(
        root=root,
        home=settings.home,
        timezone=settings.timezone,
        memory_limit=settings.memory_limit,
        preview_rows=settings.preview_rows,
        limits=settings.limits,
        tables=tables.specs,
        storages={definition.fields.name: definition.fields for definition in definitions.storages},
        activations=activations,
        inboxes=inbound.inboxes,
        feeds=inbound.feeds,
        notifications=notifications,
    )
    written = by_name(definitions.activations)
    pairs = tuple((spec, written[name]) for name, spec in activations.items())
    reached = (*definitions.storages, *definitions.notifications)
    return _Outcome(LoadedProject(project, _positions(definitions), pairs, reached), (), (*tables.files, *holidays.files))


def _read_holidays(definitions: Definitions, root: Path) -> tuple[Holidays, list[Problem]]:
    """Return the dates on which nothing is expected, and what is wrong with the files that hold them."""
    owners: tuple[Definition[ActivationFields] | Definition[FeedFields], ...] = (*definitions.activations, *definitions.feeds)
    naming = [owner for owner in owners if owner.fine("expected") and owner.fields.expected is not None]
    names = {fields.exceptions for owner in naming if (fields := owner.fields.expected) is not None and fields.exceptions is not None}
    holidays = read_holidays(names, root=root)
    problems = list(holidays.problems)
    for owner in naming:
        if (problem := holidays_problem(owner.fields.expected, holidays, root=root)) is not None:
            problems.append(owner.problem(("expected", "except"), problem))
    return holidays, problems


def _nothing_defined(settings: Settings) -> Problem:
    folder = relative_name(settings.defs_folder, settings.root)
    message = f"no definitions yet; write a Model, a LocalFolder and an Activation into {folder}/defs.yaml, "
    return Problem(folder, 1, message + "or start from an example with `dinmo init DIR`")


def _positions(definitions: Definitions) -> dict[str, Position]:
    kinds: dict[str, Iterable[Definition[Any]]] = {
        "models": definitions.models,
        "segments": definitions.segments,
        "activations": definitions.activations,
        "storages": definitions.storages,
        "inboxes": definitions.inboxes,
        "feeds": definitions.feeds,
        "notifications": definitions.notifications,
    }
    return {
        f"{kind}.{definition.name}": Position(definition.document.path, definition.document.line)
        for kind, found in kinds.items()
        for definition in found
    }
