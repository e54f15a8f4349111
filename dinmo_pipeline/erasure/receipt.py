"""What is told of each place where a person was, or may be: what was found, what was done, what is left to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from dinmo_pipeline.erasure.person import Person


@dataclass(frozen=True)
class Receipt:
    """One place: what it is, where it lies, how many records of the person it had; what was done with them, or would be.

    `left` is what keeps them there, and what to do about it: empty where nothing does.
    """

    what: str
    where: str
    found: int
    done: str
    left: str = ""


class Place(Protocol):
    """A kind of place where this product keeps rows."""

    def forget(self, person: Person, *, dry_run: bool) -> Iterator[Receipt]:
        """Take the person out, or only tell what would be; may be stopped at any point and done again.

        A place without the person gives no receipt. Raises DinmoError where what is there cannot be read.
        """
