"""A hundred files on a real server, seven of them bad in seven ways: the others load at once, and each of the seven once it is mended."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance

from dinmo_pipeline_tests.servers.fixtures import openssh_server
from dinmo_pipeline_tests.servers.openssh import OpenSsh
from dinmo_pipeline_tests.servers.running import need_root

from ..components.test_inbox import make_inbox
from .conftest import Dinmo

__all__ = ["openssh_server"]

pytestmark = pytest.mark.xdist_group("sftp")

FILES = 100


def definitions(server: OpenSsh, folder: str) -> str:
    account = server.login("plain")
    return f"""\
type: dinmo_pipeline.SftpServer
attributes: {{name: server, host: {server.host}, port: {server.port}, username: {account.username}, host_key: "{server.host_key}", \
private_key: {{file: {server.private_key}}}}}
---
type: dinmo_pipeline.Inbox
attributes: {{name: partner, storage: server, folder: {folder}, settle_seconds: 0}}
---
type: dinmo_pipeline.Feed
attributes: {{inbox: partner, entity: orders, source: pos, primary_key: [id], columns: {{amount: number}}, max_rejected: 0, load: append}}
"""


def row(number: int) -> bytes:
    return f"id,amount\n{number},1.5\n".encode()


def test_seven_bad_files_keep_no_other_out_are_named_and_load_once_they_are_mended(
    dinmo: Dinmo, tmp_path: Path, openssh_server: OpenSsh
) -> None:
    need_root("files of somebody else's")
    home = openssh_server.login("plain").home
    folder = home / "hundred"
    raw = folder / "raw"
    raw.mkdir(parents=True)
    root = make_inbox(tmp_path, definitions(openssh_server, folder.name))
    names = {number: f"orders_pos_20240101_{number:03}.csv" for number in range(FILES)}
    for number, name in names.items():
        (raw / name).write_bytes(row(number))
    in_the_way = folder / "imports" / datetime.now(ZoneInfo("UTC")).date().isoformat() / names[7]
    in_the_way.mkdir(parents=True)
    (raw / names[1]).chmod(0o600)
    (raw / names[2]).unlink()
    (raw / f"{names[2]}.gz").write_bytes(gzip.compress(row(2) * 9)[:-9])
    (raw / names[3]).write_bytes(b'id,amount\n"3,1.5\n')
    (raw / names[4]).write_bytes(b"id,amount\n4," + b"9" * 50 + b"\n")
    (raw / names[5]).rename(raw / "order_pos_20240101.csv")
    (raw / names[6]).write_bytes(b"amount\n1.5\n")
    give_to(home, openssh_server.login("plain").username, but={raw / names[1]})
    bad = [f"raw/{names[number]}" for number in (1, 3, 4, 6, 7)] + [f"raw/{names[2]}.gz", "raw/order_pos_20240101.csv"]

    first = dinmo("import", project=root)
    status = dinmo("status", project=root)

    assert first.code == 1
    # That which cannot be moved is loaded all the same.
    assert "partner: 98 files, 94 records loaded, 0 skipped, 9 rejected; 4 refused or blocked" in first.out
    assert [path for path in bad if path not in first.err] == []
    assert status.code == 1
    assert [path for path in bad if path not in status.out] == []
    assert [path for path in bad if path not in red_check(root)] == []

    mends: list[tuple[str, Callable[[], object]]] = [
        (bad[0], lambda: (raw / names[1]).chmod(0o644)),
        (bad[1], lambda: (raw / names[3]).write_bytes(row(3))),
        (bad[2], lambda: (raw / names[4]).write_bytes(row(4))),
        (bad[3], lambda: (raw / names[6]).write_bytes(row(6))),
        (bad[4], lambda: in_the_way.rename(folder / "imports" / "away")),
        (bad[5], lambda: (raw / f"{names[2]}.gz").write_bytes(gzip.compress(row(2)))),
        (bad[6], lambda: (raw / "order_pos_20240101.csv").rename(raw / names[5])),
    ]
    for number, (mended, mend) in enumerate(mends, start=1):
        mend()
        done = dinmo("import", project=root)
        assert mended not in done.err
        assert done.code == (0 if number == len(mends) else 1)
    ended = dinmo("status", "--json", project=root)
    [feed] = json.loads(ended.out)
    assert (ended.code, feed["health"], feed["rows"], feed["troubles"]) == (0, "ok", FILES, [])
    assert not list(raw.iterdir())
    assert red_check(root) == ""


def give_to(folder: Path, user: str, *, but: set[Path]) -> None:
    """Have everything in `folder` belong to the account."""
    for path in folder.rglob("*"):
        if path not in but:
            shutil.chown(path, user)


def red_check(root: Path) -> str:
    """What the feed's check says now in Dagster, where it is not fine."""
    with DagsterInstance.from_config(str(root / ".dinmo" / "dagster")) as instance:
        record = instance.get_latest_asset_check_evaluation_record(AssetCheckKey(AssetKey(["feeds", "orders_pos"]), "rejects"))
    assert record is not None
    assert record.evaluation is not None
    return "" if record.evaluation.passed else str(record.evaluation.description)
