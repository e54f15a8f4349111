"""Texts made of what matters to CSV, in random order: the fast reader finds what the slow one finds, wherever its blocks end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dinmo_pipeline.formats.csv.dialect import CsvDialect
from dinmo_pipeline.formats.csv.read import CsvReading
from dinmo_pipeline.formats.reader import FileRefused
from dinmo_pipeline_tests.random_cases import CASES

from .slow_csv import Expected, Refusal, read_slowly


def read_fast(path: Path, dialect: CsvDialect, block_bytes: int) -> Expected | int:
    """What the reader gives, in the slow one's terms; the line, if the file is refused."""
    found = Expected()
    try:
        reading = CsvReading(path, dialect, (), block_bytes)
        for batch in reading.batches():
            batch.validate(full=True)
            found.rows += [(record, line, tuple(values)) for record, line, *values in zip(*batch.to_pydict().values(), strict=True)]
    except FileRefused as refused:
        return int(re.findall(r"line (\d+)", str(refused))[0])
    found.rejects = [(reject.record, reject.line) for reject in reading.rejects]
    found.originals = dict(reading.originals(range(1, len(found.rows) + len(found.rejects) + 1)))
    return found


def read_expected(text: str, dialect: CsvDialect) -> Expected | int:
    assert dialect.delimiter is not None
    try:
        return read_slowly(text, dialect.delimiter, dialect.quote, dialect.escape, dialect.null_text)
    except Refusal as refusal:
        return refusal.line


@st.composite
def dialects(draw: st.DrawFn) -> CsvDialect:
    return CsvDialect(
        delimiter=draw(st.sampled_from([";", ",", "\t", "|", "\x01", "§", "€"])),
        quote=draw(st.sampled_from(['"', "'"])),
        escape=draw(st.sampled_from([None, "\\"])),
        null_text=draw(st.sampled_from([(), ("NULL",), ("\\N", "a")])),
    )


@st.composite
def files(draw: st.DrawFn) -> tuple[CsvDialect, str]:
    """A header of two columns, and below it either nothing but accidents, or a table with some."""
    dialect = draw(dialects())
    assert dialect.delimiter is not None
    delimiter, quote = dialect.delimiter, dialect.quote
    pieces = st.sampled_from([delimiter, quote, quote, "\n", "\r", "\r\n", "a", "é", "\\", "\\N", "NULL", "\0", '"', " "])
    accidents = st.lists(pieces, max_size=30).map("".join)
    content = st.lists(pieces, max_size=5).map("".join)
    value = content | content.map(lambda text: quote + text.replace(quote, quote * 2) + quote)
    row = st.lists(value, min_size=1, max_size=3).map(delimiter.join)
    table = st.lists(st.tuples(row, st.sampled_from(["\n", "\r", "\r\n", "\n\n"])).map("".join), max_size=6).map("".join)
    text = f"x{delimiter}y" + draw(st.sampled_from(["\n", "\r\n", "\r"])) + draw(accidents | table)
    return dialect, text + "." if text.endswith("\0") else text


@settings(max_examples=int(400 * CASES))
@given(file=files(), block_bytes=st.sampled_from([1, 2, 3, 7, 64, 100_000]))
def test_random_text_gives_what_the_slow_reader_gives(
    file: tuple[CsvDialect, str], block_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dialect, text = file
    path = tmp_path_factory.getbasetemp() / "random.csv"
    path.write_bytes(text.encode())

    assert read_fast(path, dialect, block_bytes) == read_expected(text, dialect)


TABLE = 'id;a\r\n1;"x;""y"""\n2;5" é\r3;"\n"\n\n4;\n;""\n'


def test_no_damage_to_one_byte_gives_wrong_rows(tmp_path: Path) -> None:
    path = tmp_path / "damaged.csv"
    dialect = CsvDialect(delimiter=";")
    whole = TABLE.encode()
    signs = b';"\r\n x\\\x00\xc3\xa9\xff'
    kinds = set()
    for place in range(len("id;a\r\n"), len(whole)):
        damages = [whole[:place] + whole[place + 1 :], whole[: place + 1] + whole[place:], whole[:place]]
        damages += [whole[:place] + bytes([sign]) + whole[place + 1 :] for sign in signs]
        damages += [whole[:place] + bytes([sign]) + whole[place:] for sign in signs]
        for damaged in damages:
            path.write_bytes(damaged)
            try:
                text = damaged.decode()
            except UnicodeDecodeError as error:
                with pytest.raises(FileRefused, match=f"byte {error.start} of the file"):
                    list(CsvReading(path, dialect, ()).batches())
                kinds.add("encoding")
                continue
            if damaged.endswith(b"\0"):
                with pytest.raises(FileRefused, match="truncated"):
                    list(CsvReading(path, dialect, ()).batches())
                continue
            expected = read_expected(text, dialect)
            kinds.add("refused" if isinstance(expected, int) else "rejected" if expected.rejects else "loaded")
            assert read_fast(path, dialect, 7) == expected, damaged
    assert kinds == {"encoding", "refused", "rejected", "loaded"}
