"""Inboxes and feeds: what they refer to and how their options go together checked, and their specs."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dinmo_pipeline.errors import Problem
from dinmo_pipeline.formats.csv.dialect import CsvDialect
from dinmo_pipeline.project.inbound_specs import FeedSpec, InboundColumn, InboxSpec
from dinmo_pipeline.project.schema.definitions import Definition, Definitions, by_name, read_nested
from dinmo_pipeline.project.schema.expected import Holidays, expected_of
from dinmo_pipeline.project.schema.inbound import CSV_ONLY, ColumnFields, FeedFields, InboxFields
from dinmo_pipeline.sql.identifiers import identifier
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.suggestions import nearest_hint

_TIMES = ("timestamp", "date")
_MAX_REJECTED, _MAX_REJECTED_SHARE = 100, 0.01


@dataclass(frozen=True)
class Inboxes:
    """The inboxes and feeds by name, complete only where there is no problem."""

    inboxes: Mapping[str, InboxSpec]
    feeds: Mapping[str, FeedSpec]
    problems: tuple[Problem, ...]


def read_inboxes(definitions: Definitions, *, timezone: str, holidays: Holidays) -> Inboxes:
    """Return what imports work from. `timezone` is the project's."""
    storages, known = by_name(definitions.storages), by_name(definitions.inboxes)
    problems = [*_shared_folders(definitions.inboxes, storages)]
    inboxes, feeds = {}, {}
    for inbox in definitions.inboxes:
        found = list(_inbox_problems(inbox, storages))
        problems += found
        if not found and not inbox.bad:
            inboxes[inbox.fields.name] = InboxSpec(**inbox.fields.model_dump())
    for feed in definitions.feeds:
        columns, found = _columns(feed)
        found += _feed_problems(feed, columns, known)
        problems += found
        if not found and not feed.bad:
            spec = _spec(feed.fields, columns, timezone, holidays)
            feeds[spec.name] = spec
    return Inboxes(inboxes, feeds, tuple(problems))


def _inbox_problems(inbox: Definition[InboxFields], storages: Mapping[str, Definition[StorageSpec]]) -> Iterator[Problem]:
    fields = inbox.fields
    if not inbox.fine("storage"):
        return
    if fields.storage not in storages:
        yield inbox.problem("storage", f"storage: there is no storage {fields.storage!r}{nearest_hint(fields.storage, storages)}")
        return
    storage = storages[fields.storage]
    if inbox.fine("folder") and not storage.bad and (unfit := storage.fields.folder_problem(fields.folder)) is not None:
        yield inbox.problem("folder", f"folder: {unfit}")


def _shared_folders(inboxes: Iterable[Definition[InboxFields]], storages: Mapping[str, Definition[StorageSpec]]) -> Iterator[Problem]:
    first: dict[tuple[str, str], Definition[InboxFields]] = {}
    for inbox in inboxes:
        storage = storages.get(inbox.fields.storage) if inbox.fine("storage", "folder") else None
        if storage is None or storage.bad:
            continue
        place = (storage.fields.address, posixpath.normpath(inbox.fields.folder))
        other = first.setdefault(place, inbox)
        if other is not inbox and other.name != inbox.name:
            where = f"{other.document.file}:{other.document.line_of(('attributes', 'name'))}"
            message = f"folder: inbox {other.name}, in {where}, has the same folder; let the feeds of both name one inbox"
            yield inbox.problem("folder", message)


def _columns(feed: Definition[FeedFields]) -> tuple[tuple[InboundColumn, ...], list[Problem]]:
    """Return the columns that are declared, as identifiers."""
    columns: dict[str, InboundColumn] = {}
    problems: list[Problem] = []
    for written, value in feed.fields.columns.items() if feed.fine("columns") else ():
        path = ("columns", written)
        fields, found = read_nested(feed, path, value, ColumnFields)
        name = identifier(written)
        if not name:
            found = [feed.problem(path, f"columns: {written!r} has no letter or digit, so it is no name of a column", at_key=True)]
        elif name in columns:
            found += [feed.problem(path, f"columns: {written!r} is the column {name!r}, which is declared already", at_key=True)]
        elif fields is not None:
            found = [feed.problem((*path, option), f"columns.{written}: {unfit}") for option, unfit in _misplaced(fields)]
            columns[name] = InboundColumn(name, fields.type, fields.format, fields.decimal or ".", bool(fields.zero_padded))
        problems += found
    return tuple(columns.values()), problems


