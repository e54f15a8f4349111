"""What a consumer was promised: which rows, told apart how, with which columns, where. A delta is only meaningful within one promise."""

from __future__ import annotations

from dataclasses import dataclass

from dinmo_pipeline.formats.value_text import EXACT_NUMBERS, FLOATS
from dinmo_pipeline.project.specs import RunType, SyncMode
from dinmo_pipeline.sql.quoting import folded
from dinmo_pipeline.sql.types import parse_type


@dataclass(frozen=True)
class SentColumn:
    """A column that leaves: the source's attribute, its name in the file, its DuckDB type."""

    attribute: str
    name: str
    type: str

    @property
    def identity(self) -> tuple[str, str]:
        """What makes it the same column as an earlier one, its attribute as DuckDB tells it from others."""
        return folded(self.attribute), self.name


@dataclass(frozen=True)
class KeyColumn:
    """A column of the primary key and its DuckDB type."""

    attribute: str
    type: str


@dataclass(frozen=True)
class Contract:
    """The promise that a sync keeps; stands in the log with every snapshot. `address` is the storage's and the folder as written."""

    source: str
    key: tuple[KeyColumn, ...]
    run_type: RunType
    sync_mode: SyncMode
    address: str
    columns: tuple[SentColumn, ...]

    @property
    def keeps_gone_keys(self) -> bool:
        """Whether its snapshots hold the keys of rows that left, too: insert sends none of them twice."""
        return self.sync_mode == SyncMode.INSERT

    @property
    def sends_updates(self) -> bool:
        """Whether a row that was sent is sent again when a value of it changes: not with insert."""
        return self.sync_mode != SyncMode.INSERT

    def break_with(self, earlier: Contract) -> str | None:
        """Return why nothing can be compared with what was delivered under `earlier` (`changed primary key`), or None when it can."""
        own_key, earlier_key = (tuple(folded(column.attribute) for column in contract.key) for contract in (self, earlier))
        alike = len(self.key) == len(earlier.key) and all(
            # A float may be rounded, so an exact number's key cannot be told again in one.
            new.type == old.type or (is_exact(new.type) and is_exact(old.type))
            for new, old in zip(self.key, earlier.key, strict=True)
        )
        changes = {
            "source": self.source != earlier.source,
            "primary key": own_key != earlier_key or not alike,
            "run type": self.run_type != earlier.run_type,
            "sync mode": self.sync_mode != earlier.sync_mode,
            "address": self.address != earlier.address,
        }
        changed = [name for name, differs in changes.items() if differs]
        return f"changed {' and '.join(changed)}" if changed else None

    def widens(self, earlier: Contract) -> bool:
        """Return whether each row must be sent again: a column is new or renamed, or its type is another and not both are numbers."""
        before = {column.identity: column.type for column in earlier.columns}
        return any(column.identity not in before or not same_or_numbers(column.type, before[column.identity]) for column in self.columns)

    def new_attributes(self, earlier: Contract) -> tuple[str, ...]:
        """Return attributes that are sent and were not before."""
        before = {folded(column.attribute) for column in earlier.columns}
        return tuple(column.attribute for column in self.columns if folded(column.attribute) not in before)


def same_or_numbers(one: str, other: str) -> bool:
    """Return whether two types compare by value: they are one type, or both are numbers."""
    return one == other or all(parse_type(type_text).kind in EXACT_NUMBERS | FLOATS for type_text in (one, other))


def is_exact(type_text: str) -> bool:
    """Return whether the type is that of integers or decimals."""
    return parse_type(type_text).kind in EXACT_NUMBERS
