"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HERE = Path()
ProjectOption = Annotated[Path, typer.Option("--project", metavar="DIR", help="The project's folder, or one inside it.")]
