"""Keeps the counters of fleets up with time; durable jobs call this."""

from typing import Final

from controlplane.devices.fleet.standings import AT_ONCE, Standings, organisations_due
from controlplane.runtime.clock import Clock
from controlplane.storage.database import Database

#: The job that judges anew what time may have changed, and adds up what has changed.
SETTLE_FLEETS: Final = "devices.settle_fleets"


class FleetCounters:
    """The sweeps.

    Args:
        database: The database.
        standings: What devices count as.
        clock: Business time.
    """

    def __init__(self, *, database: Database, standings: Standings, clock: Clock) -> None:
        self._database = database
        self._standings = standings
        self._clock = clock

    async def settle(self) -> int:
        """Judge every device that is due. How many there were."""
        settled = 0
        while True:
            now = self._clock.now()
            async with self._database.reading() as connection:
                organisations = await organisations_due(connection, now, AT_ONCE)
            before = settled
            for org_id in sorted(organisations):
                async with self._database.transaction() as uow:
                    settled += await self._standings.settle(uow, org_id, now)
            # What others hold the locks of is theirs.
            if settled == before:
                return settled

    async def add_up(self) -> int:
        """Add up what changed. How many changes there were."""
        added = 0
        while True:
            async with self._database.transaction() as uow:
                some = await self._standings.add_up(uow)
            added += some
            if some < AT_ONCE:
                return added
