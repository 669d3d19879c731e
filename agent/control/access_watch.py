"""Notices when what this device may do changes: by a new entitlement, or only because a date has passed."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from agent.domain.entitlement import Access, AccessLevel

log = structlog.get_logger()
#: A date that passes is noticed this late at most, in seconds.
_LOOK_EVERY_S = 30.0


class AccessWatch:
    """Calls back on every change of access.

    Args:
        access: What is allowed now.
        on_change: Told after each change, on the event loop's thread.
    """

    def __init__(self, access: Callable[[], Access], on_change: Callable[[], None]) -> None:
        self._access = access
        self._on_change = on_change
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        known = _essence(self._access())
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            now = self._access()
            if _essence(now) != known:
                known = _essence(now)
                log.info("access_changed", level=now.level.value, reason=now.reason)
                self._on_change()


def _essence(access: Access) -> tuple[AccessLevel, str, tuple[tuple[str, AccessLevel], ...]]:
    return access.level, access.reason, tuple(sorted(access.features.items(), key=lambda grant: grant[0]))
