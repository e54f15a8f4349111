"""Spark in a process of its own, which starts once and runs one recipe after the other."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import dump
from .programs import PYTHON, Rows


class Spark:
    """The running process; paths of recipes start at its folder."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self.folder = folder

    def rows(self, code: str, delivered: Path) -> Rows:
        """The rows of `customers` after the code, which finds the delivered files."""
        for old in self.folder.glob("*_*.parquet"):
            old.unlink()
        for path in delivered.iterdir():
            shutil.copy(path, self.folder)
        (self.folder / "recipe.py").write_text(code, encoding="utf-8")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("recipe.py\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-5000:]
        return dump.answered(answer)


@contextmanager
def spark(folder: Path) -> Iterator[Spark]:
    """Spark, started; whatever it keeps lies in the folder."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(PYTHON), dump.__file__, "spark"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,
            # Python shows instants in the zone of its machine.
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "TZ": "UTC", "LANG": "C.UTF-8"},
        )
        try:
            yield Spark(process, folder)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=120)
