"""From an activation and its source's columns to the contract that a sync keeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dinmo_pipeline.delta.contract import Contract, KeyColumn, SentColumn
from dinmo_pipeline.errors import DataError, SyncRefused
from dinmo_pipeline.project.specs import ActivationSpec
from dinmo_pipeline.project.table_refs import TableColumn
from dinmo_pipeline.sql.quoting import folded
from dinmo_pipeline.storages.base import StorageSpec


def address_of(spec: ActivationSpec, destination: StorageSpec, project_root: Path) -> str:
    """Return who the consumer is: the storage's address, and the folder as written, variables and all.

    PermanentStorageError when the storage names its host or user by a reference that leads nowhere.
    """
    return f"{destination.resolved_address(project_root)}|{spec.folder}"


def contract_of(spec: ActivationSpec, destination: StorageSpec, project_root: Path, columns: Sequence[TableColumn]) -> Contract:
    """Return the contract under today's columns of the source. DataError when one that is mapped or in the key is missing."""
    known = {folded(column.name): column for column in columns}
    names = (
        [(mapped.attribute, mapped.name) for mapped in spec.mapping] if spec.mapping else [(column.name, column.name) for column in columns]
    )
    wanted = (*spec.primary_key, *(attribute for attribute, _ in names))
    if missing := [name for name in dict.fromkeys(wanted) if folded(name) not in known]:
        raise DataError(
            f"reading {spec.source} for activation {spec.name}: it has no column {', '.join(missing)}; it has "
            f"{', '.join(column.name for column in columns)}. Correct the mapping or the query; nothing was delivered"
        )
    if spec.mapping is None and (problems := spec.format.name_problems([name for _, name in names])):
        raise DataError(f"naming the columns of activation {spec.name}: {'; '.join(problems)}; nothing was delivered")
    keys = [known[folded(name)] for name in spec.primary_key]
    sent = [(known[folded(attribute)], name) for attribute, name in names]
    return Contract(
        source=str(spec.source),
        key=tuple(KeyColumn(column.name, column.type) for column in keys),
        run_type=spec.run_type,
        sync_mode=spec.sync_mode,
        address=address_of(spec, destination, project_root),
        columns=tuple(SentColumn(column.name, name, column.type) for column, name in sent),
    )


def require_same_contract(spec: ActivationSpec, destination: StorageSpec, project_root: Path, contract: Contract) -> None:
    """Raise SyncRefused when the activation was edited since its rows were kept: they are not those that it would send now."""
    mapped = None if spec.mapping is None else [(folded(column.attribute), column.name) for column in spec.mapping]
    now = (
        str(spec.source),
        [folded(name) for name in spec.primary_key],
        spec.run_type,
        spec.sync_mode,
        address_of(spec, destination, project_root),
    )
    then = (
        contract.source,
        [folded(column.attribute) for column in contract.key],
        contract.run_type,
        contract.sync_mode,
        contract.address,
    )
    if now != then or (mapped is not None and mapped != [column.identity for column in contract.columns]):
        raise SyncRefused(f"delivering {spec.name}: its definition was edited after the snapshot was taken; start a new sync instead")
