"""Servers that lie: what never ends is ended, what is no number hurts one file, and where a server sends somebody nobody goes."""

from __future__ import annotations

import resource
import ssl
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import asyncssh
import pytest

from dinmo_pipeline.errors import LimitError, StorageError, TransientStorageError
from dinmo_pipeline.storages.base import Storage
from dinmo_pipeline.storages.ftp.spec import FtpServerSpec
from dinmo_pipeline_tests.servers.asyncssh_server import PlainSftp, asyncssh_server
from dinmo_pipeline_tests.servers.certificates import make_certificates
from dinmo_pipeline_tests.servers.lying_ftp import ROWS, LyingFtp, dripping, endless, file_line, lying_ftp
from dinmo_pipeline_tests.servers.running import HOST
from dinmo_pipeline_tests.storages.definitions import sftp_spec

# What each attack may make of the process; unlimited, they took gigabytes within seconds.
_MOST_GROWTH_KIB = 200_000


def spec(server: LyingFtp, **options: object) -> FtpServerSpec:
    """The definition of the server."""
    fields = {"name": "partner", "host": HOST, "port": server.port, "tls": "none", "retry_for": 0, **options}
    return FtpServerSpec.model_validate(fields)


def set_limits(root: Path, **limits: int) -> None:
    """Set the limits of the project in `root`."""
    lines = "".join(f"{name} = {value}\n" for name, value in limits.items())
    (root / "pyproject.toml").write_text(f"[tool.dinmo.limits]\n{lines}")


