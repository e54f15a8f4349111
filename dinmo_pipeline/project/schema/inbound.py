"""What YAML may say of an inbox, of a feed and of a feed's columns: every option, its values and its default.

These models check one definition by itself; what it refers to is checked in `inboxes`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from dinmo_pipeline.formats.csv.write import Encoding
from dinmo_pipeline.project.schema.expected import ExpectedFields
from dinmo_pipeline.project.schema.field_types import Fields, Name, Text, TextOrList, Timezone, check_text, different, typed
from dinmo_pipeline.project.schema.file_names import done_file_problem
from dinmo_pipeline.sql.identifiers import identifier
from dinmo_pipeline.suggestions import nearest_hint

Entity = Literal["contacts", "consents", "stores", "products", "orders", "ordersitems", "events"]
ENTITIES: tuple[str, ...] = get_args(Entity)
CSV_ONLY = ("delimiter", "quote", "escape", "encoding", "null_text", "skip_lines", "skip_last_lines")

_FILE_NAME_PART = re.compile(r"[a-z0-9][a-z0-9_]*")
_DIRECTIVE = re.compile(r"%(-?.?)")
# Those that DuckDB's strptime reads, and the example that every message about them ends in.
_LETTERS = frozenset("aAwdbBmyYHIpMSfgnzZjUWcxX%") | {f"-{letter}" for letter in "dmyHIMSj"}
_DATE_EXAMPLE = "write the parts of a date as in %d/%m/%Y %H:%M:%S"
_PERCENTAGE = re.compile(r"(\d+(?:\.\d+)?) ?%")


def _file_name_part(text: str) -> str:
    good = bool(_FILE_NAME_PART.fullmatch(text))
    return check_text(text, good, f"{text!r} is no part of a file name here; write small letters, digits and _")


def _identifier(text: str) -> str:
    name = identifier(text)
    return check_text(name, bool(name), f"{text!r} has no letter or digit, so it is no name of a column")


def _done_file(text: str) -> str:
    problem = done_file_problem(text)
    return check_text(text, problem is None, problem or "")


def _tab(value: object) -> object:
    return "\t" if value == "\\t" else value


def _one_character(text: str) -> str:
    return check_text(text, len(text) == 1 and text not in "\r\n\0", f"{text!r} is not one character; write one, or \\t for a tab")


def _encoding(text: str) -> str:
    try:
        "".encode(text)
        known = True
    except LookupError:
        known = False
    return check_text(text, known, f"unknown encoding {text!r}{nearest_hint(text, get_args(Encoding))}")


def _date_format(text: str) -> str:
    letters: list[str] = _DIRECTIVE.findall(text)
    check_text(text, bool(letters), f"{text!r} has no % in it; {_DATE_EXAMPLE}")
    unknown = next((letter for letter in letters if letter not in _LETTERS), "")
    return check_text(text, not unknown and "" not in letters, f"{text!r}: no part of a date is written %{unknown}; {_DATE_EXAMPLE}")


def _rejected(value: Any) -> Any:
    match = _PERCENTAGE.fullmatch(value) if isinstance(value, str) else None
    if match is not None and float(match[1]) <= 100:
        return float(match[1]) / 100
    count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    check_text("", count or value is None, f"{value!r} is neither a number of rows, such as 50, nor a share of them, such as 0.5%")
    return value


ColumnNames = Annotated[list[Annotated[Text, AfterValidator(_identifier)]], TextOrList, AfterValidator(different)]
Character = Annotated[str, BeforeValidator(_tab), AfterValidator(_one_character)]
FileNamePart = Annotated[str, AfterValidator(_file_name_part)]


class InboxFields(Fields):
    """A folder that others drop files into."""

    name: Annotated[Name, Field(description="Small letters, digits and _; unique among inboxes. Feeds name the inbox by it.")]
    storage: Annotated[str, Field(description="The storage that the folder is on.")]
    folder: Annotated[
        str, Field(default=".", description="The folder of `raw`, `init`, `samples`, `imports` and `exports`; `.` is the storage's start.")
    ]
    settle_seconds: Annotated[
        Annotated[int, Field(ge=0)],
        Field(default=60, description="How long a file's size and time stand still before it is read; `done_file` takes its place."),
    ]
    poll_seconds: Annotated[
        Annotated[int, Field(ge=1)], Field(default=60, description="How often Dagster's sensor looks for new files, 1 or more.")
    ]
    done_file: Annotated[
        Annotated[Text, AfterValidator(_done_file)] | None,
        Field(
            default=None,
            description="What says that a file is whole: with `.done` a file of its own name that ends so, with a text without a dot in "
            "front the file of that name, for all that lie beside it. None by default.",
        ),
    ]
    after_import: Annotated[
        Literal["move", "leave", "delete"],
        Field(default="move", description="What becomes of a file once its rows are in: it moves to `imports`, stays, or is deleted."),
    ]


class ColumnFields(Fields):
    """How one column of a feed's files is read."""

    type: Annotated[
        Literal["text", "json", "number", "date", "timestamp", "boolean", "array"],
        Field(description="What its values are; a boolean is 1, 0, true or false, an array value1,value2."),
    ]
    format: Annotated[
        Annotated[str, AfterValidator(_date_format)] | None,
        Field(default=None, description="How a date or timestamp is written, such as `%d/%m/%Y %H:%M`; ISO 8601 by default."),
    ]
    decimal: Annotated[
        Literal[".", ","] | None, Field(default=None, description="What stands before the fraction of a number; a point by default.")
    ]
    zero_padded: Annotated[
        bool | None,
        Field(
            default=None,
            description="Whether a number may begin with zeros that mean nothing (`000123`). By default such a record is rejected: "
            "a code would lose them.",
        ),
    ]

    @model_validator(mode="before")
    @classmethod
    def type_alone(cls, value: Any) -> Any:
        """Return a text is the column's type, and all there is to say."""
        return typed(value)


