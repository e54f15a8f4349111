"""A writer of local files, for tests that look at their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dinmo_pipeline.dataframes.file_layout import FileLayout
from dinmo_pipeline.dataframes.write import FileWriter, WrittenFiles
from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.storages.local.spec import LocalFolderSpec

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def writer(root: Path, options: Mapping[str, Any], **fields: Any) -> FileWriter:
    """A writer of `rows` to the folder `out` of `root`."""
    form = FORMATS[options["type"]].model_validate(dict(options))
    layout = FileLayout(fields.pop("folder", "."), fields.pop("file_name", "rows"), form.extension, timezone=fields.pop("timezone", "UTC"))
    return FileWriter(LocalFolderSpec(name="out", path="out"), form, layout, root, **fields)


def write(root: Path, value: Any, options: Mapping[str, Any] | None = None, **fields: Any) -> WrittenFiles:
    """Write a value's rows; as CSV where nothing is said."""
    return writer(root, options or {"type": "csv"}, **fields).write(value, AT, {})


def written_bytes(root: Path, value: Any, options: Mapping[str, Any] | None = None, **fields: Any) -> bytes:
    """The only file that these rows become."""
    [file] = write(root, value, options, **fields).files
    return (root / "out" / file.path).read_bytes()
