"""The names in a JSON file: the columns that all its records have between them, and which of them hold nothing but text."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dinmo_pipeline.formats.json.read_pieces import Piece, Pieces
from dinmo_pipeline.formats.json.read_values import JsonFault, Members, members, plain_members
from dinmo_pipeline.formats.reader import FileRefused, is_ours
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits, how_to_raise
from dinmo_pipeline.sql.identifiers import identifiers

_SHOWN = 60
_NO_FIELD = re.compile(r'["\\\x00-\x1f]')


class Names:
    """What a file's objects call their members: those that can be taken, as what is left out says nothing of columns.

    `columns` holds, for each column in order of first appearance, the names that mean it; `known` are columns that the feed has.
    """

    def __init__(self, file_name: str, known: Collection[str] = (), limits: IntakeLimits = DEFAULT_LIMITS) -> None:
        self._file = file_name
        self._known = known
        self._limits = limits
        self.columns: dict[str, list[str]] = {}
        self._is_text: dict[str, bool] = {}

    def learn(self, pieces: Pieces) -> None:
        """Read the whole file. FileRefused for a name that no column can have, and where the file is no JSON."""
        row = self.row_type()
        for piece in pieces():
            if row is None or not piece.decode(row):
                self._learn_slowly(piece)
                row = self.row_type()

    @property
    def fields(self) -> list[tuple[str, bool]]:
        """The column of each field of `row_type`, and whether it is text."""
        return [(column, self._is_text[name]) for column, names in self.columns.items() for name in names]

    def row_type(self) -> type[Any] | None:
        """Return a msgspec type of the records as they are known: each member text or null, else as it is written.

        UNSET where it is missing.

        None where one of the names is such that msgspec takes it for no field.
        """
        if any(_NO_FIELD.search(name) for name in self._is_text):
            return None
        names = {f"f{number}": name for number, name in enumerate(self._is_text)}
        fields = [(field, str | None | UnsetType if self._is_text[name] else Raw, UNSET) for field, name in names.items()]
        return msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, gc=False)

    def column_of(self, name: str) -> str:
        """Return the column that a member of this name belongs to; FileRefused where there can be none."""
        if len(name) > (most := self._limits.column_name_characters):
            raise FileRefused(
                f"{self._file}: a name has {len(name):,} characters, which is more than {most:,}: {name[:_SHOWN]!r}…. "
                f"Ask for a shorter one, or {how_to_raise('column_name_characters')}."
            )
        [column] = identifiers([name], self._known)
        if not column:
            raise FileRefused(f"{self._file}: the name {name!r} has no letter or digit, so no column can be called by it.")
        if is_ours(column):
            raise FileRefused(f"{self._file}: imported tables have a column {column} of their own. Call {name!r} otherwise.")
        return column

    def members_by_column(self, text: bytes) -> dict[str, tuple[str, bytes]]:
        """Return the name and the value, as it is written, of each column of the object that `text` is.

        JsonFault where it cannot be taken.
        """
        row: dict[str, tuple[str, bytes]] = {}
        for name, value in members(text, self._limits.json_levels).items():
            column = self.column_of(name)
            if column in row:
                raise JsonFault(f"has two names for the column {column}: {row[column][0]!r} and {name!r}")
            row[column] = name, bytes(value)
        return row

    def _learn_slowly(self, piece: Piece) -> None:
        for record in piece.records():
            try:
                found = plain_members(record.text)
                if self._teaches(found):
                    self.members_by_column(record.text)
            except JsonFault:
                continue
            self._learn_members(found)

    def _teaches(self, found: Members) -> bool:
        return any(self._is_text.get(name, not _is_text(value)) != _is_text(value) for name, value in found.items())

    def _learn_members(self, found: Members) -> None:
        for name, value in found.items():
            is_text = _is_text(value)
            if name not in self._is_text:
                self.columns.setdefault(self.column_of(name), []).append(name)
                if len(self._is_text) >= (most := self._limits.file_columns):
                    raise FileRefused(
                        f"{self._file}: more than {most:,} names; the last is {name!r}. Names that differ from record to record are "
                        f"values: nest them in one member. Or {how_to_raise('file_columns')}."
                    )
                self._is_text[name] = is_text
            elif not is_text:
                self._is_text[name] = False


def _is_text(value: Raw) -> bool:
    text = bytes(value)
    return text[:1] == b'"' or text == b"null"
