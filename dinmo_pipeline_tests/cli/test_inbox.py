"""The commands about inboxes, and what they leave on disk."""

from __future__ import annotations

from pathlib import Path

from ..components.test_inbox import make_inbox
from .conftest import Dinmo


def test_create_makes_the_folders_and_keeps_what_lies_there(dinmo: Dinmo, tmp_path: Path) -> None:
    root = make_inbox(tmp_path)
    waiting = root / "drop" / "raw" / "contacts_shop_20220315.csv"
    waiting.parent.mkdir(parents=True)
    waiting.write_text("id\n1\n", encoding="utf-8")

    done = dinmo("inbox", "create", "partner", project=root)

    assert (done.code, done.err) == (0, "")
    assert done.out == "partner: raw, init, samples, imports, exports are in folder . of drop; files dropped into raw are imported\n"
    assert sorted(path.name for path in (root / "drop").iterdir()) == ["exports", "imports", "init", "raw", "samples"]
    assert waiting.read_text(encoding="utf-8") == "id\n1\n"


def test_create_of_an_unknown_inbox_names_the_nearest(dinmo: Dinmo, tmp_path: Path) -> None:
    done = dinmo("inbox", "create", "partnr", project=make_inbox(tmp_path))

    assert (done.code, done.err) == (2, "there is no inbox 'partnr'; did you mean 'partner'?\n")
