"""Which of the signs in CSV text are quoted: for a whole block at once, exact for every sequence of quotes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]
Positions: TypeAlias = npt.NDArray[np.integer[Any]]
Flags: TypeAlias = npt.NDArray[np.bool_]

NONE: Positions = np.zeros(0, np.int32)


@dataclass(frozen=True)
class Quoting:
    """For each sign whether it is inside a quoted value, and whether the text ends so.

    `faults` are the first of the quotes that close a value and have text after them, `dropped` what only says that another sign is text.
    """

    inside: Flags
    ends_inside: bool
    faults: Positions
    dropped: Positions


def quoting_by_parity(
    data: Bytes, signs: Positions, quotes: Flags, begins_field: Flags, ends_field: Flags, *, inside: bool
) -> Quoting | None:
    """Return the quoting of text where every second quote closes a value, as it nearly always is; None where that would be wrong.

    `signs` are the positions of all quotes, delimiters and line breaks, `quotes` tells which are quotes; `begins_field` and `ends_field`
    tell of each byte whether a field may begin after it, and end before it. `inside` is how the text begins.
    """
    after = (np.cumsum(quotes, dtype=np.uint8) + np.uint8(inside)) % 2 == 1
    # What stands beside a quote is a sign itself, or it may be neither before an opening nor after a closing one.
    adjacent = np.empty(len(signs) + 1, np.bool_)
    np.equal(signs[1:], signs[:-1] + 1, out=adjacent[1:-1])
    adjacent[0] = signs[0] == 0 or begins_field[data[signs[0] - 1]]
    adjacent[-1] = signs[-1] + 1 == len(data) or ends_field[data[signs[-1] + 1]]
    opening = quotes & after
    closing = quotes ^ opening
    if (opening & ~adjacent[:-1]).any() or (closing & ~adjacent[1:]).any():
        return None
    second = opening[1:] & adjacent[1:-1] & quotes[:-1]
    return Quoting(after, bool(after[-1]), NONE, signs[1:][second] if second.any() else NONE)


def quoting_by_runs(
    data: Bytes, signs: Positions, quotes: Flags, begins_field: Flags, ends_field: Flags, escapes: Flags | None, *, inside: bool
) -> Quoting:
    """Return the quoting of any text; `escapes` tells which signs are escapes, if there are some. The rest is as above.

    A run of quotes is all that can change whether text is quoted. With what stands before it (a field's beginning or not), how many
    quotes it has and what stands after it, each run leaves the state as it is, turns it over, or sets it to unquoted, whatever it was;
    so the state after each run follows from two cumulative passes and no loop.
    """
    places = signs[quotes]
    begins = np.flatnonzero(np.diff(places, prepend=-2) != 1)
    runs = places[begins]
    lengths = np.diff(begins, append=len(places))
    before = begins_field[data[runs - 1]] | (runs == 0)
    ends = runs + lengths
    after = ends_field[data[np.minimum(ends, len(data) - 1)]] | (ends == len(data))
    escaping = _Runs.of(signs[escapes]) if escapes is not None else _Runs(NONE, NONE)
    # An escaped quote is text, as if it were not in the run.
    escaped = escaping.ending_at(runs) % 2 == 1
    odd = (lengths - escaped) % 2 == 1
    turns = np.cumsum(odd & before)
    since = np.maximum.accumulate(np.where(odd & ~before, turns, -1 if inside else 0))
    inside_after = (turns - since) % 2 == 1
    inside_before = np.concatenate([[inside], inside_after[:-1]])
    # A run that stands at a field's beginning opens it with its first quote, and may close it with its last.
    opens = ~inside_before & before
    faults = runs[~after & np.where(inside_before, odd, opens & ~odd)]
    starts = np.zeros(len(signs), np.bool_)
    starts[np.flatnonzero(quotes)[begins]] = True
    of_sign = np.concatenate([[inside], inside_after])[np.cumsum(starts)]
    dropped = _seconds_of_pairs(places, begins, lengths, inside_before | opens, opens | escaped)
    if escapes is not None:
        dropped = np.sort(np.concatenate([dropped, escaping.dropped(of_sign[escapes], runs)]))
    return Quoting(of_sign, bool(inside_after[-1]), faults, dropped)


def _seconds_of_pairs(quotes: Positions, begins: Positions, lengths: Positions, paired: Flags, skips_one: Flags) -> Positions:
    """Return the second quote of each pair in the runs that are `paired`, whose first quote is none of a pair where `skips_one`."""
    long = paired & (lengths > 1)
    if not long.any():
        return NONE
    lengths = lengths[long]
    number = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    in_pair = number - np.repeat(skips_one[long], lengths)
    seconds: Positions = quotes[np.repeat(begins[long], lengths) + number][(in_pair > 0) & (in_pair % 2 == 1)]
    return seconds


@dataclass(frozen=True)
class _Runs:
    """Runs of one byte: where each begins, and its length."""

    begins: Positions
    lengths: Positions

    @classmethod
    def of(cls, positions: Positions) -> _Runs:
        first = np.flatnonzero(np.diff(positions, prepend=-2) != 1)
        return cls(positions[first], np.diff(first, append=len(positions)))

    def ending_at(self, ends: Positions) -> Positions:
        """Return how long the run is that ends right before each of `ends`; 0 where none does."""
        if not len(self.begins):
            return np.zeros(len(ends), np.int64)
        nearest = np.maximum(np.searchsorted(self.begins, ends) - 1, 0)
        return np.where(self.begins[nearest] + self.lengths[nearest] == ends, self.lengths[nearest], 0)

    def dropped(self, inside: Flags, quotes: Positions) -> Positions:
        """Return the escapes that escape another one or a quote, of those `inside` a quoted value.

        `quotes` are where runs of quotes begin.
        """
        total = int(self.lengths.sum())
        number = np.arange(total) - np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        lengths = np.repeat(self.lengths, self.lengths)
        before_quote = np.repeat(np.isin(self.begins + self.lengths, quotes), self.lengths)
        drop = inside & (number % 2 == 0) & ((number + 1 < lengths) | before_quote)
        dropped: Positions = (np.repeat(self.begins, self.lengths) + number)[drop]
        return dropped
