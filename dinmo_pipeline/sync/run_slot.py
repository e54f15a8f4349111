"""A run's turn, from the step that keeps the rows to the one that delivers them: one process runs both, unless somebody runs them apart."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.sync.service import SyncService

_held: dict[tuple[Path, str], AbstractContextManager[None]] = {}


def acquire_run_slot(project: Project, spec: ActivationSpec) -> None:
    """Wait until no other run has the activation; fine when this process has it already. BusyError when another one waits, too."""
    key = (project.home, spec.name)
    if key not in _held:
        turn = SyncService(project, spec).turn()
        turn.__enter__()
        _held[key] = turn


def has_turn(project: Project, spec: ActivationSpec) -> bool:
    """Return whether this process has the activation's turn."""
    return (project.home, spec.name) in _held


def release_run_slot(project: Project, spec: ActivationSpec) -> None:
    """Let the next run go on; fine when this process has no turn."""
    turn = _held.pop((project.home, spec.name), None)
    if turn is not None:
        turn.__exit__(None, None, None)