_COLUMNS_SCHEMA = {"type": "object", "additionalProperties": {"anyOf": [{"type": "string"}, ColumnFields.model_json_schema()]}}


class FeedFields(Fields):
    """One kind of inbound file, and the table that it fills: `feeds.<entity>_<source>`, with `_<subsection>` where there is one."""

    inbox: Annotated[str, Field(description="The inbox that the files come into.")]
    entity: Annotated[Entity, Field(description="What the rows are; queries find those of all its feeds as `entities.<entity>`.")]
    source: Annotated[FileNamePart, Field(description="The system that the data is from, as in file names: small letters, digits and _.")]
    primary_key: Annotated[
        Annotated[ColumnNames, Field(min_length=1)],
        Field(description="The columns that tell one record from another, at least one; a record that lacks one is skipped."),
    ]
    subsection: Annotated[FileNamePart | None, Field(default=None, description="What file names say between source and date, if anything.")]
    updated_at: Annotated[
        Annotated[Text, AfterValidator(_identifier)] | None,
        Field(
            default=None,
            description="The column that says when a record was changed last: the newest wins. A timestamp, unless `columns` "
            "says how it is written; without it, the date in the file's name counts.",
        ),
    ]
    format: Annotated[
        Literal["csv", "json"],
        Field(default="csv", description="csv, or json: an array, one object, or one object a line."),
    ]
    columns: Annotated[
        Annotated[dict[Text, Any], WithJsonSchema(_COLUMNS_SCHEMA)],
        Field(
            default_factory=dict,
            description="{name: type} of the columns that are no text: json, number, date, timestamp, boolean or array, or a mapping "
            'with more: {type: date, format: "%d/%m/%Y"}, {type: number, decimal: ","}. `First Name` and `first_name` are one column.',
        ),
    ]
    optional: Annotated[
        ColumnNames,
        Field(default_factory=list, description="Columns that a file may lack; others that the last file had are expected in the next."),
    ]
    delimiter: Annotated[
        Character | None,
        Field(default=None, description="CSV: the character between two values, `\\t` for a tab; found in the header by default."),
    ]
    quote: Annotated[Character, Field(default='"', description="CSV: the character around a value.")]
    escape: Annotated[
        Character | None,
        Field(default=None, description="CSV: the character before a quote inside a value; by default such a quote is doubled."),
    ]
    encoding: Annotated[
        Annotated[str, AfterValidator(_encoding)],
        Field(default="utf-8", description="CSV: the file's encoding, such as windows-1252; utf-8 may begin with a byte order mark."),
    ]
    null_text: Annotated[
        Annotated[list[Text], TextOrList],
        Field(default_factory=list, description="CSV: texts that stand for null (`NULL`); nothing between two delimiters always does."),
    ]
    skip_lines: Annotated[Annotated[int, Field(ge=0)], Field(default=0, description="CSV: lines before the header that are left out.")]
    skip_last_lines: Annotated[Annotated[int, Field(ge=0)], Field(default=0, description="CSV: lines at the end that are left out.")]
    timezone: Annotated[
        Timezone | None, Field(default=None, description="The time zone of times that name none; the project's by default.")
    ]
    load: Annotated[
        Literal["merge", "append", "replace"],
        Field(
            default="merge",
            description="merge: the newest version of each record. append: all of all files. replace: the newest file is the table.",
        ),
    ]
    max_rejected: Annotated[
        Annotated[int | float, BeforeValidator(_rejected, json_schema_input_type=int | str)] | None,
        Field(
            default=None,
            description="How many records of a file may be rejected before the whole file is refused: a number (50) or a share (0.5%). "
            "The larger of 1% and 100 by default.",
        ),
    ]
    expected: Annotated[
        ExpectedFields | None,
        Field(
            default=None,
            description='By when a file must have been loaded: {by: "07:00", days: mon-fri, except: holidays.txt, grace: 30 minutes, '
            'rows: ">= 1000"}; nothing is expected by default.',
        ),
    ]
    warn_rejected: Annotated[
        Annotated[int | float, BeforeValidator(_rejected, json_schema_input_type=int | str)],
        Field(
            default=0,
            description="How many records of a file may be rejected before imports and status tell of it and end with 1: a number or a "
            "share (0.5%).",
        ),
    ]
