"""Instants as they travel: whole microseconds since the Unix epoch, UTC, in fields named `*_at_us`; 0 is "not known".

Integer arithmetic throughout: `datetime.timestamp()` is a float and loses the last microsecond.
"""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_us(instant: datetime | None) -> int:
    """Microseconds since the epoch; None becomes 0."""
    return (instant - _EPOCH) // timedelta(microseconds=1) if instant is not None else 0


def from_us(microseconds: int) -> datetime:
    """The other way, for a field that is always set.

    Raises:
        OverflowError: Further away than Python's calendar reaches.
    """
    return _EPOCH + timedelta(microseconds=microseconds)


def optional_from_us(microseconds: int) -> datetime | None:
    """The other way; 0 becomes None."""
    return from_us(microseconds) if microseconds else None
