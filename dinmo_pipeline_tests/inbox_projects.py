"""A project of one inbox: what lies in `drop/raw` is of `partner`; feeds are written as a user writes them."""

from __future__ import annotations

from pathlib import Path

INBOX = """\
type: dinmo_pipeline.LocalFolder
attributes: {name: drop, path: drop}
---
type: dinmo_pipeline.Inbox
attributes: {name: partner, storage: drop, settle_seconds: 0}
"""


def feed(entity: str = "contacts", source: str = "shop", *, inbox: str = "partner", **fields: str) -> str:
    """A feed of the inbox, with the key `id`, and these fields more."""
    more = "".join(f", {field}: {value}" for field, value in fields.items())
    named = f"inbox: {inbox}, entity: {entity}, source: {source}, primary_key: [id]"
    return f"---\ntype: dinmo_pipeline.Feed\nattributes: {{{named}{more}}}\n"


def make_inbox(root: Path, definitions: str) -> Path:
    """A project of these definitions that only `[tool.dinmo]` marks."""
    (root / "defs" / "inbound").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.dinmo]\n", encoding="utf-8")
    (root / "defs" / "inbound" / "defs.yaml").write_text(definitions, encoding="utf-8")
    return root


def drop(root: Path, name: str, text: str = "id,name\n1,Ana\n2,Bea\n") -> None:
    """Put a file into the inbox, as a sender does."""
    path = root / "drop" / "raw" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
