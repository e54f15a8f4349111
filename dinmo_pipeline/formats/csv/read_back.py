"""Reading back the CSV that `write` wrote: its records are the inbound reader's, but every line is one, and nothing is let pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow
import pyarrow.compute as pc

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.csv.formulas import FORMULA_STARTS
from dinmo_pipeline.formats.csv.read_records import Records, read_blocks
from dinmo_pipeline.formats.csv.read_scan import Scanner
from dinmo_pipeline.formats.csv.read_values import values
from dinmo_pipeline.formats.text_reader import LIMITS

_QUOTE = '"'
_ESCAPED = f"^'([{''.join(FORMULA_STARTS).replace('-', '')}-])"


def cells(name: str, blocks: Iterator[bytes], delimiter: str, null_text: str, escaped: Sequence[bool]) -> Iterator[list[pyarrow.Array]]:
    """Yield the texts of the records that follow the header; `escaped` tells of each column whether formulas have a ' in it."""
    width = np.arange(len(escaped), dtype=np.int32)
    count = 0
    for block in read_blocks(name, blocks, Scanner(delimiter, _QUOTE, None), 1, LIMITS):
        records = block.records(blank_lines=True)
        _check(name, records, len(escaped), count)
        count += records.size
        texts = values(records, np.add.outer(width, records.firsts.astype(np.int32)).ravel(), ord(_QUOTE), (null_text.encode(),))
        columns = [texts.slice(index * records.size, records.size) for index in width.tolist()]
        yield [pc.replace_substring_regex(c, _ESCAPED, r"\1") if e else c for c, e in zip(columns, escaped, strict=True)]


def _check(name: str, records: Records, width: int, before: int) -> None:
    odd = np.flatnonzero(records.counts != width)
    if len(odd):
        at = int(odd[0])
        raise DataError(f"reading {name}: record {before + at + 1:,} has {int(records.counts[at]):,} values, and not {width:,}")
    if records.unended:
        raise DataError(f"reading {name}: it is cut off in record {before + records.size:,}")
    if len(records.found.faults):
        raise DataError(f"reading {name}: text follows a closing quote after record {before:,}")
