"""A clock that stands still until it is told to move."""

from datetime import UTC, datetime, timedelta

#: A Monday morning; tests that do not care about the date use it.
SOME_MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class FakeClock:
    """Honest fake of `agent.domain.ports.Clock`: wall time can be set anywhere, monotonic time only grows."""

    def __init__(self, now: datetime = SOME_MONDAY) -> None:
        self._now = now
        self._monotonic_ns = 1_000_000_000
        self._asleep_ns = 0

    def now(self) -> datetime:
        return self._now

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def asleep_ns(self) -> int:
        return self._asleep_ns

    def sleep(self, length: timedelta) -> None:
        """The machine is suspended and woken up again."""
        self._now += length
        self._asleep_ns += length // timedelta(microseconds=1) * 1_000

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        if by < timedelta(0):
            raise ValueError("time passes forward; use `set_wall` for a clock that somebody changed")
        self._now += by
        self._monotonic_ns += by // timedelta(microseconds=1) * 1_000

    def set_wall(self, now: datetime) -> None:
        """Somebody changed the machine's clock; monotonic time does not notice."""
        self._now = now
