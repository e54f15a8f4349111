"""A project of one table, and what is measured of it: DuckDB's own `COPY`, and our syncs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import duckdb

from dinmo_pipeline.engines.duckdb.tables import refresh
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.specs import Project, RunType
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.service import SyncService

_numbers = count()


@dataclass(frozen=True)
class Site:
    """The project in `root`, whose `model` is read from a Parquet file of its name."""

    root: Path
    model: str

    def define(self, key: Sequence[str], activations: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the definitions: the model with this key, and what each activation says beside its model, its folder and its file."""
        model = {"name": self.model, "primary_key": key, "sql": f"SELECT * FROM read_parquet('{self.model}.parquet')"}
        documents: list[tuple[str, Mapping[str, Any]]] = [("LocalFolder", {"name": "out", "path": "out"}), ("Model", model)]
        for name, options in activations.items():
            documents.append(("Activation", {"name": name, "model": self.model, "destination": "out", "file_name": name, **options}))
        text = "---\n".join(f"{json.dumps({'type': f'dinmo_pipeline.{type_}', 'attributes': said})}\n" for type_, said in documents)
        (self.root / "defs").mkdir(parents=True)
        (self.root / "pyproject.toml").write_text("[tool.dinmo]\n", encoding="utf-8")
        (self.root / "defs" / "defs.yaml").write_text(text, encoding="utf-8")

    def fill(self, query: str) -> None:
        """Write the rows of `query` anew, and refresh the table."""
        with duckdb.connect() as connection:
            connection.execute(f"COPY ({query}) TO '{self.root / self.model}.parquet'")
        self.refresh()

    def refresh(self) -> None:
        """Make the table of the file's rows."""
        project = self._project
        refresh(project, *project.tables.values())

    def copied(self, format_: str) -> Path:
        """The file that `copy` writes."""
        return self.root / f"yardstick.{format_}"

    def copy(self, format_: str) -> None:
        """DuckDB alone: the table to one file."""
        options = ", COMPRESSION zstd" if format_ == "parquet" else ""
        with duckdb.connect(str(self._project.warehouse_path), read_only=True) as connection:
            connection.execute("SET enable_progress_bar = false")
            connection.execute(f"COPY models.{self.model} TO '{self.copied(format_)}' (FORMAT {format_}{options})")

    def deliver(self, activation: str) -> None:
        """A sync without the refresh of its model: rows kept where they are compared, files written, put, moved, recorded."""
        now, project = datetime.now(UTC), self._project
        label = f"{label_of_instant(now)}-{next(_numbers)}"
        syncs = SyncService(project, project.activations[activation])
        if syncs.spec.run_type == RunType.FULL_THEN_DELTA:
            syncs.take_snapshot(label, now=now)
        syncs.deliver(label, now=now)

    @property
    def _project(self) -> Project:
        return load_project(self.root)
