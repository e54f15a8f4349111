"""Logging in to SFTP servers: with what, to whom, and what is said when it does not work."""

from __future__ import annotations

import logging
import socket
import subprocess
from pathlib import Path

import pytest

from dinmo_pipeline.errors import PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.storages.sftp.spec import SftpServerSpec
from dinmo_pipeline_tests.servers.openssh import OpenSsh, make_key
from dinmo_pipeline_tests.servers.running import HOST, IS_ROOT, free_port, need_program, need_root
from dinmo_pipeline_tests.storages.definitions import sftp_spec

pytestmark = pytest.mark.xdist_group("sftp")


def logs_in(spec: SftpServerSpec, root: Path) -> bool:
    with spec.connect(root) as storage:
        return storage.list("no-such-folder") == []


def refusal(spec: SftpServerSpec, root: Path) -> StorageError:
    with pytest.raises(StorageError) as caught:
        logs_in(spec, root)
    return caught.value


def test_password_lets_in(openssh_server: OpenSsh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_root("a password of an account")
    account = openssh_server.login("plain")
    monkeypatch.setenv("PASSWORD", account.password)
    assert logs_in(sftp_spec(openssh_server, account, private_key=None, password={"env": "PASSWORD"}), tmp_path)


@pytest.mark.parametrize(
    "options", [["-t", "rsa"], ["-t", "rsa", "-m", "PEM"], ["-t", "ecdsa", "-m", "PEM"], ["-t", "ecdsa"], ["-t", "ed25519"]]
)
@pytest.mark.parametrize("passphrase", ["", "open sesame"])
def test_key_of_every_kind_lets_in_also_without_its_line_breaks(
    options: list[str], passphrase: str, openssh_server: OpenSsh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(tmp_path / "key", *options, "-N", passphrase)
    authorized_keys = openssh_server.private_key.with_name("authorized_keys")
    with authorized_keys.open("a") as stream:
        stream.write((tmp_path / "key.pub").read_text())
    text = (tmp_path / "key").read_text()
    monkeypatch.setenv("PASSPHRASE", passphrase)
    for pasted in (text, text.replace("\n", " "), text.replace("\n", "\\n"), text.replace("\n", "\r\n"), text.replace("\n", "")):
        monkeypatch.setenv("KEY", pasted)
        secret = {"passphrase": {"env": "PASSPHRASE"}} if passphrase else {}
        assert logs_in(sftp_spec(openssh_server, openssh_server.login("plain"), private_key={"env": "KEY"}, **secret), tmp_path)


def test_wrong_password_is_refused_and_says_who_and_with_what(openssh_server: OpenSsh, tmp_path: Path) -> None:
    account = openssh_server.login("plain")
    (tmp_path / "password").write_text("hunter2")
    error = refusal(sftp_spec(openssh_server, account, private_key=None, password={"file": "password"}), tmp_path)
    assert isinstance(error, PermanentStorageError)
    assert f"sftp://{account.username}@{HOST}:{openssh_server.port} (storage partner)" in str(error)
    assert f"refused the user {account.username} with the password" in str(error)


def test_wrong_key_is_refused_and_its_fingerprint_shown(openssh_server: OpenSsh, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    keygen = need_program("ssh-keygen", package="openssh-client")
    fingerprint = subprocess.run([keygen, "-lf", str(tmp_path / "other.pub")], capture_output=True, text=True, check=True).stdout.split()[1]
    error = refusal(sftp_spec(openssh_server, openssh_server.login("plain"), private_key={"file": "other"}), tmp_path)
    assert isinstance(error, PermanentStorageError)
    assert f"with the private key of ssh-ed25519 {fingerprint}" in str(error)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "it is a public key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\nhunter2", "it is a PuTTY key; convert it with `puttygen"),
        ("hunter2", "it is no private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2hunter2\n-----END OPENSSH PRIVATE KEY-----", "it is damaged"),
        ("-----BEGIN RSA PRIVATE KEY-----\nhunter2hunter2\n-----END RSA PRIVATE KEY-----", "it is damaged"),
    ],
)
def test_text_that_is_no_private_key_is_told_apart_and_not_shown(text: str, problem: str, openssh_server: OpenSsh, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(text)
    error = refusal(sftp_spec(openssh_server, openssh_server.login("plain"), private_key={"file": "key"}), tmp_path)
    assert isinstance(error, PermanentStorageError)
    assert str(error).startswith(f"could not use the private key of storage partner: {problem}")
    assert "hunter2" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize(
    ("given", "problem"),
    [(None, "no passphrase is given: set `passphrase`"), ("another", "its passphrase is wrong, or the key is damaged")],
)
@pytest.mark.parametrize("form", [[], ["-t", "rsa", "-m", "PEM"]])
def test_encrypted_key_says_what_its_passphrase_lacks(
    given: str | None, problem: str, form: list[str], openssh_server: OpenSsh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(tmp_path / "key", "-N", "open sesame", *form)
    monkeypatch.setenv("PASSPHRASE", given or "")
    passphrase = None if given is None else {"env": "PASSPHRASE"}
    error = refusal(sftp_spec(openssh_server, openssh_server.login("plain"), private_key={"file": "key"}, passphrase=passphrase), tmp_path)
    assert isinstance(error, PermanentStorageError)
    assert problem in str(error)


def test_host_key_may_be_pinned_as_ssh_keyscan_prints_it(openssh_server: OpenSsh, tmp_path: Path) -> None:
    keyscan = need_program("ssh-keyscan", package="openssh-client")
    printed = subprocess.run([keyscan, "-p", str(openssh_server.port), HOST], capture_output=True, text=True, check=True).stdout
    assert logs_in(sftp_spec(openssh_server, openssh_server.login("plain"), host_key=printed), tmp_path)
    (tmp_path / "known").write_text(printed)
    assert logs_in(sftp_spec(openssh_server, openssh_server.login("plain"), host_key=None, known_hosts="known"), tmp_path)


def test_changed_host_key_is_refused_before_anything_secret_is_sent(openssh_server: OpenSsh, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    account = openssh_server.login("plain")
    (tmp_path / "known").write_text(f"[{HOST}]:{openssh_server.port} {other}\n")
    (tmp_path / "password").write_text(account.password or "hunter2")
    for options, expected in (
        ({"host_key": other}, "host_key is ssh-ed25519 SHA256:"),
        ({"host_key": None, "known_hosts": "known"}, f"{tmp_path}/known has another one"),
    ):
        error = refusal(sftp_spec(openssh_server, account, private_key=None, password={"file": "password"}, **options), tmp_path)
        assert isinstance(error, PermanentStorageError)
        assert "the server shows ssh-ed25519 SHA256:" in str(error)
        assert expected in str(error)
        assert f"`ssh-keyscan -p {openssh_server.port} {HOST}`" in str(error)


def test_host_that_is_not_known_is_refused_unless_verification_is_off(
    openssh_server: OpenSsh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    account = openssh_server.login("plain")
    error = refusal(sftp_spec(openssh_server, account, host_key=None), tmp_path)
    assert isinstance(error, PermanentStorageError)
    assert f"{tmp_path}/.ssh/known_hosts does not know this host" in str(error)
    assert logs_in(sftp_spec(openssh_server, account, host_key=None, verify_host_key=False), tmp_path)


def test_known_hosts_that_cannot_be_read_is_named(openssh_server: OpenSsh, tmp_path: Path) -> None:
    error = refusal(sftp_spec(openssh_server, openssh_server.login("plain"), host_key=None, known_hosts="no/such/file"), tmp_path)
    assert isinstance(error, PermanentStorageError)
    assert "no/such/file: No such file or directory" in str(error)


def test_closed_port_may_open_again(openssh_server: OpenSsh, tmp_path: Path) -> None:
    error = refusal(sftp_spec(openssh_server, openssh_server.login("plain"), port=free_port()), tmp_path)
    assert isinstance(error, TransientStorageError)
    assert ": nothing listens there; check host and port" in str(error)


def test_host_that_does_not_exist_is_named(openssh_server: OpenSsh, tmp_path: Path) -> None:
    error = refusal(sftp_spec(openssh_server, openssh_server.login("plain"), host="no-such-host.invalid"), tmp_path)
    assert "no-such-host.invalid" in str(error)
    assert "name" in str(error)


def test_server_that_says_nothing_is_given_up_in_time(openssh_server: OpenSsh, tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as silent:
        error = refusal(sftp_spec(openssh_server, openssh_server.login("plain"), port=silent.getsockname()[1], connect_timeout=1), tmp_path)
    assert isinstance(error, TransientStorageError)
    assert "in time" in str(error)


def test_no_secret_shows_at_any_level(
    openssh_server: OpenSsh, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    account = openssh_server.login("plain")
    make_key(tmp_path / "key", "-N", "open sesame")
    (tmp_path / "password").write_text("hunter2hunter2")
    (tmp_path / "passphrase").write_text("open sesame")
    right, wrong = {"file": "key"}, {"file": "password"}
    specs = [
        sftp_spec(openssh_server, account, private_key=None, password=wrong),
        sftp_spec(openssh_server, account, private_key=right, passphrase={"file": "passphrase"}, password=wrong),
        sftp_spec(openssh_server, account, private_key=right, passphrase=wrong),
        sftp_spec(openssh_server, account, private_key=wrong),
    ]
    if IS_ROOT:
        (tmp_path / "real").write_text(account.password)
        spec = sftp_spec(openssh_server, account, private_key=None, password={"file": "real"})
        with spec.connect(tmp_path) as storage:
            shown = repr(storage) + repr(spec) + spec.address + spec.model_dump_json()
            assert account.password not in shown + caplog.text
    shown = "".join(str(refusal(spec, tmp_path)) + repr(spec) for spec in specs)
    everything = shown + caplog.text + "".join(capfd.readouterr())
    body = (tmp_path / "key").read_text().splitlines()[2]
    for secret in ("hunter2", "open sesame", body, *([account.password] if account.password else [])):
        assert secret not in everything
