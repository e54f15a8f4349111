"""What a feed says of the CSV files that it reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CsvDialect:
    """What a feed says of the CSV files that it reads. `delimiter` is None where the header tells; `escape` is None for doubled quotes."""

    delimiter: str | None = None
    quote: str = '"'
    escape: str | None = None
    encoding: str = "utf-8"
    null_text: tuple[str, ...] = ()
    skip_lines: int = 0
    skip_last_lines: int = 0
