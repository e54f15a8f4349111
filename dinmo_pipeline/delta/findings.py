"""Findings: what is odd about a sync. One that blocks needs a person's word before anything is delivered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from dinmo_pipeline.delta.contract import Contract
from dinmo_pipeline.project.schema.limits import ROW_COUNTS, TIMES, Limit, Measure, is_halved
from dinmo_pipeline.project.specs import ActivationSpec, RunType

Level = Literal["block", "warn"]


@dataclass(frozen=True)
class Finding:
    """Something odd: what was measured, what was found, where the limit is, and all of it in words without a customer's data."""

    level: Level
    measure: str
    value: int | float | str
    limit: int | str
    message: str


@dataclass(frozen=True)
class LastDelivery:
    """What the newest delivered sync gave: its number, the rows of its source and its contract."""

    number: int
    rows: int
    contract: Contract


@dataclass(frozen=True)
class Judged:
    """A rendered sync as guards see it: what was measured of it, the names it would write, and those that delivered syncs wrote."""

    contract: Contract
    measured: Mapping[Measure, float]
    names: Collection[str]
    used: Collection[str]


def find_oddities(spec: ActivationSpec, judged: Judged, *, last: LastDelivery | None) -> Iterator[Finding]:
    """Yield everything that stops a sync until it is approved, and what is told of it all the same."""
    contract = judged.contract
    comparable = last if last is not None and last.contract.source == contract.source else None
    if spec.fail_if is None:
        yield from _default_guards(contract.source, int(judged.measured[Measure.ROWS]), comparable)
    else:
        yield from find_broken("block", spec.fail_if, judged.measured, last=comparable)
    if last is not None and spec.mapping is None and (new := contract.new_attributes(last.contract)):
        message = f'the source has new columns that mapping: "*" would send: {", ".join(new)}'
        yield Finding("block", "columns", ", ".join(new), "none new", message)
    if spec.on_existing == "refuse" and spec.run_type == RunType.FULL_THEN_DELTA and (again := sorted({*judged.names} & {*judged.used})):
        message = f"an earlier sync delivered {again[0]} already, and its changes may not have been read yet"
        message += "; a name with {HH}{mm} or on_existing: overwrite avoids this"
        yield Finding("block", "file_name", again[0], "a name that was not used", message)
    yield from find_broken("warn", spec.warn_if, judged.measured, last=comparable)


def find_broken(
    level: Level, limits: Iterable[Limit], measured: Mapping[Measure, float], *, last: LastDelivery | None = None
) -> Iterator[Finding]:
    """Yield a finding for each limit that a measured value breaks; a share is of the rows of `last`, and of nothing breaks none."""
    option = "fail_if" if level == "block" else "warn_if"
    whole = last.rows if last is not None else None
    for limit in limits:
        value = measured.get(limit.measure)
        if value is not None and limit.is_broken_by(value, whole=whole):
            found = _told(limit.measure, value)
            if limit.share and last is not None:
                found += f", {value / last.rows:.1%} of the {last.rows:,} that sync {last.number} delivered"
            message = f'{limit.measure}: {found}; {option} says "{limit.text}"'
            yield Finding(level, limit.measure.value, int(value) if value == int(value) else round(value, 3), limit.text, message)


def _default_guards(source: str, rows: int, last: LastDelivery | None) -> Iterator[Finding]:
    if last is None:
        return
    if last.rows > 0 and rows == 0:
        message = f"{source} is empty; sync {last.number} delivered it with {last.rows:,} rows"
        yield Finding("block", "rows", rows, 1, message)
    elif is_halved(rows, last.rows):
        message = f"{source} has {rows:,} rows, less than half of the {last.rows:,} that sync {last.number} delivered"
        yield Finding("block", "rows", rows, (last.rows + 1) // 2, message)


def _told(measure: Measure, value: float) -> str:
    if measure in TIMES:
        return str(timedelta(seconds=round(value)))
    number = f"{value:,.0f}"
    return number + (" rows" if measure in ROW_COUNTS else " bytes" if measure == Measure.BYTES else "")
