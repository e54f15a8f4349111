"""File formats, by the name that an activation's `format` gives them."""

from __future__ import annotations

from dinmo_pipeline.formats.contract import Format
from dinmo_pipeline.formats.csv import CsvFormat
from dinmo_pipeline.formats.json import JsonFormat
from dinmo_pipeline.formats.ndjson import NdjsonFormat
from dinmo_pipeline.formats.parquet import ParquetFormat
from dinmo_pipeline.formats.xml import XmlFormat

FORMATS: dict[str, type[Format]] = {
    "csv": CsvFormat,
    "json": JsonFormat,
    "ndjson": NdjsonFormat,
    "xml": XmlFormat,
    "parquet": ParquetFormat,
}
