"""The `dinmo` command."""

from __future__ import annotations

from dinmo_pipeline.cli.app import main

__all__ = ["main"]
