"""`dinmo profile`: what is in a file that somebody sent."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dinmo_pipeline.cli.output import console
from dinmo_pipeline.errors import CallError

if TYPE_CHECKING:
    from dinmo_pipeline.inbound.profile.profile import Profile

_DELIMITERS = {"\t": "tab"}
_SHOWN = 40


def profile(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or JSON file, or one packed as .gz or .zst.")],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Read a sample of a file as an import would, and propose the feed for it."""
    # The readers of files are not loaded for commands that read none.
    from dinmo_pipeline.inbound.profile.profile import profile_file

    if not file.is_file():
        raise CallError(f"{file}: there is no such file")
    try:
        profiled = profile_file(file)
    except OSError as error:
        raise CallError(f"{file}: cannot be read: {error.strerror}") from error
    if as_json:
        console.show_json(_entry(profiled))
        return
    _show(profiled)


def _entry(profiled: Profile) -> dict[str, Any]:
    from dinmo_pipeline.inbound.profile.feed_yaml import feed_yaml, named_feed

    named = named_feed(profiled.file_name)
    return {
        "file": profiled.file_name,
        "format": "json" if profiled.delimiter is None else "csv",
        "delimiter": profiled.delimiter,
        "rows": profiled.rows,
        "whole_file": profiled.whole,
        "columns": [
            {
                "name": column.name,
                "type": column.type.type,
                "format": column.type.format,
                "decimal": column.type.decimal,
                "null_share": _share(column.nulls, profiled.rows),
                "distinct": column.distinct,
                "example": column.example,
                "note": column.guess.note,
            }
            for column in profiled.columns
        ],
        "keys": [list(key) for key in profiled.keys],
        "updated_at": list(profiled.updated_at),
        "rejected": list(profiled.rejected),
        "warnings": list(profiled.warnings),
        "named": asdict(named) if named is not None else None,
        "feed": feed_yaml(profiled),
    }


def _show(profiled: Profile) -> None:
    from dinmo_pipeline.inbound.profile.feed_yaml import feed_yaml

    kind = "JSON" if profiled.delimiter is None else f"CSV, delimiter {_DELIMITERS.get(profiled.delimiter, profiled.delimiter)}"
    sample = "all of it" if profiled.whole else "the beginning of it"
    console.say(f"{profiled.file_name}: {kind}; {profiled.rows:,} rows, {sample}")
    for warning in profiled.warnings:
        console.warn(warning)
    if profiled.rejected:
        more = f", and {len(profiled.rejected) - 1:,} more" if len(profiled.rejected) > 1 else ""
        console.warn(f"{profiled.file_name}: an import would reject {profiled.rejected[0]}{more}")
    rows = [
        (
            column.name,
            " ".join(filter(None, (column.type.type, column.type.format, "decimal comma" if column.type.decimal == "," else ""))),
            f"{_share(column.nulls, profiled.rows):.1%}",
            f"{column.distinct:,}",
            _shortened(column.example),
            column.guess.note or "",
        )
        for column in profiled.columns
    ]
    console.show_table(("column", "type", "null", "distinct", "most often", "note"), rows, texts=(0, 1, 4, 5))
    console.say(f"key: {', or '.join(' and '.join(key) for key in profiled.keys) or 'none found'}")
    console.say(f"times: {', '.join(profiled.updated_at) or 'none'}")
    console.say("")
    console.say(feed_yaml(profiled).rstrip("\n"))


def _shortened(text: str | None) -> str:
    if text is None:
        return ""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _share(nulls: int, rows: int) -> float:
    return round(nulls / rows, 4) if rows else 0.0
