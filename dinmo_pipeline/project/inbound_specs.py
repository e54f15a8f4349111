"""What the user wrote of inboxes and feeds, checked and resolved; no I/O, as in `specs`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dinmo_pipeline.formats.csv.dialect import CsvDialect
from dinmo_pipeline.project.schema.expected import Expected
from dinmo_pipeline.project.table_refs import TableRef


@dataclass(frozen=True)
class InboxSpec:
    """A folder that others drop files into. `done_file` names what says that a file is whole; without it, standing still does."""

    name: str
    storage: str
    folder: str = "."
    settle_seconds: int = 60
    poll_seconds: int = 60
    done_file: str | None = None
    after_import: Literal["move", "leave", "delete"] = "move"


@dataclass(frozen=True)
class InboundColumn:
    """A column of an inbound file that is declared: `type` is text, json, number, date, timestamp, boolean or array.

    `format` is how its dates and times are written (strftime's letters; None for ISO 8601), `decimal` what stands before a
    number's fraction; `zero_padded` numbers may begin with zeros.
    """

    name: str
    type: str
    format: str | None = None
    decimal: str = "."
    zero_padded: bool = False


def feed_name(entity: str, source: str, subsection: str | None) -> str:
    """Return `contacts_salesforce`, `contacts_prestashop_customers`: how files and table of a feed are called."""
    return "_".join(part for part in (entity, source, subsection) if part is not None)


@dataclass(frozen=True)
class FeedSpec:
    """One kind of inbound file and the table that it feeds. `csv` is None for JSON.

    Names of columns are identifiers, as the readers give them. `max_rejected` counts rows, `max_rejected_share` is of the
    file's records: the larger holds. So it is with `warn_rejected`, from which on somebody is told.
    """

    inbox: str
    entity: str
    source: str
    primary_key: tuple[str, ...]
    subsection: str | None = None
    updated_at: str | None = None
    csv: CsvDialect | None = field(default_factory=CsvDialect)
    columns: tuple[InboundColumn, ...] = ()
    optional: tuple[str, ...] = ()
    timezone: str = "UTC"
    load: Literal["merge", "append", "replace"] = "merge"
    max_rejected: int = 100
    max_rejected_share: float = 0.01
    expected: Expected | None = None
    warn_rejected: int = 0
    warn_rejected_share: float = 0.0

    def rejects_without_warning(self, records: int) -> int:
        """Return how many records of a file that has so many may be rejected before somebody is told."""
        return max(self.warn_rejected, int(self.warn_rejected_share * records))

    @property
    def name(self) -> str:
        """The table's name, and what file names hold."""
        return feed_name(self.entity, self.source, self.subsection)

    @property
    def ref(self) -> TableRef:
        """Its table in the warehouse."""
        return TableRef("feeds", self.name)

    @property
    def entity_ref(self) -> TableRef:
        """The table of its entity, over all feeds of that."""
        return TableRef("entities", self.entity)
