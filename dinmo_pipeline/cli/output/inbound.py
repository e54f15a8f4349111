"""Show imported files, and what waits for a person in inboxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dinmo_pipeline.cli.outcome import Imported

if TYPE_CHECKING:
    from dinmo_pipeline.inbound.troubles.troubles import Trouble
from dinmo_pipeline.cli.output.console import complain, plural, say, warn


def show_files(imported: Imported) -> Imported:
    """Return a line a file, as its run ends."""
    for file in imported.files:
        counts = [f"{file.rows:,} of {file.records:,} records loaded"]
        counts += [f"{file.skipped:,} skipped, without a key"] * bool(file.skipped)
        counts += [f"{file.rejected:,} rejected"] * bool(file.rejected)
        if file.outcome == "loaded":
            say(f"{file.file}: {', '.join(counts)}")
        else:
            say(f"{file.file}: {file.outcome}: {file.reason.removeprefix(file.file + ': ')}")
        if file.warnings is not None:
            warn(f"{file.file}: {file.warnings}")
    for note in imported.notes:
        warn(note)
    if imported.problem is not None:
        complain(f"{imported.feed}: {imported.problem}")
    return imported


def show_imported(inbox: str, imported: Sequence[Imported]) -> bool:
    """Return the sums over an inbox's files; whether somebody has to look at one."""
    files = [file for outcome in imported for file in outcome.files]
    stopped = [file for file in files if file.outcome in ("refused", "blocked")]
    told = f"{plural(sum(file.files for file in files), 'file')}, {plural(sum(file.rows for file in files), 'record')} loaded"
    told += f", {sum(file.skipped for file in files):,} skipped, {sum(file.rejected for file in files):,} rejected" * bool(files)
    say(f"{inbox}: {told}" + f"; {len(stopped):,} refused or blocked" * bool(stopped))
    return bool(stopped) or any(outcome.problem is not None for outcome in imported)


def show_troubles(troubles: Sequence[Trouble]) -> bool:
    """Return a line each of what waits for a person in an inbox; whether there is any."""
    for trouble in troubles:
        (complain if trouble.is_severe else warn)(str(trouble))
    return bool(troubles)


def trouble_entry(trouble: Trouble) -> dict[str, str | None]:
    """Return a trouble as programs get it."""
    names = ("inbox", "feed", "file", "kind", "reason", "advice")
    return {**{name: getattr(trouble, name) for name in names}, "since": trouble.since.isoformat()}
