"""Column types that both databases keep exactly."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Dialect
from sqlalchemy.types import TypeDecorator

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


class Instant(TypeDecorator[datetime]):
    """A moment, stored as microseconds since the epoch: the same order and value on SQLite and PostgreSQL."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Refuses naive datetimes: they have lost their meaning already."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a timezone")
        return to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Back to UTC."""
        return None if value is None else from_microseconds(value)
