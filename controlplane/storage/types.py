"""Column types that both databases keep exactly."""

from datetime import datetime

from sqlalchemy import BigInteger, Dialect
from sqlalchemy.types import TypeDecorator

from controlplane.storage.microseconds import from_microseconds, optional_microseconds, to_microseconds

__all__ = ["Instant", "from_microseconds", "optional_microseconds", "to_microseconds"]


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
