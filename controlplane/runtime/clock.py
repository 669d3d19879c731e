"""The clock. The only file of the control plane that asks the operating system for the time."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Time. Business follows one that a demonstration may move; certificates, sessions and claims follow the wall."""

    def now(self) -> datetime:
        """Timezone-aware, UTC, whole microseconds."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Timezone-aware, UTC."""
        return datetime.fromtimestamp(time.time_ns() // 1_000 / 1_000_000, tz=UTC)


class ShiftedClock:
    """A clock that runs ahead of another by an offset that only grows; for `serve --demo` and sandboxes."""

    def __init__(self, base: Clock, offset: timedelta = timedelta(0)) -> None:
        self._base = base
        self._offset = offset

    @property
    def offset(self) -> timedelta:
        """How far ahead it runs."""
        return self._offset

    def now(self) -> datetime:
        """The base's time plus the offset."""
        return self._base.now() + self._offset

    def advance(self, by: timedelta) -> None:
        """Move forward.

        Raises:
            ValueError: `by` is not positive.
        """
        if by <= timedelta(0):
            raise ValueError("a clock only moves forward")
        self._offset += by
