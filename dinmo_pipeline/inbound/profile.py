"""What a file of a partner looks like: a sample of it, read as an import would, and what can be said of its columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path
from typing import Final

import duckdb
import pyarrow

from dinmo_pipeline.inbound.csv_reading import CsvReading, open_csv
from dinmo_pipeline.inbound.guessing import Guess, guess
from dinmo_pipeline.inbound.json_pieces import Beginning, pieces_of
from dinmo_pipeline.inbound.json_reading import JsonReading
from dinmo_pipeline.inbound.opening import open_plain
from dinmo_pipeline.inbound.reading import Reading
from dinmo_pipeline.project.specs import CsvDialect, InboundColumn
from dinmo_pipeline.warehouse.identifiers import quote_identifier
from dinmo_pipeline.warehouse.rows import keys_are_single

SAMPLE_ROWS: Final = 100_000
SAMPLE_BYTES: Final = 64 * 1024 * 1024

_JSON_NAME = re.compile(r"\.(json|ndjson|jsonl)(\.gz|\.zst)?$", re.IGNORECASE)
_CSV_NAME = re.compile(r"\.csv(\.gz|\.zst)?$", re.IGNORECASE)
_KEY_TYPES = ("text", "number")
_KEY_NAMES = (r"(.*_)?(id|uuid|guid|key|identifier)", r"(.*_)?(code|number|no|ref|reference|sku|ean)", r".*mail.*")
# Words for a change, not those that hold one: exchange, credit.
_UPDATE_NAMES = re.compile(r"date|timestamp|ts|.*(updat|modif|aktualis|geaendert|geändert).*|(.*_)?(last_?)?(chang|edit).*|(.*_)?maj(_.*)?")
_PAIRED_COLUMNS = 20


@dataclass(frozen=True)
class ColumnProfile:
    """A column of the sample: the type that fits, how many of its values are null and how many differ, and one of them."""

    guess: Guess
    nulls: int
    distinct: int
    example: str | None

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
    with duckdb.connect() as connection:
        # It would be written between the lines of the command.
        connection.execute("SET enable_progress_bar = false")
        connection.register("sample", sample)
        columns = tuple(_column(connection, name, sample.column(name)) for name in reading.columns)
        keys = tuple(_keys(connection, columns, sample.num_rows))
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
    """The rows to look at, and whether they are all."""
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


def _column(connection: duckdb.DuckDBPyConnection, name: str, values: pyarrow.ChunkedArray) -> ColumnProfile:
    # Alone: to find one column among thousands takes longer than to look at it.
    connection.register("one", pyarrow.table({"text": values}))
    connection.execute("CREATE OR REPLACE TEMP TABLE texts AS SELECT text, count(*) AS times FROM one WHERE text IS NOT NULL GROUP BY ALL")
    rows = len(values)
    # The most frequent value, since an odd one says little.
    found = connection.execute("SELECT count(*), coalesce(sum(times), 0), max_by(text, times) FROM texts").fetchall()
    [(distinct, filled, example)] = found
    return ColumnProfile(guess(connection, name, "texts"), rows - int(filled), distinct, example)


def _keys(connection: duckdb.DuckDBPyConnection, columns: tuple[ColumnProfile, ...], rows: int) -> list[tuple[str, ...]]:
    if not rows:
        return []
    filled = sorted((column for column in columns if _may_be_key(connection, column)), key=lambda column: _key_rank(column.name))
    single: list[tuple[str, ...]] = [(column.name,) for column in filled if column.distinct == rows]
    if single:
        return single
    pairs = combinations([column for column in filled if column.distinct > 1][:_PAIRED_COLUMNS], 2)
    likely = sorted(pairs, key=lambda pair: sum(_key_rank(column.name) for column in pair))
    return list(islice(((one.name, other.name) for one, other in likely if _is_unique(connection, one, other)), 3))


def _may_be_key(connection: duckdb.DuckDBPyConnection, column: ColumnProfile) -> bool:
    if column.nulls or column.type.type not in _KEY_TYPES or column.type.decimal != ".":
        return False
    name = quote_identifier(column.name)
    # A measure has fractions, a key has none, and what is blank is a missing key.
    unfit = f"trim({name}) = ''" + (f" OR contains({name}, '.')" if column.type.type == "number" else "")
    return connection.execute(f"SELECT 1 FROM sample WHERE {unfit} LIMIT 1").fetchall() == []


def _is_unique(connection: duckdb.DuckDBPyConnection, *columns: ColumnProfile) -> bool:
    return keys_are_single(connection, [quote_identifier(column.name) for column in columns], "sample")


def _key_rank(name: str) -> int:
    return next((rank for rank, pattern in enumerate(_KEY_NAMES) if re.fullmatch(pattern, name)), len(_KEY_NAMES))


def _times(columns: tuple[ColumnProfile, ...]) -> list[str]:
    times = [column for column in columns if column.type.type in ("date", "timestamp")]
    return [column.name for column in sorted(times, key=lambda column: (not tells_change(column.name), column.nulls))]


def tells_change(name: str) -> bool:
    """Whether a column of this name says when its record was last changed."""
    return _UPDATE_NAMES.fullmatch(name) is not None
