"""Inboxes on fsspec's filesystems, on their real servers: files are taken once, and moved when they are done with."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from dinmo_pipeline.storages.filesystem.spec import FilesystemSpec
from dinmo_pipeline_tests.inbound.inboxes import LocalInbox
from dinmo_pipeline_tests.servers.fixtures import samba_server, webdav_server
from dinmo_pipeline_tests.storages.contract import local
from dinmo_pipeline_tests.storages.filesystem_places import smb_spec, webdav_spec

__all__ = ["samba_server", "webdav_server"]

NAME = "contacts_shop_20220315.csv"


def spec_of(protocol: str, request: pytest.FixtureRequest, root: Path) -> FilesystemSpec:
    folder = f"inbox-{uuid.uuid4().hex}"
    if protocol == "smb":
        server = request.getfixturevalue("samba_server")
        return smb_spec(server, root, name="drop", url=f"{server.url()}/{folder}")
    if protocol == "webdav":
        return webdav_spec(request.getfixturevalue("webdav_server"), root, name="drop", url=f"webdav://{folder}")
    return FilesystemSpec(name="drop", url=f"memory://{folder}")


@pytest.mark.parametrize("protocol", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("smb", "webdav", "memory")])
def test_files_are_taken_once_and_moved(protocol: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    spec = spec_of(protocol, request, tmp_path)
    inbox.project.storages["drop"] = spec  # type: ignore[index]
    with spec.connect(tmp_path) as storage:
        for folder in ("raw", "init"):
            storage.make_folder(folder)
        storage.put(local(tmp_path, b"id,updated_at,age\n1,2022-03-15,31\n2,2022-03-15,x\n"), f"raw/{NAME}")

    (record,) = inbox.run()

    assert record.path == f"raw/{NAME}"
    assert inbox.rows("SELECT id, age FROM feeds.contacts_shop") == [("1", 31.0)]
    assert inbox.run() == []
    with spec.connect(tmp_path) as storage:
        assert storage.list("raw") == []
        assert storage.exists(record.target or "")
