"""Devices that are held because two machines call as one: nothing is asked of either until they are told apart."""

from datetime import datetime
from typing import Any

from sqlalchemy import update

from controlplane.devices.fleet.standings import Standings
from controlplane.devices.tables import device_statuses
from controlplane.storage.database import UnitOfWork


async def hold(uow: UnitOfWork, standings: Standings, org_id: str, device_id: str, now: datetime) -> bool:
    """Hold a device; False: it was held already."""
    free = device_statuses.c.cloned_at.is_(None)
    return await _set(uow, standings, org_id, device_id, now, {"cloned_at": now}, only=free)


async def lift(uow: UnitOfWork, standings: Standings, org_id: str, device_id: str, now: datetime) -> bool:
    """Hold a device no longer; whichever machine calls first is believed. False: it was not held."""
    free = {"cloned_at": None, "contact_depth": 0, "contact_name": None}
    return await _set(uow, standings, org_id, device_id, now, free, only=device_statuses.c.cloned_at.is_not(None))


async def _set(
    uow: UnitOfWork,
    standings: Standings,
    org_id: str,
    device_id: str,
    now: datetime,
    values: dict[str, Any],
    *,
    only: Any,
) -> bool:
    locked = await standings.lock(uow, org_id, [device_id])
    statement = (
        update(device_statuses)
        .where(device_statuses.c.org_id == org_id, device_statuses.c.device_id == device_id, only)
        .values(**values)
        .returning(device_statuses.c.device_id)
    )
    if (await uow.connection.execute(statement)).one_or_none() is None:
        return False
    uow.news_for(org_id, device_id)
    await standings.judge(uow, org_id, locked, now)
    return True
