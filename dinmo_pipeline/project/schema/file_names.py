"""Names of delivered files: the template with its ten variables, and what stands before the extension.

`{{` and `}}` in a template stand for one brace each. The extension is added unless the name ends in it already;
`_trial`, `_added` and part numbers go before it: `25-04-14_export_added_2.csv`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from dinmo_pipeline.errors import CallError
from dinmo_pipeline.project.specs import ActivationSpec
from dinmo_pipeline.suggestions import nearest_hint

NO_EXTENSION = "none"
MANIFEST_ENDING, SCHEMA_ENDING = ".manifest.json", ".xsd"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_OWN_EXTENSION = re.compile(r"(?<=.)(?:\.[A-Za-z][A-Za-z0-9]{0,7})+$")

VARIABLES: dict[str, Callable[[datetime], str]] = {
    "YYYY": lambda local: f"{local.year:04d}",
    "YY": lambda local: f"{local.year % 100:02d}",
    "MM": lambda local: f"{local.month:02d}",
    "DD": lambda local: f"{local.day:02d}",
    "HH": lambda local: f"{local.hour:02d}",
    "mm": lambda local: f"{local.minute:02d}",
    "ss": lambda local: f"{local.second:02d}",
    "ms": lambda local: f"{local.microsecond // 1000:03d}",
    "X": lambda local: str((local - _EPOCH) // timedelta(seconds=1)),
    "x": lambda local: str((local - _EPOCH) // timedelta(milliseconds=1)),
}


def template_problems(template: str, others: Collection[str] = ()) -> list[str]:
    """Return why `template` cannot be rendered: an unknown variable (with the nearest one) or a brace without its partner.

    It may have the variables `others` beside those of the time.
    """
    problems = []
    for match in _TOKEN.finditer(template):
        if match[0] in ("{", "}"):
            problems.append(
                f"the brace {match[0]!r} at character {match.start() + 1} has no partner; write {match[0] * 2!r} for a brace itself"
            )
        elif match[1] is not None and match[1] not in VARIABLES and match[1] not in others:
            problems.append(f"unknown variable '{{{match[1]}}}'{_variable_hint(match[1], [*others, *VARIABLES])}")
    return problems


def template_variables(template: str) -> tuple[str, ...]:
    """Return the names of the variables in `template`, each once, in the order they stand in."""
    return tuple(dict.fromkeys(match[1] for match in _TOKEN.finditer(template) if match[1] in VARIABLES))


def is_dated(file_name: str, folder: str) -> bool:
    """Return whether syncs at different instants can write different files: a variable in the name or the folder."""
    return bool(template_variables(file_name) or template_variables(folder))


def done_file_problem(text: str) -> str | None:
    """Return why `text` can be neither a done file's name nor what one ends in, or None."""
    if set(text) <= {"."} or any(character == "/" or ord(character) < 32 for character in text):
        return f"{text!r} is no name for a file; write .done, or one such as READY"
    return None


def render_name(template: str, instant: datetime, timezone: str, others: Mapping[str, str] | None = None) -> str:
    """Return `template` at `instant` (with a zone), told in `timezone` (an IANA name), with `others` for variables of these names.

    In the hour that autumn repeats, `{HH}` and `{mm}` come twice; `{X}` and `{x}` never do. Raises CallError for a faulty template.
    """
    if problems := template_problems(template, others or ()):
        raise CallError(f"cannot make a name from {template!r}: {'; '.join(problems)}")
    local = instant.astimezone(ZoneInfo(timezone))
    return "".join(_pieces(template, local, others or {}))


def target_folder(spec: ActivationSpec, instant: datetime) -> str:
    """Return the folder that a sync of this instant delivers to."""
    return render_name(spec.folder, instant, spec.timezone)


def target_name(spec: ActivationSpec, instant: datetime, *, change: str | None = None, part: int | None = None, trial: bool = False) -> str:
    """Return the name of one file of a sync: `change` is added, updated or removed, `part` counts from 1, `trial` marks a limited run."""
    rendered = render_name(spec.file_name, instant, spec.timezone)
    stem, suffix = split_extension(rendered, extension=spec.extension, format_extension=spec.format.extension)
    marks = ["trial"] * trial + [change] * (change is not None) + [str(part)] * (part is not None)
    return "_".join([stem, *map(str, marks)]) + suffix


def companion_name(spec: ActivationSpec, instant: datetime, ending: str, *, trial: bool = False) -> str:
    """Return the name of a file that goes with those of a sync: `ending` after what stands before their extension."""
    rendered = render_name(spec.file_name, instant, spec.timezone)
    stem, _ = split_extension(rendered, extension=spec.extension, format_extension=spec.format.extension)
    return "_".join([stem, *["trial"] * trial]) + ending


def split_extension(rendered: str, *, extension: str | None, format_extension: str) -> tuple[str, str]:
    """Return a rendered name as what stands before the extension, and the extension with its dot.

    `extension` replaces the format's own one (`csv`, `csv.gz`) as it stands. What of it the name has already is not added
    again: `export.csv` and `csv.gz` make `export.csv.gz`. With `none`, an extension that the name brings itself counts as one.
    """
    if extension == NO_EXTENSION:
        own = _OWN_EXTENSION.search(rendered)
        return (rendered[: own.start()], own[0]) if own else (rendered, "")
    wanted = (extension or format_extension).removeprefix(".").split(".")
    for count in range(len(wanted), 0, -1):
        present = "." + ".".join(wanted[:count])
        if rendered.casefold().endswith(present.casefold()) and len(rendered) > len(present):
            # The name's own spelling of the extension is kept: `EXPORT.CSV`.
            stem = rendered[: -len(present)]
            return stem, ".".join([rendered[len(stem) :], *wanted[count:]])
    return rendered, "." + ".".join(wanted)


def _pieces(template: str, local: datetime, others: Mapping[str, str]) -> Iterator[str]:
    end = 0
    for match in _TOKEN.finditer(template):
        yield template[end : match.start()]
        name = match[1]
        yield match[0][0] if name is None else others[name] if name in others else VARIABLES[name](local)
        end = match.end()
    yield template[end:]


def _variable_hint(found: str, known: Collection[str]) -> str:
    # MM and mm differ by case alone, so the spelling decides before the letters do.
    stripped = found.strip()
    return f"; did you mean {'{' + stripped + '}'!r}?" if stripped in known else nearest_hint(found, known)
