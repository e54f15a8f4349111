"""Deliveries that go elsewhere and do not count: `DINMO_REDIRECT` for all, `--to` for one."""

from __future__ import annotations

import os

from dinmo_pipeline.errors import CallError
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.suggestions import nearest_hint
from dinmo_pipeline.sync.prepare import Target

REDIRECT = "DINMO_REDIRECT"


def is_redirected() -> bool:
    """Return whether `DINMO_REDIRECT` is set."""
    return bool(os.environ.get(REDIRECT))


def redirect_target(project: Project, spec: ActivationSpec) -> Target | None:
    """Return where `DINMO_REDIRECT` sends this activation's files, or None where it is not set. CallError when it names no storage."""
    name = os.environ.get(REDIRECT)
    return target_elsewhere(project, spec, name, asked_by=REDIRECT) if name else None


def target_elsewhere(project: Project, spec: ActivationSpec, storage: str, *, asked_by: str, limit: int | None = None) -> Target:
    """Return storage `storage`, in a folder that is called like the activation's own one, so that two storages' files stay apart there."""
    if storage not in project.storages:
        raise CallError(f"{asked_by}: there is no storage {storage!r}{nearest_hint(storage, project.storages)}")
    return Target(project.storages[storage], recorded=False, below=spec.destination, limit=limit)
