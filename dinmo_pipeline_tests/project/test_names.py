"""File names: the reference's examples, zones and daylight saving, braces, extensions, marks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dinmo_pipeline.errors import CallError
from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.project.schema.file_names import (
    is_dated,
    render_name,
    split_extension,
    target_folder,
    target_name,
    template_problems,
    template_variables,
)
from dinmo_pipeline.project.specs import ActivationSpec, RunType, SyncMode
from dinmo_pipeline.project.table_refs import TableRef

APRIL_14 = datetime(2025, 4, 14, 5, 6, 7, 89_999, tzinfo=UTC)

SPEC = ActivationSpec(
    name="export",
    source=TableRef("models", "customers"),
    primary_key=("id",),
    destination="out",
    folder=".",
    file_name="{YY}-{MM}-{DD}_export",
    format=FORMATS["csv"].model_validate({"type": "csv"}),
    run_type=RunType.FULL_THEN_DELTA,
    sync_mode=SyncMode.DIFFERENCE,
    mapping=None,
    timezone="UTC",
)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{YYYY}", "2025"),
        ("{YY}", "25"),
        ("{MM}", "04"),
        ("{DD}", "14"),
        ("{HH}", "05"),
        ("{mm}", "06"),
        ("{ss}", "07"),
        ("{ms}", "089"),
        ("{X}", "1744607167"),
        ("{x}", "1744607167089"),
        ("{YY}-{MM}-{DD}_export", "25-04-14_export"),
        ("no variable", "no variable"),
        ("{{YY}}{YY}", "{YY}25"),
        ("{{{YY}}}", "{25}"),
        ("é'\" {DD}", "é'\" 14"),
    ],
)
def test_each_variable_renders_as_the_reference_says(template: str, expected: str) -> None:
    assert render_name(template, APRIL_14, "UTC") == expected


def test_name_is_told_in_the_given_zone_whatever_zone_the_instant_has() -> None:
    late = datetime(2025, 12, 31, 23, 30, tzinfo=UTC)
    assert render_name("{YYYY}-{MM}-{DD}T{HH}", late, "Europe/Paris") == "2026-01-01T00"
    assert render_name("{YYYY}-{MM}-{DD}T{HH}", late.astimezone(), "America/New_York") == "2025-12-31T18"


def test_spring_change_over_skips_an_hour_of_names() -> None:
    before = datetime(2025, 3, 30, 0, 59, 59, tzinfo=UTC)
    names = [render_name("{HH}{mm}{ss}", before + timedelta(seconds=step), "Europe/Paris") for step in (0, 1)]
    assert names == ["015959", "030000"]


def test_autumn_change_over_repeats_the_hour_but_not_the_unix_time() -> None:
    first = datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    again = first + timedelta(hours=1)
    assert render_name("{DD}{HH}{mm}", first, "Europe/Paris") == render_name("{DD}{HH}{mm}", again, "Europe/Paris") == "260230"
    assert int(render_name("{X}", again, "Europe/Paris")) - int(render_name("{X}", first, "Europe/Paris")) == 3600


def test_unix_milliseconds_are_exact_to_the_last_digit() -> None:
    instants = [datetime(2025, 4, 14, tzinfo=UTC) + timedelta(milliseconds=step) for step in range(0, 1000, 7)]
    start = 1744588800000
    assert [render_name("{x}", instant, "Asia/Tokyo") for instant in instants] == [str(start + step) for step in range(0, 1000, 7)]


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{yyyy}", "unknown variable '{yyyy}'; did you mean 'YYYY'?"),
        ("{ YYYY }", "unknown variable '{ YYYY }'; did you mean '{YYYY}'?"),
        ("{}", "unknown variable '{}'; valid are DD, HH, MM, X, YY, YYYY, mm, ms, ss, x"),
        ("{YYYY", "the brace '{' at character 1 has no partner; write '{{' for a brace itself"),
        ("a}", "the brace '}' at character 2 has no partner; write '}}' for a brace itself"),
    ],
)
def test_faulty_template_is_told_with_the_nearest_variable(template: str, problem: str) -> None:
    assert template_problems(template) == [problem]
    with pytest.raises(CallError, match="cannot make a name"):
        render_name(template, APRIL_14, "UTC")


def test_variables_are_found_once_each_and_not_in_doubled_braces() -> None:
    assert template_variables("{DD}{{MM}}{YY}{DD}") == ("DD", "YY")
    assert is_dated("export", "{YYYY}")
    assert not is_dated("export_{{YYYY}}", ".")


@pytest.mark.parametrize(
    ("name", "extension", "own", "expected"),
    [
        ("export", None, "csv", ("export", ".csv")),
        ("export.csv", None, "csv", ("export", ".csv")),
        ("EXPORT.CSV", None, "csv", ("EXPORT", ".CSV")),
        ("export", None, "csv.gz", ("export", ".csv.gz")),
        ("export.csv", None, "csv.gz", ("export", ".csv.gz")),
        ("export.csv.gz", None, "csv.gz", ("export", ".csv.gz")),
        ("export", "txt", "csv", ("export", ".txt")),
        ("export.txt", "txt", "csv", ("export", ".txt")),
        ("export", ".txt.gz", "csv.gz", ("export", ".txt.gz")),
        ("export", "none", "csv", ("export", "")),
        ("export.dat", "none", "csv", ("export", ".dat")),
        ("v1.2_export", "none", "csv", ("v1.2_export", "")),
        ("export.2025", "none", "csv", ("export.2025", "")),
        (".csv", None, "csv", (".csv", ".csv")),
        (".hidden", "none", "csv", (".hidden", "")),
        ("exportcsv", None, "csv", ("exportcsv", ".csv")),
    ],
)
def test_extension_is_added_unless_the_name_has_it(name: str, extension: str | None, own: str, expected: tuple[str, str]) -> None:
    assert split_extension(name, extension=extension, format_extension=own) == expected


def test_target_name_of_the_reference_example() -> None:
    assert target_name(SPEC, APRIL_14) == "25-04-14_export.csv"


def test_marks_stand_before_the_extension_in_one_order() -> None:
    assert target_name(SPEC, APRIL_14, change="added", part=2) == "25-04-14_export_added_2.csv"
    assert target_name(SPEC, APRIL_14, change="removed", part=1, trial=True) == "25-04-14_export_trial_removed_1.csv"
    assert target_name(replace(SPEC, file_name="export.csv"), APRIL_14, change="updated") == "export_updated.csv"
    gzip = FORMATS["csv"].model_validate({"type": "csv", "compression": "gzip"})
    assert target_name(replace(SPEC, format=gzip), APRIL_14, part=1) == "25-04-14_export_1.csv.gz"
    assert target_name(replace(SPEC, extension="none"), APRIL_14, trial=True) == "25-04-14_export_trial"


def test_folder_takes_the_same_variables() -> None:
    assert target_folder(replace(SPEC, folder="in/{YYYY}/{MM}", timezone="Asia/Tokyo"), APRIL_14) == "in/2025/04"
