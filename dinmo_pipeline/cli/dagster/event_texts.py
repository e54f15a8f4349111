"""What stands in the events of a run: names of Dagster's and of definitions, sentences of theirs, and data, which may quote rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from dagster import DagsterRun, EventLogEntry, serialize_value


class Kind(Enum):
    """What a text of an event is."""

    NAME = "name"
    """Of a class, a field, a job, an asset, a column: never a person's."""
    SENTENCE = "sentence"
    """Dagster's own words, with names in them."""
    DATA = "data"
    """Whatever was told: metadata, errors, logs."""
    VALUE = "value"
    """A cell of a table or a value of JSON, as a whole."""


_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_PARTITION = "dagster/partition"
_CLASS, _EVENT = "__class__", "dagster_event"
_FIELDS: Mapping[str, Kind] = {
    "entry_data": Kind.DATA,
    "error": Kind.DATA,
    "error_info": Kind.DATA,
    "user_failure_data": Kind.DATA,
    "description": Kind.DATA,
    "partition": Kind.DATA,
    "message": Kind.SENTENCE,
    "user_message": Kind.SENTENCE,
}
# Metadata that is names and nothing else.
_OF_NAMES = frozenset({"TableSchemaMetadataEntryData", "TableColumnLineageMetadataValue", "PythonArtifactMetadataEntryData"})
_CELL_END = re.compile(r"(?<!\\)\|")
_MARKDOWN_ESCAPE = re.compile(r"\\(.)")
_UNDER_HEADER = re.compile(r"\|(?: --- \|)+")


def event_texts(entry: EventLogEntry) -> Iterator[tuple[Kind, str]]:
    """Each text of an event, with what it is; cells of its tables and values of its JSON come a second time, alone."""
    fields = json.loads(serialize_value(entry))
    # An entry without a Dagster event is a line that an asset's code logged, so its message is data.
    kinds = _FIELDS if fields[_EVENT] is not None else {**_FIELDS, "message": Kind.DATA, "user_message": Kind.DATA}
    yield from _texts(fields, Kind.NAME, kinds)


def run_texts(run: DagsterRun) -> Iterator[tuple[Kind, str]]:
    """Yield the same of a run: its job, its status, its tags, its configuration, what Dagster writes before each line of a log."""
    yield from ((Kind.NAME, name) for name in (run.job_name, run.status.value, *_LOG_LEVELS))
    for name, value in run.tags.items():
        yield Kind.NAME, name
        is_name = "dagster/" in name and name != _PARTITION
        yield Kind.NAME if is_name else Kind.DATA, value
    for name, options in run.run_config.items():
        if name != "loggers":
            yield from _texts(options, Kind.DATA, {})


def _texts(value: Any, kind: Kind, kinds: Mapping[str, Kind]) -> Iterator[tuple[Kind, str]]:
    if isinstance(value, str):
        yield kind, value
        if kind == Kind.DATA:
            yield from ((Kind.VALUE, cell) for cell in _cells(value))
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, kind, kinds)
    elif isinstance(value, dict):
        if value.get(_CLASS) == "JsonMetadataEntryData":
            yield from ((Kind.VALUE, text) for text in _values(value))
        if value.get(_CLASS) in _OF_NAMES:
            kind, kinds = Kind.NAME, {}
        for name, each in value.items():
            # Only Dagster's serialized records have `__class__`; the keys of any other object are data, too.
            yield kind if kind == Kind.DATA and _CLASS not in value else Kind.NAME, name
            inner = Kind.NAME if name == _CLASS else kinds.get(name, kind) if kind == Kind.NAME else kind
            yield from _texts(each, inner, kinds)


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _values(each) if name != _CLASS else ()
    elif isinstance(value, list):
        for each in value:
            yield from _values(each)
    elif value is not None:
        yield str(value)


def _cells(text: str) -> Iterator[str]:
    """Yield the cells of tables in Markdown, but for their headers, as they were before it escaped them."""
    lines = text.split("\n") if "| --- |" in text else ()
    in_table = False
    for line in lines:
        in_table = line.startswith("|") and (in_table or _UNDER_HEADER.fullmatch(line) is not None)
        if in_table:
            yield from (_MARKDOWN_ESCAPE.sub(r"\1", cell.strip()) for cell in _CELL_END.split(line)[1:-1])
