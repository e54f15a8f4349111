"""Write to a terminal, a pipe or a program: lines, tables, JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dinmo_pipeline.inbound.inbox.file_names import printable
from dinmo_pipeline.masking import masked

if TYPE_CHECKING:
    pass


OUT = Console(highlight=False, soft_wrap=True)
ERR = Console(stderr=True, highlight=False, soft_wrap=True)
# Ends of lines, and what joins letters and emoji.
_LEFT = "\n\u200c\u200d"
# What JSON lets stand, and terminals obey: commands of eight bits, ends of lines, changes of direction.
_COMMANDS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def say(text: str) -> None:
    """Print a line of the result."""
    OUT.print(Text(written(text)))


def warn(text: str) -> None:
    """Print a line about something that may surprise, beside the result."""
    ERR.print(Text(written(masked(f"warning: {text}")), style="yellow"))


def show_waiting(text: str) -> None:
    """Print that something is waited for and, on a terminal, how to end that."""
    warn(f"{text}, Ctrl-C stops" if ERR.is_terminal else text)


def complain(text: str) -> None:
    """Print why the command failed."""
    ERR.print(Text(written(masked(text)), style="red"))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, texts: Collection[int]) -> None:
    """Show a table to people, tab-separated lines to a pipe; the columns number `texts` are no numbers."""
    if OUT.is_terminal:
        _print_table(columns, rows, texts, Table(box=None, pad_edge=False, header_style="bold"))
    else:
        _print_lines((columns, *rows))


def show_rows(columns: Sequence[str], rows: Iterable[Sequence[str]], *, texts: Collection[int]) -> None:
    """Show a table whose rows take their time, each as it comes."""
    for number, row in enumerate(rows):
        is_first = number == 0
        if OUT.is_terminal:
            # The whole width, so that the columns of all rows have one place.
            _print_table(columns, [row], texts, Table(box=None, pad_edge=False, header_style="bold", expand=True, show_header=is_first))
        else:
            _print_lines((columns, row) if is_first else (row,))


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], texts: Collection[int], table: Table) -> None:
    """Fill the table and print it; where it takes the whole width, texts get twice that of numbers."""
    for index, column in enumerate(columns):
        is_text = index in texts
        ratio = (2 if is_text else 1) if table.expand else None
        table.add_column(Text(column), justify="left" if is_text else "right", overflow="fold", ratio=ratio)
    for row in rows:
        table.add_row(*(Text(_one_line(value)) for value in row))
    Console(highlight=False).print(table)


def _print_lines(rows: Iterable[Sequence[str]]) -> None:
    """Print one line a row, tabs between: for `cut`, `awk` and eyes."""
    for row in rows:
        print("\t".join(_one_line(value) for value in row), flush=True)


def show_json(value: Any) -> None:
    """Print a value as JSON, for programs."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    sys.stdout.write(_COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def _one_line(value: str) -> str:
    return written(value.replace("\t", " ").replace("\n", " ").replace("\r", " "))


def written(text: str) -> str:
    """Return `text` as a terminal shows it and does nothing else.

    Values of others may hold its commands, or turn the direction of a line.
    """
    return "".join(character if character in _LEFT else printable(character) for character in text)


def plural(count: int, noun: str) -> str:
    """Return the number with its noun, as `1 file` or `1,000 files`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{'es' if noun.endswith('x') else 's'}"


def count_text(value: int | None) -> str:
    """Return the number with commas, or `-` for none."""
    return "-" if value is None else f"{value:,}"


def iso_text(instant: datetime | None) -> str | None:
    """Return the instant as programs get it (ISO 8601)."""
    return instant.isoformat() if instant is not None else None


def when_text(instant: datetime | None) -> str:
    """Return the instant as people are shown it, or `-` for none."""
    return "-" if instant is None else f"{instant:%Y-%m-%d %H:%M %Z}"
