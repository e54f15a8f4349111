"""What Dagster and the command cost around a sync: a project of a thousand activations, and a tiny one, each in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Line

_RUN_STARTS = "from dinmo_pipeline.definitions import defs; defs().get_job('sync_a7')"


def project_lines(folder: Path, activations: int) -> Iterator[Line]:
    """Loading a project of so many activations, and a whole sync of a tiny one, beside the import of Dagster."""
    big, tiny = _make(folder / "big", activations), _make(folder / "tiny", 2)
    yardstick = _python(folder, "-c", "import dagster")
    # The first sync of a project makes Dagster's database.
    _dinmo(tiny, "sync", "a1")()
    validate = ("-m", "dagster", "definitions", "validate", "--module-name", "dinmo_pipeline.definitions")
    for name, reach, ours in (
        (f"check of {activations:,} activations", 1.5, _dinmo(big, "check")),
        (f"start of a run of {activations:,}", 1.5, _python(big, "-c", _RUN_STARTS)),
        (f"code server of {activations:,} (validate)", 3.0, _python(big, *validate)),
        ("sync of a tiny activation", 2.0, _dinmo(tiny, "sync", "a1")),
    ):
        yield Line(name, "import dagster", reach, ours, yardstick)


class _Process:
    def __init__(self, folder: Path, command: list[str]) -> None:
        self._folder, self._command = folder, command

    def __call__(self) -> None:
        # Whoever forbids bytecode in development would measure the compiler.
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "DAGSTER_HOME")}
        done = subprocess.run(self._command, cwd=self._folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(self._command)} failed:\n{done.stdout}{done.stderr}")


def _python(folder: Path, *arguments: str) -> _Process:
    return _Process(folder, [sys.executable, *arguments])


def _dinmo(folder: Path, *arguments: str) -> _Process:
    return _Process(folder, [str(Path(sys.executable).with_name("dinmo")), *arguments])


def _make(root: Path, activations: int) -> Path:
    models = max(activations // 10, 1)
    documents = ["type: dinmo_pipeline.LocalFolder\nattributes: {name: out, path: out}\n"]
    documents += [
        f"type: dinmo_pipeline.Model\nattributes: {{name: m{number}, primary_key: [id], sql: \"SELECT 1 AS id, 'n' AS name\"}}\n"
        for number in range(models)
    ]
    documents += [
        f"type: dinmo_pipeline.Activation\nattributes:\n  name: a{number}\n  model: m{number % models}\n  destination: out\n"
        f"  folder: f{number}\n  file_name: '{{x}}'\n  format: csv\n  run_type: full_then_delta\n  sync_mode: difference\n"
        f"  mapping: {{id: id, name: last name}}\n  schedule: '{number % 60} 7 * * *'\n"
        for number in range(activations)
    ]
    (root / "defs").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.dinmo]\n", encoding="utf-8")
    (root / "defs" / "defs.yaml").write_text("---\n".join(documents), encoding="utf-8")
    return root
