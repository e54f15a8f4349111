"""The command, run in this process: the imports are paid once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

import pytest

from dinmo_pipeline.cli import main

from ..people import Ran

Dinmo = Callable[..., Ran]


@pytest.fixture
def dinmo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Dinmo:
    """`dinmo("sync", "--all", project=root, env={})`, as from a shell with a pipe behind it; the variables are those of this command."""
    for name in (
        "DINMO_HOME",
        "DINMO_STATE_URL",
        "DINMO_REQUIRE_STATE",
        "DINMO_STATE_KEY",
        "DINMO_REDIRECT",
        "DINMO_AUTOSTART",
        "DAGSTER_HOME",
    ):
        monkeypatch.delenv(name, raising=False)
    umask = os.umask(0o022)
    os.umask(umask)
    # A process of its own would leave both as they were.
    monkeypatch.setenv("DINMO_UMASK", f"{umask:04o}")

    def run(*arguments: object, project: object = None, env: Mapping[str, str] | None = None) -> Ran:
        argv = ["dinmo", *map(str, arguments), *(() if project is None else ("--project", str(project)))]
        monkeypatch.setattr(sys, "argv", argv)
        capsys.readouterr()
        try:
            with pytest.MonkeyPatch.context() as variables:
                for name, value in (env or {}).items():
                    variables.setenv(name, value)
                with pytest.raises(SystemExit) as ended:
                    main()
        finally:
            os.umask(umask)
        out, err = capsys.readouterr()
        # No command of any test may end in what only its makers can read.
        assert not any(words in out + err for words in ("Traceback (most recent", "Stack Trace:")), err
        return Ran(int(ended.value.code or 0), out, err)

    return run
