"""The top of a CSV file: the lines to leave out, Excel's `sep=;`, the delimiter and the names of the columns."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, tee

from dinmo_pipeline.formats.csv.dialect import CsvDialect
from dinmo_pipeline.formats.csv.read_records import Records, read_blocks
from dinmo_pipeline.formats.csv.read_rejects import check_header
from dinmo_pipeline.formats.csv.read_scan import Scanner
from dinmo_pipeline.formats.csv.read_values import values
from dinmo_pipeline.formats.reader import FileRefused, is_ours, listed
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits, how_to_raise
from dinmo_pipeline.sql.identifiers import identifiers

DELIMITERS = (";", ",", "\t", "|")

_BREAK = re.compile(rb"\r\n|\r|\n")
_SEPARATOR_LINE = re.compile(rb'"?sep=([^"\r\n]{1,4})"?(?:\r\n|\r|\n|$)', re.IGNORECASE)
_SHOWN = 60


@dataclass(frozen=True)
class Header:
    """The columns as identifiers; `unnamed_last` when a delimiter ends the header, and with it every line."""

    delimiter: str
    columns: tuple[str, ...]
    unnamed_last: bool

    @property
    def fields(self) -> int:
        """How many fields each record has."""
        return len(self.columns) + self.unnamed_last


def without_first_lines(blocks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Yield the text after its first `count` lines."""
    after_cr = False
    for whole in blocks:
        block = whole.removeprefix(b"\n") if after_cr else whole
        after_cr = False
        while count and block:
            found = _BREAK.search(block)
            end = found.end() if found else len(block)
            count -= found is not None
            # The LF of a CR at the block's end begins the next one.
            after_cr = end == len(block) and block.endswith(b"\r")
            block = block[end:]
        if block:
            yield block


def take_separator_line(blocks: Iterator[bytes]) -> tuple[str | None, Iterator[bytes]]:
    """Return the delimiter that Excel's first line names, and the text after that line; None, and all of it, where there is none."""
    text = b""
    while len(text) < _SHOWN and (block := next(blocks, b"")):
        text += block
    found = _SEPARATOR_LINE.match(text)
    delimiter = found.group(1).decode() if found else ""
    if not found or len(delimiter) != 1:
        return None, chain([text] if text else [], blocks)
    rest = text[found.end() :]
    return delimiter, chain([rest] if rest else [], blocks)


def read_header(
    name: str,
    blocks: Iterator[bytes],
    line: int,
    dialect: CsvDialect,
    key: Collection[str],
    known: Collection[str] = (),
    limits: IntakeLimits = DEFAULT_LIMITS,
) -> Header:
    """Return the header of the text, which begins at this line, with the declared delimiter or the one that divides it into most names.

    `known` are columns that the feed has, perhaps by former names. FileRefused where there is no header, where names are unfit, too many
    or too long, and where a column of `key` is missing.
    """
    candidates = [each for each in DELIMITERS if each != dialect.quote] if dialect.delimiter is None else [dialect.delimiter]
    readings = {
        delimiter: _first_record(name, copy, line, Scanner(delimiter, dialect.quote, dialect.escape), limits)
        for delimiter, copy in zip(candidates, tee(blocks, len(candidates)), strict=True)
    }
    delimiter = _best(readings, key, known, limits)
    records, names = readings[delimiter]
    check_header(name, records)
    if (problem := _too_much(names, limits)) is not None:
        raise FileRefused(f"{name}: {problem}.")
    if len(names) == 1 and key and identifiers(names, known)[0] not in key:
        tried = "; , tab and | were tried" if dialect.delimiter is None else f"{dialect.delimiter!r} is declared"
        raise FileRefused(
            f"{name}: delimiter not recognised: {tried}, and the header is one column, {_short(names[0])}, "
            f"which is no key ({', '.join(key)}). Declare the feed's delimiter."
        )
    unnamed_last = len(names) > 1 and names[-1] == ""
    columns = _columns(name, names[:-1] if unnamed_last else names, known)
    for column in key:
        if column not in columns:
            nearest = difflib.get_close_matches(column, columns, n=1)
            hint = f" Is it {nearest[0]!r}?" if nearest else ""
            raise FileRefused(f"{name}: the key column {column!r} is missing; columns found: {listed(columns)}.{hint}")
    return Header(delimiter, columns, unnamed_last)


def _too_much(names: Sequence[str], limits: IntakeLimits) -> str | None:
    """Return why there are too many names, or one is too long; None where they will do."""
    if len(names) > limits.file_columns:
        told = f"its header has {len(names):,} columns, which is more than {limits.file_columns:,}"
        return f"{told}: ask for a file of fewer, or {how_to_raise('file_columns')}"
    for number, each in enumerate(names, 1):
        if len(each) > limits.column_name_characters:
            told = f"the name of column {number:,} has {len(each):,} characters, which is more than {limits.column_name_characters:,}"
            return f"{told}: {_short(each)}. Ask for a shorter one, or {how_to_raise('column_name_characters')}"
    return None


def _best(readings: dict[str, tuple[Records, list[str]]], key: Collection[str], known: Collection[str], limits: IntakeLimits) -> str:
    def merit(delimiter: str) -> tuple[bool, int]:
        _, names = readings[delimiter]
        # Identifiers of very many names, or of one of a megabyte, would take minutes.
        return _too_much(names, limits) is None and set(key) <= set(identifiers(names, known)), len(names)

    ranked = sorted(readings, key=merit, reverse=True)
    doubtful = len(ranked) > 1 and merit(ranked[0]) == merit(ranked[1])
    return DELIMITERS[0] if doubtful and DELIMITERS[0] in readings else ranked[0]


def _first_record(name: str, blocks: Iterator[bytes], line: int, scanner: Scanner, limits: IntakeLimits) -> tuple[Records, list[str]]:
    for block in read_blocks(name, blocks, scanner, line, limits):
        records = block.records()
        if records.size:
            break
    else:
        raise FileRefused(f"{name}: empty file: it has not even a header. Nothing was changed.")
    return records, [text or "" for text in values(records, records.fields(0), scanner.quote).to_pylist()]


def _columns(name: str, names: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    columns = tuple(identifiers(names, known))
    if "" in columns:
        places = [str(number) for number, column in enumerate(columns, 1) if not column]
        raise FileRefused(f"{name}: the header has no name for column {listed(places)}: {_quoted(names)}. Each column needs one.")
    doubles = {column for column, count in Counter(columns).items() if count > 1}
    if doubles:
        clashing = [each for each, column in zip(names, columns, strict=True) if column in doubles]
        raise FileRefused(
            f"{name}: names in the header are the same column ({listed(sorted(doubles))}): {_quoted(clashing)}. "
            "Names differ by more than case, spaces and signs."
        )
    reserved = [column for column in columns if is_ours(column)]
    if reserved:
        raise FileRefused(f"{name}: {_quoted(reserved)} in the header: names that the table keeps for itself. Ask for other names.")
    return columns


def _quoted(names: Sequence[str]) -> str:
    return listed([_short(each) for each in names])


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
