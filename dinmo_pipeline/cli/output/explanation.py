"""What people see of one record's history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from dinmo_pipeline.cli.output.console import say, show_json, show_table
from dinmo_pipeline.engines.duckdb.lookup import RecordOutcome, Values
from dinmo_pipeline.project.specs import ActivationSpec
from dinmo_pipeline.sync.explain import Explanation, Told

_SHOWN = 200


def show_explanation(spec: ActivationSpec, explanation: Explanation, *, as_json: bool) -> None:
    """Print a line for each sync whose rows are kept, and one for today."""
    if as_json:
        show_json(_for_programs(spec, explanation))
        return
    zone = ZoneInfo(spec.timezone)
    say(f"{spec.name}: {', '.join(f'{name} = {value}' for name, value in explanation.key)}")
    if explanation.forgotten:
        numbers = ", ".join(_ranges(explanation.forgotten))
        say(f"sync {numbers}: the rows are not kept any more (keep_syncs: {spec.keep_syncs}), so nobody knows")
    today = explanation.today
    rows = [
        (str(each.sync), _when(each.instant, zone), each.fate.what, each.why, _values(each.fate), _place(each)) for each in explanation.told
    ]
    at = _when(today.at, zone) if today.at is not None else "-"
    rows.append(("next", at, _word(explanation), today.why, _values(today.fate), ""))
    show_table(("sync", "instant", "what", "why", "values", "files"), rows, texts=range(6))


def _place(told: Told) -> str:
    at = told.location
    if at is None:
        several = "one of " if len(told.files) > 1 else ""
        return f"{several}{', '.join(told.files)}; other records of it have the same values, so the place is unknown" if told.files else ""
    return f"{at.file}, {f'line {at.line:,}, ' if at.line is not None else ''}record {at.record:,}"


def _ranges(numbers: Sequence[int]) -> Iterator[str]:
    """Yield numbers in ascending order as text, those that follow one another as `first to last`."""
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        first, *rest = (number for _, number in run)
        yield f"{first} to {rest[-1]}" if rest else str(first)


def _when(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def _word(explanation: Explanation) -> str:
    today = explanation.today
    if today.where == "source":
        assert today.fate is not None, "what is in the source is sent or not"
        return today.fate.what
    if today.where == "nowhere" and not explanation.forgotten and all(each.fate.what == "absent" for each in explanation.told):
        return "never seen"
    return {"filtered out": "filtered out", "nowhere": "not there"}.get(today.where, "unknown")


def _values(fate: RecordOutcome | None) -> str:
    """Return the values that were sent or, of an updated record, those that changed."""
    if fate is None or (fate.values is None and fate.before is None):
        return ""
    if fate.values is None:
        return f"last: {_listed(fate.before or {})}"
    if fate.before is None:
        return _listed(fate.values)
    changed = [name for name, value in fate.values.items() if name not in fate.before or fate.before[name] != value]
    return ", ".join(f"{name}: {_text(fate.before.get(name))} → {_text(fate.values[name])}" for name in changed)


def _listed(values: Values) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in values.items())


def _text(value: str | None) -> str:
    if value is None:
        return "null"
    return value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"


def _for_programs(spec: ActivationSpec, explanation: Explanation) -> dict[str, object]:
    today = explanation.today
    return {
        "activation": spec.name,
        "key": dict(explanation.key),
        "syncs": [_sync_for_programs(each) for each in explanation.told],
        "forgotten": list(explanation.forgotten),
        "next": {
            "what": _word(explanation),
            "where": today.where,
            "refreshed_at": today.at.isoformat() if today.at is not None else None,
            "values": today.fate.values if today.fate is not None else None,
            "before": today.fate.before if today.fate is not None else None,
            "why": today.why,
        },
    }


def _sync_for_programs(told: Told) -> dict[str, object]:
    at = told.location
    return {
        "sync": told.sync,
        "instant": told.instant.isoformat(),
        **asdict(told.fate),
        "why": told.why,
        "files": list(told.files),
        "record": at.record if at is not None else None,
        "line": at.line if at is not None else None,
    }
