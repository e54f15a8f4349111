"""Parquet: real types; what it has no type for becomes a type that holds every value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import duckdb
from pydantic import Field

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.base import Column, Format, Rows, Written
from dinmo_pipeline.formats.name_clashes import clashes
from dinmo_pipeline.formats.parquet.read_back import query
from dinmo_pipeline.formats.parquet.write_values import ParquetStyle, parquet_value, refusals
from dinmo_pipeline.formats.session import writing_settings
from dinmo_pipeline.formats.value_text import column_types
from dinmo_pipeline.local_files.scratch import new_file
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal


class ParquetFormat(Format):
    """Apache Parquet; the compression is inside the file, so its name ends in `parquet` alone."""

    type: Literal["parquet"] = "parquet"
    compression: Literal["zstd", "snappy", "gzip", "lz4", "brotli", "none"] = Field(
        default="zstd", description="Compression of the pages inside the file."
    )
    uuid: Literal["text", "native"] = Field(
        default="text", description="text: a UUID is a string, which every reader takes; native: Parquet's UUID."
    )
    time: Literal["text", "native"] = Field(
        default="text", description="text: a TIME is a string, 24:00:00 too; native: Parquet's time, in which 24:00:00 is refused."
    )
    json_columns: Literal["text", "native"] = Field(
        default="text", description="text: a JSON value is a string, which every reader takes; native: Parquet's JSON."
    )

    @property
    def extension(self) -> str:
        return "parquet"

    def write(self, connection: duckdb.DuckDBPyConnection, rows: Rows, local_path: Path) -> Written:
        style = self._style(rows)
        values = [parquet_value(column_type, f"v{index}", style) for index, column_type in enumerate(column_types(rows))]
        named = ", ".join(f"{value} AS {quote_identifier(column.name)}" for value, column in zip(values, rows.columns, strict=True))
        codec = "uncompressed" if self.compression == "none" else self.compression
        with writing_settings(connection, rows.timezone), new_file(local_path):
            try:
                connection.execute(
                    f"COPY (SELECT {named} FROM ({rows.query})) TO {quote_literal(str(local_path))} "
                    f"(FORMAT parquet, COMPRESSION {codec}, USE_TMP_FILE false)"
                )
            except duckdb.ConversionException as error:
                raise _refused(connection, rows, values, style) or error from error
        return Written()

    def read(self, connection: duckdb.DuckDBPyConnection, local_path: Path, columns: Sequence[Column], timezone: str) -> str:
        rows = Rows("", tuple(columns), timezone)
        return query(connection, local_path, rows, self._style(rows))

    def _style(self, rows: Rows) -> ParquetStyle:
        kinds = {"UUID": self.uuid, "TIME": self.time, "TIME_NS": self.time, "JSON": self.json_columns}
        return ParquetStyle(rows.timezone, frozenset(kind for kind, form in kinds.items() if form == "native"))

    def uncompressed(self) -> ParquetFormat:
        return self.model_copy(update={"compression": "none"})

    def name_problems(self, names: Sequence[str]) -> list[str]:
        problems = clashes(names, str.casefold, "are one column in Parquet: give them different names")
        return problems + ["a column of a Parquet file needs a name, and one is empty"] * ("" in names)


def _refused(connection: duckdb.DuckDBPyConnection, rows: Rows, values: Sequence[str], style: ParquetStyle) -> DataError | None:
    """Return the error that names a value which Parquet cannot hold; None where the query itself is at fault."""
    for index, (column, column_type, value) in enumerate(zip(rows.columns, column_types(rows), values, strict=True)):
        reason = refusals(column_type, style)
        if not reason:
            continue
        found = connection.execute(
            f"SELECT left(CAST(v{index} AS VARCHAR), 80) FROM ({rows.query}) WHERE v{index} IS NOT NULL AND TRY({value}) IS NULL LIMIT 1"
        ).fetchone()
        if found is not None:
            return DataError(
                f"writing Parquet: column {column.name!r} ({column.type}) holds {found[0]}, and {reason}; "
                "cast the column to VARCHAR in the query to send it as text"
            )
    return None
