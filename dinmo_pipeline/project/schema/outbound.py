"""What YAML may say of a model, a segment, an activation and who is told: every option, its values and its default.

These models check one definition by itself; what it refers to is checked in `tables`, `activations` and `notifications`. Their
descriptions serve as documentation and as the JSON schema that editors complete from.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from dinmo_pipeline.notify.email import Email
from dinmo_pipeline.notify.slack import Slack
from dinmo_pipeline.notify.webhook import Webhook
from dinmo_pipeline.project.consumers.consumers import Consumer
from dinmo_pipeline.project.schema.expected import ExpectedFields
from dinmo_pipeline.project.schema.field_types import (
    ColumnMapping,
    Description,
    Fields,
    Limits,
    Name,
    Owners,
    Tags,
    Text,
    TextOrList,
    Timezone,
    asset_key,
    cron,
    different,
    duration,
    every,
    typed,
)
from dinmo_pipeline.project.specs import KEEP_SYNCS


class FailIf(Fields):
    """What stops a sync before anything is delivered, until it is approved: for each measure a limit, or a list of them."""

    rows: Annotated[
        Limits,
        Field(default_factory=list, description='Rows of the source: a number, or a share of those last delivered (`"< 50%"`).'),
    ]
    added: Annotated[
        Limits,
        Field(default_factory=list, description="Rows that came since the last delivery: a number, or a share of the rows delivered then."),
    ]
    updated: Annotated[
        Limits, Field(default_factory=list, description="Rows that changed since the last delivery: a number or a share, as with `added`.")
    ]
    removed: Annotated[
        Limits,
        Field(default_factory=list, description="Rows that left since the last delivery: a number or a share; sync_mode difference."),
    ]
    replaced_characters: Annotated[
        Limits, Field(default_factory=list, description='Characters that the format forbids and that were replaced (`"> 0"`).')
    ]
    bytes: Annotated[
        Limits, Field(default_factory=list, description='The size of all files together, in bytes, kB, MB, GB, KiB, MiB, GiB (`"> 1 GB"`).')
    ]
    source_age: Annotated[
        Limits,
        Field(
            default_factory=list,
            description="The time from the newest value of the model's `loaded_at` to the sync, in seconds, minutes, hours or days "
            '(`"> 2 days"`).',
        ),
    ]


class WarnIf(FailIf):
    """What is told of a sync that is delivered all the same: for each measure a limit, or a list of them."""

    duration: Annotated[
        Limits,
        Field(
            default_factory=list,
            description='How long finding and delivering the changes took, in seconds, minutes, hours or days (`"> 10 minutes"`).',
        ),
    ]


class ModelFields(Fields):
    """A table made by a query."""

    name: Annotated[Name, Field(description="Small letters, digits and _; unique among models. Queries name it `models.<name>`.")]
    primary_key: Annotated[
        Annotated[list[Text], TextOrList, Field(min_length=1), AfterValidator(different)],
        Field(description="The columns that tell one row from another, at least one; never null, never twice the same."),
    ]
    sql: Annotated[Text | None, Field(default=None, description="The query itself; this or `sql_file`.")]
    sql_file: Annotated[
        Text | None, Field(default=None, description="The file that holds the query, relative to this file; this or `sql`.")
    ]
    max_age: Annotated[
        Annotated[str, AfterValidator(duration)],
        Field(
            default="0 minutes",
            description="How old its table may be for a sync to use it as it is, such as 30 minutes.",
        ),
    ]
    loaded_at: Annotated[
        Text | None,
        Field(default=None, description="The column that says when a row was loaded or changed; `source_age` is measured from its newest."),
    ]
    deps: Annotated[
        Annotated[list[Annotated[str, AfterValidator(asset_key)]], TextOrList],
        Field(default_factory=list, description="Keys of other Dagster assets that the query reads (`dbt/orders`); none by default."),
    ]
    description: Description
    owners: Owners
    tags: Tags


class SegmentFields(Fields):
    """Some rows of a model; it has the model's primary key."""

    name: Annotated[Name, Field(description="Small letters, digits and _; unique among segments. Queries name it `segments.<name>`.")]
    model: Annotated[str, Field(description="The model whose rows these are.")]
    where: Annotated[Text | None, Field(default=None, description="The condition on the model's rows; this or `sql`.")]
    sql: Annotated[
        Text | None, Field(default=None, description="A whole query that gives the model's key and any columns; this or `where`.")
    ]
    description: Description
    owners: Owners
    tags: Tags


