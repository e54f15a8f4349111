"""What a server that lies does to an inbox: it is told of, and every honest file is loaded in the same pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from dinmo_pipeline.errors import LimitError
from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.storages.ftp.spec import FtpServerSpec
from dinmo_pipeline_tests.inbound.inboxes import LocalInbox
from dinmo_pipeline_tests.servers.lying_ftp import ROWS, LyingFtp, dripping, endless, file_line, lying_ftp
from dinmo_pipeline_tests.servers.running import HOST

HONEST = "contacts_shop_20220315.csv"
OTHER = "contacts_shop_20220316.csv"


def inbox_on(server: LyingFtp, root: Path) -> LocalInbox:
    """The inbox `partner` on that server."""
    fields = {"name": "drop", "host": HOST, "port": server.port, "tls": "none", "retries": 1}
    made = LocalInbox(root)
    made.project = replace(made.project, storages={"drop": FtpServerSpec.model_validate(fields)})
    return made


def set_limits(root: Path, **limits: int) -> None:
    """Set them for the storages of the project in `root`."""
    root.mkdir(exist_ok=True)
    (root / "pyproject.toml").write_text("[tool.dinmo.limits]\n" + "".join(f"{name} = {value}\n" for name, value in limits.items()))


@pytest.mark.parametrize(
    ("line", "contents", "told"),
    [
        (file_line(OTHER), endless(b"x" * 65536), f"raw/{OTHER}: set aside: "),
        (file_line(OTHER), dripping(ROWS), f"raw/{OTHER}: set aside: "),
        (file_line(OTHER, f"type=file;size={2**50};modify=20220315120000;"), (ROWS,), f"raw/{OTHER}: set aside: "),
        (file_line(OTHER, "type=file;size=²;"), (ROWS,), "could not be read"),
        (file_line(OTHER, f"type=file;size={'9' * 5000};"), (ROWS,), "could not be read"),
        (file_line("x" * 4000 + ".csv"), (ROWS,), "no feed's name stands in it"),
        (file_line("../../etc/contacts_shop_20220316.csv"), (ROWS,), ""),
        (file_line("contacts_shop_20220316\x1b[31m.csv"), (ROWS,), "characters that no one can see"),
        (file_line("contacts_shop_20220316_" + "x" * 4000 + ".csv"), (ROWS,), ""),
    ],
    ids=["without end", "a byte at a time", "pebibyte", "size 2", "5,000 digits", "long", "path", "escape", "long name of a feed"],
)
def test_file_that_lies_keeps_no_honest_one_out(line: bytes, contents: Iterable[bytes], told: str, tmp_path: Path) -> None:
    set_limits(tmp_path, seconds_per_megabyte=1)
    answers = {"SIZE": ["213 ²\r\n".encode()]} if b"size=\xc2\xb2" in line or b"9999" in line else {}
    honest = file_line(HONEST)
    with lying_ftp(listing=[line, honest], contents={"16.csv": contents}, answers=answers, pause_s=0.05) as server:
        made = inbox_on(server, tmp_path)
        loaded = {record.name: record.outcome for record in made.run()}
    assert loaded[HONEST] == "loaded"
    troubles = "\n".join(map(str, made.open()))
    assert told in troubles
    assert "\x1b" not in troubles
    assert not any(path.name == OTHER for path in tmp_path.parent.rglob("etc/*"))


def test_pass_that_is_refused_names_the_limit(tmp_path: Path) -> None:
    set_limits(tmp_path, listing_entries=100)
    with lying_ftp(listing=endless(file_line(HONEST))) as server:
        made = inbox_on(server, tmp_path)
        with pytest.raises(LimitError, match="more than 100 entries lie there") as caught, InboxPass(made.project, "partner") as held:
            held.look()
    assert "raise listing_entries in [tool.dinmo.limits]" in str(caught.value)


@pytest.mark.parametrize("size", [len(ROWS), 7])
def test_name_that_is_listed_twice_keeps_no_honest_one_out(size: int, tmp_path: Path) -> None:
    lines = [file_line(OTHER), file_line(OTHER, f"type=file;size={size};modify=20220315120000;"), file_line(HONEST)]
    with lying_ftp(listing=lines) as server:
        made = inbox_on(server, tmp_path)
        loaded = {record.name: record.outcome for record in made.run()}
        troubles = "\n".join(map(str, made.open()))
    assert loaded[HONEST] == "loaded"
    if size == 7:
        assert OTHER not in loaded
        assert f"raw/{OTHER}: unmatched: the server lists several files of this name" in troubles
