"""The definitions of servers: their addresses, and what is refused before anybody connects."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.storages.ftp.spec import FtpServerSpec
from dinmo_pipeline.storages.sftp.spec import SftpServerSpec

SFTP = {"name": "partner", "host": "sftp.example.com", "username": "shop"}
FTP = {"name": "partner", "host": "ftp.example.com", "username": "shop"}


def test_address_is_host_port_and_user_and_nothing_else() -> None:
    key = {"private_key": {"env": "KEY"}, "passphrase": {"env": "PASSPHRASE"}, "password": {"env": "PASSWORD"}}
    assert SftpServerSpec.model_validate({**SFTP, **key, "verify_host_key": False, "retries": 0}).address == (
        SftpServerSpec.model_validate(SFTP).address
    )
    assert SftpServerSpec.model_validate({**SFTP, "port": 2222}).address == "sftp://shop@sftp.example.com:2222"
    assert FtpServerSpec.model_validate({**FTP, "password": {"env": "PASSWORD"}}).address == "ftp://shop@ftp.example.com:21"
    assert FtpServerSpec.model_validate({**FTP, "tls": "implicit"}).address == "ftp://shop@ftp.example.com:990"
    assert FtpServerSpec.model_validate({"name": "partner", "host": "h"}).address == "ftp://anonymous@h:21"


@pytest.mark.parametrize("spec", [SftpServerSpec, FtpServerSpec])
def test_address_follows_what_its_references_hold(
    spec: type[SftpServerSpec] | type[FtpServerSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = spec.model_validate(
        {"name": "partner", "host": {"env": "PARTNER_HOST"}, "port": {"env": "PARTNER_PORT"}, "username": {"file": "user"}}
    )
    assert "@{env: PARTNER_HOST}:{env: PARTNER_PORT}" in server.address
    with pytest.raises(PermanentStorageError, match="the host of storage partner: the environment variable PARTNER_HOST"):
        server.resolved_address(tmp_path)
    monkeypatch.setenv("PARTNER_HOST", "one.example.com")
    monkeypatch.setenv("PARTNER_PORT", "2222")
    (tmp_path / "user").write_text("shop\n")
    assert server.resolved_address(tmp_path).endswith("//shop@one.example.com:2222")
    monkeypatch.setenv("PARTNER_HOST", "two.example.com")
    assert server.resolved_address(tmp_path).endswith("//shop@two.example.com:2222")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"host_key": "ssh-ed25519 nonsense"}, "expected a public key like"),
        ({"host_key": "  "}, "expected a public key like"),
        ({"host_key": {"env": "K"}, "known_hosts": "k"}, "both say who the server is"),
        ({"known_hosts": "k", "verify_host_key": False}, "takes no notice"),
        ({"passphrase": {"env": "P"}}, "which is missing"),
        ({"password": "hunter2"}, "secrets are never written in YAML"),
        ({"port": 0}, "expected a port from 1 to 65535"),
        ({"port": "22"}, "expected a port from 1 to 65535"),
        ({"publish": "fast"}, "'temp_name' or 'direct'"),
        ({"connect_timeout": 0}, "greater than or equal to 1"),
        ({"retries": -1}, "greater than or equal to 0"),
        ({"compress": True}, "Extra inputs"),
    ],
)
def test_sftp_definition_that_cannot_work_is_refused(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as caught:
        SftpServerSpec.model_validate({**SFTP, **options})
    assert "hunter2" not in str(caught.value.errors()[0]["msg"])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"tls": "none", "ca_file": "ca.pem"}, "there is no certificate"),
        ({"tls": "none", "verify_certificate": False}, "there is no certificate"),
        ({"verify_certificate": False, "ca_file": "ca.pem"}, "takes no notice"),
        ({"username": None, "password": {"env": "P"}}, "a 'username', which is missing"),
        ({"tls": "starttls"}, "'explicit', 'implicit' or 'none'"),
    ],
)
def test_ftp_definition_that_cannot_work_is_refused(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        FtpServerSpec.model_validate({key: value for key, value in {**FTP, **options}.items() if value is not None})


def test_any_folder_but_an_impossible_one_may_be_named() -> None:
    for spec in (SftpServerSpec.model_validate(SFTP), FtpServerSpec.model_validate(FTP)):
        assert [spec.folder_problem(folder) for folder in (".", "..", "/in", "../in", "a b/ü")] == [None] * 5
        assert spec.folder_problem("a\0b") is not None
    assert FtpServerSpec.model_validate(FTP).folder_problem("a\r\nDELE b") is not None