class ActivationFields(Fields):
    """One delivery, repeated."""

    name: Annotated[Name, Field(description="Small letters, digits and _; unique among activations.")]
    model: Annotated[str | None, Field(default=None, description="The model to deliver; this or `segment`.")]
    segment: Annotated[str | None, Field(default=None, description="The segment to deliver; this or `model`.")]
    destination: Annotated[str, Field(description="The name of the storage to deliver to.")]
    file_name: Annotated[
        str,
        Field(description="The file's name, with {YYYY} {YY} {MM} {DD} {HH} {mm} {ss} {ms} {X} {x}; {{ and }} stand for one brace each."),
    ]
    format: Annotated[
        Annotated[dict[str, Any], BeforeValidator(typed, json_schema_input_type=str | dict[str, Any])],
        Field(description="csv, json, ndjson, xml or parquet, or {type: csv, …} with the format's options."),
    ]
    consumer: Annotated[
        Consumer | None,
        Field(
            default=None,
            description="Who reads the files: sets options of the format that are not written there, and has `dinmo check` warn of what it "
            "does not read rightly; [each of them](#consumers).",
        ),
    ]
    run_type: Annotated[
        Literal["full_only", "full_then_delta"],
        Field(description="full_only: every sync sends all rows. full_then_delta: the first does, later ones send what changed."),
    ]
    sync_mode: Annotated[
        Literal["snapshot", "upsert", "insert", "difference"],
        Field(
            description="snapshot: all rows (full_only). upsert: added and updated rows. insert: added rows, each key once, ever. "
            "difference: three files, of added, updated and removed rows (full_then_delta)."
        ),
    ]
    mapping: Annotated[
        ColumnMapping,
        Field(
            description="{attribute: name in the file}, in the file's order; a list keeps the names; \"*\" takes all of the day's columns."
        ),
    ]
    folder: Annotated[
        str, Field(default=".", description="The folder at the destination, with the variables of `file_name`; `.` is its start.")
    ]
    extension: Annotated[
        Text | None,
        Field(default=None, description="What the name ends in instead of the format's own extension (`txt`); `none` adds nothing."),
    ]
    schedule: Annotated[
        Annotated[list[Annotated[str, AfterValidator(cron)]], TextOrList],
        Field(default_factory=list, description='When it runs: a cron expression ("0 7 * * *") or several; none by default.'),
    ]
    every: Annotated[
        Annotated[str, AfterValidator(every)] | None,
        Field(default=None, description="When it runs, as an interval that fills an hour or a day evenly: 15 minutes, 2 hours, 1 day."),
    ]
    after: Annotated[
        Annotated[list[Text], TextOrList],
        Field(
            default_factory=list,
            description="It runs when one of these was refreshed: `models.x`, `segments.y`, `feeds.z`, an activation by its name, another "
            "Dagster asset by its key (`dbt/orders`); what a sync itself refreshes starts no other because of it, and none by default.",
        ),
    ]
    paused: Annotated[bool, Field(default=False, description="Whether schedule, every and after rest; a sync by hand still runs.")]
    timezone: Annotated[
        Timezone | None,
        Field(default=None, description="The time zone of its schedule, file names and timestamps; the project's by default."),
    ]
    on_existing: Annotated[
        Literal["overwrite", "refuse"] | None,
        Field(
            default=None,
            description="What to do when an earlier delivered sync used the name: overwrite (default for fixed names) or refuse "
            "(default for deltas with a dated name).",
        ),
    ]
    if_missing: Annotated[
        Literal["delta", "full"],
        Field(default="delta", description="What to send when a file of the fixed name is no longer there: the delta, or in full."),
    ]
    empty_files: Annotated[
        Literal["write", "skip"], Field(default="write", description="Whether a file of no rows is written (header, `[]`) or left out.")
    ]
    max_rows: Annotated[
        Annotated[int, Field(ge=1)] | None,
        Field(default=None, description="The most rows of one file, 1 or more; parts are numbered from _1."),
    ]
    max_bytes: Annotated[
        Annotated[int, Field(ge=1)] | None,
        Field(default=None, description="The most bytes of one file before compression, 1 or more; parts are numbered from _1."),
    ]
    manifest: Annotated[
        bool,
        Field(default=False, description="Write `<name>.manifest.json` last: the files with rows, bytes and SHA-256, the sync, its base."),
    ]
    done_file: Annotated[
        Text | None,
        Field(
            default=None,
            description="Write an empty file after all others: `.done` ends the name so, a text without a dot in front is the whole name; "
            "an old one is deleted first. None by default.",
        ),
    ]
    create_folder: Annotated[bool, Field(default=True, description="Whether a missing folder is made; false refuses to deliver then.")]
    removed_columns: Annotated[
        Literal["all", "key"],
        Field(default="all", description="What `_removed` carries: all mapped columns as last delivered, or the key alone."),
    ]
    fail_if: Annotated[
        FailIf | None,
        Field(
            default=None,
            description='What stops a sync until it is approved: `{rows: "< 1000", removed: "> 10%"}`. By default a source that turned '
            "empty or lost more than half of 1,000 rows or more; `{}` stops nothing.",
        ),
    ]
    warn_if: Annotated[
        WarnIf | None,
        Field(default=None, description='What is told of a sync that is delivered all the same: `{duration: "> 10 minutes"}`.'),
    ]
    keep_syncs: Annotated[
        Annotated[int, Field(ge=1)],
        Field(
            default=KEEP_SYNCS, description="The snapshots of how many delivered syncs are kept, 1 or more; what is still needed always is."
        ),
    ]
    expected: Annotated[
        ExpectedFields | None,
        Field(
            default=None,
            description='By when it must have been delivered: {by: "07:00", days: mon-fri, except: holidays.txt, grace: 30 minutes, '
            'rows: ">= 1000"}; nothing is expected by default.',
        ),
    ]
    renamed_from: Annotated[
        Name | None, Field(default=None, description="The name it had before, so that it keeps what that one had delivered.")
    ]
    description: Description
    owners: Owners
    tags: Tags


class NotifyFields(Fields):
    """Who is told when an activation, an inbox or a feed fails, is blocked or late, warns, or is well again."""

    name: Annotated[Name, Field(description="Small letters, digits and _; unique among those who are told.")]
    slack: Annotated[Slack | None, Field(default=None, description="A Slack channel; this, `email` or `webhook`.")]
    email: Annotated[Email | None, Field(default=None, description="E-mail; this, `slack` or `webhook`.")]
    webhook: Annotated[Webhook | None, Field(default=None, description="Any web address; this, `slack` or `email`.")]
    level: Annotated[
        Literal["warning", "failure"],
        Field(default="warning", description="What is told: failures and warnings, or failures alone; blocked and late are failures."),
    ]
    only: Annotated[
        Annotated[list[str], TextOrList],
        Field(default_factory=list, description="The activations, inboxes and feeds that it is about; all by default."),
    ]
