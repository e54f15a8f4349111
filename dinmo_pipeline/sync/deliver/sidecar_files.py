"""Files that go with those of a sync: the schema that they keep, the manifest, which tells what they are, and the done file.

The done file says that all have come.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from dinmo_pipeline.delta.export import FILES_OF_MODE, Change, Export
from dinmo_pipeline.engines.duckdb.differences.diff_sql import file_columns
from dinmo_pipeline.formats.xml.schema import SchemaColumn
from dinmo_pipeline.formats.xml.write import has_schema
from dinmo_pipeline.local_files.scratch import new_file
from dinmo_pipeline.project.schema.file_names import MANIFEST_ENDING, SCHEMA_ENDING, companion_name
from dinmo_pipeline.sql.quoting import folded
from dinmo_pipeline.sync.deliver.render import Layout, RenderedFile, staged_file

COMPANIONS = (Change.SCHEMA, Change.MANIFEST, Change.DONE)


def companion_paths(layout: Layout) -> Iterator[tuple[Change, str]]:
    """Yield what goes with the files of this sync, in the order in which it shows."""
    spec = layout.spec
    if has_schema(spec.format):
        yield Change.SCHEMA, layout.companion(companion_name(spec, layout.instant, SCHEMA_ENDING, trial=layout.trial))
    if spec.manifest:
        yield Change.MANIFEST, layout.companion(companion_name(spec, layout.instant, MANIFEST_ENDING, trial=layout.trial))
    if spec.done_file is not None:
        ending = spec.done_file.startswith(".")
        name = companion_name(spec, layout.instant, spec.done_file, trial=layout.trial) if ending else spec.done_file
        yield Change.DONE, layout.companion(name)


def render_companions(export: Export, layout: Layout, local_folder: Path) -> tuple[RenderedFile, ...]:
    """Write them to `local_folder`; `export` holds all other files already."""
    staged = []
    for index, (change, path) in enumerate(companion_paths(layout), start=len(export.puts)):
        local_path = local_folder / str(index)
        write_companion(export, change, local_path)
        staged.append(staged_file(local_path, change=change, path=path, series=path))
    return tuple(staged)


def write_companion(export: Export, change: Change, local_path: Path) -> None:
    """Write the schema of an export, its manifest or its done file to a new local file."""
    made = {Change.SCHEMA: _schema, Change.MANIFEST: _manifest}
    with new_file(local_path):
        local_path.write_bytes(made[change](export) if change in made else b"")


def _schema(export: Export) -> bytes:
    """Return the XML Schema that each file of rows keeps, whatever it holds.

    What was removed may have other types than what is there now.
    """
    form, contract = export.format, export.contract
    assert has_schema(form), "no other format has a schema"
    keys = {folded(column.attribute) for column in contract.key}
    files = [file_columns(export.comparison, change) for change in FILES_OF_MODE[contract.sync_mode]]
    columns = [
        SchemaColumn(
            sent.name,
            types=tuple(column.type for column in found),
            has_nulls=folded(sent.attribute) not in keys,
            in_all_files=folded(sent.attribute) in keys or not export.removed_key_only,
        )
        for sent, found in zip(contract.columns, zip(*files, strict=True), strict=True)
    ]
    return form.xml_schema(columns, export.timezone)


def _manifest(export: Export) -> bytes:
    contract, counts = export.contract, export.counts
    told = {
        "sync": export.number,
        "instant": export.instant.isoformat(),
        "base": export.received_base,
        "compared_with": export.base,
        "kind": "full" if export.reason else "delta",
        "run_type": contract.run_type.value,
        "sync_mode": contract.sync_mode.value,
        "rows": counts.rows,
        "files": [
            {
                "name": put.path.rpartition("/")[2],
                "holds": put.change.value,
                "rows": put.rows,
                "bytes": put.bytes,
                "sha256": put.sha256,
            }
            for put in export.puts
            if put.change not in COMPANIONS
        ],
    }
    return json.dumps(told, indent=2, ensure_ascii=False).encode() + b"\n"
