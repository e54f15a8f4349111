"""Findings: what is odd about a sync before it is delivered. One that blocks needs a person's word."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from dinmo_pipeline.project.specs import ActivationSpec, RunType
from dinmo_pipeline.sync.contract import Contract

# A source of fewer rows may well halve from one day to the next.
_ROWS_THAT_MAY_HALVE = 1000


@dataclass(frozen=True)
class Finding:
    """Something odd: what was measured, what was found, where the limit is, and all of it in words."""

    level: Literal["block", "warn"]
    measure: str
    value: int | str
    limit: int | str
    message: str


@dataclass(frozen=True)
class LastDelivery:
    """What the newest delivered sync gave: its number, the rows of its source and its contract."""

    number: int
    rows: int
    contract: Contract


def find_oddities(
    spec: ActivationSpec, contract: Contract, *, rows: int, last: LastDelivery | None, names: Collection[str], used: Collection[str]
) -> Iterator[Finding]:
    """Everything that stops a sync of `rows` rows until it is approved.

    `names` are the files it would write, `used` those that earlier delivered syncs wrote.
    """
    if last is not None and last.contract.source == contract.source:
        if last.rows > 0 and rows == 0:
            message = f"{contract.source} is empty; sync {last.number} delivered it with {last.rows:,} rows"
            yield Finding("block", "rows", rows, 1, message)
        elif last.rows >= _ROWS_THAT_MAY_HALVE and rows * 2 < last.rows:
            message = f"{contract.source} has {rows:,} rows, less than half of the {last.rows:,} that sync {last.number} delivered"
            yield Finding("block", "rows", rows, (last.rows + 1) // 2, message)
    if last is not None and spec.mapping is None and (new := contract.new_attributes(last.contract)):
        message = f'the source has new columns that mapping: "*" would send: {", ".join(new)}'
        yield Finding("block", "columns", ", ".join(new), "none new", message)
    if spec.on_existing == "refuse" and spec.run_type == RunType.FULL_THEN_DELTA and (again := sorted(set(names) & set(used))):
        message = f"an earlier sync delivered {again[0]} already, and its changes may not have been read yet"
        message += "; a name with {HH}{mm} or on_existing: overwrite avoids this"
        yield Finding("block", "file_name", again[0], "a name that was not used", message)
