"""`DINMO_STATE_KEY`: whoever has not the key changes, leaves out, moves and adds nothing unseen; older logs go on."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dinmo_pipeline.errors import CallError, StateError, SyncBlocked
from dinmo_pipeline.sync.backends.open import open_state
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.ledger import segments as chapters
from dinmo_pipeline.sync.ledger.segments import path_of
from dinmo_pipeline.sync.service import Delivery, SyncService
from dinmo_pipeline_tests.sync.disk import Disk
from dinmo_pipeline_tests.sync.remote_states import RemoteState

KEY, OTHER = "k" * 32, "another key, as long as the first"


@pytest.fixture
def unsigned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A project whose rows were delivered twice while there was no key."""
    monkeypatch.delenv("DINMO_STATE_KEY", raising=False)
    return delivered_twice(tmp_path)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The same with a key from the start."""
    monkeypatch.setenv("DINMO_STATE_KEY", KEY)
    return delivered_twice(tmp_path)


def delivered_twice(root: Path) -> Disk:
    """Deliver rows twice, then change them."""
    made = Disk(root / "project")
    for value in "ab":
        made.set_rows({1: value, 2: "x"})
        made.run()
    made.set_rows({1: "c"})
    return made


def entries(disk: Disk) -> list[Path]:
    return sorted((disk.home / "state/activations/export/log").rglob("*.json"))


def vouch(disk: Disk, name: str = "export") -> int:
    project = disk.project
    return open_state(project).log(project, project.activations[name]).vouch()


def copied(disk: Disk) -> set[str]:
    disk.consume()
    return {row["value"] for row in disk.copy.values()}


def test_signed_log_is_read_as_any_and_goes_on(disk: Disk) -> None:
    assert isinstance(disk.run(), Delivery)
    assert copied(disk) == {repr("c")}
    assert all(json.loads(path.read_bytes())["mac"] for path in entries(disk))
    previous = [json.loads(path.read_bytes())["previous"] for path in entries(disk)]
    assert previous[0] == ""
    assert len(set(previous)) == len(previous)


def change(path: Path) -> None:
    path.write_bytes(re.sub(rb'"seconds": [0-9.]+', b'"seconds": 9.0', path.read_bytes()))


def strip(path: Path) -> None:
    path.write_bytes(re.sub(rb',\n "previous": .*', b"\n}", path.read_bytes(), flags=re.DOTALL))


def resign(path: Path) -> None:
    path.write_bytes(re.sub(rb'"mac": "[0-9a-f]+"', b'"mac": "' + b"0" * 64 + b'"', path.read_bytes()))


def swap(path: Path) -> None:
    other = path.with_name("00000002.json")
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize(
    ("act", "found"),
    [(change, "changed afterwards"), (strip, "is not signed"), (resign, "another key"), (swap, "for another log or position")],
)
@pytest.mark.parametrize("position", [5, 10])
def test_entry_that_somebody_else_touched_stops_every_step(disk: Disk, act: Callable[[Path], None], found: str, position: int) -> None:
    delivered = disk.files()
    assert json.loads(entries(disk)[position - 1].read_bytes())["entry"]["type"] == "delivered"
    act(entries(disk)[position - 1])
    syncs = disk.syncs()
    for step in (syncs.roll_forward, syncs.state, syncs.whole_history, syncs.approve, lambda: syncs.clean(dry_run=False)):
        with pytest.raises(StateError, match=found):
            step()
    assert disk.files() == delivered


def test_entries_that_were_left_out_are_missed(disk: Disk) -> None:
    for path in entries(disk)[3:]:
        path.rename(path.with_name(f"{int(path.stem) - 1:08d}.json"))
    with pytest.raises(StateError, match="for another log or position"):
        disk.syncs().state()


def test_end_of_another_history_does_not_follow(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two projects with one key and one activation's name: entries of the same positions, each rightly signed."""
    other = Disk(tmp_path / "other")
    other.set_rows({7: "z"})
    other.run()
    shutil.copy(entries(other)[4], entries(disk)[4])
    with pytest.raises(StateError, match=r"00000005\.json does not follow the entry that is before it"):
        disk.syncs().state()


def test_entry_of_another_log_is_none_of_this(disk: Disk) -> None:
    log = disk.home / "state/activations/export"
    shutil.copytree(log, log.with_name("taken"))
    definitions = disk.root / "defs/defs.yaml"
    definitions.write_text(definitions.read_text().replace("name: export", "name: taken"))
    project = disk.project
    with pytest.raises(StateError, match="for another log or position"):
        open_state(project).log(project, project.activations["taken"]).read()


