"""What one process has for a while, so that no two do the same: renewed as long as its work goes on.

Whoever dies leaves something that others may have `lasts` later. Whoever cannot renew theirs stops before that.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog

_log = structlog.get_logger(__name__)
#: Renews what is held; False: it is somebody else's by now.
Renew = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Times of a lease.

    Attributes:
        lasts: From each renewal on; then others may have it.
        renewed_every: Several times within that, so that one renewal that fails costs nothing.
        stops_before: Work is stopped so long before others may begin: stopping takes time, and clocks differ.
    """

    lasts: timedelta = timedelta(seconds=50)
    renewed_every: timedelta = timedelta(seconds=10)
    stops_before: timedelta = timedelta(seconds=15)

    def stops_at(self, renewed: float, ends: float = float("inf")) -> float:
        """When work has to stop unless there is another renewal.

        Args:
            renewed: When the last renewal that worked began; seconds of a monotonic clock, as the answer is.
            ends: When it has to stop anyway.
        """
        return min(ends, renewed + (self.lasts - self.stops_before).total_seconds())


@asynccontextmanager
async def held(renew: Renew, times: LeaseTimes, *, longest: timedelta | None = None) -> AsyncIterator[None]:
    """Renew what was taken a moment ago, while the block works with it.

    Args:
        renew: Keeps it for `times.lasts` from now on.
        times: The times.
        longest: A block that takes longer is stopped; None: none is.

    Raises:
        TimeoutError: The block was stopped: it took too long, or what it holds is somebody else's, or soon may be.
    """
    began = asyncio.get_running_loop().time()
    ends = float("inf") if longest is None else began + longest.total_seconds()
    failure: Exception | None = None
    async with asyncio.TaskGroup() as tasks:
        try:
            async with asyncio.timeout_at(times.stops_at(began, ends)) as limit:
                renewing = tasks.create_task(_renew_forever(renew, times, limit, ends))
                try:
                    yield
                finally:
                    renewing.cancel()
        # Kept out of the group, which would wrap it.
        except Exception as error:  # noqa: BLE001
            failure = error
    if failure is not None:
        raise failure


async def _renew_forever(renew: Renew, times: LeaseTimes, limit: asyncio.Timeout, ends: float) -> None:
    now = asyncio.get_running_loop().time
    mine = True
    while mine and not limit.expired():
        await asyncio.sleep(times.renewed_every.total_seconds())
        began = now()
        try:
            mine = await renew()
        # Supervision point: a database that is away for a moment stops nobody; if it stays away, the limit comes.
        except Exception as error:  # noqa: BLE001
            _log.warning("lease_not_renewed", error=type(error).__name__)
        else:
            if not limit.expired():
                limit.reschedule(times.stops_at(began, ends) if mine else began)
