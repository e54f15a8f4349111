"""A hundred files on a real server, seven of them bad in seven ways: the others load at once, and each of the seven once it is mended."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance

from dinmo_pipeline_tests.servers.fixtures import openssh_server
from dinmo_pipeline_tests.servers.openssh import OpenSsh
from dinmo_pipeline_tests.servers.running import Login, need_root
from dinmo_pipeline_tests.servers.web import WebServer

from ..components.test_inbox_messages import messages
from ..components.test_telling import notify, web
from ..inbox_projects import feed, make_inbox
from .conftest import Dinmo

__all__ = ["openssh_server", "web"]

pytestmark = pytest.mark.xdist_group("sftp")

FILES = 100


def definitions(server: OpenSsh, folder: str, *, inbox: str = "partner") -> str:
    """The feed `orders_pos` of an inbox in the folder of the server's."""
    account = server.login("plain")
    storage = f"""\
type: dinmo_pipeline.SftpServer
attributes: {{name: server, host: {server.host}, port: {server.port}, username: {account.username}, host_key: "{server.host_key}", \
private_key: {{file: {server.private_key}}}}}
---
type: dinmo_pipeline.Inbox
attributes: {{name: {inbox}, storage: server, folder: {folder}, settle_seconds: 0}}
"""
    return storage + feed("orders", "pos", inbox=inbox, columns="{amount: number}", max_rejected="0", load="append")


def row(number: int) -> bytes:
    return f"id,amount\n{number},1.5\n".encode()


def drop_a_hundred(account: Login, name: str) -> dict[str, Callable[[], object]]:
    """Put the files into the account's folder of this name: the paths of those that are bad, each with what mends it."""
    need_root("files of somebody else's")
    folder = account.home / name
    raw = folder / "raw"
    raw.mkdir(parents=True)
    names = {number: f"orders_pos_20240101_{number:03}.csv" for number in range(FILES)}
    for number, name in names.items():
        (raw / name).write_bytes(row(number))
    today = datetime.now(UTC).date()
    # The next day's, too: it may begin meanwhile.
    in_the_way = [folder / "imports" / day.isoformat() / names[7] for day in (today, today + timedelta(days=1))]
    for each in in_the_way:
        each.mkdir(parents=True)
    (raw / names[1]).chmod(0o600)
    (raw / names[2]).unlink()
    cut_short = raw / f"{names[2]}.gz"
    cut_short.write_bytes(gzip.compress(row(2) * 9)[:-9])
    (raw / names[3]).write_bytes(b'id,amount\n"3,1.5\n')
    (raw / names[4]).write_bytes(b"id,amount\n4," + b"9" * 50 + b"\n")
    mistyped = raw / "order_pos_20240101.csv"
    (raw / names[5]).rename(mistyped)
    (raw / names[6]).write_bytes(b"amount\n1.5\n")
    give_to(account, folder, but=raw / names[1])

    def clear_the_way() -> None:
        for each in in_the_way:
            each.rmdir()

    return {
        f"raw/{names[1]}": lambda: (raw / names[1]).chmod(0o644),
        f"raw/{names[3]}": lambda: (raw / names[3]).write_bytes(row(3)),
        f"raw/{names[4]}": lambda: (raw / names[4]).write_bytes(row(4)),
        f"raw/{names[6]}": lambda: (raw / names[6]).write_bytes(row(6)),
        f"raw/{names[7]}": clear_the_way,
        f"raw/{cut_short.name}": lambda: cut_short.write_bytes(gzip.compress(row(2))),
        f"raw/{mistyped.name}": lambda: mistyped.rename(raw / names[5]),
    }


def test_seven_bad_files_keep_no_other_out_are_named_and_load_once_they_are_mended(
    dinmo: Dinmo, tmp_path: Path, openssh_server: OpenSsh, web: WebServer
) -> None:
    account = openssh_server.login("plain")
    root = make_inbox(tmp_path, definitions(openssh_server, "hundred") + notify())
    bad = drop_a_hundred(account, "hundred")

    first = dinmo("import", project=root)
    status = dinmo("status", project=root)

    assert first.code == 1
    # That which cannot be moved is loaded all the same.
    assert "partner: 98 files, 94 records loaded, 0 skipped, 9 rejected; 4 refused or blocked" in first.out
    assert [path for path in bad if path not in first.err] == []
    assert status.code == 1
    assert [path for path in bad if path not in status.out] == []
    assert [path for path in bad if path not in red_check(root)] == []
    (message,) = messages(web)
    assert message["type"] == "inbox.failed"
    assert [path for path in bad if path not in message["data"]["what"]] == []

    for number, (mended, mend) in enumerate(bad.items(), start=1):
        mend()
        done = dinmo("import", project=root)
        assert mended not in done.err
        assert done.code == (0 if number == len(bad) else 1)
        if number < len(bad) - 1:
            assert messages(web) == [message]
    ended = dinmo("status", "--json", project=root)
    [feed] = json.loads(ended.out)
    assert (ended.code, feed["health"], feed["rows"], feed["troubles"]) == (0, "ok", FILES, [])
    assert not list((account.home / "hundred" / "raw").iterdir())
    assert red_check(root) == ""
    ends = [(each["type"], each["data"]["what"].partition("UTC: ")[2]) for each in messages(web)[1:]]
    assert ends == [("inbox.recovered", "refused.\nStill open: unmatched."), ("inbox.recovered", "unmatched.")]


def give_to(account: Login, folder: Path, *, but: Path) -> None:
    """Have everything belong to the account."""
    for path in (folder, *folder.rglob("*")):
        if path != but:
            shutil.chown(path, account.username)


def red_check(root: Path) -> str:
    """What the feed's check says now in Dagster, where it is not fine."""
    with DagsterInstance.from_config(str(root / ".dinmo" / "dagster")) as instance:
        record = instance.get_latest_asset_check_evaluation_record(AssetCheckKey(AssetKey(["feeds", "orders_pos"]), "rejects"))
    assert record is not None
    assert record.evaluation is not None
    return "" if record.evaluation.passed else str(record.evaluation.description)