def _misplaced(fields: ColumnFields) -> Iterator[tuple[str, str]]:
    if fields.format is not None and fields.type not in ("date", "timestamp"):
        yield "format", f"format is for a date or a timestamp, and this is a column of type {fields.type}"
    for option in ("decimal", "zero_padded"):
        if getattr(fields, option) is not None and fields.type != "number":
            yield option, f"{option} is for a number, and this is a column of type {fields.type}"


def _feed_problems(
    feed: Definition[FeedFields], columns: tuple[InboundColumn, ...], inboxes: Mapping[str, Definition[InboxFields]]
) -> Iterator[Problem]:
    fields = feed.fields
    if feed.fine("inbox") and fields.inbox not in inboxes:
        yield feed.problem("inbox", f"inbox: there is no inbox {fields.inbox!r}{nearest_hint(fields.inbox, inboxes)}")
    if feed.fine("updated_at"):
        for column in columns:
            if column.name == fields.updated_at and column.type not in _TIMES:
                message = f"updated_at: {column.name!r} is declared as {column.type}; declare it as timestamp or date, to tell the newest"
                yield feed.problem("updated_at", message)
    if feed.fine("optional", "primary_key"):
        for key in set(fields.optional) & set(fields.primary_key):
            yield feed.problem("optional", f"optional: {key!r} is in the primary key, which no file may lack")
    if feed.fine("format") and fields.format != "csv":
        for option in CSV_ONLY:
            if ("attributes", option) in feed.document.spots:
                yield feed.problem(option, f"{option} is for CSV, and the feed's format is {fields.format}; take it out", at_key=True)
    if feed.fine("delimiter", "quote", "escape"):
        for option in ("quote", "escape"):
            if fields.delimiter is not None and getattr(fields, option) == fields.delimiter:
                yield feed.problem(option, f"{option}: {fields.delimiter!r} is the delimiter, too; one character cannot be both")


def _spec(fields: FeedFields, columns: tuple[InboundColumn, ...], timezone: str, holidays: Holidays) -> FeedSpec:
    count, share = (_MAX_REJECTED, _MAX_REJECTED_SHARE) if fields.max_rejected is None else _count_and_share(fields.max_rejected)
    warn_count, warn_share = _count_and_share(fields.warn_rejected)
    return FeedSpec(
        inbox=fields.inbox,
        entity=fields.entity,
        source=fields.source,
        primary_key=tuple(fields.primary_key),
        subsection=fields.subsection,
        updated_at=fields.updated_at,
        csv=_dialect(fields) if fields.format == "csv" else None,
        columns=columns,
        optional=tuple(fields.optional),
        timezone=fields.timezone or timezone,
        load=fields.load,
        max_rejected=count,
        max_rejected_share=share,
        expected=expected_of(fields.expected, holidays.dates),
        warn_rejected=warn_count,
        warn_rejected_share=warn_share,
    )


def _count_and_share(written: int | float) -> tuple[int, float]:
    # A share is read as a float, a number of records as an int: what is written holds alone.
    return (written, 0.0) if isinstance(written, int) else (0, written)


def _dialect(fields: FeedFields) -> CsvDialect:
    return CsvDialect(
        delimiter=fields.delimiter,
        quote=fields.quote,
        # The quote itself before a quote is what doubling is.
        escape=None if fields.escape == fields.quote else fields.escape,
        encoding=fields.encoding,
        null_text=tuple(fields.null_text),
        skip_lines=fields.skip_lines,
        skip_last_lines=fields.skip_last_lines,
    )
