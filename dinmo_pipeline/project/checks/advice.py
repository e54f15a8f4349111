"""Warnings: definitions that are valid and yet may not do what their author wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from dinmo_pipeline.errors import Problem
from dinmo_pipeline.formats.csv.write import CsvFormat
from dinmo_pipeline.project.checks.activations import unmapped_key
from dinmo_pipeline.project.consumers.consumers import consumer_warnings
from dinmo_pipeline.project.cron import first_ticks
from dinmo_pipeline.project.schema.definitions import Definition
from dinmo_pipeline.project.schema.file_names import is_dated, render_name, template_variables
from dinmo_pipeline.project.schema.outbound import ActivationFields
from dinmo_pipeline.project.specs import ActivationSpec, RunType, SyncMode

# More than a year of daily ticks, and enough of every minute's to see a day come round.
_DAYS, _TICKS = 400, 2000
_YEAR = 365
_START = datetime(2025, 1, 1, tzinfo=UTC)


def warnings_of(spec: ActivationSpec, definition: Definition[ActivationFields]) -> Iterator[Problem]:
    """Yield what `dinmo check` warns of in one activation, with file and line."""
    is_delta = spec.run_type == RunType.FULL_THEN_DELTA
    if spec.mapping is None:
        yield definition.problem("mapping", 'mapping: "*" sends every column of the source; list those that may leave')
    elif is_delta and (missing := unmapped_key(spec.mapping, spec.primary_key)):
        unknown = "which rows they have already" if spec.sync_mode == SyncMode.INSERT else "which rows they change"
        message = f"mapping: the primary key's {', '.join(missing)} is not mapped; whoever reads the changes cannot tell {unknown}"
        yield definition.problem("mapping", message, at_key=True)
    if (column := _lost_where_null(spec)) is not None:
        message = (
            f"mapping: {column} is the only column, and a CSV line of a null alone is empty: pandas, Python and PyArrow drop the row; "
            "write a null_text in the format, such as NULL, or map another column beside it"
        )
        yield definition.problem("mapping", message, at_key=True)
    if not is_delta and spec.sync_mode in (SyncMode.UPSERT, SyncMode.INSERT):
        message = (
            f"sync_mode: with full_only, {spec.sync_mode} sends all rows every time, as snapshot does; write snapshot, or full_then_delta"
        )
        yield definition.problem("sync_mode", message)
    for path, message in consumer_warnings(spec):
        yield definition.problem(path, message)
    if is_delta and spec.schedules and (repeat := _name_repeat(spec)) is not None:
        yield definition.problem("file_name", f"file_name: {repeat}")


def _lost_where_null(spec: ActivationSpec) -> str | None:
    """Find the only column of a CSV file, where a null of it makes an empty line; a column of the key is never null."""
    if spec.mapping is None or len(spec.mapping) != 1 or unmapped_key(spec.mapping, spec.primary_key) == []:
        return None
    return spec.mapping[0].name if isinstance(spec.format, CsvFormat) and not spec.format.null_text else None


def _name_repeat(spec: ActivationSpec) -> str | None:
    if not is_dated(spec.file_name, spec.folder):
        return "the name is the same at every sync; changes that nobody has read by the next one are overwritten"
    variables = tuple(sorted({*template_variables(spec.file_name), *template_variables(spec.folder)}))
    repeat = _first_repeat(spec.schedules, variables, spec.on_existing == "refuse", spec.timezone)
    if repeat is None:
        return None
    clock = "%Y-%m-%d %H:%M" if repeat[0].utcoffset() == repeat[1].utcoffset() else "%Y-%m-%d %H:%M %Z"
    first, second = (format(tick, clock) for tick in repeat)
    outcome = "the later one refuses to run" if spec.on_existing == "refuse" else "changes that nobody has read by then are overwritten"
    return f"the schedule comes sooner than the name changes (at {first} and {second} it is one and the same), so {outcome}; add a variable"


@lru_cache(maxsize=1024)
def _first_repeat(schedules: tuple[str, ...], variables: tuple[str, ...], ever: bool, timezone: str) -> tuple[datetime, datetime] | None:
    """Return two ticks with one name: of those that follow one another, or of all within a year when `ever`."""
    template = " ".join(f"{{{variable}}}" for variable in variables)
    start = _START.replace(tzinfo=ZoneInfo(timezone))
    for first_day, days in ((start, _DAYS), *((day, 1) for day in _days_set_back(start))):
        seen: dict[str, datetime] = {}
        for tick in first_ticks(schedules, start=first_day, days=days, count=_TICKS):
            name = render_name(template, tick, timezone)
            if name in seen:
                return seen[name], tick
            if not ever:
                seen.clear()
            seen[name] = tick
    return None


def _days_set_back(start: datetime) -> Iterator[datetime]:
    """Yield the days of a year on which a clock shows some times twice."""
    for day in (start + timedelta(days=offset) for offset in range(_YEAR)):
        if (day + timedelta(days=1)).timestamp() - day.timestamp() > timedelta(days=1).total_seconds():
            yield day


def check_warnings(pairs: Iterable[tuple[ActivationSpec, Definition[ActivationFields]]]) -> tuple[Problem, ...]:
    """Return the warnings of all activations, in file order."""
    return tuple(sorted(warning for spec, definition in pairs for warning in warnings_of(spec, definition)))
