"""`expected:` of feeds and activations: what it says, and every mistake with file and line."""

from __future__ import annotations

import os
from datetime import date, time, timedelta
from pathlib import Path

import pytest

from dinmo_pipeline.project.load import load_project, load_project_cached

from ..people import activation, make_people
from .conftest import WriteProject
from .test_bad_projects import activation as bad_activation
from .test_bad_projects import errors_of


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "'expected.by' is missing"),
        ("{by: 7:00}", "expected.by: expected text, found '7:00', which YAML takes for a number; put it in quotes"),
        ('{by: "7:00"}', "expected.by: '7:00' is no time of a day; write it as in \"07:00\", from 00:00 to 23:59"),
        ('{by: "24:00"}', "expected.by: '24:00' is no time of a day; write it as in \"07:00\", from 00:00 to 23:59"),
        ('{by: "07:00", days: [mon, funday]}', "expected.days.1: 'funday' is no day of the week; write mon, tue, wed"),
        ('{by: "07:00", days: mon-tue-wed}', "'mon-tue-wed' is no day of the week"),
        ('{by: "07:00", grace: soon}', "expected.grace: 'soon' is no span of time"),
        ('{by: "07:00", grace: 8 days}', "expected.grace: '8 days' is longer than 7 days"),
        ('{by: "07:00", rows: 1000}', "expected.rows: '1000' is no number of rows; write what must be true, such as \">= 1000\""),
        ('{by: "07:00", rows: "> 10%"}', "expected.rows: '> 10%' is no number of rows"),
        ('{by: "07:00", excepts: x.txt}', "unknown field 'expected.excepts'; did you mean 'except'?"),
        ('{by: "07:00", except: missing.txt}', "missing.txt does not exist; write a text file of dates, one a line, such as 2026-12-25"),
    ],
)
def test_mistake_is_told_at_its_line(write_project: WriteProject, text: str, message: str) -> None:
    found = errors_of(write_project, {"defs/a/defs.yaml": bad_activation(f"expected: {text}")})
    assert any(message in error for error in found), found


def test_bad_dates_are_told_at_the_line_of_their_file(tmp_path: Path) -> None:
    from dinmo_pipeline.errors import DefinitionErrors

    root = make_people(tmp_path, activation("changes", expected='{by: "07:00", except: days/holidays.txt}'))
    (root / "days").mkdir()
    text = "# public holidays\n2026-12-25  # Christmas\n\n25.12.2026\n2026-02-30\n20261226\n"
    (root / "days" / "holidays.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionErrors) as error:
        load_project(root)
    assert [str(problem) for problem in error.value.problems] == [
        "days/holidays.txt:4: '25.12.2026' is no date; write one a line, such as 2026-12-25",
        "days/holidays.txt:5: '2026-02-30' is no date; write one a line, such as 2026-12-25",
        "days/holidays.txt:6: '20261226' is no date; write one a line, such as 2026-12-25",
    ]


def test_all_of_it_is_read_and_the_file_again_when_it_has_changed(tmp_path: Path) -> None:
    text = '{by: "07:15", days: [fri-mon, Wednesday], except: holidays.txt, grace: 2 hours, rows: [">= 10", "< 20"]}'
    root = make_people(tmp_path, activation("changes", expected=text))
    (root / "holidays.txt").write_text("\ufeff2026-12-26\r\n2026-12-25\r\n2026-12-25\r\n", encoding="utf-8")
    found = load_project_cached(root).activations["changes"].expected
    assert found is not None
    assert (found.by, found.days, found.grace) == (time(7, 15), (0, 2, 4, 5, 6), timedelta(hours=2))
    assert found.exceptions == (date(2026, 12, 25), date(2026, 12, 26))
    assert [found.is_met_by(rows) for rows in (9, 10, 19, 20)] == [False, True, True, False]
    (root / "holidays.txt").write_text("2027-01-01\n", encoding="utf-8")
    os.utime(root / "holidays.txt", (1, 1))
    again = load_project_cached(root).activations["changes"].expected
    assert again is not None
    assert again.exceptions == (date(2027, 1, 1),)


def test_every_day_without_grace_is_the_default(tmp_path: Path) -> None:
    found = load_project(make_people(tmp_path, activation("changes", expected='{by: "07:00"}'))).activations["changes"].expected
    assert found is not None
    assert (found.days, found.grace, found.rows, found.exceptions) == (tuple(range(7)), timedelta(), (), ())
