"""Public corpora: each file is read as Python's csv module reads it, or refused in words that say why."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from dinmo_pipeline.formats.csv.dialect import CsvDialect
from dinmo_pipeline.formats.csv.read import open_csv
from dinmo_pipeline.formats.decompress import open_plain
from dinmo_pipeline.formats.reader import FileRefused
from dinmo_pipeline_tests.inbound.corpora import corpus_file, names

FOLDERS = ("csv_spectrum", "csvkit", "data_table")
FILES = [f"{folder}/{name}" for folder in FOLDERS for name in names(folder)]

REFUSED = {
    "csvkit/empty.csv": "empty file",
    "csvkit/test_empty_columns.csv": "no name for column 4",
    "csvkit/test_latin1.csv": r"byte 16 of the file.*not utf-8",
    "csvkit/test_utf16_big.csv": r"byte 0 of the file.*\(fe ff",
    "csvkit/test_utf16_little.csv": r"byte 0 of the file.*\(ff fe",
    "data_table/1680-fread-header-encoding.csv": "byte 8 of the file",
    "data_table/bad.txt": "no name for column 1, 2, 3",
    "data_table/fread_line_error.csv": "no name for column 14",
    "data_table/gb18030.txt": "byte 0 of the file",
    "data_table/grr.csv.gz": "the same column",
    "data_table/issue_1113_fread.txt": "the same column",
    "data_table/issue_1462_fread_quotes.txt.gz": "no name for column 2",
    "data_table/melt-warning-1752.tsv.gz": "byte 5,649 of the file",
    "data_table/melt_1754_synth.csv": r"the same column \(smoking75, smoking80, smoking88\)",
    "data_table/russellCRCRLF.csv": "byte 89 of the file",
    "data_table/russellCRLF.csv": "byte 87 of the file",
    "data_table/session_aborted_fatal_error.txt": "the same column",
    "data_table/utf16be.txt": "byte 0 of the file",
    "data_table/utf16le.txt": "byte 0 of the file",
}
DECLARED = {
    "csvkit/test_latin1.csv": "latin-1",
    "csvkit/test_utf16_big.csv": "utf-16",
    "csvkit/test_utf16_little.csv": "utf-16",
    "data_table/gb18030.txt": "gb18030",
    "data_table/russellCRCRLF.csv": "cp1252",
    "data_table/russellCRLF.csv": "cp1252",
    "data_table/utf16be.txt": "utf-16",
    "data_table/utf16le.txt": "utf-16",
}


def check_read_right(path: Path, encoding: str) -> None:
    """Each record of Python's reader is a row with its values or a reject, for a reason that Python's rows show as well."""
    reading = open_csv(path, CsvDialect(encoding=encoding))
    rows = {
        record: [value or "" for value in values]
        for batch in reading.batches()
        for record, _, *values in zip(*batch.to_pydict().values(), strict=True)
    }
    with open_plain(path) as file:
        text = file.read().decode("utf-8-sig" if encoding == "utf-8" else encoding)
    header, *expected = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=reading.delimiter) if row]

    assert sorted([*rows, *(reject.record for reject in reading.rejects)]) == list(range(1, len(expected) + 1))
    assert [expected[record - 1][: len(reading.columns)] for record in rows] == list(rows.values())
    assert {len(expected[record - 1]) for record in rows} <= {len(header)}
    originals = dict(reading.originals([reject.record for reject in reading.rejects]))
    for reject in reading.rejects:
        if reject.reason == "text after a closing quote":
            with pytest.raises(csv.Error):
                list(csv.reader(io.StringIO(originals[reject.record], newline=""), delimiter=reading.delimiter, strict=True))
        elif reject.reason == "a NUL byte in the value":
            assert "\0" in originals[reject.record]
        else:
            assert len(expected[reject.record - 1]) != len(header) or expected[reject.record - 1][-1] != ""


@pytest.mark.parametrize("name", [name for name in FILES if name not in REFUSED])
def test_a_file_is_read_as_pythons_csv_module_reads_it(name: str) -> None:
    check_read_right(corpus_file(name), "utf-8")


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_taken_is_refused_in_words(name: str) -> None:
    path = corpus_file(name)

    with pytest.raises(FileRefused, match=rf"^{path.name}: .*{REFUSED[name]}"):
        list(open_csv(path, CsvDialect()).batches())


@pytest.mark.parametrize("name", DECLARED)
def test_a_file_in_another_encoding_is_read_when_it_is_declared(name: str) -> None:
    check_read_right(corpus_file(name), DECLARED[name])


def test_all_three_corpora_are_there() -> None:
    assert {folder: len(names(folder)) for folder in FOLDERS} == {"csv_spectrum": 12, "csvkit": 68, "data_table": 44}
