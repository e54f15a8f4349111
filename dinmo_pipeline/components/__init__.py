"""What YAML may declare: one component each, by the name that stands after `dinmo_pipeline.` in its `type:`."""

from __future__ import annotations

from dagster import Component, Definitions

from dinmo_pipeline.components.activation import Activation
from dinmo_pipeline.components.inbox import Feed, Inbox
from dinmo_pipeline.components.notify import Notify
from dinmo_pipeline.components.storage import storage_components
from dinmo_pipeline.components.tables import Model, Segment
from dinmo_pipeline.project.load import LoadedProject

__all__ = ["COMPONENTS", "Activation", "Feed", "Inbox", "Model", "Notify", "Segment", "project_definitions"]

COMPONENTS: dict[str, type[Component]] = {
    "Activation": Activation,
    "Feed": Feed,
    "Inbox": Inbox,
    "Model": Model,
    "Notify": Notify,
    "Segment": Segment,
    **storage_components(),
}


def project_definitions(loaded: LoadedProject) -> Definitions:
    """The Dagster objects of a whole project, without Dagster's own reading of its files: the same as that one finds."""
    project = loaded.project
    kinds = {"models": Model, "segments": Segment}
    tables = [kinds[ref.kind](ref.name).definitions(loaded) for ref in project.tables]
    inbound = [*(Inbox(name).definitions(loaded) for name in project.inboxes), *(Feed(name).definitions(loaded) for name in project.feeds)]
    return Definitions.merge(*inbound, *tables, *(Activation(name).definitions(loaded) for name in project.activations))