def refusal(act: Callable[[], object], kind: type[StorageError] = LimitError) -> str:
    """What the storage says; it took little memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(kind) as caught:
        act()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < _MOST_GROWTH_KIB
    return str(caught.value)


def connected(server: LyingFtp, root: Path, act: Callable[[Storage], object], **options: object) -> Callable[[], object]:
    """Do that with a connection to the server."""

    def do() -> object:
        with spec(server, **options).connect(root) as storage:
            return act(storage)

    return do


class TestFtp:
    def test_greeting_without_end_is_ended(self, tmp_path: Path) -> None:
        with lying_ftp(greeting=endless(b"220-welcome\r\n" * 1000)) as server:
            told = refusal(connected(server, tmp_path, lambda _: None))
        assert "could not connect to ftp://" in told
        assert "the server's reply is longer than 65,536 bytes" in told
        assert "raise reply_bytes in [tool.dinmo.limits] of pyproject.toml" in told

    def test_greeting_just_below_the_limit_is_taken(self, tmp_path: Path) -> None:
        with lying_ftp(greeting=[b"220-" + b"x" * 4000 + b"\r\n"] * 16 + [b"220 welcome\r\n"]) as server:
            connected(server, tmp_path, lambda _: None)()
            set_limits(tmp_path, reply_bytes=64_000)
            assert "longer than 64,000 bytes" in refusal(connected(server, tmp_path, lambda _: None))

    @pytest.mark.parametrize("slow", ["greeting", "PASS", "FEAT"])
    def test_login_that_drips_is_ended(self, slow: str, tmp_path: Path) -> None:
        drip = [b"220-", *[b"x"] * 10_000]
        says: Mapping[str, object] = {"greeting": drip} if slow == "greeting" else {"answers": {slow: drip}}
        with lying_ftp(**says, pause_s=0.05) as server:
            began = time.monotonic()
            told = refusal(connected(server, tmp_path, lambda _: None, connect_timeout=1), TransientStorageError)
        assert "the server did not answer in time" in told
        assert time.monotonic() - began < 30

    @pytest.mark.parametrize(
        ("line", "limit", "found"),
        [
            (file_line("contacts_shop_20220315.csv"), {"listing_bytes": 1_000_000}, "the listing is longer than 1,000,000 bytes"),
            (file_line("a"), {"listing_entries": 5_000}, "more than 5,000 entries lie there"),
            (file_line("a", "type=dir;"), {"listing_entries": 5_000}, "more than 5,000 entries lie there"),
            (b"who reads this\r\n", {"listing_entries": 5_000}, "more than 5,000 entries lie there"),
            (b"x" * 1000, {"listing_bytes": 1_000_000}, "the listing is longer than 1,000,000 bytes"),
        ],
        ids=["files by bytes", "files", "folders", "lines that nobody can read", "one line"],
    )
    def test_listing_without_end_is_ended(self, line: bytes, limit: dict[str, int], found: str, tmp_path: Path) -> None:
        set_limits(tmp_path, **limit)
        with lying_ftp(listing=endless(line * 100)) as server:
            told = refusal(connected(server, tmp_path, lambda storage: storage.list("raw")))
        assert f"could not list the folder raw on ftp://anonymous@{HOST}:{server.port} (storage partner): {found}" in told
        assert f"raise {next(iter(limit))} in [tool.dinmo.limits]" in told

    def test_listing_that_drips_is_ended(self, tmp_path: Path) -> None:
        set_limits(tmp_path, listing_seconds=1)
        with lying_ftp(listing=dripping(file_line("a") * 1000), pause_s=0.05) as server:
            told = refusal(connected(server, tmp_path, lambda storage: storage.list("raw")))
        assert "it takes longer than 1 seconds" in told
        assert "raise listing_seconds" in told

    def test_file_without_end_is_ended_one_byte_past_its_size(self, tmp_path: Path) -> None:
        copy = tmp_path / "copy"

        def read(storage: Storage) -> None:
            storage.read_listed("a.csv", copy, len(ROWS))

        with lying_ftp(content=endless(b"x" * 65536)) as server:
            told = refusal(connected(server, tmp_path, read))
        assert f"the listing shows it with {len(ROWS)} bytes, and the server has more" in told
        assert copy.stat().st_size == 0

    def test_connection_goes_on_after_a_file_without_end(self, tmp_path: Path) -> None:
        with lying_ftp(content=endless(b"x" * 65536), listing=[file_line("a")]) as server, spec(server).connect(tmp_path) as storage:
            for _ in range(2):
                with pytest.raises(LimitError):
                    storage.read_listed("a.csv", tmp_path / "copy", len(ROWS))
            assert [file.name for file in storage.list("raw")] == ["a"]

    def test_size_of_an_exabyte_is_not_begun(self, tmp_path: Path) -> None:
        with lying_ftp(content=endless(b"x" * 65536), answers={"SIZE": [f"213 {2**50}\r\n".encode()]}) as server:
            listed = connected(server, tmp_path, lambda storage: storage.read_listed("a.csv", tmp_path / "copy", 30))
            assert f"the listing shows it with 30 bytes, and the server has more: {2**50:,}" in refusal(listed)
            told = refusal(connected(server, tmp_path, lambda storage: storage.read("a.csv", tmp_path / "copy")))
            assert f"it takes {2**50:,} bytes more, and this machine's disk has" in told
            assert "lower free_disk_bytes in [tool.dinmo.limits]" in told
            assert server.sent_bytes < 10_000

    def test_file_without_a_size_leaves_room_on_the_disk(self, tmp_path: Path) -> None:
        set_limits(tmp_path, free_disk_bytes=2**60)
        with lying_ftp(content=endless(b"x" * 65536), answers={"SIZE": [b"550 no\r\n"]}) as server:
            assert "lower free_disk_bytes" in refusal(connected(server, tmp_path, lambda storage: storage.read("a", tmp_path / "copy")))

    def test_file_that_drips_is_ended(self, tmp_path: Path) -> None:
        set_limits(tmp_path, seconds_per_megabyte=1)
        with lying_ftp(content=dripping(ROWS * 10), pause_s=0.05) as server:
            read = connected(server, tmp_path, lambda storage: storage.read_listed("a.csv", tmp_path / "copy", len(ROWS) * 10))
            told = refusal(read)
        assert "it came slower than a megabyte in 1 seconds" in told
        assert "raise seconds_per_megabyte" in told

    @pytest.mark.parametrize("size", ["²", "9" * 5000, "", "-1", "1e3", str(10**20)])
    def test_size_that_is_no_number_is_of_that_file_alone(self, size: str, tmp_path: Path) -> None:
        lines = [file_line("odd.csv", f"type=file;size={size};"), file_line("honest.csv")]
        with lying_ftp(listing=lines, answers={"SIZE": [f"213 {size}\r\n".encode()]}) as server, spec(server).connect(tmp_path) as storage:
            listing = storage.list("raw")
        assert [file.name for file in listing] == ["honest.csv"]
        assert ["odd.csv" in line for line in listing.unread] == [True]

    def test_data_connection_goes_to_no_other_host(self, tmp_path: Path) -> None:
        # TEST-NET-1: nobody is there, so a client that believed it would not come back.
        with lying_ftp(listing=[file_line("a")], passive_host="192.0.2.1") as server, spec(server).connect(tmp_path) as storage:
            assert [file.name for file in storage.list("raw")] == ["a"]

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
    @pytest.mark.parametrize("verified", [True, False])
    def test_old_tls_gets_no_password(
        self, verified: bool, version: ssl.TLSVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FTP_PASSWORD", "pa55word")
        certificates = make_certificates(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.server)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = context.maximum_version = version
        login = {"username": "shop", "password": {"env": "FTP_PASSWORD"}, "tls": "implicit"}
        trust = {"ca_file": str(certificates.authority)} if verified else {"verify_certificate": False}
        with lying_ftp(tls=context) as server:
            told = refusal(connected(server, tmp_path, lambda _: None, **login, **trust), StorageError)
            assert server.commands == []
        assert "TLS" in told


class EndlessFolders(PlainSftp):
    """Lists folders, or links to nothing, without end."""

    kind = asyncssh.FILEXFER_TYPE_DIRECTORY

    async def scandir(self, path: bytes):  # type: ignore[no-untyped-def]
        number = 0
        while True:
            number += 1
            yield asyncssh.SFTPName(f"entry {number}".encode(), attrs=asyncssh.SFTPAttrs(type=self.kind, permissions=0o040755))


class EndlessLinks(EndlessFolders):
    kind = asyncssh.FILEXFER_TYPE_SYMLINK


class SlowFolder(PlainSftp):
    """Never comes to the end of a folder, and says hardly anything."""

    async def scandir(self, path: bytes):  # type: ignore[no-untyped-def]
        import asyncio

        while True:
            await asyncio.sleep(0.02)
            yield asyncssh.SFTPName(b"a", attrs=asyncssh.SFTPAttrs(type=asyncssh.FILEXFER_TYPE_DIRECTORY))


class HugeSize(PlainSftp):
    """Says of each open file that it has a pebibyte."""

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        return asyncssh.SFTPAttrs(size=2**50, permissions=0o100644)


class LongAnswers(PlainSftp):
    """Sends more than was asked for."""

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        return b"x" * (size + 1)


class ShortAnswers(PlainSftp):
    """Sends a byte at a time, slowly."""

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        import asyncio

        await asyncio.sleep(0.05)
        return b"x"


class Talkative(PlainSftp):
    """Says a lot, and much that no terminal should be shown, before it comes to the point."""

    def scandir(self, path: bytes):  # type: ignore[no-untyped-def]
        raise asyncssh.SFTPFailure("\x1b[2J\nERROR all is well \u202e" * 100_000)

    def realpath(self, path: bytes) -> bytes:
        return b"/" + b"\x1b[31mA" * 20_000

    def open(self, *_: object) -> object:
        raise asyncssh.SFTPNoSuchFile("no")


class FarFuture(PlainSftp):
    """Tells times that no calendar has."""

    async def scandir(self, path: bytes):  # type: ignore[no-untyped-def]
        for name, mtime in ((b"odd.csv", 2**32 - 1), (b"honest.csv", 1_600_000_000)):
            attrs = asyncssh.SFTPAttrs(type=asyncssh.FILEXFER_TYPE_REGULAR, permissions=0o100644, size=2**63 + 1, atime=mtime, mtime=mtime)
            yield asyncssh.SFTPName(name, attrs=attrs)


class TestSftp:
    def told(self, sftp: type[PlainSftp], root: Path, act: Callable[[Storage], object], kind: type[StorageError] = LimitError) -> str:
        with asyncssh_server(sftp) as server:
            account = server.login("plain")
            (account.home / "a.csv").write_bytes(ROWS)

            def do() -> None:
                with sftp_spec(server, account, retry_for=0).connect(root) as storage:
                    act(storage)

            return refusal(do, kind)

    @pytest.mark.parametrize("sftp", [EndlessFolders, EndlessLinks])
    def test_listing_without_end_is_ended(self, sftp: type[PlainSftp], tmp_path: Path) -> None:
        set_limits(tmp_path, listing_entries=500)
        told = self.told(sftp, tmp_path, lambda storage: storage.list("."))
        assert "more than 500 entries lie there" in told
        assert "raise listing_entries" in told

    def test_long_refusal_is_cut_and_shows_nothing_that_nobody_sees(self, tmp_path: Path) -> None:
        began = time.monotonic()
        for act in (lambda storage: storage.list("."), lambda storage: storage.read("a.csv", tmp_path / "copy")):
            told = self.told(Talkative, tmp_path, act, StorageError)
            assert len(told) < 2_100
            assert told.isprintable()
            assert told.startswith("could not ")
        assert time.monotonic() - began < 20

    def test_names_without_end_are_ended(self, tmp_path: Path) -> None:
        set_limits(tmp_path, listing_bytes=1000)
        assert "the listing is longer than 1,000 bytes" in self.told(EndlessFolders, tmp_path, lambda storage: storage.list("."))

    def test_listing_that_drips_is_ended(self, tmp_path: Path) -> None:
        set_limits(tmp_path, listing_seconds=1)
        assert "it takes longer than 1 seconds" in self.told(SlowFolder, tmp_path, lambda storage: storage.list("."))

    def test_size_of_an_exabyte_is_not_begun(self, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        listed = self.told(HugeSize, tmp_path, lambda storage: storage.read_listed("a.csv", copy, len(ROWS)))
        assert f"the listing shows it with {len(ROWS)} bytes, and the server has more: {2**50:,}" in listed
        assert "this machine's disk has" in self.told(HugeSize, tmp_path, lambda storage: storage.read("a.csv", copy))

    def test_answer_that_is_longer_than_asked_for_is_an_error(self, tmp_path: Path) -> None:
        told = self.told(LongAnswers, tmp_path, lambda storage: storage.read("a.csv", tmp_path / "copy"))
        assert f"the server was asked for {len(ROWS)} bytes, and sent {len(ROWS) + 1}" in told

    def test_file_that_drips_is_ended(self, tmp_path: Path) -> None:
        set_limits(tmp_path, seconds_per_megabyte=1)
        told = self.told(ShortAnswers, tmp_path, lambda storage: storage.read_listed("a.csv", tmp_path / "copy", len(ROWS)))
        assert "it came slower than a megabyte in 1 seconds" in told

    @pytest.mark.parametrize("most", [1, 2**32, 2**63 - 1])
    def test_limits_that_no_server_has_are_not_believed(self, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        async def limits(*_: object) -> asyncssh.sftp.SFTPLimits:
            return asyncssh.sftp.SFTPLimits(most, most, most, 1)

        # The server is asyncssh's own, which has no setting for it.
        handlers = asyncssh.sftp.SFTPServerHandler._packet_handlers
        monkeypatch.setitem(handlers, b"limits@openssh.com", limits)
        (tmp_path / "small").write_bytes(ROWS * 10)
        with asyncssh_server() as server, sftp_spec(server, server.login("plain")).connect(tmp_path) as storage:
            channel = next(iter(storage._filesystem._pool._channels))  # type: ignore[attr-defined]
            assert channel.limits.max_read_len == most
            storage.put(tmp_path / "small", "b.csv")
            storage.read_listed("b.csv", tmp_path / "copy", len(ROWS) * 10)
        assert (tmp_path / "copy").read_bytes() == ROWS * 10

    def test_number_that_is_none_of_this_world_hides_nobody(self, tmp_path: Path) -> None:
        with asyncssh_server(FarFuture) as server, sftp_spec(server, server.login("plain")).connect(tmp_path) as storage:
            assert [file.name for file in storage.list(".")] == ["odd.csv", "honest.csv"]
