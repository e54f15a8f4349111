"""FTP servers: who is let in, how a connection is secured, and what each refusal says."""

from __future__ import annotations

import logging
import os
import random
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dinmo_pipeline.errors import LimitError, PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.storages.ftp import commands as ftp_commands
from dinmo_pipeline.storages.ftp import data_connection
from dinmo_pipeline.storages.ftp.spec import FtpServerSpec
from dinmo_pipeline_tests.servers.certificates import make_certificates
from dinmo_pipeline_tests.servers.disks import small_disk, small_quota
from dinmo_pipeline_tests.servers.pyftpd import PyFtpd, pyftpd
from dinmo_pipeline_tests.servers.relay import RELAY_HOST, Relay
from dinmo_pipeline_tests.servers.running import HOST, free_port
from dinmo_pipeline_tests.servers.vsftpd import Vsftpd
from dinmo_pipeline_tests.storages.contract import MIB, content, local
from dinmo_pipeline_tests.storages.definitions import ftp_spec


def refusal(spec: FtpServerSpec, root: Path) -> StorageError:
    with pytest.raises(StorageError) as caught, spec.connect(root):
        pass
    return caught.value


@pytest.mark.xdist_group("vsftpd")
class TestVsftpd:
    def test_wrong_password_is_refused_and_says_who(self, vsftpd_explicit: Vsftpd, tmp_path: Path) -> None:
        account = vsftpd_explicit.login
        spec = ftp_spec(vsftpd_explicit, account, tmp_path)
        (tmp_path / "password").write_text("hunter2")
        error = refusal(spec, tmp_path)
        assert isinstance(error, PermanentStorageError)
        assert f"could not log in to ftp://{account.username}@{HOST}:{vsftpd_explicit.port} (storage partner): 530" in str(error)
        assert f"refused the user {account.username} with the password" in str(error)

    def test_certificate_of_an_unknown_authority_is_refused(self, vsftpd_explicit: Vsftpd, tmp_path: Path) -> None:
        for options in ({"ca_file": None}, {"ca_file": str(make_certificates(tmp_path).authority)}):
            error = refusal(ftp_spec(vsftpd_explicit, vsftpd_explicit.login, tmp_path, **options), tmp_path)
            assert isinstance(error, PermanentStorageError)
            assert "could not secure the connection to ftp://" in str(error)
            assert "set `ca_file` to the authority that signed it" in str(error)

    def test_certificate_of_another_host_is_refused(self, vsftpd_explicit: Vsftpd, tmp_path: Path) -> None:
        error = refusal(ftp_spec(vsftpd_explicit, vsftpd_explicit.login, tmp_path, host="localhost"), tmp_path)
        assert isinstance(error, PermanentStorageError)
        assert "certificate is not valid for 'localhost'" in str(error)

    def test_certificate_is_not_looked_at_when_the_user_says_so(self, vsftpd_explicit: Vsftpd, tmp_path: Path) -> None:
        spec = ftp_spec(vsftpd_explicit, vsftpd_explicit.login, tmp_path, ca_file=None, verify_certificate=False)
        with spec.connect(tmp_path) as storage:
            assert storage.stat("no-such-file") is None

    def test_authority_may_be_given_as_text(self, vsftpd_explicit: Vsftpd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AUTHORITY", vsftpd_explicit.authority.read_text())
        with ftp_spec(vsftpd_explicit, vsftpd_explicit.login, tmp_path, ca_file={"env": "AUTHORITY"}).connect(tmp_path) as storage:
            assert storage.stat("no-such-file") is None

    @pytest.mark.parametrize(("ca_file", "problem"), [("no/such/file", "No such file"), ("empty", "holds no certificate")])
    def test_ca_file_that_is_none_is_named(self, ca_file: str, problem: str, vsftpd_explicit: Vsftpd, tmp_path: Path) -> None:
        (tmp_path / "empty").write_text("nothing")
        error = refusal(ftp_spec(vsftpd_explicit, vsftpd_explicit.login, tmp_path, ca_file=ca_file), tmp_path)
        assert isinstance(error, PermanentStorageError)
        assert "the ca_file of storage partner" in str(error)
        assert problem in str(error)

    @pytest.mark.parametrize("tls", ["explicit", "none"])
    def test_connection_goes_on_after_a_file_that_was_not_read_to_its_end(
        self, tls: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server: Vsftpd = request.getfixturevalue(f"vsftpd_{tls}")
        with ftp_spec(server, server.login, tmp_path, tls=tls).connect(tmp_path) as storage:
            storage.make_folder("long")
            storage.put(local(tmp_path, random.randbytes(20 * MIB)), "long/a.csv")
            # Else the size that the server tells would be enough.
            monkeypatch.setattr(ftp_commands.FtpCommands, "size", lambda *_: None)
            for _ in range(2):
                with pytest.raises(LimitError, match="the listing shows it with 10 bytes, and the server has more"):
                    storage.read_listed("long/a.csv", tmp_path / "copy", 10)
                assert [(file.name, file.size) for file in storage.list("long")] == [("a.csv", 20 * MIB)]
            storage.delete("long/a.csv")

    def test_server_without_tls_is_not_talked_to_in_the_clear(self, vsftpd_none: Vsftpd, tmp_path: Path) -> None:
        error = refusal(ftp_spec(vsftpd_none, vsftpd_none.login, tmp_path, tls="explicit"), tmp_path)
        assert isinstance(error, PermanentStorageError)
        assert "the server offers no TLS on this port" in str(error)

    def test_server_that_wants_tls_refuses_a_plain_login(self, vsftpd_explicit: Vsftpd, tmp_path: Path) -> None:
        error = refusal(ftp_spec(vsftpd_explicit, vsftpd_explicit.login, tmp_path, tls="none"), tmp_path)
        assert isinstance(error, PermanentStorageError)
        assert "530" in str(error)

    def test_implicit_tls_on_an_explicit_port_is_told(self, vsftpd_explicit: Vsftpd, tmp_path: Path) -> None:
        error = refusal(ftp_spec(vsftpd_explicit, vsftpd_explicit.login, tmp_path, tls="implicit"), tmp_path)
        assert isinstance(error, PermanentStorageError)
        assert "check port and `tls`: 21 is explicit, 990 implicit" in str(error)

    def test_missing_rights_name_user_folder_and_right(self, vsftpd_explicit: Vsftpd, tmp_path: Path) -> None:
        account = vsftpd_explicit.login
        folder = account.home / "readonly"
        folder.mkdir()
        (folder / "there.csv").write_text("old")
        with ftp_spec(vsftpd_explicit, account, tmp_path).connect(tmp_path) as storage:
            acts: list[tuple[Callable[[], object], str]] = [
                (
                    lambda: storage.put(local(tmp_path, b"x"), "readonly/.new.part"),
                    "the right to create and write files in the folder readonly",
                ),
                (lambda: storage.put(local(tmp_path, b"x"), "readonly/there.csv"), "the right to overwrite the file readonly/there.csv"),
                (lambda: storage.move("readonly/there.csv", "readonly/b.csv"), "the right to rename files in the folder readonly"),
                (lambda: storage.delete("readonly/there.csv"), "the right to delete files in the folder readonly"),
                (lambda: storage.make_folder("readonly/inner"), "the right to make folders in readonly"),
            ]
            for act, said in acts:
                with pytest.raises(PermanentStorageError) as caught:
                    act()
                assert f"the user {account.username} {said}" in str(caught.value)
            folder.chmod(0o711)
            with pytest.raises(PermanentStorageError, match="the right to list the folder readonly"):
                storage.list("readonly")
            with pytest.raises(PermanentStorageError, match=f"the folder missing is missing.*relative ones start at {account.start}"):
                storage.put(local(tmp_path, b"x"), "missing/a.csv")

    def test_no_right_to_rename_keeps_the_old_file_and_offers_to_write_in_place(self, vsftpd_none: Vsftpd, tmp_path: Path) -> None:
        with ftp_spec(vsftpd_none, vsftpd_none.no_rename, tmp_path, tls="none").connect(tmp_path) as storage:
            storage.put(local(tmp_path, b"old"), "fixed.csv")
            storage.put(local(tmp_path, b"new"), ".fixed.part")
            with pytest.raises(PermanentStorageError, match="set `publish: direct`"):
                storage.move(".fixed.part", "fixed.csv")
            assert content(storage, tmp_path, "fixed.csv") == b"old"

    @pytest.mark.parametrize("size", [3, 100])
    def test_full_disk_is_told_by_the_server(self, size: int, vsftpd_explicit: Vsftpd, tmp_path: Path) -> None:
        account = vsftpd_explicit.login
        with small_disk(account, "small", megabytes=2) as folder:
            with (
                ftp_spec(vsftpd_explicit, account, tmp_path).connect(tmp_path) as storage,
                pytest.raises(StorageError, match=r"disk may be full|disk is full"),
            ):
                storage.put(local(tmp_path, random.Random(1).randbytes(size * MIB)), f"{folder}/a.csv")
            with ftp_spec(vsftpd_explicit, account, tmp_path).connect(tmp_path) as storage:
                storage.delete(f"{folder}/a.csv")

    def test_quota_that_is_used_up_is_told_by_the_server(self, vsftpd_explicit: Vsftpd, tmp_path: Path) -> None:
        account = vsftpd_explicit.login
        with small_quota(account.home / "limited", megabytes=2) as folder:
            shutil.chown(folder, account.username)
            with (
                ftp_spec(vsftpd_explicit, account, tmp_path).connect(tmp_path) as storage,
                pytest.raises(StorageError, match=r"disk may be full|the quota of the user"),
            ):
                storage.put(local(tmp_path, random.Random(1).randbytes(5 * MIB)), "limited/owned/a.csv")
            with ftp_spec(vsftpd_explicit, account, tmp_path).connect(tmp_path) as storage:
                storage.delete("limited/owned/a.csv")

    def test_paths_start_where_the_reference_page_says(self, vsftpd_explicit: Vsftpd, tmp_path: Path) -> None:
        account = vsftpd_explicit.login
        above = account.home.parent / "above"
        above.mkdir()
        above.chmod(0o777)
        with ftp_spec(vsftpd_explicit, account, tmp_path).connect(tmp_path) as storage:
            storage.make_folder("baz")
            for folder, place in (
                (".", account.home),
                ("baz", account.home / "baz"),
                (f"{account.start}/baz", account.home / "baz"),
                ("../above", above),
                (str(above), above),
            ):
                storage.make_folder(folder)
                storage.put(local(tmp_path, folder.encode()), f"{folder}/path.csv")
                assert (place / "path.csv").read_bytes() == folder.encode()
                assert "path.csv" in [file.name for file in storage.list(folder)]

    def test_name_that_is_no_utf8_does_not_hide_the_others(self, vsftpd_none: Vsftpd, tmp_path: Path) -> None:
        account = vsftpd_none.login
        with ftp_spec(vsftpd_none, account, tmp_path, tls="none").connect(tmp_path) as storage:
            storage.make_folder("latin")
            (account.home / "latin" / "a.csv").write_text("x")
            (account.home / "latin" / "caf\udce9.csv").write_text("x")
            assert {file.name for file in storage.list("latin")} == {"a.csv", r"caf\xe9.csv"}

    def test_time_is_told_to_the_second_without_mlsd(self, vsftpd_none: Vsftpd, tmp_path: Path) -> None:
        account = vsftpd_none.login
        with ftp_spec(vsftpd_none, account, tmp_path, tls="none").connect(tmp_path) as storage:
            storage.make_folder("times")
            for name, changed in (("new.csv", 1_760_000_005), ("old.csv", 1_500_000_005)):
                (account.home / "times" / name).write_text("x")
                os.utime(account.home / "times" / name, (changed, changed))
                (found,) = [file for file in storage.list("times") if file.name == name]
                assert found.modified is not None
                assert found.modified.timestamp() == changed
                assert storage.stat(f"times/{name}") == found

    def test_server_that_stops_answering_is_given_up(
        self, vsftpd_explicit: Vsftpd, vsftpd_explicit_relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (ftp_commands, data_connection):
            monkeypatch.setattr(module, "IDLE_SECONDS", 1.0)
            monkeypatch.setattr(module, "FAREWELL_SECONDS", 1.0)
        with ftp_spec(vsftpd_explicit, vsftpd_explicit.login, tmp_path, host=RELAY_HOST).connect(tmp_path) as storage:
            vsftpd_explicit_relay.hold_after(MIB)
            with pytest.raises(TransientStorageError, match="did not answer in time"):
                storage.put(local(tmp_path, random.Random(1).randbytes(32 * MIB)), "stuck.csv")
            vsftpd_explicit_relay.let_pass()

    def test_no_secret_shows_at_any_level(
        self, vsftpd_explicit: Vsftpd, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level(logging.DEBUG)
        account = vsftpd_explicit.login
        spec = ftp_spec(vsftpd_explicit, account, tmp_path)
        with spec.connect(tmp_path) as storage:
            shown = repr(storage) + repr(spec) + spec.address + spec.model_dump_json()
        (tmp_path / "password").write_text("hunter2hunter2")
        shown += str(refusal(spec, tmp_path))
        shown += str(refusal(spec.model_copy(update={"ca_file": None}), tmp_path))
        everything = shown + caplog.text + "".join(capfd.readouterr())
        assert account.password not in everything
        assert "hunter2" not in everything


@pytest.mark.xdist_group("pyftpdlib")
class TestPyftpdlib:
    def test_dropbox_that_shows_nothing_takes_a_file_written_in_place(self, pyftpd_modern: PyFtpd, tmp_path: Path) -> None:
        account = pyftpd_modern.dropbox
        with ftp_spec(pyftpd_modern, account, tmp_path, publish="direct").connect(tmp_path) as storage:
            assert not storage.moves
            storage.make_folder(".")
            storage.put(local(tmp_path, b"content"), "a.csv")
            assert (account.home / "a.csv").read_bytes() == b"content"
            with pytest.raises(PermanentStorageError, match="the right to list the folder"):
                storage.list(".")

    def test_no_right_to_rename_keeps_the_old_file(self, pyftpd_modern: PyFtpd, tmp_path: Path) -> None:
        with ftp_spec(pyftpd_modern, pyftpd_modern.no_rename, tmp_path).connect(tmp_path) as storage:
            storage.put(local(tmp_path, b"old"), "a.csv")
            storage.put(local(tmp_path, b"new"), ".a.part")
            with pytest.raises(PermanentStorageError, match="set `publish: direct`"):
                storage.move(".a.part", "a.csv")
            assert content(storage, tmp_path, "a.csv") == b"old"

    def test_server_that_never_renames_keeps_the_old_file(self, tmp_path: Path) -> None:
        with pyftpd("fixed") as server, ftp_spec(server, server.login, tmp_path, tls="none").connect(tmp_path) as storage:
            storage.put(local(tmp_path, b"old"), "a.csv")
            storage.put(local(tmp_path, b"new"), ".a.part")
            with pytest.raises(PermanentStorageError, match=r"Renaming is not allowed.*set `publish: direct`"):
                storage.move(".a.part", "a.csv")
            assert content(storage, tmp_path, "a.csv") == b"old"
            assert content(storage, tmp_path, ".a.part") == b"new"

    def test_changed_file_of_the_same_size_looks_other_without_mlsd_and_mdtm(self, pyftpd_bare: PyFtpd, tmp_path: Path) -> None:
        account = pyftpd_bare.login
        (account.home / "same").mkdir()
        path = account.home / "same" / "a.csv"
        with ftp_spec(pyftpd_bare, account, tmp_path, tls="none").connect(tmp_path) as storage:
            seen: list[object] = []
            for content in ("first", "other"):
                path.write_text(content)
                os.utime(path, (1_790_000_000 + 90 * len(seen),) * 2)
                seen.append(storage.list("same"))
            assert seen[0] != seen[1]

    def test_line_break_in_a_name_is_refused(self, pyftpd_plain: PyFtpd, tmp_path: Path) -> None:
        with (
            ftp_spec(pyftpd_plain, pyftpd_plain.login, tmp_path, tls="none").connect(tmp_path) as storage,
            pytest.raises(PermanentStorageError, match="does not take this name"),
        ):
            storage.put(local(tmp_path, b"x"), "a\r\nDELE b.csv")

    def test_closed_port_may_open_again(self, pyftpd_plain: PyFtpd, tmp_path: Path) -> None:
        error = refusal(ftp_spec(pyftpd_plain, pyftpd_plain.login, tmp_path, tls="none", port=free_port()), tmp_path)
        assert isinstance(error, TransientStorageError)
        assert "nothing listens there; check host and port" in str(error)

    def test_host_that_does_not_exist_is_named(self, pyftpd_plain: PyFtpd, tmp_path: Path) -> None:
        error = refusal(ftp_spec(pyftpd_plain, pyftpd_plain.login, tmp_path, tls="none", host="no-such-host.invalid"), tmp_path)
        assert "no-such-host.invalid" in str(error)
        assert "name" in str(error)

    def test_server_that_says_nothing_is_given_up_in_time(self, pyftpd_plain: PyFtpd, tmp_path: Path) -> None:
        with socket.create_server((HOST, 0)) as silent:
            spec = ftp_spec(pyftpd_plain, pyftpd_plain.login, tmp_path, tls="none", port=silent.getsockname()[1], connect_timeout=1)
            error = refusal(spec, tmp_path)
        assert isinstance(error, TransientStorageError)
        assert "did not answer in time" in str(error)
