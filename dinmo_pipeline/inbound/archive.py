"""After a file was recorded: its rejects and its reason are written beside it in `imports/`, and it moves there, stays or goes."""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Callable, Sequence
from pathlib import Path

from dinmo_pipeline.formats.csv.formulas import inert
from dinmo_pipeline.formats.reader import FileRefused, Reading, Reject
from dinmo_pipeline.inbound.inbox.folders import Folders
from dinmo_pipeline.inbound.inbox.free_names import reason_path, rejects_path
from dinmo_pipeline.inbound.load.import_ledger import FileRecord, Outcome
from dinmo_pipeline.local_files.scratch import new_file
from dinmo_pipeline.project.inbound_specs import InboxSpec

Opening = Callable[[Path], Reading]


class Tidier:
    """Brings the recorded files of one inbox where they go; each may be brought again after a crash. Writes to `local_folder`."""

    def __init__(self, folders: Folders, inbox: InboxSpec, local_folder: Path) -> None:
        self._folders = folders
        self._inbox = inbox
        self._local_folder = local_folder

    def tidy(
        self, record: FileRecord, rejects: Sequence[Reject], local_path: Path, opening: Opening | None, companions: Sequence[str]
    ) -> None:
        """Bring one file, whose bytes are in `local_path` and which `opening` reads, to its target, with its done files' `companions`."""
        if record.target is None:
            return
        if rejects:
            rejected = self._local_folder / "rejects.csv"
            _write_rejects(rejected, rejects, _originals(opening, local_path, rejects))
            self._folders.put(rejected, rejects_path(record.target))
        if record.outcome == Outcome.REFUSED:
            reason = self._local_folder / "reason.txt"
            with new_file(reason):
                reason.write_text(f"{record.name} was refused, and nothing of it was taken.\n\n{record.reason}\n", encoding="utf-8")
            self._folders.put(reason, reason_path(record.target))
        if self._inbox.after_import == "leave":
            return
        # Done files first: one that stayed would vouch for the next file of this name.
        for name in companions:
            self._bring_companion(f"{record.folder}/{name}", posixpath.dirname(record.target))
        if self._inbox.after_import == "delete" and record.outcome != Outcome.REFUSED:
            self._folders.delete(record.path)
        else:
            self._folders.relocate(record.path, record.target, local_path)

    def _bring_companion(self, path: str, folder: str) -> None:
        local_path = self._local_folder / "companion"
        if self._folders.fetch(path, local_path):
            self._folders.list_targets(folder)
            self._folders.relocate(path, self._folders.free_target(folder, posixpath.basename(path)), local_path)


def _originals(opening: Opening | None, local_path: Path, rejects: Sequence[Reject]) -> dict[int, str]:
    if opening is None:
        return {}
    try:
        reading = opening(local_path)
        return dict(reading.originals({reject.record for reject in rejects}))
    except FileRefused:
        # The file as a whole is at fault: where its records begin and end is not known.
        return {}


def _write_rejects(local_path: Path, rejects: Sequence[Reject], originals: dict[int, str]) -> None:
    with new_file(local_path), local_path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("line", "column", "value", "reason", "record"))
        for reject in rejects:
            quoted = (reject.column, reject.value, reject.reason, originals.get(reject.record))
            writer.writerow((reject.line, *map(inert, quoted)))
