"""Columns in Dagster's catalog: their types, and where each comes from, from a model's query to the name in the delivered file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster import AssetKey, TableColumn, TableColumnDep, TableColumnLineage, TableSchema

from dinmo_pipeline.catalog.lineage import column_origins
from dinmo_pipeline.delta.contract import Contract
from dinmo_pipeline.engines.duckdb.connection import disk_errors
from dinmo_pipeline.engines.duckdb.tables import Refreshed
from dinmo_pipeline.local_files.contents import replace_file
from dinmo_pipeline.local_files.private import make_private_folder
from dinmo_pipeline.project.specs import Project, TableSpec
from dinmo_pipeline.project.table_refs import TableRef

_Deps = Mapping[str, Iterable[tuple[AssetKey, str]]]


def table_columns_metadata(project: Project, spec: TableSpec, table: Refreshed) -> dict[str, Any]:
    """Return the columns of a model or segment, and the columns of other tables that its query makes them from."""
    types = {column.name: column.type for column in table.columns}
    origins = _origins(project, spec, table)
    deps = {name: [(AssetKey([ref.kind, ref.name]), column) for ref, column in found] for name, found in origins.items()}
    return columns_metadata(types, deps)


def entity_columns_metadata(types: Mapping[str, str], feeds: Mapping[AssetKey, Sequence[str]]) -> dict[str, Any]:
    """Return the columns of an entity, each from those of that name in its `feeds`."""
    return columns_metadata(types, {name: [(key, name) for key, names in feeds.items() if name in names] for name in types})


def snapshot_columns_metadata(contract: Contract, source: AssetKey) -> dict[str, Any]:
    """Return the columns that a snapshot keeps, each from the source's column of that name."""
    types = {key.attribute: key.type for key in contract.key} | {column.attribute: column.type for column in contract.columns}
    return columns_metadata(types, {name: [(source, name)] for name in types})


def file_columns_metadata(contract: Contract, source: AssetKey) -> dict[str, Any]:
    """Return the columns of the delivered file under the names that they have there, each from the column of the snapshot or table."""
    types = {column.name: column.type for column in contract.columns}
    return columns_metadata(types, {column.name: [(source, column.attribute)] for column in contract.columns})


def columns_metadata(types: Mapping[str, str], deps: _Deps) -> dict[str, Any]:
    """Return columns by name and type, each from the columns of other assets in `deps`."""
    found = {name: [TableColumnDep(key, column) for key, column in pairs] for name, pairs in deps.items() if pairs}
    return {
        "dagster/column_schema": TableSchema([TableColumn(name, type_text) for name, type_text in types.items()]),
        **({"dagster/column_lineage": TableColumnLineage(found)} if found else {}),
    }


def _origins(project: Project, spec: TableSpec, table: Refreshed) -> Mapping[str, list[tuple[TableRef, str]]]:
    """Return the origins of a table's columns, kept in the project's home: reading a query costs more than many a refresh."""
    if not table.read:
        return {}
    columns = [column.name for column in table.columns]
    read = {str(ref): names for ref, names in table.read.items()}
    key = hashlib.sha256(json.dumps([spec.sql, columns, read], ensure_ascii=False).encode()).hexdigest()
    path = project.home / "lineage" / f"{spec.ref}.json"
    known = _known(path)
    if known.get("key") != key:
        origins = column_origins(spec.sql, columns, table.read)
        known = {"key": key, "origins": {name: [(ref.kind, ref.name, column) for ref, column in found] for name, found in origins.items()}}
        with disk_errors(f"keeping where the columns of {spec.ref} come from, in {path}"):
            make_private_folder(path.parent)
            replace_file(path, json.dumps(known, ensure_ascii=False).encode())
    return {name: [(TableRef(kind, table_name), column) for kind, table_name, column in found] for name, found in known["origins"].items()}


def _known(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # It is read from the query anew; a power failure may leave an empty file.
        return {}
    return found
