"""Whether a reader's values are those that were sent: both are brought to one form, by the type of the column and not by the reader."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

from .table import COLUMNS

_DURATION = re.compile(r"(-?)P(.*?)(?:T(.*))?")
_MICROSECONDS: Final = {"H": 3_600_000_000, "M": 60_000_000, "S": 1_000_000}


@dataclass(frozen=True)
class Limit:
    """What a reader gives instead of some values of a column, whatever stands in the file; seen, so that a better reader is noticed."""

    column: str
    reason: str
    instead: Callable[[Any], Any]


def number(text: str) -> Decimal:
    return Decimal(text)


def float_text(text: str) -> str:
    """A float by its shortest text, which tells -0.0 from 0.0 and finds one NaN in all."""
    return repr(float(text))


def boolean(text: str) -> bool:
    return {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}[text.lower()]


def local(text: str) -> datetime:
    """A date and time without a zone."""
    found = datetime.fromisoformat(text)
    assert found.tzinfo is None
    return found


def instant(text: str) -> datetime:
    """An instant; a text without an offset is in UTC."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def duration(text: str) -> tuple[int, int, int]:
    """Months, days and microseconds of an interval of ISO 8601-2."""
    match = _DURATION.fullmatch(text)
    assert match, f"{text!r} is no interval"
    sign = -1 if match[1] else 1
    days = {unit: int(count) for count, unit in re.findall(r"(-?\d+)([YMWD])", match[2])}
    times = sum(int(Decimal(count) * _MICROSECONDS[unit]) for count, unit in re.findall(r"(-?[\d.]+)([HMS])", match[3] or ""))
    return sign * (days.get("Y", 0) * 12 + days.get("M", 0)), sign * days.get("D", 0), sign * times


def entries(text: str) -> dict[str, Any]:
    """A map: an object, or a list of keys with their values."""
    found = json.loads(text)
    if isinstance(found, dict):
        return found
    return {pair[0]: pair[1] for pair in found}


PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "id": number,
    "name": str,
    "zip": str,
    "visits": number,
    "amount": number,
    "total": number,
    "score": float_text,
    "active": boolean,
    "born": date.fromisoformat,
    "seen_at": local,
    "created_at": instant,
    "opens_at": time.fromisoformat,
    "term": duration,
    "uid": str,
    "tier": str,
    "photo": base64.b64decode,
    "tags": json.loads,
    "address": json.loads,
    "quotas": entries,
    "profile": json.loads,
}


def expected(row: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a row as the parsers give them."""
    made = {name: row[name] for name in COLUMNS}
    made["score"] = None if made["score"] is None else repr(made["score"])
    made["profile"] = None if made["profile"] is None else json.loads(made["profile"])
    return made


def differences(
    sent: Iterable[Mapping[str, Any]], found: Sequence[Mapping[str, str | None]], limits: Sequence[Limit] = ()
) -> tuple[list[str], int]:
    """What differs from what was sent, the limits taken into account, and how many values were compared.

    A limit that changes no value, or whose values are right after all, is a difference as well: the reader has become better.
    """
    instead = {limit.column: limit.instead for limit in limits}
    wrong, compared, met = [], 0, set()
    by_id = {str(number(row["id"] or "-1")): row for row in found}
    wanted = [expected(row) for row in sent]
    if len(found) != len(wanted) or len(by_id) != len(wanted):
        wrong.append(f"{len(found)} rows with {len(by_id)} keys, {len(wanted)} were sent")
    for row in wanted:
        got = by_id.get(str(row["id"]))
        if got is None:
            continue
        for name, value in row.items():
            wish = instead[name](value) if name in instead else value
            if wish != value or type(wish) is not type(value):
                met.add(name)
            compared += 1
            problem = _problem(name, got.get(name), wish)
            if problem:
                wrong.append(f"row {row['id']}, {name}: {problem}")
    wrong += [f"{limit.column}: no value meets the limit: {limit.reason}" for limit in limits if limit.column not in met]
    return wrong, compared


def _problem(name: str, text: str | None, wish: Any) -> str:
    try:
        value = None if text is None else PARSERS[name](text)
    except (ValueError, ArithmeticError, KeyError, AssertionError) as error:
        return "" if text == wish else f"{_short(text)} for {_short(wish)} ({_short(error)})"
    return "" if value == wish or text == wish else f"{_short(value)} for {_short(wish)}"


def _short(value: object) -> str:
    """A value for people: a long one by its beginning and its length."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}… ({len(shown)} characters)"
