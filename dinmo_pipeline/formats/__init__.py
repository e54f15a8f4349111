"""File formats, by the name that an activation's `format` gives them."""

from __future__ import annotations

from dinmo_pipeline.formats.base import Format
from dinmo_pipeline.formats.csv.write import CsvFormat
from dinmo_pipeline.formats.json.write import JsonFormat
from dinmo_pipeline.formats.json.write_lines import NdjsonFormat
from dinmo_pipeline.formats.parquet.write import ParquetFormat
from dinmo_pipeline.formats.xml.write import XmlFormat

FORMATS: dict[str, type[Format]] = {
    "csv": CsvFormat,
    "json": JsonFormat,
    "ndjson": NdjsonFormat,
    "xml": XmlFormat,
    "parquet": ParquetFormat,
}
