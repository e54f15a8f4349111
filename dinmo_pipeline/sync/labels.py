"""Labels of syncs, which are partition keys: the instant in UTC, safe as a file name, or whatever a person typed."""

from __future__ import annotations

from datetime import UTC, datetime

_FORM = "%Y-%m-%dT%H-%M-%S"


def label_of_instant(instant: datetime) -> str:
    """Return `2017-11-22T12-00-00.000Z`: to the millisecond, so that labels sort as instants do."""
    utc = instant.astimezone(UTC)
    return f"{utc.strftime(_FORM)}.{utc.microsecond // 1000:03d}Z"


def instant_of_label(label: str) -> datetime | None:
    """Return the instant that `label_of_instant` wrote, or None for a label that a person typed."""
    try:
        return datetime.strptime(label, f"{_FORM}.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None
