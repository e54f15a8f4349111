"""The inner loop, `make test-fast`: tests that open no connection, start no process and take little time.

Its files are named here and nowhere else. A test of theirs that opens a connection or starts a process fails, in the whole suite too.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent
FILES = (
    "alerts/test_change.py",
    "formats/test_csv.py",
    "formats/test_docs.py",
    "formats/test_duck_types.py",
    "formats/test_json.py",
    "formats/test_options.py",
    "formats/test_parquet.py",
    "formats/test_styles.py",
    "formats/test_xml.py",
    "inbound/test_names.py",
    "inbound/test_troubles.py",
    "project/test_bad_projects.py",
    "project/test_consumers.py",
    "project/test_expected.py",
    "project/test_good_projects.py",
    "project/test_inboxes.py",
    "project/test_limits.py",
    "project/test_names.py",
    "project/test_notifications.py",
    "project/test_reaching.py",
    "project/test_secrets.py",
    "project/test_sql.py",
    "storages/test_blocks.py",
    "storages/test_ftp_listing.py",
    "storages/test_specs.py",
    "storages/test_translations.py",
    "sync/test_decide.py",
    "sync/test_object_store_backend.py",
    "sync/test_segments.py",
    "sync/test_state_address.py",
    "test_inner_loop.py",
    "test_masking.py",
    "warehouse/test_foreign_parquet.py",
    "warehouse/test_lineage.py",
    "webserver/test_guard.py",
)
_REACHING_OUT = {
    "os.fork": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.system": "starts a process",
    "socket.bind": "listens",
    "socket.connect": "opens a connection",
    "socket.getaddrinfo": "looks for an address",
    "subprocess.Popen": "starts a process",
}
_kept_inside: set[int] = set()


class ReachedOut(Exception):
    """A test of the inner loop did what only other tests may do."""


def is_fast(path: Path) -> bool:
    """Return whether the tests of this file are part of the inner loop."""
    return path.relative_to(TESTS).as_posix() in FILES


@contextmanager
def kept_inside() -> Iterator[None]:
    """Raise ReachedOut where this thread opens a connection or starts a process meanwhile. Servers of other tests have their threads."""
    thread = threading.get_ident()
    _kept_inside.add(thread)
    try:
        yield
    finally:
        _kept_inside.discard(thread)


def _refuse(event: str, _: tuple[Any, ...]) -> None:
    if event in _REACHING_OUT and threading.get_ident() in _kept_inside:
        does = f"{_REACHING_OUT[event]} ({event})"
        raise ReachedOut(f"a test of the inner loop {does}: do without, or take its file out of {Path(__file__).name}")


sys.addaudithook(_refuse)
