"""Files that go with those of a sync: the manifest, which tells what they are, and the done file, which says that all have come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from dinmo_pipeline.formats.files import new_file
from dinmo_pipeline.project.names import MANIFEST_ENDING, companion_name
from dinmo_pipeline.sync.export import Change, Export
from dinmo_pipeline.sync.render import Layout, Staged, staged_file

COMPANIONS = (Change.MANIFEST, Change.DONE)


def companion_paths(layout: Layout) -> Iterator[tuple[Change, str]]:
    """What goes with the files of this sync, in the order in which it shows."""
    spec = layout.spec
    if spec.manifest:
        yield Change.MANIFEST, layout.companion(companion_name(spec, layout.instant, MANIFEST_ENDING, trial=layout.trial))
    if spec.done_file is not None:
        ending = spec.done_file.startswith(".")
        name = companion_name(spec, layout.instant, spec.done_file, trial=layout.trial) if ending else spec.done_file
        yield Change.DONE, layout.companion(name)


def render_companions(export: Export, layout: Layout, local_folder: Path) -> tuple[Staged, ...]:
    """Write them to `local_folder`; `export` holds all other files already."""
    staged = []
    for index, (change, path) in enumerate(companion_paths(layout), start=len(export.puts)):
        local_path = local_folder / str(index)
        write_companion(export, change, local_path)
        staged.append(staged_file(local_path, change=change, path=path, series=path))
    return tuple(staged)


def write_companion(export: Export, change: Change, local_path: Path) -> None:
    """Write the manifest of an export, or its done file, to a new local file."""
    with new_file(local_path):
        local_path.write_bytes(_manifest(export) if change == Change.MANIFEST else b"")


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
