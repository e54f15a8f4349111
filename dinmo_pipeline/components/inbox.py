"""Inboxes and feeds: what others drop, as assets that models read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from dagster import AssetSpec, Definitions
from pydantic import BaseModel

from dinmo_pipeline.components.base import NamedComponent
from dinmo_pipeline.components.naming import code_reference, table_key
from dinmo_pipeline.components.wording import describe_entity, describe_feed
from dinmo_pipeline.project.inbound_fields import FeedFields, InboxFields
from dinmo_pipeline.project.load import LoadedProject
from dinmo_pipeline.project.specs import FeedSpec


class Inbox(NamedComponent):
    """A folder that others drop files into."""

    fields_model: ClassVar[type[BaseModel]] = InboxFields

    def build(self, loaded: LoadedProject) -> Definitions:
        """Nothing of its own."""
        return Definitions()


class Feed(NamedComponent):
    """One kind of inbound file, and the table that it fills."""

    fields_model: ClassVar[type[BaseModel]] = FeedFields

    def build(self, loaded: LoadedProject) -> Definitions:
        """The feed's table; the first feed of an entity brings the entity, too."""
        feed = loaded.project.feeds[self.name]
        return Definitions(assets=[*_assets(loaded, feed)])


def _assets(loaded: LoadedProject, feed: FeedSpec) -> Iterator[AssetSpec]:
    yield AssetSpec(
        table_key(feed.ref),
        description=describe_feed(feed),
        group_name="feeds",
        kinds={"csv" if feed.csv is not None else "json", "duckdb"},
        metadata={
            "inbox": feed.inbox,
            "primary key": ", ".join(feed.primary_key),
            **code_reference(loaded, f"feeds.{feed.name}"),
        },
    )
    feeds = loaded.project.entities[feed.entity_ref]
    if feed == feeds[0]:
        yield AssetSpec(
            table_key(feed.entity_ref),
            deps=[table_key(each.ref) for each in feeds],
            description=describe_entity(feeds),
            group_name="entities",
            kinds={"duckdb", "view"},
        )