def test_approval_by_whoever_can_write_to_the_state_lets_nothing_pass(disk: Disk) -> None:
    disk.set_rows({})
    with pytest.raises(SyncBlocked):
        disk.run()
    newest = entries(disk)[-1]
    number = json.loads(newest.read_bytes())["entry"]["number"]
    forged = {"version": 1, "at": "2025-04-14T12:00:00Z", "entry": {"type": "approved", "number": number, "by": "nobody"}}
    newest.with_name(f"{int(newest.stem) + 1:08d}.json").write_text(json.dumps(forged))
    with pytest.raises(StateError, match="is not signed"):
        disk.syncs().state()


def test_log_from_before_there_was_a_key_counts_once_somebody_takes_it_for_true(unsigned: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINMO_STATE_KEY", KEY)
    with pytest.raises(StateError, match=r"00000001\.json is not signed.*`dinmo state sign` takes it for true"):
        unsigned.run()
    assert vouch(unsigned) == 10
    delivery = unsigned.run()
    assert isinstance(delivery, Delivery)
    assert delivery.export.base == 2
    assert copied(unsigned) == {repr("c")}

    change(entries(unsigned)[4])
    with pytest.raises(StateError, match="entries of chapter 0 are not those that `dinmo state sign` took for true"):
        unsigned.run()


def test_other_key_counts_once_somebody_takes_the_log_for_true(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINMO_STATE_KEY", OTHER)
    with pytest.raises(StateError, match="was signed with another key"):
        disk.run()
    vouch(disk)
    assert isinstance(disk.run(), Delivery)


def test_voucher_of_whoever_has_no_key_vouches_for_nothing(unsigned: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINMO_STATE_KEY", OTHER)
    vouch(unsigned)
    (voucher,) = (unsigned.home / "state/activations/export/vouchers").iterdir()
    voucher.with_name("junk.json").write_text("[")
    monkeypatch.setenv("DINMO_STATE_KEY", KEY)
    with pytest.raises(StateError, match="is not signed"):
        unsigned.run()


def test_chapters_are_chained_and_vouched_for(unsigned: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chapters, "CHAPTER", 8)
    made = Disk(unsigned.root.parent / "chapters")
    for value in "abc":
        made.set_rows({1: value})
        made.run()
    monkeypatch.setenv("DINMO_STATE_KEY", KEY)
    assert vouch(made) > 16
    for value in "def":
        made.set_rows({1: value})
        assert isinstance(made.run(), Delivery)
    assert len(made.syncs().whole_history().syncs) == 6
    assert copied(made) == {repr("f")}
    checkpoint = max((made.home / "state/activations/export/checkpoints").iterdir())
    text = checkpoint.read_bytes()
    checkpoint.write_bytes(text.replace(b'"used": 0', b'"used": 1'))
    with pytest.raises(StateError, match="changed afterwards"):
        made.syncs().state()


def test_renamed_activation_goes_on_from_what_was_vouched_for(unsigned: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(old: str, new: str) -> None:
        definitions = unsigned.root / "defs/defs.yaml"
        text = re.sub(r"name: \w+, (renamed_from: \w+, )?model", f"name: {new}, renamed_from: {old}, model", definitions.read_text())
        definitions.write_text(text)

    def base(name: str) -> int | None:
        unsigned.refresh()
        project, now = unsigned.project, unsigned.tick()
        syncs = SyncService(project, project.activations[name])
        syncs.take_snapshot(label_of_instant(now), now=now)
        return syncs.deliver(label_of_instant(now), now=now).export.base

    renamed("export", "second")
    assert base("second") == 2
    monkeypatch.setenv("DINMO_STATE_KEY", KEY)
    assert vouch(unsigned, "second") > 12
    assert base("second") == 3
    renamed("second", "third")
    assert base("third") == 4


def test_without_the_key_a_signed_log_is_read_and_nothing_is_added(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DINMO_STATE_KEY")
    assert disk.syncs().state().next_number == 3
    with pytest.raises(StateError, match="its entries are signed, and DINMO_STATE_KEY is not set here"):
        disk.run()


def test_short_key_is_none(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINMO_STATE_KEY", "secret")
    with pytest.raises(CallError, match=r"DINMO_STATE_KEY has 6 characters, and 32 at least .*openssl rand -hex 32"):
        disk.run()


def test_log_in_an_object_store_is_vouched_for_and_signed(state: RemoteState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Disk(tmp_path / "project")
    made.set_rows({1: "a"})
    with state.in_use():
        made.run()
        monkeypatch.setenv("DINMO_STATE_KEY", KEY)
        with pytest.raises(StateError, match="is not signed"):
            made.run()
        assert vouch(made) == 5
        for value in "bc":
            made.set_rows({1: value})
            assert isinstance(made.run(), Delivery)
        assert len(made.syncs().whole_history().syncs) == 3
        forged = json.dumps({"version": 1, "at": "2025-04-14T12:00:00Z", "entry": {"type": "restored", "number": 9}})
        assert state.backend().create("export", path_of(16, 0), forged.encode())
        with pytest.raises(StateError, match=r"00000016\.json is not signed"):
            made.run()
    assert copied(made) == {repr("c")}
