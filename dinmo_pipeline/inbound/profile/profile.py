"""What a file of a partner looks like: a sample of it, read as an import would, and what can be said of its columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path
from typing import Final

import duckdb
import pyarrow

from dinmo_pipeline.engines.duckdb.connection import interruptible, isolate
from dinmo_pipeline.engines.duckdb.rows import keys_are_single
from dinmo_pipeline.formats.csv.dialect import CsvDialect
from dinmo_pipeline.formats.csv.read import CsvReading, open_csv
from dinmo_pipeline.formats.decompress import open_plain
from dinmo_pipeline.formats.json.find_pieces import pieces_of
from dinmo_pipeline.formats.json.read import JsonReading
from dinmo_pipeline.formats.json.read_pieces import Beginning
from dinmo_pipeline.formats.reader import Reading
from dinmo_pipeline.inbound.profile.inference import Guess, guess_columns
from dinmo_pipeline.project.inbound_specs import InboundColumn
from dinmo_pipeline.sql.quoting import quote_identifier

SAMPLE_ROWS: Final = 100_000
SAMPLE_BYTES: Final = 64 * 1024 * 1024
# Columns are looked at together, as many as have so many values: a query for each of thousands takes longer than all else.
_VALUES_AT_ONCE: Final = 2_000_000

_JSON_NAME = re.compile(r"\.(json|ndjson|jsonl)(\.gz|\.zst)?$", re.IGNORECASE)
_CSV_NAME = re.compile(r"\.csv(\.gz|\.zst)?$", re.IGNORECASE)
_KEY_TYPES = ("text", "number")
_KEY_NAMES = (r"(.*_)?(id|uuid|guid|key|identifier)", r"(.*_)?(code|number|no|ref|reference|sku|ean)", r".*mail.*")
# Words for a change, not those that hold one: exchange, credit.
_UPDATE_NAMES = re.compile(r"date|timestamp|ts|.*(updat|modif|aktualis|geaendert|geändert).*|(.*_)?(last_?)?(chang|edit).*|(.*_)?maj(_.*)?")
_PAIRED_COLUMNS = 20


@dataclass(frozen=True)
class ColumnProfile:
    """A column of the sample: the type that fits, how many of its values are null and how many differ, and one of them.

    `blank` says whether one is empty or only spaces, `fractions` whether one has a point.
    """

    guess: Guess
    nulls: int
    distinct: int
    example: str | None
    blank: bool
    fractions: bool

    @property
    def name(self) -> str:
        return self.guess.column.name

    @property
    def type(self) -> InboundColumn:
        """How it is to be declared."""
        return self.guess.column


@dataclass(frozen=True)
class Profile:
    """What the first rows of a file tell. `whole` says whether they are all of them, `delimiter` is None for JSON.

    `keys` are the likeliest first: columns, or else pairs of them, that are never null and never the same twice. `updated_at` are
    the columns that hold times, those first whose name says that they tell when a record changed.
    """

    file_name: str
    delimiter: str | None
    rows: int
    rejected: tuple[str, ...]
    whole: bool
    columns: tuple[ColumnProfile, ...]
    keys: tuple[tuple[str, ...], ...]
    updated_at: tuple[str, ...]
    warnings: tuple[str, ...]


def profile_file(path: Path) -> Profile:
    """Read at most SAMPLE_ROWS rows or SAMPLE_BYTES of a local CSV or JSON file. FileRefused where an import would refuse it, too."""
    reading: JsonReading | CsvReading
    if _is_json(path):
        beginning = Beginning(pieces_of(path), SAMPLE_BYTES)
        reading = JsonReading(path.name, beginning)
        sample, complete = _sample(reading)
        whole = complete and beginning.whole
    else:
        reading = open_csv(path, CsvDialect())
        sample, whole = _sample(reading)
    with duckdb.connect() as connection, interruptible():
        # It would be written between the lines of the command.
        connection.execute("SET enable_progress_bar = false")
        isolate(connection)
        columns = tuple(_columns(connection, reading.columns, sample))
        keys = tuple(_keys(connection, columns, sample))
    return Profile(
        file_name=path.name,
        delimiter=reading.delimiter if isinstance(reading, CsvReading) else None,
        rows=sample.num_rows,
        rejected=tuple(f"line {reject.line}: {reject.reason}" for reject in reading.rejects),
        whole=whole,
        columns=columns,
        keys=keys,
        updated_at=tuple(_times(columns)),
        warnings=tuple(reading.warnings),
    )


def _is_json(path: Path) -> bool:
    if _JSON_NAME.search(path.name) or _CSV_NAME.search(path.name):
        return _JSON_NAME.search(path.name) is not None
    with open_plain(path) as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")


def _sample(reading: Reading) -> tuple[pyarrow.Table, bool]:
    """Return the rows to look at, and whether they are all."""
    taken: list[pyarrow.RecordBatch] = []
    rows = size = 0
    for batch in reading.batches():
        if rows >= SAMPLE_ROWS or size >= SAMPLE_BYTES:
            return pyarrow.Table.from_batches(taken, schema=reading.schema), False
        part = batch.slice(0, SAMPLE_ROWS - rows)
        taken.append(part)
        rows, size = rows + len(part), size + part.nbytes
        if len(part) < len(batch):
            return pyarrow.Table.from_batches(taken, schema=reading.schema), False
    return pyarrow.Table.from_batches(taken, schema=reading.schema), True


def _columns(connection: duckdb.DuckDBPyConnection, names: tuple[str, ...], sample: pyarrow.Table) -> Iterator[ColumnProfile]:
    numbered = list(enumerate(names))
    at_once = max(1, _VALUES_AT_ONCE // max(1, sample.num_rows))
    for begin in range(0, len(numbered), at_once):
        yield from _some_columns(connection, dict(numbered[begin : begin + at_once]), sample)


def _some_columns(connection: duckdb.DuckDBPyConnection, names: Mapping[int, str], sample: pyarrow.Table) -> Iterator[ColumnProfile]:
    schema = pyarrow.schema([("number", pyarrow.int32()), ("text", pyarrow.large_string())])
    values = (
        pyarrow.RecordBatch.from_arrays([pyarrow.repeat(pyarrow.scalar(number, pyarrow.int32()), len(chunk)), chunk], schema=schema)
        for number, name in names.items()
        for chunk in sample.column(name).chunks
    )
    connection.register("all_values", pyarrow.RecordBatchReader.from_batches(schema, values))
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE texts AS SELECT number, text, count(*) AS times FROM all_values WHERE text IS NOT NULL GROUP BY ALL"
    )
    # The most frequent value, since an odd one says little.
    counted = connection.execute(
        "SELECT number, count(*), CAST(sum(times) AS BIGINT), max_by(text, times), bool_or(trim(text) = ''), bool_or(contains(text, '.')) "
        "FROM texts GROUP BY number"
    )
    found = {number: values for number, *values in counted.fetchall()}
    guesses = guess_columns(connection, names, "texts")
    for number in names:
        distinct, filled, example, blank, fractions = found.get(number, (0, 0, None, False, False))
        yield ColumnProfile(guesses[number], sample.num_rows - filled, distinct, example, blank, fractions)


def _keys(connection: duckdb.DuckDBPyConnection, columns: tuple[ColumnProfile, ...], sample: pyarrow.Table) -> list[tuple[str, ...]]:
    rows = sample.num_rows
    if not rows:
        return []
    filled = sorted(filter(_may_be_key, columns), key=lambda column: _key_rank(column.name))
    single: list[tuple[str, ...]] = [(column.name,) for column in filled if column.distinct == rows]
    if single:
        return single
    paired = [column for column in filled if column.distinct > 1][:_PAIRED_COLUMNS]
    if not paired:
        return []
    likely = sorted(combinations(paired, 2), key=lambda pair: sum(_key_rank(column.name) for column in pair))
    connection.register("sample", sample.select([column.name for column in paired]))
    return list(islice(((one.name, other.name) for one, other in likely if _is_unique(connection, one, other)), 3))


def _may_be_key(column: ColumnProfile) -> bool:
    if column.nulls or column.blank or column.type.type not in _KEY_TYPES or column.type.decimal != ".":
        return False
    # A measure has fractions, a key has none, and what is blank is a missing key.
    return column.type.type == "text" or not column.fractions


def _is_unique(connection: duckdb.DuckDBPyConnection, *columns: ColumnProfile) -> bool:
    return keys_are_single(connection, [quote_identifier(column.name) for column in columns], "sample")


def _key_rank(name: str) -> int:
    return next((rank for rank, pattern in enumerate(_KEY_NAMES) if re.fullmatch(pattern, name)), len(_KEY_NAMES))


def _times(columns: tuple[ColumnProfile, ...]) -> list[str]:
    times = [column for column in columns if column.type.type in ("date", "timestamp")]
    return [column.name for column in sorted(times, key=lambda column: (not tells_change(column.name), column.nulls))]


def tells_change(name: str) -> bool:
    """Return whether a column of this name says when its record was last changed."""
    return _UPDATE_NAMES.fullmatch(name) is not None
