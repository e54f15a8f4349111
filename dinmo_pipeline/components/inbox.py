"""Inboxes and feeds: a feed is a table, one partition a file; an entity is the view over its feeds; an inbox has a sensor."""

# Dagster reads the annotations of asset functions as objects, so this module's are no postponed texts.
from collections.abc import Iterator
from typing import ClassVar

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    Definitions,
    DynamicPartitionsDefinition,
)
from pydantic import BaseModel

from dinmo_pipeline.catalog.import_events import REJECTS_CHECK, files_name
from dinmo_pipeline.components.asset_keys import code_reference, table_key
from dinmo_pipeline.components.assets import make_asset
from dinmo_pipeline.components.automation.deadlines import deadlines_owner, deadlines_sensor
from dinmo_pipeline.components.automation.hooks import feed_hooks
from dinmo_pipeline.components.automation.inbox_sensor import import_job, inbox_sensor
from dinmo_pipeline.components.base import NamedComponent
from dinmo_pipeline.components.descriptions import describe_entity, describe_feed
from dinmo_pipeline.components.importing import import_checked
from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.project.load import LoadedProject
from dinmo_pipeline.project.schema.inbound import FeedFields, InboxFields


class Inbox(NamedComponent):
    """A folder that others drop files into."""

    fields_model: ClassVar[type[BaseModel]] = InboxFields

    def build(self, loaded: LoadedProject) -> Definitions:
        """Return the sensor that looks for files, and the jobs that import them; none where no feed takes any."""
        feeds = [feed for feed in loaded.project.feeds.values() if feed.inbox == self.name]
        if not feeds:
            return Definitions()
        jobs = [import_job(feed) for feed in feeds]
        return Definitions(jobs=jobs, sensors=[inbox_sensor(loaded.project, loaded.project.inboxes[self.name], jobs)])


class Feed(NamedComponent):
    """One kind of inbound file, and the table that it fills."""

    fields_model: ClassVar[type[BaseModel]] = FeedFields

    def build(self, loaded: LoadedProject) -> Definitions:
        """Return the feed's table; the first feed of an entity brings the entity, too."""
        feed = loaded.project.feeds[self.name]
        feeds = loaded.project.entities[feed.entity_ref]
        return Definitions(
            assets=[_feed_asset(loaded, feed), *([_entity_asset(loaded, feeds)] if feed == feeds[0] else [])],
            sensors=[deadlines_sensor(loaded.project)] if deadlines_owner(loaded.project) == ("feed", feed.name) else [],
        )


def _feed_asset(loaded: LoadedProject, feed: FeedSpec) -> AssetsDefinition:
    def table(context: AssetExecutionContext) -> Iterator[AssetCheckResult]:
        yield from import_checked(context, loaded.project, feed)

    rejects = AssetCheckSpec(
        REJECTS_CHECK,
        asset=table_key(feed.ref),
        description="Every file and every record was taken, and no file waits for a person; records without a key do not count.",
    )
    return make_asset(
        AssetSpec(
            table_key(feed.ref),
            partitions_def=DynamicPartitionsDefinition(name=files_name(feed.name)),
            description=describe_feed(feed),
            group_name="feeds",
            kinds={"csv" if feed.csv is not None else "json", "duckdb"},
            metadata={
                "inbox": feed.inbox,
                "primary key": ", ".join(feed.primary_key),
                "load": feed.load,
                **code_reference(loaded, f"feeds.{feed.name}"),
            },
        ),
        table,
        checks=[rejects],
        hooks=feed_hooks(loaded.project, feed),
        backfill_policy=BackfillPolicy.single_run(),
        # Each file is told of as it comes in, by an event of its own.
        required=False,
    )


def _entity_asset(loaded: LoadedProject, feeds: tuple[FeedSpec, ...]) -> AssetSpec:
    return AssetSpec(
        table_key(feeds[0].entity_ref),
        deps=[table_key(feed.ref) for feed in feeds],
        description=describe_entity(feeds),
        group_name="entities",
        kinds={"duckdb", "view"},
        metadata=code_reference(loaded, f"feeds.{feeds[0].name}"),
    )
