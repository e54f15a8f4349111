"""`make bench` tells what is reached, and fails when something fell behind what was recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import limits, record
from benchmarks.measure import Cost, Figure, Line, Result, measure
from dinmo_pipeline.intake_limits import limit_words

Run = Callable[..., str]
Costs = Callable[..., Iterator[float]]


def _work() -> None:
    # Long enough for the processors' clock, which counts hundredths.
    sum(range(5_000_000))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the benchmarks of one group, of which this is recorded; gives what is printed."""
    monkeypatch.setattr(record, "_FILE", tmp_path / "recorded.json")
    monkeypatch.setattr(bench, "_LONG", {"long"})

    def run_with(recorded: dict[str, list[float]], *arguments: str, peak: float = 100) -> str:
        found = [
            Line("work", "the same", 1000, _work, _work),
            Figure("peak", peak, "MB", 1500),
            Figure("minute", 2, "s", 0.5, by_clock=True),
        ]
        monkeypatch.setattr(bench, "_GROUPS", {"short": lambda _folder, _rows: found, "long": lambda _folder, _rows: pytest.fail("ran")})
        (tmp_path / "recorded.json").write_text(json.dumps({"quick": recorded}), encoding="utf-8")
        monkeypatch.setattr("sys.argv", ["benchmarks", "--runs", "1", *arguments])
        bench.main()
        return capsys.readouterr().out

    return run_with


def test_each_line_and_figure_says_whether_it_is_reached(run: Run) -> None:
    words = {name: line for line in run({}).splitlines() for name in ("work  ", "peak", "minute") if line.startswith(name)}
    assert "not reached" not in words["peak"]
    assert "reached" in words["peak"]
    assert "not reached" in words["minute"]


def test_figure_a_tenth_above_the_record_is_no_failure(run: Run) -> None:
    assert "behind" not in run({"peak": [100]}, peak=109)


@pytest.mark.parametrize("recorded", [{"peak": [100]}, {"work": [0.001]}], ids=["figure", "line"])
def test_whatever_is_more_than_a_tenth_above_its_record_fails(
    recorded: dict[str, list[float]], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(recorded, peak=111)
    assert ended.value.code == 1
    assert "behind" in capsys.readouterr().out


def test_what_goes_by_the_clock_is_neither_recorded_nor_held(run: Run, tmp_path: Path) -> None:
    assert "behind" not in run({"minute": [0.1]})
    run({"other": [7], "peak": [1]}, "--record")
    kept = json.loads((tmp_path / "recorded.json").read_text(encoding="utf-8"))["quick"]
    assert kept.keys() == {"other", "peak", "work"}
    assert (kept["other"], kept["peak"]) == ([7], [1, 100])


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Costs:
    """Let each pair of the line cost so many yardsticks; gives those that were not measured."""

    def cost(*ratios: float) -> Iterator[float]:
        left = iter(ratios)
        monkeypatch.setattr(bench, "measure", lambda line, _runs: Result(line, ((Cost(1, 1), Cost(1, next(left))),)))
        return left

    return cost


def test_line_that_was_slow_once_is_measured_until_it_is_not_behind(run: Run, costs: Costs) -> None:
    left = costs(5, 1.01, 9)
    assert "behind" not in run({"work": [1]})
    assert list(left) == [9]


def test_line_that_is_not_behind_is_measured_once(run: Run, costs: Costs) -> None:
    left = costs(1.09, 9)
    run({"work": [1]})
    assert list(left) == [9]


def test_line_that_stays_slow_is_behind_as_soon_as_chance_is_no_explanation(run: Run, costs: Costs) -> None:
    left = costs(1.2, 1.2, 1.2, 1.2, 9)
    with pytest.raises(SystemExit):
        run({"work": [1]})
    assert list(left) == [9]


def test_line_that_is_in_doubt_to_the_end_is_not_behind(run: Run, costs: Costs) -> None:
    left = costs(1.2, 1.2, 1.2, 1, 1.2, 1.2, 9)
    assert "behind" not in run({"work": [1]})
    assert list(left) == [9]


def test_largest_of_the_recorded_runs_is_held(run: Run, costs: Costs) -> None:
    costs(1.6)
    assert "behind" not in run({"work": [1, 1.5, 0.9]})


def test_record_keeps_the_last_runs(run: Run, costs: Costs, tmp_path: Path) -> None:
    costs(1.234)
    run({"work": [1, 2, 3, 4, 5]}, "--record")
    assert json.loads((tmp_path / "recorded.json").read_text(encoding="utf-8"))["quick"]["work"] == [2, 3, 4, 5, 1.23]


def test_pairs_begin_with_the_other_side_each_time() -> None:
    done = list[str]()
    measure(Line("work", "the same", 1, lambda: done.append("ours"), lambda: done.append("theirs")), 3)
    assert done == ["theirs", "ours", "ours", "theirs", "theirs", "ours"]


def test_every_limit_of_what_others_send_is_measured() -> None:
    assert list(limits.CASES) == [name for name, _, _ in limit_words()]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (
            "partner: could not list the folder raw on ftp://h:2 (storage drop): it is longer than 9 bytes; ask why, or raise x",
            "it is longer than 9 bytes",
        ),
        ("contacts_shop_1.csv: refused: contacts_shop_1.csv, line 2: it has more than 9 x. Ask for it again", "it has more than 9 x"),
        ("contacts_shop_1.csv: 1 of 1 records loaded", "nothing"),
    ],
)
def test_what_a_limit_says_was_found_stands_without_the_file_and_the_advice(told: str, found: str) -> None:
    assert limits.found_beyond("x", f"warning: something else\n{told}\n{told} once more\n") == found
