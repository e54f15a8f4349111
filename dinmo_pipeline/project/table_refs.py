"""Tables of the warehouse by name, and their columns: values that every room speaks of."""

from __future__ import annotations

from dataclasses import dataclass

FILLED_BY_IMPORTS = ("feeds", "entities")


@dataclass(frozen=True)
class TableColumn:
    """A column of a warehouse table and its DuckDB type."""

    name: str
    type: str


@dataclass(frozen=True, order=True)
class TableRef:
    """A table in the warehouse: `models.customers`, `segments.lapsed`, and of FILLED_BY_IMPORTS `entities.contacts`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}.{self.name}"
