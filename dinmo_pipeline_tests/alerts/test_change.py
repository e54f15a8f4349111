"""What somebody is told, from what they know and from what is open."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dinmo_pipeline.alerts.alert import Alert, Change, LastAlert, Opened, change_of
from dinmo_pipeline.alerts.alert_state import CLAIM, AlertStateFile, Claim

NOW = datetime(2026, 3, 2, 7, tzinfo=UTC)


def alert(key: str, state: str = "failed", group: str = "") -> Alert:
    return Alert(key, state, f"{state}", f"{key} is {state}", group=group)  # type: ignore[arg-type]


def tell(before: LastAlert | None, *alerts: Alert) -> tuple[str | None, LastAlert | None]:
    """The state that is told, if anything is, and what is known then."""
    change = change_of(before, alerts, now=NOW)
    return (change.state, change.told) if isinstance(change, Change) else (None, change or before)


def test_a_change_is_told_once_and_the_worst_of_it() -> None:
    state, known = tell(None, alert("a", "warning"), alert("b", "failed"))
    assert state == "failed"
    assert tell(known, alert("a", "warning"), alert("b", "failed"))[0] is None
    state, known = tell(known, alert("a", "warning"), alert("b", "failed"), alert("c", "warning"))
    assert state == "warning"
    state, known = tell(known)
    assert state == "recovered"
    assert tell(known)[0] is None


def test_one_of_several_that_is_over_is_not_told_and_told_again_when_it_comes_back() -> None:
    _, known = tell(None, alert("a"), alert("b"))
    state, known = tell(known, alert("a"))
    assert state is None
    assert tell(known, alert("a"), alert("b"))[0] == "failed"


def test_a_group_recovers_while_another_one_is_open() -> None:
    change = change_of(None, [alert("a", "late", "late"), alert("b", "failed", "contacts")], now=NOW)
    assert isinstance(change, Change)
    after = change_of(change.told, [alert("b", "failed", "contacts")], now=NOW)
    assert isinstance(after, Change)
    assert (after.state, after.marks) == ("recovered", "late")
    assert "Still open: failed" in after.what


def test_groups_that_were_not_looked_at_stay_as_they_were() -> None:
    first = change_of(None, [alert("a", "late", "late")], now=NOW)
    assert isinstance(first, Change)
    assert change_of(first.told, [], now=NOW, groups=("",)) is None
    assert change_of(first.told, [alert("b", "late", "late")], now=NOW, groups=("",)) is None


def test_what_older_versions_wrote_is_read() -> None:
    assert change_of(LastAlert("failed: DataError", NOW), [Alert("failed: DataError", "failed", "failed: DataError", "x")], now=NOW) is None
    change = change_of(LastAlert("failed: DataError", NOW), [], now=NOW)
    assert isinstance(change, Change)
    assert change.state == "recovered"
    assert change_of(LastAlert("fine", NOW), [], now=NOW) is None


def test_thousands_of_files_are_one_bounded_message() -> None:
    change = change_of(None, [Alert(str(n), "warning", "unmatched", f"raw/{n}{'x' * 2_000}") for n in range(5_000)], now=NOW)
    assert isinstance(change, Change)
    assert len(change.what) < 20_000
    assert change.what.endswith("… and 4,980 more")
    assert change.marks == "unmatched (5,000)"


@given(st.lists(st.sets(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", "late", "feed"])), max_size=5), max_size=8))
def test_nothing_is_told_twice_and_each_end_is(history: list[set[tuple[str, str]]]) -> None:
    known: LastAlert | None = None
    told: set[str] = set()
    for now_open in history:
        alerts = [alert(f"{key}{group}", "failed", group) for key, group in sorted(now_open)]
        change = change_of(known, alerts, now=NOW)
        keys = {each.key for each in alerts}
        if isinstance(change, Change):
            assert (change.state == "recovered") == (not keys - told)
            known = change.told
        else:
            assert not keys - told
            known = change or known
        assert change_of(known, alerts, now=NOW) is None
        told = keys
    if isinstance(known, LastAlert) and known.alerts:
        over = change_of(known, [], now=NOW)
        assert isinstance(over, Change)
        assert over.state == "recovered"


def test_claim_ends_with_its_time_with_its_process_and_when_a_clock_was_set_back() -> None:
    import os
    import socket

    mine = Claim("x", socket.gethostname(), os.getpid(), NOW + CLAIM)
    assert mine.holds(NOW)
    assert not mine.holds(NOW + CLAIM)
    assert not mine.holds(NOW - timedelta(hours=1))
    assert not Claim("x", socket.gethostname(), 2**22 - 1, NOW + CLAIM).holds(NOW)
    assert Claim("x", "elsewhere", 2**22 - 1, NOW + CLAIM).holds(NOW)


def test_standing_of_an_older_version_is_read(tmp_path) -> None:  # type: ignore[no-untyped-def]
    old = {
        "failure": None,
        "told": {"team": {"mark": "failed: DataError", "since": "2026-03-02T07:00:00Z"}},
        "unsent": {"other": "it answered 403"},
    }
    (tmp_path / "standing.json").write_text(json.dumps(old), encoding="utf-8")
    alert_state = AlertStateFile(tmp_path).read()
    assert alert_state.told["team"].alerts == {"failed: DataError": Opened("", "failed: DataError")}
    assert alert_state.unsent == {"other": "it answered 403"}
