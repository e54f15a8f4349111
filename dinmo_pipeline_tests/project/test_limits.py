"""`fail_if` and `warn_if`: what the limits say, and what cannot be one, with file and line."""

from __future__ import annotations

import pytest

from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.schema.limits import Measure, parse_limit
from dinmo_pipeline.project.specs import LoadedAt
from dinmo_pipeline.project.table_refs import TableRef

from .conftest import WriteProject
from .test_bad_projects import activation, errors_of, model

LIMITS = {
    ("rows", "< 1000"): (999, 1000),
    ("rows", ">= 1_000"): (1000, 999),
    ("added", "> 5000"): (5001, 5000),
    ("replaced_characters", ">0"): (1, 0),
    ("bytes", "> 1 GB"): (1_000_000_001, 1_000_000_000),
    ("bytes", "< 1.5 KiB"): (1535, 1536),
    ("bytes", "<= 10"): (10, 11),
    ("duration", "> 10 minutes"): (601, 600),
    ("source_age", "> 2 days"): (172_801, 172_800),
    ("source_age", "> 1 hour"): (3601, 3600),
}


@pytest.mark.parametrize(("written", "values"), LIMITS.items(), ids=[": ".join(written) for written in LIMITS])
def test_limit_is_broken_by_the_first_value_and_not_by_the_second(written: tuple[str, str], values: tuple[float, float]) -> None:
    limit = parse_limit(Measure(written[0]), written[1])
    assert limit is not None
    assert [limit.is_broken_by(value, whole=None) for value in values] == [True, False]


def test_share_is_of_the_whole_and_of_nothing_breaks_nothing() -> None:
    limit = parse_limit(Measure.REMOVED, "> 10%")
    assert limit is not None
    assert [limit.is_broken_by(value, whole=200) for value in (21, 20)] == [True, False]
    assert [limit.is_broken_by(1, whole=whole) for whole in (0, None)] == [False, False]


BAD = {
    "no limit": (
        activation('fail_if:\n  rows: "1000"\n  removed: "> ten"\n  bytes: "> 5%"'),
        [
            '4: Activation export: fail_if.rows: \'1000\' is no limit of rows; write one such as "< 1000" or "> 10%"',
            '5: Activation export: fail_if.removed: \'> ten\' is no limit of removed; write one such as "< 1000" or "> 10%"',
            '6: Activation export: fail_if.bytes: \'> 5%\' is no limit of bytes; write one such as "> 1 GB" or "< 100 kB"',
        ],
    ),
    "a number alone": (
        activation("warn_if:\n  rows: 1000"),
        ['4: Activation export: warn_if.rows: \'1000\' is no limit of rows; write one such as "< 1000" or "> 10%"'],
    ),
    "one bad limit of two": (
        activation('fail_if: {rows: ["< 1000", ">"]}'),
        ['3: Activation export: fail_if.rows.1: \'>\' is no limit of rows; write one such as "< 1000" or "> 10%"'],
    ),
    "unknown measure": (
        activation('fail_if:\n  row: "< 1000"\n  duration: "> 1 hour"'),
        [
            "4: Activation export: unknown field 'fail_if.row'; did you mean 'rows'?",
            "5: Activation export: unknown field 'fail_if.duration'; valid are added, bytes, removed, replaced_characters, rows, "
            "source_age, updated",
        ],
    ),
    "no mapping": (activation("fail_if: rows < 10"), ["3: Activation export: fail_if: expected a mapping, found 'rows < 10' (text)"]),
    "changes of full_only": (
        activation('run_type: full_only\nsync_mode: snapshot\nwarn_if: {added: "> 10%"}'),
        ["5: Activation export: warn_if: added needs run_type full_then_delta; a full_only sync compares with nothing. Limit rows instead"],
    ),
    "changes that the mode does not tell": (
        activation('fail_if: {removed: "> 10%"}'),
        ["3: Activation export: fail_if: removed is not counted in sync_mode upsert; of the rows, it counts rows, added, updated"],
    ),
    "age of a source that nothing tells": (
        activation('warn_if: {source_age: "> 2 days"}'),
        [
            "3: Activation export: warn_if: source_age needs loaded_at at model customers: the column that says when a row was loaded or "
            "changed"
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD)
def test_bad_limit_is_told_at_its_line(write_project: WriteProject, text: str, expected: list[str]) -> None:
    assert errors_of(write_project, {"defs/a/defs.yaml": text}) == [f"defs/a/defs.yaml:{message}" for message in expected]


@pytest.mark.parametrize("limit", ["rows: > 10", "{rows: > 10}"])
def test_limit_without_quotes_is_told_to_need_them(write_project: WriteProject, limit: str) -> None:
    (message,) = errors_of(write_project, {"defs/a/defs.yaml": activation(f"fail_if:\n  {limit}")})
    assert message.startswith("defs/a/defs.yaml:4: this is not YAML")
    assert "in quotes" in message


def test_limits_and_the_column_of_the_source_age_reach_the_spec(write_project: WriteProject) -> None:
    definitions = model("primary_key: id\nloaded_at: seen\nsql: SELECT 1 AS id") + "---\n"
    definitions += activation('model: orders\nmapping: [id]\nfail_if: {rows: ["< 1", "> 50%"]}\nwarn_if: {source_age: "> 2 days"}')
    project = load_project(write_project({"defs/a/defs.yaml": definitions}))
    spec = project.activations["export"]
    assert [(limit.measure, limit.text) for limit in spec.fail_if or ()] == [("rows", "< 1"), ("rows", "> 50%")]
    assert [(limit.measure, limit.text) for limit in spec.warn_if] == [("source_age", "> 2 days")]
    assert spec.loaded_at == LoadedAt(TableRef("models", "orders"), "seen")


def test_empty_fail_if_is_not_the_default_guards(write_project: WriteProject) -> None:
    project = load_project(write_project({"defs/a/defs.yaml": activation("fail_if: {}")}))
    assert project.activations["export"].fail_if == ()
