"""When an organisation's devices were in contact last; implements `subscriptions.ports.Activity`."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.devices.tables import device_statuses, devices


class DeviceContacts:
    """Looks at the devices."""

    async def last_contact(self, connection: AsyncConnection, org_id: str) -> datetime | None:
        """The newest report or activation; None: there has been no device."""
        reported = select(func.max(device_statuses.c.last_seen)).where(device_statuses.c.org_id == org_id)
        activated = select(func.max(devices.c.activated_at)).where(devices.c.org_id == org_id)
        found = [await connection.scalar(query) for query in (reported, activated)]
        return max((each for each in found if each is not None), default=None)
