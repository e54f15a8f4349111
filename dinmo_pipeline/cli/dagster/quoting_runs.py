"""Which runs of Dagster's quote a person: a word that also names something is the person's only where it is a whole value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from dagster import AssetKey, DagsterInstance, EventLogEntry, RunRecord, serialize_value

import dinmo_pipeline
from dinmo_pipeline.catalog.metadata import cut_cell
from dinmo_pipeline.cli.dagster.event_texts import Kind, event_texts, run_texts
from dinmo_pipeline.erasure.person import Description, Person
from dinmo_pipeline.project.specs import Project


@dataclass
class _Found:
    """Of one word in one run: of which assets texts have it, and of which it is a whole value; None where there is no such text."""

    in_texts: set[AssetKey] | None = None
    as_value: set[AssetKey] | None = None


@dataclass
class QuotingRuns:
    """The runs that Dagster keeps, looked through once. `names` are words of the person that Dagster, this product or the project uses."""

    person: Person
    names: set[str] = field(default_factory=set)
    _runs: dict[str, tuple[RunRecord, dict[str, _Found]]] = field(default_factory=dict)

    @classmethod
    def found(cls, instance: DagsterInstance, home: Path, project: Project, person: Person) -> QuotingRuns:
        """Look through all events of all runs, and what their steps printed."""
        told = _as_told(person)
        names = {word for word in told.words if _is_word_of_ours(word)} | told.mentioned(repr(project))
        quoting = cls(told, names)
        for run in instance.get_run_records():
            quoting._look_into(instance, home, run)
        return quoting

    def runs(self) -> Iterator[tuple[RunRecord, set[AssetKey]]]:
        """Yield the runs that quote the person, each with the assets of which its events do."""
        for run, words in self._runs.values():
            found = [each.as_value if word in self.names else each.in_texts for word, each in words.items()]
            assets = [each for each in found if each is not None]
            if assets:
                yield run, set().union(*assets)

    def _look_into(self, instance: DagsterInstance, home: Path, run: RunRecord) -> None:
        run_id = run.dagster_run.run_id
        words: dict[str, _Found] = {}
        self._look_at(words, run_texts(run.dagster_run), set())
        for entry in instance.all_logs(run_id):
            if self.person.mentioned(serialize_value(entry)):
                self._look_at(words, event_texts(entry), _assets(entry))
        self._look_at(words, _printed(home / "storage" / run_id), set())
        if words:
            self._runs[run_id] = (run, words)

    def _look_at(self, words: dict[str, _Found], texts: Iterable[tuple[Kind, str]], assets: set[AssetKey]) -> None:
        for kind, text in texts:
            for word in self.person.mentioned(text):
                if (kind == Kind.NAME and word in text.split("/")) or (kind == Kind.SENTENCE and word.replace(" ", "").isalpha()):
                    self.names.add(word)
                    continue
                found = words.setdefault(word, _Found())
                if kind != Kind.VALUE:
                    found.in_texts = (found.in_texts or set()) | assets
                elif text.strip() == word:
                    found.as_value = (found.as_value or set()) | assets


def _as_told(person: Person) -> Person:
    """Return the person with each value also as a preview shows it."""
    cut = (Description((("", cut_cell(value)),)) for each in person.descriptions for _, value in each.values)
    return replace(person, descriptions=(*person.descriptions, *cut))


def _is_word_of_ours(word: str) -> bool:
    """Whether our sentences, whatever they say, may have it: `none`, `every`, `unknown`."""
    if not (word.isascii() and word.isalpha() and word.islower()):
        return False
    pattern = re.compile(rf"\b{word}\b")
    return any(pattern.search(path.read_text(encoding="utf-8")) for path in Path(dinmo_pipeline.__file__).parent.rglob("*.py"))


def _assets(entry: EventLogEntry) -> set[AssetKey]:
    event = entry.dagster_event
    if event is None:
        return set()
    keys = {event.asset_key} if event.asset_key is not None else set()
    return keys | ({event.asset_check_evaluation_data.asset_key} if event.event_type_value == "ASSET_CHECK_EVALUATION" else set())


def _printed(folder: Path) -> Iterator[tuple[Kind, str]]:
    """Yield what the steps of a run printed."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield Kind.DATA, path.read_text(encoding="utf-8", errors="replace")
