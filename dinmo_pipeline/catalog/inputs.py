"""What a sync reads: whether it may have changed since one failed, so that another one could succeed."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from glob import iglob
from itertools import islice
from pathlib import Path

from dinmo_pipeline.engines.duckdb.connection import open_warehouse
from dinmo_pipeline.engines.duckdb.tables import table_exists
from dinmo_pipeline.errors import BusyError, StateError
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.project.table_refs import FILLED_BY_IMPORTS, TableRef
from dinmo_pipeline.project.yaml.files import file_mark

_TEXT = re.compile(r"'((?:[^']|'')*)'")
_MOST_FILES = 1_000
_WAIT_S = 2.0


class _Unknown(Exception):
    """Nobody can tell cheaply whether it changed."""


def inputs_checksum(project: Project, spec: ActivationSpec, *, since: datetime | None = None) -> str:
    """Return a checksum of the feeds and files that the activation's tables are made of: another one where any of them has changed.

    It is another one at each call where that cannot be told (a table elsewhere, a busy warehouse), and where something has changed
    after `since`: an attempt that began then may have read what was there before.
    """
    try:
        parts = [*_feeds(project, spec, since), *_files(project, spec, since)]
    except _Unknown:
        return secrets.token_hex(16)
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _feeds(project: Project, spec: ActivationSpec, since: datetime | None) -> list[object]:
    """Return the newest file of each feed that is read."""
    read = {ref for table in project.tables_for(spec.source) for ref in table.depends_on if ref.kind in FILLED_BY_IMPORTS}
    names = sorted(feed.name for feed in project.feeds.values() if not read.isdisjoint((feed.ref, feed.entity_ref)))
    if not names or not project.warehouse_path.exists():
        return list(names)
    try:
        with open_warehouse(project.warehouse_path, project.query_settings, wait_s=_WAIT_S) as connection:
            if not table_exists(connection, TableRef("inbound", "files")):
                return list(names)
            found = connection.execute(
                "SELECT feed, max(arrival), max(recorded_at) FROM inbound.files WHERE feed IN (SELECT unnest(?)) GROUP BY 1 ORDER BY 1",
                [names],
            ).fetchall()
    except (BusyError, StateError) as error:
        raise _Unknown from error
    if since is not None and any(newest >= since for _, _, newest in found):
        raise _Unknown
    return [(feed, arrival) for feed, arrival, _ in found]


def _files(project: Project, spec: ActivationSpec, since: datetime | None) -> Iterator[object]:
    """Yield the files that queries name, by what their texts say: a text that is no path names no file, and does no harm."""
    for table in project.tables_for(spec.source):
        if table.external_deps:
            raise _Unknown
        for text in dict.fromkeys(_TEXT.findall(table.sql)):
            if "://" in text:
                raise _Unknown
            yield from (_mark(path, since) for path in _paths(project.root, text.replace("''", "'")))


def _paths(root: Path, text: str) -> Iterator[Path]:
    if not text or "\0" in text or "\n" in text:
        return
    pattern = str(root / text)
    if not any(character in text for character in "*?["):
        yield Path(pattern)
        return
    found = list(islice(iglob(pattern, recursive=True), _MOST_FILES + 1))  # noqa: PTH207 (patterns may begin at the root)
    if len(found) > _MOST_FILES:
        raise _Unknown
    yield from map(Path, sorted(found))


def _mark(path: Path, since: datetime | None) -> object:
    mark = file_mark(path)
    if since is not None and mark.changed_ns / 1e9 >= since.astimezone(UTC).timestamp():
        raise _Unknown
    return mark
