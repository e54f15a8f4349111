"""What is known of an asset's files: Dagster's event log is the only memory, and it names files only that this product may have written.

Before a write its temporary files are announced in an observation; the materialization tells the files that it left. What an entry names is
read and deleted at the storage of today's definition alone, under the names that this product gives.
"""

from __future__ import annotations

import os
import posixpath
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dagster import AssetKey, AssetObservation, AssetRecordsFilter, DagsterInstance, JsonMetadataValue, MetadataValue

from dinmo_pipeline.catalog.columns import columns_metadata
from dinmo_pipeline.catalog.metadata import markdown_table
from dinmo_pipeline.dataframes.write import WrittenFile, WrittenFiles
from dinmo_pipeline.errors import BusyError
from dinmo_pipeline.formats.base import Column
from dinmo_pipeline.local_files.locks import is_gone
from dinmo_pipeline.storages.temporary import is_temporary_name

ANNOUNCED, FILES = "dinmo/temporary_files", "dinmo/files"
"""The metadata of an observation that announces a write, and of a materialization that tells what was written."""
_MOST_ANNOUNCED = 25


@dataclass(frozen=True)
class AssetPartition:
    """An asset, or one partition of it."""

    asset_key: AssetKey
    partition_key: str | None

    def __str__(self) -> str:
        name = self.asset_key.to_user_string()
        return name if self.partition_key is None else f"{name} [{self.partition_key}]"

    @property
    def records(self) -> AssetRecordsFilter:
        """What finds its events."""
        return AssetRecordsFilter(self.asset_key, asset_partitions=None if self.partition_key is None else [self.partition_key])


@dataclass(frozen=True)
class RecordedFiles:
    """The files of a materialization as it tells them, with the options of the format that wrote them."""

    written: WrittenFiles
    format_options: Mapping[str, Any]
    timezone: str


def announce(instance: DagsterInstance, of: AssetPartition, run_id: str, address: str, temporary_paths: Sequence[str]) -> None:
    """Record, before there is one, the temporary files that a run is about to make. BusyError where another run is writing, too.

    Of two that announce at one moment, the one whose entry came first goes on.
    """
    write = secrets.token_hex(8)
    process = {"pid": os.getpid(), "host": socket.gethostname()}
    told = {"write": write, "run": run_id, **process, "address": address, "paths": list(temporary_paths)}
    event = AssetObservation(of.asset_key, partition=of.partition_key, metadata={ANNOUNCED: MetadataValue.json(told)})
    instance.report_runless_asset_event(event)
    is_earlier = False
    for other in _announcements(instance, of, address):
        if is_earlier and other.get("run") != run_id and not _is_over(instance, other):
            raise BusyError(f"writing {of}: run {other.get('run')} is writing it, too; start this one again when that has ended")
        is_earlier = is_earlier or other.get("write") == write


def left_temporary_paths(instance: DagsterInstance, of: AssetPartition, address: str) -> list[str]:
    """Return the temporary files that runs have announced which are over, and did not end in files."""
    left = (told for told in _announcements(instance, of, address) if _is_over(instance, told))
    paths = [path for told in left for path in told.get("paths", [])]
    return [path for path in paths if isinstance(path, str) and is_temporary_name(posixpath.basename(path))]


def _announcements(instance: DagsterInstance, of: AssetPartition, address: str) -> Iterator[dict[str, Any]]:
    """Yield what was announced there and did not end in files, the newest first."""
    written = {record.run_id for record in instance.fetch_materializations(of.records, limit=_MOST_ANNOUNCED).records}
    for record in instance.fetch_observations(of.records, limit=_MOST_ANNOUNCED).records:
        told = _json(record.asset_observation and record.asset_observation.metadata, ANNOUNCED)
        if told.get("address") == address and told.get("run") not in written:
            yield told


def recorded_files(instance: DagsterInstance, of: AssetPartition) -> RecordedFiles | None:
    """Return what the newest materialization tells of its files; None where there is none, or another IO manager made it."""
    for record in instance.fetch_materializations(of.records, limit=1).records:
        told = _json(record.asset_materialization and record.asset_materialization.metadata, FILES).get(of.partition_key or "")
        if told is not None:
            files = tuple(WrittenFile(**file) for file in told["files"])
            columns = tuple(Column(**column) for column in told["columns"])
            return RecordedFiles(WrittenFiles(told["address"], files, columns), told["format"], told["timezone"])
    return None


def writer_of(instance: DagsterInstance, address: str, path: str, *, but: AssetKey) -> AssetKey | None:
    """Return another asset whose newest materialization tells of a file at this path; None where there is none."""
    for record in instance.get_asset_records():
        entry = record.asset_entry
        newest = entry.last_materialization and entry.last_materialization.asset_materialization
        told = _json(newest and newest.metadata, FILES)
        paths = {file["path"] for one in told.values() if one["address"] == address for file in one["files"]}
        if entry.asset_key != but and path in paths:
            return entry.asset_key
    return None


def files_metadata(written: Mapping[str | None, WrittenFiles], format_options: Mapping[str, Any], timezone: str) -> dict[str, Any]:
    """Return the metadata of a materialization, or of those of several partitions, whose files are told by the partition's key."""
    files = [file for one in written.values() for file in one.files]
    columns = next(iter(written.values())).columns
    lines = [(file.path, f"{file.rows:,}", f"{file.bytes:,}", file.sha256[:12]) for file in files]
    told = {
        key or "": {
            "address": one.address,
            "format": dict(format_options),
            "timezone": timezone,
            "files": [asdict(file) for file in one.files],
            "columns": [asdict(column) for column in one.columns],
        }
        for key, one in written.items()
    }
    replaced = sum(one.replaced_characters for one in written.values())
    return {
        "dagster/row_count": sum(one.rows for one in written.values()),
        **columns_metadata({column.name: column.type for column in columns}, {}),
        "bytes": sum(file.bytes for file in files),
        "written files": markdown_table(["file", "rows", "bytes", "SHA-256"], lines),
        **({"replaced characters": replaced} if replaced else {}),
        FILES: MetadataValue.json(told),
    }


def _json(metadata: Any, key: str) -> dict[str, Any]:
    value = metadata.get(key) if metadata else None
    return value.data if isinstance(value, JsonMetadataValue) and isinstance(value.data, dict) else {}


def _is_over(instance: DagsterInstance, told: Mapping[str, Any]) -> bool:
    """Return whether the run that announced this has ended; Dagster does not know yet of one whose process was just killed."""
    run = instance.get_run_by_id(str(told.get("run")))
    return run is None or run.is_finished or is_gone(int(told.get("pid", os.getpid())), str(told.get("host")))
