"""Secrets: found when used, named when missing, shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.secrets import Secret, SecretField, Setting, resolve_port, resolve_setting


class Server(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    host: Setting
    password: SecretField | None = None


def test_secret_is_read_when_used_and_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server.model_validate({"host": {"env": "HOST"}, "password": {"file": "key"}})
    (tmp_path / "key").write_text("hunter2\n")
    monkeypatch.setenv("HOST", "sftp.example.com")
    assert server.password is not None
    assert server.password.resolve(tmp_path, what="the password") == "hunter2"
    assert resolve_setting(server.host, tmp_path, what="the host") == "sftp.example.com"
    assert resolve_setting("plain", tmp_path, what="the host") == "plain"
    assert "hunter2" not in repr(server) + str(server.password) + server.model_dump_json()


@pytest.mark.parametrize(
    ("secret", "named"),
    [(Secret(env="NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE"), (Secret(file="no/such/file"), "no/such/file"), (Secret(file="empty"), "empty")],
)
def test_missing_secret_is_a_permanent_error_that_names_it(secret: Secret, named: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(PermanentStorageError, match=named) as caught:
        secret.resolve(tmp_path, what="the password of storage partner")
    assert "the password of storage partner" in str(caught.value)


def test_secret_file_that_is_no_text_does_not_show_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"hunter2\xff")
    with pytest.raises(PermanentStorageError) as caught:
        Secret(file="key").resolve(tmp_path, what="the password")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("value", ["hunter2", 12345678, {"env": "A", "file": "B"}, {"vault": "hunter2"}, {"env": ""}, {}])
def test_secret_written_in_yaml_is_refused_without_being_shown(value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Server.model_validate({"host": "h", "password": value})
    (error,) = caught.value.errors()
    assert error["loc"] == ("password",)
    assert "hunter2" not in error["msg"]
    assert "12345678" not in error["msg"]
    assert "{env: NAME}" in error["msg"]


@pytest.mark.parametrize("text", ["hunter2", "0", "65536", "²"])
def test_port_that_is_none_is_refused_without_being_shown(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", text)
    with pytest.raises(PermanentStorageError, match=r"the port of storage partner: \{env: PORT\} holds no port number") as caught:
        resolve_port(Secret(env="PORT"), tmp_path, what="the port of storage partner")
    assert f" {text} " not in str(caught.value)


def test_port_is_taken_from_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("2222\n")
    assert resolve_port(22, tmp_path, what="the port") == 22
    assert resolve_port(Secret(file="port"), tmp_path, what="the port") == 2222
