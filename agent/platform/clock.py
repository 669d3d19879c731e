"""The clock. The only file of the agent that asks the operating system for the time."""

import sys
import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's own clock; port `agent.domain.ports.Clock`."""

    def now(self) -> datetime:
        """Wall time, timezone-aware, UTC, whole microseconds."""
        return datetime.fromtimestamp(time.time_ns() // 1_000 / 1_000_000, tz=UTC)

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary instant; never goes back."""
        return time.monotonic_ns()

    def asleep_ns(self) -> int:
        """How long the machine has been suspended: only one of Linux's two clocks goes on meanwhile."""
        if sys.platform != "linux":
            return 0
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
