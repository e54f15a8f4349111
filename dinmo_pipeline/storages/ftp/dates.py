"""When a file was changed, as FTP servers write it in listings that are made for people: in any language's months, and in any order."""

# ruff: noqa: RUF001 (months in Greek and Cyrillic letters are what this is about)

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

# A byte that is no UTF-8, as `surrogateescape` decodes it: the months of a server that writes in another encoding.
_BYTE: Final = "[\udc80-\udcff]"
_WORD: Final = rf"(?:[^\W\d_]|{_BYTE})[^\s\d]*"
_NUMBERED: Final = rf"\d{{1,2}}(?:[月월]|{_BYTE}{{2,3}})"
_MONTH: Final = rf"(?:{_WORD}|{_NUMBERED})"
_DAY: Final = r"\d{1,2}[.日일]?"
_HOUR: Final = r"\d{1,2}[:.]\d{2}(?::\d{2}(?:[.,]\d+)?)?"
_YEAR: Final = r"(?:19|20)\d{2}[.年년]?"
_LATER: Final = rf"(?:{_HOUR}\s+{_YEAR}|{_HOUR}|{_YEAR})"
_HALF: Final = r"(?:\s?[AaPp][Mm]?\b)?"
DATE: Final = "|".join(
    (
        rf"{_MONTH}\s*{_DAY},?\s+{_LATER}",
        rf"{_DAY}(?:\s+de)?\s+{_MONTH}(?:\s+de)?\s+{_LATER}",
        rf"{_YEAR}\s*{_MONTH}\s*{_DAY}(?:\s+{_HOUR})?",
        # `ls --time-style=iso` fills a date without a time up with a space.
        rf"\d{{4}}[-./]\d{{1,2}}[-./]\d{{1,2}}\.?(?:[ T]+{_HOUR}{_HALF}(?:Z| [+-]\d{{4}})?| (?= ))?",
        rf"\d{{1,2}}[-./]\d{{1,2}}[-./]\d{{2}}(?:\d{{2}})?\s+{_HOUR}{_HALF}",
        rf"\d{{1,2}}[-./]\d{{1,2}}\.?\s+{_LATER}",
    )
)
"""A regular expression without groups: what may be the date in a line, in the order of any language, or in numbers."""

# What months' names begin with, without accents, in the languages that `ls` speaks. Where one word is two months it is left out.
_MONTHS: Final = (
    "jan ene gen sty led tam oca ian янв січ ιαν",
    "feb fev lut uno hel sub фев лют φεβ",
    "mar maa mrt mrz bre мар бер μαρ",
    "apr abr avr kwi dub huh nis апр кві απρ",
    "may mai maj mei mag kve tou май мая тра μαι",
    "jun jui giu cze cen kes haz iun июн чер ιουν",
    "jul juil lug lip cec hei tem iul июл лип ιουλ",
    "aug ago aou sie srp elo agu авг сер αυγ",
    "sep set wrz zar syy eyl sze сен вер σεπ",
    "oct okt out ott paz rij lok eki окт жов οκτ",
    "nov lis marr kas noi ноя лис νοε",
    "dec dez des dic gru pro jou ara дек гру δεκ",
)
_CLOCK: Final = re.compile(rf"(?<![\d.-])({_HOUR})(?:\s?([AaPp])[Mm]?\b)?(?:Z|\s([+-]\d{{4}}))?(?![.\d-])")
_TOMORROW: Final = timedelta(days=1)


def _plain(word: str) -> str:
    if not word.isprintable():
        word = word.encode("utf-8", "surrogateescape").decode("latin-1")
    # A dotless i, as Turkish has it, is no letter with an accent.
    letters = unicodedata.normalize("NFKD", word.casefold().replace("ı", "i"))
    return "".join(letter for letter in letters if letter.isalpha())


_BY_WORD: Final = {_plain(word): number for number, words in enumerate(_MONTHS, 1) for word in words.split()}
_LONGEST: Final = max(map(len, _BY_WORD))


def month_of(word: str) -> int | None:
    """Return the month that the word is, in one of the languages that are known; None for any other word."""
    if found := re.fullmatch(r"(\d+)\D+", word):
        return int(found[1])
    plain = _plain(word)
    return next((_BY_WORD[plain[:length]] for length in range(_LONGEST, 2, -1) if plain[:length] in _BY_WORD), None)


def words_of(date: str) -> list[str]:
    """Return the words in a date, each of which may be its month."""
    return re.findall(rf"{_NUMBERED}|{_WORD}", date)


def parse_date(text: str, now: datetime) -> datetime | None:
    """Return the instant that `text`, which DATE matches, tells, in UTC unless it says otherwise.

    None when it has a word that is no known month.

    A date without a year is the last one before `now`; one without a time begins its day.
    """
    found = _CLOCK.search(text)
    hour, half, zone = found.groups(default="") if found is not None else ("", "", "")
    rest = text if found is None else f"{text[: found.start()]} {text[found.end() :]}"
    numbers = [int(number) for number in re.findall(r"\d+", rest)]
    words = words_of(rest)
    try:
        year, month, day = _numeric(rest, numbers) if not words else _worded(words, rest)
    except ValueError:
        return None
    clock = [int(number) for number in re.findall(r"\d+", hour)[:3]]
    if half:
        clock[0] = clock[0] % 12 + (12 if half in "Pp" else 0)
    moment = _moment(year, month, day, clock, now)
    if moment is None or not zone:
        return moment
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
    return moment.replace(tzinfo=timezone(-offset if zone[0] == "-" else offset)).astimezone(UTC)


def _worded(words: list[str], text: str) -> tuple[int | None, int, int]:
    month = next(((word, number) for word in words if (number := month_of(word)) is not None), None)
    if month is None:
        raise ValueError
    numbers = re.findall(r"\d+", text.replace(month[0], " "))
    year = next((number for number in numbers if len(number) == 4), None)
    day = next(number for number in (*numbers, "0") if len(number) < 3)
    return None if year is None else int(year), month[1], int(day)


def _numeric(text: str, numbers: list[int]) -> tuple[int | None, int, int]:
    if numbers and numbers[0] > 99:
        year, month, day = numbers[:3]
        return year, month, day
    if len(numbers) == 2:
        first, second = numbers
        return (None, first, second) if "-" in text else (None, second, first)
    first, second, year = numbers[:3]
    # Points are for the day first; so are slashes and strokes only where the other order is no date.
    day_first = "." in text or first > 12
    month, day = (second, first) if day_first else (first, second)
    return year if year > 99 else (1900 if year >= 70 else 2000) + year, month, day


def _moment(year: int | None, month: int, day: int, clock: list[int], now: datetime) -> datetime | None:
    hour, minute, second = (*clock, 0, 0, 0)[:3]
    # The server's clock may be ahead of ours, and its zone, too; a leap day is some years old at most.
    years = [year] if year is not None else range((now + _TOMORROW).year, now.year - 5, -1)
    for candidate in years:
        try:
            moment = datetime(candidate, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            continue
        if year is not None or moment <= now + _TOMORROW:
            return moment
    return None
