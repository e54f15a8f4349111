"""Files without a run of Dagster: what scripts and notebooks write."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dinmo_pipeline.dataframes.write import WrittenFiles
from dinmo_pipeline.resources.file_io_manager import FileIOManager
from dinmo_pipeline.resources.storages import StorageResource


def write_file(
    rows: Any,
    storage: StorageResource,
    format: str | Mapping[str, Any],
    *,
    file_name: str,
    **options: Any,
) -> WrittenFiles:
    """Write rows to a file at a storage, or to several with `max_rows`: they appear whole, in the place of what was there.

    `rows` is what an asset of `FileIOManager` may return; `format`, or its type alone, and `options` are that IO manager's: `folder`,
    `extension`, `timezone`, `max_rows`, `create_folder`, `database`. The time in names is now. CallError, DataError, StorageError or
    StateError say why it was not written, and nothing has changed then.
    """
    given = {"type": format} if isinstance(format, str) else dict(format)
    writer = FileIOManager(storage=storage, format=given, file_name=file_name, **options).writer()
    return writer.write(rows, datetime.now(UTC), {})
