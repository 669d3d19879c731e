"""The clock. The only file of the control plane that asks the operating system for the time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Protocol

_ahead: ContextVar[timedelta] = ContextVar("buckler_ahead", default=timedelta(0))


class Clock(Protocol):
    """Time. Business follows one that runs ahead for sandboxes; certificates, sessions and claims follow the wall."""

    def now(self) -> datetime:
        """Timezone-aware, UTC, whole microseconds."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Timezone-aware, UTC."""
        return datetime.fromtimestamp(time.time_ns() // 1_000 / 1_000_000, tz=UTC)


class TenantClock:
    """Another clock, as far ahead of it as the sandbox is whose work is being done; for everybody else the same."""

    def __init__(self, base: Clock) -> None:
        self._base = base

    def now(self) -> datetime:
        """The base's time plus what the call or job at hand runs ahead."""
        return self._base.now() + _ahead.get()


@contextmanager
def running_ahead(by: timedelta) -> Iterator[None]:
    """Let tenant clocks run ahead in here."""
    token = _ahead.set(by)
    try:
        yield
    finally:
        _ahead.reset(token)


def run_ahead(by: timedelta) -> None:
    """Let tenant clocks run ahead from now on, until the `running_ahead` around this ends."""
    _ahead.set(by)
