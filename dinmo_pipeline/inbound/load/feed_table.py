"""Tables of feeds: made and widened as files need, filled by merging, appending or replacing.

Of the rows with one key the newest is kept: by `updated_at`, then by the date in the file's name, then by arrival, then by place
in the file. So the order in which files come does not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import duckdb

from dinmo_pipeline.engines.duckdb.rows import keys_are_single, row_count
from dinmo_pipeline.engines.duckdb.tables import shown_text, table_columns, table_exists, table_sql
from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.reader import LINE, RECORD
from dinmo_pipeline.inbound.load.column_types import ColumnType, Shape, at_home, shape_of
from dinmo_pipeline.inbound.load.numbers import room_of
from dinmo_pipeline.inbound.load.staging import ARRIVAL, FAULT, STAGED, Staged
from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal

FILE, LOADED_AT = "_file", "_loaded_at"
LINEAGE = (FILE, LINE, LOADED_AT)
_UPDATED_AT, _FILE_DATE = "_updated_at", "_file_date"
_AGE = (_UPDATED_AT, _FILE_DATE, ARRIVAL)
_OWN = {
    FILE: "VARCHAR",
    LINE: "BIGINT",
    LOADED_AT: "TIMESTAMP WITH TIME ZONE",
    _UPDATED_AT: "TIMESTAMP WITH TIME ZONE",
    _FILE_DATE: "DATE",
    ARRIVAL: "BIGINT",
}
_KEPT = "temp.main.kept"
_LARGEST = "_largest"
# Each ALTER TABLE keeps another list of all columns until the transaction ends: so many entries of these take some 50 MB.
_MOST_ALTERED = 50_000


@dataclass(frozen=True)
class Counted:
    """What the staged records of one file came to: all of them, those without a key, those with a bad value.

    `undated`: whether none of the others has an `updated_at`.
    """

    records: int
    skipped: int
    faulty: int
    undated: bool


@dataclass(frozen=True)
class AcceptedFile:
    """A file whose rows are to be loaded: its number, its name and the date in that."""

    arrival: int
    name: str
    date: date


class FeedTable:
    """The table of one feed, while a batch of its files is staged."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, feed: FeedSpec) -> None:
        self._connection = connection
        self._feed = feed
        self._sql = table_sql(feed.ref)

    def columns(self) -> dict[str, str]:
        """Return the columns that came from files, and their DuckDB types; none when there is no table yet."""
        if not table_exists(self._connection, self._feed.ref):
            return {}
        return {column.name: column.type for column in table_columns(self._connection, self._sql) if column.name not in _OWN}

    def shapes(self, types: Mapping[str, ColumnType]) -> dict[str, Shape]:
        """Return how wide the table's columns are, or must become to be of these types."""
        shapes = {}
        for name, known in self.columns().items():
            if name not in types:
                continue
            if types[name].takes(known):
                shapes[name] = shape_of(known)
            else:
                shapes[name] = types[name].shape_needed(self._connection, self._sql, f"CAST({quote_identifier(name)} AS VARCHAR)")
        return shapes

    def rows(self) -> int:
        """Return how many rows it has."""
        if not table_exists(self._connection, self._feed.ref):
            return 0
        return row_count(self._connection, self._sql)

    def clear(self) -> None:
        """Delete all rows, if there is a table."""
        if table_exists(self._connection, self._feed.ref):
            self._connection.execute(f"DELETE FROM {self._sql}")

    def digits(self, name: str) -> int:
        """Return how many digits before the point the values of a column of numbers have."""
        [(largest,)] = self._connection.execute(f"SELECT max(abs({quote_identifier(name)})) FROM {self._sql}").fetchall()
        return len(str(int(largest))) if largest else 0

    def scale(self, name: str) -> int:
        """Return how many digits after the point the values of a column of numbers have, without zeros at their end."""
        fraction = f"rtrim(split_part(CAST({quote_identifier(name)} AS VARCHAR), '.', 2), '0')"
        [(longest,)] = self._connection.execute(f"SELECT coalesce(max(length({fraction})), 0) FROM {self._sql}").fetchall()
        return int(longest)

    def count_staged(self, staged: Staged, arrival: int | None = None) -> dict[int, Counted]:
        """Return how the staged records of each file, or of one, count, by its arrival; files without records are not there."""
        of_file = "" if arrival is None else f"WHERE {ARRIVAL} = {arrival} "
        updated_at = self._feed.updated_at
        dated = staged.filled(updated_at) if updated_at is not None and updated_at in staged.types else "false"
        rows = self._connection.execute(
            f"SELECT {ARRIVAL}, count(*), count(*) FILTER ({FAULT} IS NULL AND NOT ({staged.good})), count({FAULT}), "
            f"count(*) FILTER ({staged.good} AND {dated}) = 0 FROM {STAGED} {of_file}GROUP BY {ARRIVAL}"
        ).fetchall()
        return {arrival: Counted(*counts) for arrival, *counts in rows}

    def load(
        self, files: Sequence[AcceptedFile], staged: Staged, shapes: Mapping[str, Shape], texts: Collection[str], *, at: datetime
    ) -> None:
        """Bring the good staged rows of these files in, in the caller's transaction; the table is made or widened as they need.

        `shapes` are those of the files' columns, and hold these rows and the table's; `texts` are columns some of whose values are staged
        as texts. DataError when old values are none of a column's new type.
        """
        if self._feed.load == "replace":
            self.clear()
        types = {name: staged.types[name] for name in shapes}
        self._fit(types, shapes)
        self._keep(files, staged, shapes, texts, at)
        names = (*types, *_OWN)
        listed = ", ".join(map(quote_identifier, names))
        match self._feed.load:
            case "append":
                self._connection.execute(f"INSERT INTO {self._sql} ({listed}) SELECT {listed} FROM {_KEPT}")
            case "replace":
                self._connection.execute(f"INSERT INTO {self._sql} ({listed}) SELECT {listed} FROM {self._newest()}")
            case "merge":
                self._merge(listed)

    def _merge(self, listed: str) -> None:
        """Delete the rows that newer ones replace, and insert all but those that are older than what is there.

        MERGE would take longer: it updates column by column. The newest record is taken whole: what its file lacks is null.
        """
        newest = self._newest()
        same_key = " AND ".join(f"old.{name} = new.{name}" for name in map(quote_identifier, self._feed.primary_key))
        not_older = f"({', '.join(f'new.{name}' for name in _AGE)}) >= ({', '.join(f'old.{name}' for name in _AGE)})"
        self._connection.execute(
            f"CREATE OR REPLACE TEMP TABLE outdated AS SELECT new.{ARRIVAL}, new.{RECORD} "
            f"FROM {self._sql} AS old JOIN {newest} AS new ON {same_key} WHERE NOT {not_older}"
        )
        self._connection.execute(f"DELETE FROM {self._sql} AS old USING {newest} AS new WHERE {same_key} AND {not_older}")
        self._connection.execute(
            f"INSERT INTO {self._sql} ({listed}) SELECT {listed} FROM {newest} ANTI JOIN temp.main.outdated USING ({ARRIVAL}, {RECORD})"
        )

    def _fit(self, types: Mapping[str, ColumnType], shapes: Mapping[str, Shape]) -> None:
        wanted = {name: type_.sql_type(shapes[name]) for name, type_ in types.items()}
        if not table_exists(self._connection, self._feed.ref):
            columns = ", ".join(f"{quote_identifier(name)} {type_}" for name, type_ in {**wanted, **_OWN}.items())
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(self._feed.ref.kind)}")
            self._connection.execute(f"CREATE TABLE {self._sql} ({columns})")
            return
        known = self.columns()
        changed = {}
        for name, sql_type in wanted.items():
            if known.get(name, sql_type) != sql_type:
                column = quote_identifier(name)
                value = types[name].value(f"CAST({column} AS VARCHAR)", shapes[name])
                if room_of(known[name]) is not None and room_of(sql_type) is not None:
                    value = f"TRY_CAST({column} AS {sql_type})"
                self._require_convertible(types[name], known[name], value)
                changed[name] = value
        added = [name for name in wanted if name not in known]
        if (len(added) + len(changed)) * (len(added) + len(known)) > _MOST_ALTERED:
            self._rewrite(wanted, added, changed)
            return
        for name in added:
            self._connection.execute(f"ALTER TABLE {self._sql} ADD COLUMN {quote_identifier(name)} {wanted[name]}")
        for name, value in changed.items():
            self._connection.execute(f"ALTER TABLE {self._sql} ALTER COLUMN {quote_identifier(name)} TYPE {wanted[name]} USING {value}")

    def _rewrite(self, wanted: Mapping[str, str], added: Sequence[str], changed: Mapping[str, str]) -> None:
        """Put a copy in the table's place, with the columns `added` behind its own, and with the SQL of `changed` for what these hold."""
        kept = [column.name for column in table_columns(self._connection, self._sql)]
        values = [f"CAST({changed[name]} AS {wanted[name]})" if name in changed else quote_identifier(name) for name in kept]
        values += [f"CAST(NULL AS {wanted[name]})" for name in added]
        listed = ", ".join(f"{value} AS {quote_identifier(name)}" for value, name in zip(values, [*kept, *added], strict=True))
        self._connection.execute(f"CREATE OR REPLACE TABLE {self._sql} AS SELECT {listed} FROM {self._sql}")

    def _require_convertible(self, type_: ColumnType, known: str, value: str) -> None:
        name = type_.column.name
        text = f"CAST({quote_identifier(name)} AS VARCHAR)"
        [(lost, example)] = self._connection.execute(
            f"SELECT count(*), any_value({shown_text(quote_identifier(name))}) FROM {self._sql} "
            f"WHERE {text} IS NOT NULL AND {value} IS NULL"
        ).fetchall()
        if lost:
            raise DataError(
                f"loading {self._feed.ref}: its column {name} is {known} in the table, and {lost:,} of its values are no "
                f"{type_.column.type}, such as {example!r}; nothing was loaded. Declare it as it was, or as text"
            )

    def _keep(
        self, files: Sequence[AcceptedFile], staged: Staged, shapes: Mapping[str, Shape], texts: Collection[str], at: datetime
    ) -> None:
        """Name the staged rows that count, with their lineage, `kept`; a null `updated_at` becomes the largest of its file's."""
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE accepted ({ARRIVAL} BIGINT, {FILE} VARCHAR, {_FILE_DATE} DATE)")
        told = [[file.arrival for file in files], [file.name for file in files], [file.date for file in files]]
        self._connection.execute("INSERT INTO temp.main.accepted SELECT unnest(?), unnest(?), unnest(?)", told)
        # A file's column may be called rowid, as each table has one, and no query.
        accepted = "(FROM temp.main.accepted)"
        values = {name: staged.value(name, shapes[name], texts=name in texts) for name in shapes}
        updated_at = self._feed.updated_at
        largest, instant = "CAST(NULL AS DATE)", "CAST(NULL AS TIMESTAMP WITH TIME ZONE)"
        if updated_at is not None and updated_at in values:
            largest = f"max({values[updated_at]})"
            values[updated_at] = f"coalesce({values[updated_at]}, {_LARGEST})"
            instant = values[updated_at] if shapes[updated_at].timed else self._midnight(values[updated_at])
        own = {
            LOADED_AT: f"CAST({quote_literal(at.isoformat())} AS TIMESTAMP WITH TIME ZONE)",
            _UPDATED_AT: f"coalesce({instant}, {self._midnight(_FILE_DATE)})",
        }
        columns = [f"{value} AS {quote_identifier(name)}" for name, value in values.items()]
        columns += [f"{own.get(name, name)} AS {name}" for name in (*_OWN, RECORD)]
        self._connection.execute(
            f"CREATE OR REPLACE TEMP TABLE largest AS SELECT {ARRIVAL}, {largest} AS {_LARGEST} FROM {STAGED} "
            f"JOIN {accepted} USING ({ARRIVAL}) WHERE {staged.good} GROUP BY {ARRIVAL}"
        )
        self._connection.execute(
            f"CREATE OR REPLACE TEMP VIEW kept AS SELECT {', '.join(columns)} FROM {STAGED} AS staged "
            f"JOIN {accepted} USING ({ARRIVAL}) JOIN (FROM temp.main.largest) USING ({ARRIVAL}) WHERE {staged.good}"
        )

    def _newest(self) -> str:
        """Return the kept rows, of each key the newest, as an SQL source."""
        key = [quote_identifier(name) for name in self._feed.primary_key]
        if keys_are_single(self._connection, key, _KEPT):
            return _KEPT
        order = ", ".join(f"{name} DESC" for name in (*_AGE, RECORD))
        return f"(SELECT * FROM {_KEPT} QUALIFY row_number() OVER (PARTITION BY {', '.join(key)} ORDER BY {order}) = 1)"

    def _midnight(self, day: str) -> str:
        return at_home(f"CAST({day} AS TIMESTAMP)", self._feed.timezone)
