"""WebDAV by `Filesystem`: what webdav4's own class does there, and what ours makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dinmo_pipeline.errors import PermanentStorageError, TransientStorageError
from dinmo_pipeline.storages.filesystem.spec import FilesystemSpec
from dinmo_pipeline_tests.servers.relay import RELAY_HOST, Relay
from dinmo_pipeline_tests.servers.webdav import WebDav
from dinmo_pipeline_tests.storages.contract import local, publish
from dinmo_pipeline_tests.storages.filesystem_places import webdav_spec
from dinmo_pipeline_tests.storages.refusals import Listener

pytestmark = pytest.mark.xdist_group("webdav")


@pytest.fixture
def heard(webdav_server: WebDav, caplog: pytest.LogCaptureFixture) -> Iterator[Listener]:
    listener = Listener(caplog, [webdav_server.login.password])
    yield listener
    listener.check()


def test_wrong_password_is_not_tried_again(webdav_server: WebDav, tmp_path: Path, heard: Listener) -> None:
    wrong = replace(webdav_server, login=replace(webdav_server.login, password="wrong-password-of-nobody"))
    heard.add_secret("wrong-password-of-nobody")
    with webdav_spec(wrong, tmp_path).connect(tmp_path) as storage:
        said = heard.refusal(PermanentStorageError, lambda: storage.put(local(tmp_path, b"x"), "a.csv"))
    assert "the server answered 401; the server refused the account" in said


def test_redirect_is_not_followed(webdav_server: WebDav, tmp_path: Path, heard: Listener) -> None:
    made = webdav_spec(webdav_server, tmp_path)
    options = {**made.options, "base_url": webdav_server.base_url(folder="elsewhere")}
    moved = FilesystemSpec.model_validate({"name": "partner", "url": "webdav://", "options": options})
    with moved.connect(tmp_path) as storage:
        acts = [
            lambda: storage.put(local(tmp_path, b"x"), "a.csv"),
            lambda: storage.read("a.csv", tmp_path / "read"),
            lambda: storage.list("."),
            lambda: storage.stat("a.csv"),
        ]
        for act in acts:
            assert "sends the request on to another address, which is not followed" in heard.refusal(PermanentStorageError, act)


def test_server_that_is_away_may_come_back(webdav_relay: Relay, webdav_server: WebDav, tmp_path: Path, heard: Listener) -> None:
    webdav_relay.go_away()
    try:
        with webdav_spec(webdav_server, tmp_path, host=RELAY_HOST).connect(tmp_path) as storage:
            said = heard.refusal(TransientStorageError, lambda: storage.stat("a.csv"))
        # What is told depends on whether the request was read before the connection broke.
        assert "the connection broke" in said or "the network failed: Connection reset by peer" in said
    finally:
        webdav_relay.let_pass()


def test_folder_is_never_deleted_as_a_file(webdav_server: WebDav, tmp_path: Path) -> None:
    with webdav_spec(webdav_server, tmp_path).connect(tmp_path) as storage:
        storage.make_folder("kept")
        publish(storage, tmp_path, b"x", "kept/a.csv")
        storage.delete("kept")
        assert [file.name for file in storage.list("kept")] == ["a.csv"]
