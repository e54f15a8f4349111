"""What is expected of a feed or an activation day by day: how `expected:` is written, and what it says."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from dinmo_pipeline.durations import duration_minutes, duration_problem
from dinmo_pipeline.errors import Problem
from dinmo_pipeline.project.schema.limits import Limit, Measure, parse_limit
from dinmo_pipeline.project.yaml.files import FileMark, file_mark

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FULL_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_MOST_GRACE = timedelta(days=7)


@dataclass(frozen=True)
class Expected:
    """On which days (0 is Monday, without the dates `exceptions`) something must have come by which time, and how many rows.

    It is late when `grace` has passed as well. `rows` are what must be true of the number of rows.
    """

    by: time
    days: tuple[int, ...] = tuple(range(7))
    exceptions: tuple[date, ...] = ()
    grace: timedelta = timedelta()
    rows: tuple[Limit, ...] = ()

    def comes_on(self, day: date) -> bool:
        """Return whether anything is expected on this day."""
        return day.weekday() in self.days and day not in self.exceptions

    def is_met_by(self, rows: int) -> bool:
        """Return whether so many rows are as they are expected."""
        return all(limit.is_true_of(rows) for limit in self.rows)


def _checked(value: str, problem: str | None) -> str:
    if problem is not None:
        raise PydanticCustomError("dinmo", "{message}", {"message": problem})
    return value


def _by(text: str) -> str:
    return _checked(text, None if _CLOCK.fullmatch(text) else f'{text!r} is no time of a day; write it as in "07:00", from 00:00 to 23:59')


def _grace(text: str) -> str:
    problem = duration_problem(text)
    if problem is None and timedelta(minutes=duration_minutes(text)) > _MOST_GRACE:
        problem = f"{text!r} is longer than 7 days"
    return _checked(text, problem)


def _day(text: str) -> str:
    numbers = [_day_number(name) for name in text.split("-")]
    good = len(numbers) in (1, 2) and None not in numbers
    return _checked(text, None if good else f"{text!r} is no day of the week; write {', '.join(_DAYS)}, or a range such as mon-fri")


def _day_number(name: str) -> int | None:
    name = name.strip().lower()
    return next((number for number, names in enumerate(zip(_DAYS, _FULL_NAMES, strict=True)) if name in names), None)


def _rows(value: Any) -> str:
    limit = parse_limit(Measure.ROWS, value) if isinstance(value, str) else None
    good = limit is not None and not limit.share
    return _checked(str(value), None if good else f'{str(value)!r} is no number of rows; write what must be true, such as ">= 1000"')


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class ExpectedFields(BaseModel):
    """When something must have come, day by day; else it is *late*, and people are told."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    by: Annotated[
        Annotated[str, AfterValidator(_by)],
        Field(description='By what time of the day it must have come, in its own time zone, such as `"07:00"`.'),
    ]
    days: Annotated[
        list[Annotated[str, AfterValidator(_day)]],
        BeforeValidator(_listed, json_schema_input_type=str | list[str]),
        Field(default_factory=list, description="Its days of the week: names and ranges (`mon-fri`, `[mon-wed, sat]`); all by default."),
    ]
    exceptions: Annotated[
        Annotated[str, Field(min_length=1)] | None,
        Field(
            default=None,
            alias="except",
            description="A file with the dates on which nothing is expected, such as 2026-12-25, one a line, # begins a comment; a "
            "relative path starts at the project's folder. None by default.",
        ),
    ]
    grace: Annotated[
        Annotated[str, AfterValidator(_grace)],
        Field(default="0 minutes", description="How long after that time it is not told as late yet, such as 30 minutes."),
    ]
    rows: Annotated[
        list[Annotated[str, BeforeValidator(_rows, json_schema_input_type=str)]],
        BeforeValidator(_listed, json_schema_input_type=str | list[str]),
        Field(
            default_factory=list,
            description='How many rows must come (`">= 1000"`, `[">= 1000", "< 5000"]`), else it counts as late; any number by default.',
        ),
    ]


def expected_of(fields: ExpectedFields | None, holidays: Mapping[str, Sequence[date]]) -> Expected | None:
    """Return what the fields say, with the dates of the file that they name."""
    if fields is None:
        return None
    hour, minute = map(int, fields.by.split(":"))
    return Expected(
        by=time(hour, minute),
        days=tuple(sorted({number for text in fields.days for number in _numbers(text)} or range(7))),
        exceptions=tuple(holidays.get(fields.exceptions or "", ())),
        grace=timedelta(minutes=duration_minutes(fields.grace)),
        rows=tuple(limit for text in fields.rows if (limit := parse_limit(Measure.ROWS, text)) is not None),
    )


def _numbers(text: str) -> Iterable[int]:
    first, _, last = text.partition("-")
    start, end = _day_number(first) or 0, _day_number(last or first) or 0
    return (number % 7 for number in range(start, end + 1 if end >= start else end + 8))


@dataclass(frozen=True)
class Holidays:
    """The dates of each file that an `except` names, by that name; what is wrong in the files, and their marks."""

    dates: Mapping[str, tuple[date, ...]]
    problems: tuple[Problem, ...]
    files: tuple[FileMark, ...]


def read_holidays(names: Collection[str], *, root: Path) -> Holidays:
    """Read the files of these names; one that cannot be read has no dates here."""
    dates: dict[str, tuple[date, ...]] = {}
    problems: list[Problem] = []
    files: list[FileMark] = []
    for name in sorted(names):
        path = root / Path(name).expanduser()
        files.append(file_mark(path))
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            continue
        found: list[date] = []
        for number, line in enumerate(text.splitlines(), start=1):
            written = line.partition("#")[0].strip()
            if not written:
                continue
            try:
                found.append(_date(written))
            except ValueError:
                problems.append(Problem(name, number, f"{written!r} is no date; write one a line, such as 2026-12-25"))
        dates[name] = tuple(sorted(set(found)))
    return Holidays(dates, tuple(problems), tuple(files))


def _date(text: str) -> date:
    # Python takes 20261225 and 2026-W52-5, too, which readers would take for something else.
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError(text)
    return date.fromisoformat(text)


def holidays_problem(fields: ExpectedFields | None, holidays: Holidays, *, root: Path) -> str | None:
    """Return why the file that `except` names gives no dates, or None."""
    if fields is None or fields.exceptions is None or fields.exceptions in holidays.dates:
        return None
    path = root / Path(fields.exceptions).expanduser()
    reason = "is no text in UTF-8" if path.is_file() else "is no file" if path.exists() else "does not exist"
    return f"expected.except: {path} {reason}; write a text file of dates, one a line, such as 2026-12-25"
