"""The feed of a file that was profiled, as YAML to paste: what the sample and the file's name tell, and where a person has to decide."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from dinmo_pipeline.inbound.profile.profile import Profile, tells_change
from dinmo_pipeline.project.inbound_specs import InboundColumn
from dinmo_pipeline.project.schema.inbound import ENTITIES

_NAME = re.compile(
    rf"(?:^|(?<=[^a-z0-9]))(?P<entity>{'|'.join(sorted(ENTITIES, key=len, reverse=True))})__?"
    r"(?P<source>[a-z0-9]+)(?:_(?P<subsection>[a-z0-9_]+?))?_(?P<date>\d{8})",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class NamedFeed:
    """What a file's name says of its feed, no feed being declared."""

    entity: str
    source: str
    subsection: str | None


def named_feed(file_name: str) -> NamedFeed | None:
    """Return the feed in a name such as `contacts_prestashop_customers_20220315.csv`, where it has one; the source is its first word."""
    found = _NAME.search(file_name)
    if found is None:
        return None
    subsection = found["subsection"]
    return NamedFeed(found["entity"].lower(), found["source"].lower(), subsection.lower() if subsection else None)


def feed_yaml(profile: Profile) -> str:
    """Return a definition of the file's feed. Comments stand where the file does not tell what to write."""
    return "\n".join(["type: dinmo_pipeline.Feed", "attributes:", *(f"  {line}" for line in _attributes(profile))]) + "\n"


def _attributes(profile: Profile) -> Iterator[str]:
    named = named_feed(profile.file_name)
    yield "inbox: partner  # the inbox that the files come into"
    if named is None:
        yield f"entity: contacts  # the file's name does not tell: one of {', '.join(ENTITIES)}"
        yield "source: partner  # the system that the data is from, as in the files' names"
    else:
        yield f"entity: {named.entity}"
        yield f"source: {_written(named.source)}"
        if named.subsection is not None:
            yield f"subsection: {_written(named.subsection)}"
    yield from _key(profile)
    yield from _updated_at(profile)
    if profile.delimiter is None:
        yield "format: json"
    else:
        yield f"delimiter: {json.dumps(profile.delimiter)}"
    typed = [column.type for column in profile.columns if column.type.type != "text"]
    if typed:
        yield "columns:"
        yield from (f"  {_written(column.name)}: {_written(_declared(column))}" for column in typed)


def _key(profile: Profile) -> Iterator[str]:
    if profile.keys:
        first, *others = profile.keys
        also = f"  # as unique: {', '.join(' and '.join(key) for key in others)}" if others else ""
        yield f"primary_key: {_written(list(first))}{also}"
    else:
        first_column = [profile.columns[0].name] if profile.columns else []
        yield f"primary_key: {_written(first_column)}  # no column, nor two of them, is unique and never null in the sample: decide"


def _updated_at(profile: Profile) -> Iterator[str]:
    if profile.updated_at and tells_change(profile.updated_at[0]):
        yield f"updated_at: {_written(profile.updated_at[0])}"
    elif profile.updated_at:
        yield f"# updated_at: {_written(profile.updated_at[0])}  # if that says when a record was last changed"


def _declared(column: InboundColumn) -> str | dict[str, str]:
    options = {"format": column.format} if column.format is not None else {}
    options |= {"decimal": column.decimal} if column.decimal != "." else {}
    return {"type": column.type, **options} if options else column.type


def _written(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")
