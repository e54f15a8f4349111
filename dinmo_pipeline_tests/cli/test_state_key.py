"""`dinmo state sign`: what was there before the key counts from then on, and only that."""

from __future__ import annotations

from pathlib import Path

import pytest

from dinmo_pipeline_tests.people import activation, make_people

from .conftest import Dinmo

KEY = "0123456789abcdef0123456789abcdef"


def test_logs_from_before_the_key_go_on_once_they_are_signed(tmp_path: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_people(tmp_path, activation("changes"))
    unset = dinmo("state", "sign", "changes", project=project)
    assert dinmo("sync", "--all", project=project).code == 0
    monkeypatch.setenv("DINMO_STATE_KEY", KEY)
    refused = dinmo("sync", "--all", project=project)
    status = dinmo("status", project=project)
    signed = dinmo("state", "sign", "--all", project=project)
    done = dinmo("sync", "--all", project=project)

    assert unset.code == 1
    assert "DINMO_STATE_KEY is not set; `openssl rand -hex 32` makes one" in " ".join(unset.err.split())
    assert (refused.code, status.code) == (1, 1)
    assert "`dinmo state sign` takes it for true" in " ".join(refused.err.split())
    assert (signed.code, done.code) == (0, 0)
    assert "changes: 5 entries are taken for true; others count only if they are signed" in " ".join(signed.out.split())
    assert KEY not in "".join((refused.out, refused.err, status.out, status.err, signed.out, done.out, done.err))


def test_key_that_is_too_short_is_a_wrong_call(tmp_path: Path, dinmo: Dinmo, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_people(tmp_path, activation("changes"))
    monkeypatch.setenv("DINMO_STATE_KEY", "short")
    ran = dinmo("state", "sign", "--all", project=project)
    assert ran.code == 2
    assert "32 at least make a key" in " ".join(ran.err.split())
