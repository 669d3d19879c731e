"""Files with a threat that devices found and left: kept until they are dealt with, or people have judged them.

Whoever changes how many there are on a device has it counted anew in the same transaction. Locks are taken in the order
of `standings`: incidents before, the standing first here.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update

from controlplane.devices.fleet.standings import Standings
from controlplane.devices.tables import active_threats, device_standings
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into

_MINE = active_threats.c
_STANDING = device_standings.c


@dataclass(frozen=True, slots=True)
class Threat:
    """A detection that its device left where it is.

    Attributes:
        judged: Its incident is one that people have resolved or called a false positive.
    """

    uuid: bytes
    path: bytes
    incident_id: str
    found_at: datetime
    judged: bool


class ActiveThreats:
    """Keeps them.

    Args:
        standings: Count the devices that have some.
    """

    def __init__(self, standings: Standings) -> None:
        self._standings = standings

    async def note(
        self,
        uow: UnitOfWork,
        org_id: str,
        device_id: str,
        *,
        left: Sequence[Threat],
        dealt_with: Collection[bytes],
        now: datetime,
    ) -> None:
        """A device left some files and dealt with others.

        Args:
            uow: The transaction.
            org_id: Whose.
            device_id: The device.
            left: The newest of a place comes last.
            dealt_with: Paths; what was found there before is gone.
            now: When it was told.
        """
        if not left and not dealt_with:
            return
        locked = await self._standings.lock(uow, org_id, [device_id])
        mine = _MINE.org_id == org_id, _MINE.device_id == device_id
        if dealt_with:
            places = [_place(path) for path in dealt_with]
            await uow.connection.execute(delete(active_threats).where(*mine, _MINE.place.in_(places)))
        for threat in left:
            facts: dict[str, Any] = {
                "uuid": threat.uuid,
                "incident_id": threat.incident_id,
                "found_at": threat.found_at,
                "judged_at": now if threat.judged else None,
            }
            statement = insert_into(uow.connection, active_threats).values(
                org_id=org_id, device_id=device_id, place=_place(threat.path), **facts
            )
            await uow.connection.execute(
                statement.on_conflict_do_update(index_elements=["org_id", "device_id", "place"], set_=facts)
            )
        await self._standings.judge(uow, org_id, locked, now)
        uow.news_for(org_id, device_id, hint=False)

    async def judged(self, uow: UnitOfWork, org_id: str, incident_id: str, now: datetime, *, over: bool) -> None:
        """People judged an incident: what of it is left on devices counts no more, or counts again.

        Its devices may be many: they are due now, and counted by the next reader or job.
        """
        mine = _MINE.org_id == org_id, _MINE.incident_id == incident_id
        changing = _MINE.judged_at.is_(None) if over else _MINE.judged_at.is_not(None)
        whose = select(_MINE.device_id).where(*mine, changing)
        in_order = (
            select(_STANDING.device_id)
            .where(_STANDING.org_id == org_id, _STANDING.device_id.in_(whose))
            .order_by(_STANDING.device_id)
            .with_for_update()
        )
        await uow.connection.execute(in_order)
        await uow.connection.execute(
            update(device_standings)
            .where(_STANDING.org_id == org_id, _STANDING.device_id.in_(whose))
            .values(changes_at=now)
        )
        uow.news_for(org_id, hint=False)
        await uow.connection.execute(
            update(active_threats).where(*mine, changing).values(judged_at=now if over else None)
        )


def _place(path: bytes) -> bytes:
    return hashlib.sha256(path).digest()
