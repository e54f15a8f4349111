"""What fails in a way that trying again does not cure is tried again more and more seldom, unless something was changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from dinmo_pipeline.alerts.alert_state import AlertState
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.project.yaml.files import file_mark
from dinmo_pipeline.secrets import Secret

_FIRST_WAIT = timedelta(minutes=5)
# Less than an hour: what is due hourly, or more seldom, is always tried.
_LONGEST_WAIT = timedelta(minutes=45)


def checksum_of(project: Project, spec: ActivationSpec) -> str:
    """Return a checksum that is another one when what is to be done was edited.

    That is the activation, its destination, the tables it needs, a secret's file, `.env`.
    """
    storage = project.storages[spec.destination]
    files = [file_mark(project.root / path) for path in (*_secret_files(storage), ".env")]
    text = repr((spec, storage, project.tables_for(spec.source), files))
    return hashlib.sha256(text.encode()).hexdigest()


def backoff_reason(
    project: Project, spec: ActivationSpec, alert_state: AlertState, *, now: datetime, inputs: Callable[[], str]
) -> str | None:
    """Return why a scheduled sync at `now` would be in vain, or None: it is tried.

    `inputs` makes a checksum of the data that it would read; only where the last attempt ended because of its data is it asked.
    """
    failure = alert_state.failure
    if failure is None or not failure.lasting or failure.definitions != checksum_of(project, spec):
        return None
    wait = min(_FIRST_WAIT * 2 ** min(failure.attempts - 1, 10), _LONGEST_WAIT)
    if now >= failure.at + wait or (failure.inputs is not None and failure.inputs != inputs()):
        return None
    return (
        f"nothing was changed since the last attempt ended with: {failure.without_data}. It is tried again at the first tick after "
        f"{failure.at + wait:%Y-%m-%d %H:%M} UTC; `dinmo sync {spec.name}` tries at once"
    )


def _secret_files(model: BaseModel) -> Iterator[str]:
    for name in type(model).model_fields:
        value: Any = getattr(model, name)
        if isinstance(value, Secret) and value.file is not None:
            yield value.file
