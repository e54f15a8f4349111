"""What `dg scaffold defs dinmo_pipeline.<component> <name>` writes: a definition to start from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dagster import Scaffolder, ScaffoldRequest, scaffold_component
from pydantic import BaseModel

from dinmo_pipeline.storages import STORAGES

_FIRST_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "Inbox": {"storage": "name_of_the_storage", "folder": "."},
    "Feed": {"inbox": "name_of_the_inbox", "entity": "contacts", "primary_key": ["id"], "updated_at": "updated_at"},
    "Model": {"primary_key": ["id"], "sql": "SELECT * FROM 'data/file.parquet'"},
    "Segment": {"model": "name_of_the_model", "where": "id > 0"},
    "Activation": {
        "model": "name_of_the_model",
        "destination": "name_of_the_storage",
        "folder": ".",
        "file_name": "{YYYY}-{MM}-{DD}",
        "format": "csv",
        "run_type": "full_then_delta",
        "sync_mode": "upsert",
        "mapping": {"id": "id"},
        "schedule": "0 7 * * *",
    },
    "Filesystem": {"url": "smb://nas/exports", "options": {"username": "shop", "password": {"env": "NAS_PASSWORD"}}},
    "Notify": {"slack": {"webhook_url": {"env": "SLACK_WEBHOOK_URL"}}},
}
# A feed's name is made of several fields; this one is for its author to choose.
_NAMED_BY = {"Feed": "source"}


class DefinitionScaffolder(Scaffolder[BaseModel]):
    """Writes every field that must be there, and those that most definitions have."""

    def scaffold(self, request: ScaffoldRequest[BaseModel]) -> None:
        """Write the definition, named after its folder."""
        component = request.type_name.rpartition(".")[2]
        name = re.sub(r"[^a-z0-9_]+", "_", request.target_path.name.lower())
        scaffold_component(request, {_NAMED_BY.get(component, "name"): name, **first_fields(component)})


def first_fields(component: str) -> Mapping[str, Any]:
    """Return the fields beside the name that a new definition begins with."""
    if component in _FIRST_FIELDS:
        return _FIRST_FIELDS[component]
    return {field: field for field, info in STORAGES[component].model_fields.items() if info.is_required() and field != "name"}
