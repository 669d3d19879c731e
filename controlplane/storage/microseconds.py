"""Moments as whole microseconds since the epoch: how they travel and how they are stored. Needs no database."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(instant: datetime) -> int:
    """Microseconds since the epoch; exact, unlike `timestamp()`."""
    return (instant - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The instant, UTC."""
    return _EPOCH + value * _MICROSECOND


def optional_microseconds(instant: datetime | None) -> int:
    """The same, with 0 for no moment at all, as it travels."""
    return 0 if instant is None else to_microseconds(instant)
