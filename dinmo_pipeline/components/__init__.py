"""What YAML may declare: one component each, by the name that stands after `dinmo_pipeline.` in its `type:`."""

from __future__ import annotations

from dagster import Component

from dinmo_pipeline.components.activation import Activation
from dinmo_pipeline.components.automation.repository import project_definitions, project_repository
from dinmo_pipeline.components.inbox import Feed, Inbox
from dinmo_pipeline.components.notify import Notify
from dinmo_pipeline.components.storage import storage_components
from dinmo_pipeline.components.tables import Model, Segment

__all__ = ["COMPONENTS", "Activation", "Feed", "Inbox", "Model", "Notify", "Segment", "project_definitions", "project_repository"]

COMPONENTS: dict[str, type[Component]] = {
    "Activation": Activation,
    "Feed": Feed,
    "Inbox": Inbox,
    "Model": Model,
    "Notify": Notify,
    "Segment": Segment,
    **storage_components(),
}
