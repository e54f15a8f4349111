"""File names: `[prefix]<entity>_<source>[_<subsection>]_<YYYYMMDD>[suffix].<csv|json|ndjson|jsonl>[.gz|.zst]`.

What a name means starts from the feeds that are declared: `contacts_shop_vip_20220315.csv` is of the feed `contacts_shop_vip`, and
of none where only `contacts_shop` is declared. Small letters and capitals are one, as partners write them: `Contacts__Shop_20220315.CSV`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial
from typing import Literal
from unicodedata import category

from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.suggestions import nearest_hint

_EXTENSION = re.compile(r"\.(csv|json|ndjson|jsonl)(\.gz|\.zst)?$", re.IGNORECASE)
_COMPRESSIONS: dict[str, Literal["gzip", "zstd"]] = {".gz": "gzip", ".zst": "zstd"}
_DIGITS = re.compile(r"(\d{4})(\d\d)(\d\d)|\d+(?=_)", re.ASCII)
_UP_TO_DATE = re.compile(r"(.*?)_?\d{8}", re.DOTALL)
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_TEMPORARY = re.compile(
    r"^[.~]|~$|\.(part|partial|tmp|temp|filepart|crdownload|download|upload|uploading|inprogress|writing|swp|lock)$", re.IGNORECASE
)


Reason = Callable[[], str]
"""Why a file is of no feed, in words that follow its name; made for whoever is told, as the nearest feed is not found at once."""


@dataclass(frozen=True, slots=True)
class NameMatch:
    """What a file's name says. `prefix` and `suffix` are as they stand, with what joins them to the rest (`prod_`, `_v2`)."""

    feed: FeedSpec
    date: date
    prefix: str = ""
    suffix: str = ""
    compression: Literal["gzip", "zstd"] | None = None


@dataclass(frozen=True)
class _Place:
    """A feed's name found in a file's: from `start` to `end`, with the date that follows, if one does; then `end` is where that ends."""

    feed: FeedSpec
    start: int
    end: int
    date: date | None


def without_extension(file_name: str) -> str:
    """Return the name without the extension that tells a feed's format and compression; as it is where it has none."""
    extension = _EXTENSION.search(file_name)
    return file_name if extension is None else file_name[: extension.start()]


def is_temporary(file_name: str) -> bool:
    """Return whether the name is one that programs give to files which they have not finished."""
    return _TEMPORARY.search(file_name) is not None


def unfit_name(file_name: str) -> str | None:
    """Return why a file of this name is never taken: words to follow it as `printable` shows it. None when it may be.

    A server can list what is no name, and the copy on this machine would then lie elsewhere.
    """
    if "/" in file_name:
        return "its name has a / in it, so the server lists what is no name; ask its owner"
    if printable(file_name) != file_name:
        return "its name has characters that no one can see; ask for the file under another name"
    return None


def printable(text: str) -> str:
    r"""Return `text` with what nobody sees written out, as `\x1b`.

    Those are control characters, ends of lines, changes of direction, halves of pairs.
    """
    if text.isprintable():
        return text
    return "".join(_written_out(character) if category(character) in _UNSEEN else character for character in text)


def _written_out(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def match_name(file_name: str, feeds: Iterable[FeedSpec]) -> NameMatch | Reason:
    """Return the feed that the file is of, or why it is of none of `feeds`.

    The feed with the longest name wins, then the one that stands first.
    """
    known = tuple(feeds)
    extension = _EXTENSION.search(file_name)
    stem = file_name[: extension.start()] if extension else file_name.rpartition(".")[0] or file_name
    places = sorted(_places(stem, known), key=lambda place: (-len(place.feed.name), place.start))
    dated = next((place for place in places if place.date is not None), None)
    if extension is None:
        return partial(_no_extension, dated)
    if dated is None or dated.date is None:
        return partial(_undated, stem, places[0]) if places else partial(_unknown, stem, known)
    if (extension[1].lower() == "csv") != (dated.feed.csv is not None):
        return partial(_of_other_format, extension[0], dated.feed)
    return NameMatch(
        feed=dated.feed,
        date=dated.date,
        prefix=stem[: dated.start],
        suffix=stem[dated.end :],
        compression=_COMPRESSIONS.get((extension[2] or "").lower()),
    )


def _places(stem: str, feeds: Iterable[FeedSpec]) -> Iterator[_Place]:
    for feed in feeds:
        for found in _feed_name(feed.entity, feed.name.removeprefix(feed.entity + "_")).finditer(stem):
            # A prefix is told from the entity by what joins them: `mycontacts` are no contacts.
            if found.start() == 0 or not stem[found.start() - 1].isalnum():
                day, end = _first_date(stem, found.end() + 1)
                yield _Place(feed, found.start(), found.end() if day is None else end, day)


@lru_cache(maxsize=1024)
def _feed_name(entity: str, after_entity: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(entity)}__?{re.escape(after_entity)}(?=_|$)", re.IGNORECASE | re.ASCII)


def _first_date(stem: str, position: int) -> tuple[date | None, int]:
    """Return the first valid date, and where it ends; nothing but other numbers may stand before it, which are no subsection."""
    while digits := _DIGITS.match(stem, position):
        if digits[1] is not None:
            try:
                return date(int(digits[1]), int(digits[2]), int(digits[3])), digits.end()
            except ValueError:
                pass
        position = digits.end()
        if not stem.startswith("_", position):
            break
        position += 1
    return None, position


def _no_extension(place: _Place | None) -> str:
    whose = f"; otherwise it would be of feed {place.feed.name}" if place is not None else ""
    return f"its name ends in none of .csv, .json, .ndjson and .jsonl, with or without .gz or .zst{whose}"


def _of_other_format(ending: str, feed: FeedSpec) -> str:
    takes = "CSV" if feed.csv is not None else "JSON"
    return f"its name ends in {ending}, and feed {feed.name} takes {takes}; change the feed's format, or the name"


def _undated(stem: str, place: _Place) -> str:
    name, rest = place.feed.name, stem[place.end + 1 :]
    between = _UP_TO_DATE.match(rest)
    if not rest:
        return f"it has the name of feed {name}, and no date after it; _YYYYMMDD belongs there"
    if between is not None and between[1]:
        other = f"{name}_{between[1]}"
        return f"feed {name} is nearest, but {between[1]!r} stands before the date; define a feed {other}, or take it out of the name"
    return f"feed {name} is nearest, but {rest!r} does not begin with a date; YYYYMMDD belongs there"


def _unknown(stem: str, feeds: tuple[FeedSpec, ...]) -> str:
    if not feeds:
        return "the inbox has no feed; define one"
    undated = _UP_TO_DATE.match(stem)
    hint = nearest_hint(undated[1] if undated else stem, (feed.name for feed in feeds))
    return f"no feed's name stands in it{hint}"
