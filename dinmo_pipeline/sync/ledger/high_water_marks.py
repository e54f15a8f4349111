"""How far each log went, remembered on this machine beside the state: a log that ends earlier was restored from an older backup."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from dinmo_pipeline.errors import StateError
from dinmo_pipeline.local_files.contents import replace_file
from dinmo_pipeline.local_files.private import make_private_folder


@dataclass(frozen=True)
class Mark:
    """The newest entry that this machine has written to a log: its position, its text's SHA-256, and the newest sync's number then."""

    position: int
    sha256: str
    number: int


class Marks:
    """The marks of one state in `folder`, a file an activation. They lag behind after a crash, which does no harm."""

    def __init__(self, home: Path, place: str) -> None:
        # Logs at other places are other logs.
        self._folder = home / "marks" / hashlib.sha256(place.encode()).hexdigest()[:16]

    def find(self, activation: str) -> Mark | None:
        """Return the mark, or None where this machine has written nothing yet."""
        path = self._path(activation)
        try:
            return Mark(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise StateError(
                f"reading how far the log of activation {activation} went ({path}): {error}; delete that file if the state was not "
                "restored from a backup since the last sync"
            ) from error

    def keep(self, activation: str, mark: Mark) -> None:
        """Remember this one from now on."""
        path = self._path(activation)
        try:
            make_private_folder(path.parent)
            # A file that a power failure left empty would be taken for a damaged one.
            replace_file(path, json.dumps(asdict(mark)).encode(), is_durable=True)
        except OSError as error:
            raise StateError(f"writing {path}: {error.strerror}; mend that and start again, which goes on from what is recorded") from error

    def _path(self, activation: str) -> Path:
        return self._folder / f"{activation}.json"
