"""How wide the columns of a feed's table become with a batch: learned from the good records of the files that are loaded, in their order.

A number that finds no room beside those that are there already is rejected, and makes no column wider. Of one file the widest numbers
are rejected, whatever their order, so that one odd value keeps out no ordinary ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import duckdb

from dinmo_pipeline.formats.reader import RECORD
from dinmo_pipeline.inbound.load.column_types import Shape
from dinmo_pipeline.inbound.load.feed_table import FeedTable
from dinmo_pipeline.inbound.load.numbers import MAX_DIGITS, WHOLE_DIGITS, holds
from dinmo_pipeline.inbound.load.staging import ARRIVAL, FAULT, FAULT_VALUE, STAGED, Staged, left_text, text_needs
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal

_NOTHING = Shape(0, 0)


@dataclass(frozen=True)
class _Record:
    """Good records of one file that need the same: the shape by column, how many they are, and the first of them."""

    needs: Mapping[str, Shape]
    count: int
    first: int

    @property
    def width(self) -> int:
        return max((need.digits + need.scale for need in self.needs.values()), default=0)


class Widths:
    """The shapes of a table's columns while the files of a batch are decided on. `known` are those that it has.

    `contested` are columns whose numbers do not all find room in one: their texts are needed to tell which do, so they have to be staged
    `as_text`. Only then may files be tried.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, table: FeedTable, staged: Staged, known: Mapping[str, Shape], *, replacing: bool
    ) -> None:
        self._connection = connection
        self._table = table
        self._staged = staged
        self._known = known
        self._replacing = replacing
        self._needs = text_needs(connection, staged)
        self._texts = {name for name, shape in staged.shapes.items() if shape is None}
        self._accepted: list[int] = []
        self._base = {name: self._base_of(name) for name in self._texts}
        self._learned = dict.fromkeys(self._texts, _NOTHING)
        self._tried: dict[str, Shape] = {}
        self._relearned: set[str] = set()
        self._records = self._find_records() if self._texts else {}

    @property
    def contested(self) -> set[str]:
        """Columns that have to be staged as texts before files can be tried."""
        return {name for name, shape in self._staged.shapes.items() if shape is not None and self._is_contested(name, shape)}

    def try_file(self, arrival: int) -> bool:
        """See what finds room with those accepted so far; marks the records of the file that do not, and tells whether there are some."""
        self._tried = dict(self._learned)
        rejected = False
        for record in sorted(self._records.get(arrival, ()), key=lambda record: (record.width, record.first)):
            if all(self._has_room(name, need) for name, need in record.needs.items()):
                self._tried |= {name: self._tried[name].widened(need) for name, need in record.needs.items()}
            else:
                rejected = True
        if rejected:
            self._mark(arrival)
        return rejected

    def accept(self, arrival: int) -> None:
        """Learn from the file that was tried last."""
        self._accepted.append(arrival)
        self._learned = dict(self._tried)

    def shape(self, name: str) -> Shape:
        """Return the shape that the column has while the file that was tried last is in, as far as messages need it."""
        return self._held(name) if name in self._texts else self._known.get(name, self._staged.types[name].first_shape())

    def final(self, columns: Collection[str]) -> tuple[dict[str, Shape], set[str]] | None:
        """Return the shapes of these columns with the files that were accepted, and those of them that have texts staged.

        None where values are staged in the shapes of a file that was not accepted: they have to be staged without a guess.
        """
        if not self._accepted:
            return {}, set()
        if self._staged.first is not None and self._staged.first not in self._accepted:
            return None
        shapes, texts = {}, set()
        for name in columns:
            shape = self._staged.shapes[name]
            if shape is None:
                shapes[name] = self._kept_wide(name)
                texts.add(name)
                continue
            shapes[name] = self._known.get(name, shape).widened(shape)
            for need in self._needs_of(name, self._accepted):
                shapes[name] = shapes[name].widened(need)
                texts.add(name)
        return shapes, texts

    def _needs_of(self, name: str, arrivals: Collection[int]) -> Iterator[Shape]:
        for arrival in arrivals:
            need = self._needs.get(arrival, {}).get(name)
            if need is not None:
                yield need

    def _is_contested(self, name: str, staged: Shape) -> bool:
        if self._staged.types[name].column.type != "number":
            return False
        known = self._known.get(name)
        needs = list(self._needs_of(name, self._needs))
        if not needs and (known is None or known == staged):
            return False
        scale = max(need.scale for need in (*needs, staged, known or staged))
        digits = max((need.digits for need in needs), default=0)
        if digits <= MAX_DIGITS - scale and known is not None and scale > known.scale:
            digits = max(digits, self._digits_in_table(name, known))
        if digits <= MAX_DIGITS - scale and scale > staged.scale:
            whole = staged.scale == 0 and staged.digits <= WHOLE_DIGITS <= MAX_DIGITS - scale
            digits = max(digits, WHOLE_DIGITS if whole else self._digits_staged(name))
        return digits > MAX_DIGITS - scale

    def _digits_in_table(self, name: str, known: Shape) -> int:
        # Rows that are replaced need no room.
        return 0 if self._replacing else self._table.digits(name)

    def _digits_staged(self, name: str) -> int:
        [(largest,)] = self._connection.execute(
            f"SELECT max(abs({quote_identifier(name)})) FROM {STAGED} WHERE {self._staged.good}"
        ).fetchall()
        return len(str(int(largest))) if largest else 0

    def _find_records(self) -> dict[int, list[_Record]]:
        names = sorted(self._texts)
        needs = [width for name in names for width in self._staged.types[name].widths(left_text(name))]
        listed = ", ".join(f"{need} AS n{number}" for number, need in enumerate(needs))
        rows = self._connection.execute(
            f"SELECT {ARRIVAL}, count(*), min({RECORD}), {listed} FROM {STAGED} WHERE {self._staged.good} GROUP BY ALL"
        ).fetchall()
        found: dict[int, list[_Record]] = {}
        for arrival, count, first, *values in rows:
            pairs = zip(names, zip(values[::2], values[1::2], strict=True), strict=True)
            shapes = {name: Shape(digits, scale) for name, (digits, scale) in pairs if digits is not None}
            found.setdefault(arrival, []).append(_Record(shapes, count, first))
        return found

    def _base_of(self, name: str) -> Shape:
        known = self._known.get(name)
        if known is None:
            return _NOTHING
        return Shape(min(known.digits, self._digits_in_table(name, known)), known.scale)

    def _held(self, name: str) -> Shape:
        return self._base[name].widened(self._tried.get(name, self._learned[name]))

    def _kept_wide(self, name: str) -> Shape:
        """Return the shape to hold, as wide as the table's column was."""
        held, known = self._held(name), self._known.get(name)
        if known is None or name in self._relearned:
            return held
        return Shape(max(held.digits, min(known.digits, MAX_DIGITS - held.scale)), held.scale)

    def _has_room(self, name: str, need: Shape) -> bool:
        held = self._held(name)
        if holds(held.digits, held.scale, need.digits, need.scale):
            return True
        if name in self._relearned or name not in self._known:
            return False
        # The table's column may be wider than what is in it now.
        self._relearned.add(name)
        self._base[name] = _NOTHING if self._replacing else Shape(self._table.digits(name), self._table.scale(name))
        return self._has_room(name, need)

    def _mark(self, arrival: int) -> None:
        for name in self._texts:
            digits, scale = self._staged.types[name].widths(left_text(name))
            held = self._held(name)
            self._connection.execute(
                f"UPDATE {STAGED} SET {FAULT} = {quote_literal(name)}, {FAULT_VALUE} = {left_text(name)} WHERE {ARRIVAL} = {arrival} "
                f"AND {self._staged.good} AND NOT coalesce({scale} <= {held.scale} AND {digits} <= {MAX_DIGITS - held.scale}, true)"
            )
