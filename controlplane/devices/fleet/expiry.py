"""Devices that nobody has seen for so long that they are not waited for: hidden until they call again.

Nothing of them is lost and nothing is taken from them: history, name and seat stay. Whose seat is needed by another is
for licensing to say, which takes those of devices that were away for 30 days.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Select, and_, cast, func, literal, select, type_coerce, update

from controlplane.accounts.audit import AuditLog
from controlplane.devices.fleet.standings import AT_ONCE, Standings
from controlplane.devices.tables import device_standings, device_statuses, fleet_settings
from controlplane.runtime.clock import Clock
from controlplane.runtime.fields import invalid
from controlplane.runtime.principal import PersonPrincipal
from controlplane.runtime.tables import sandbox_clocks
from controlplane.storage.database import Database
from controlplane.storage.types import to_microseconds
from controlplane.storage.upsert import insert_into

#: The job that hides them.
EXPIRE: Final = "devices.expire"
#: Where nobody has said otherwise; Microsoft Defender for Endpoint keeps what it knows of a silent device as long.
DEFAULT_DAYS: Final = 180
#: A device that is away for a long holiday is not gone.
FEWEST_DAYS: Final = 7
MOST_DAYS: Final = 3_652
_DAY_US: Final = 86_400_000_000

_STATUS, _STANDING, _SETTINGS = device_statuses.c, device_standings.c, fleet_settings.c


@dataclass(frozen=True, slots=True)
class ExpirySetting:
    """After how long a silent device is hidden.

    Attributes:
        days: 0: never.
        is_default: Nobody has set it.
    """

    days: int
    is_default: bool


class HostExpiry:
    """Hides them, and brings them back when the setting says so.

    Args:
        database: The database.
        standings: What they count as.
        audit: Records who changed the setting.
        clock: Business time.
    """

    def __init__(self, *, database: Database, standings: Standings, audit: AuditLog, clock: Clock) -> None:
        self._database = database
        self._standings = standings
        self._audit = audit
        self._clock = clock

    async def setting(self, org_id: str) -> ExpirySetting:
        """As it is."""
        query = select(_SETTINGS.expire_after_days).where(_SETTINGS.org_id == org_id)
        async with self._database.reading() as connection:
            days = (await connection.execute(query)).scalar_one_or_none()
        return ExpirySetting(DEFAULT_DAYS, is_default=True) if days is None else ExpirySetting(days, is_default=False)

    async def set_days(self, person: PersonPrincipal, days: int) -> ExpirySetting:
        """Change it, and have the first devices follow at once; the job does the rest.

        Args:
            person: Whose organisation.
            days: 0: never.

        Raises:
            Refusal: `INVALID_REQUEST`.
        """
        if days and not FEWEST_DAYS <= days <= MOST_DAYS:
            raise invalid("expire_after_days", f"is neither 0 nor from {FEWEST_DAYS} to {MOST_DAYS}")
        before = await self.setting(person.org_id)
        async with self._database.transaction() as uow:
            statement = insert_into(uow.connection, fleet_settings).values(org_id=person.org_id, expire_after_days=days)
            await uow.connection.execute(
                statement.on_conflict_do_update(index_elements=["org_id"], set_={"expire_after_days": days})
            )
            await self._audit.record(
                uow,
                org_id=person.org_id,
                action="fleet.expiry_set",
                subject=person.org_id,
                details={"from": str(before.days), "to": str(days)},
            )
        await self._some(person.org_id)
        return ExpirySetting(days, is_default=False)

    async def sweep(self, org_id: str = "") -> int:
        """Hide who is due, and show again who is not due any more; a durable job calls this. How many there were.

        Args:
            org_id: Empty: of every organisation that lives in real time; sandboxes are asked for one by one.
        """
        moved = 0
        while some := await self._some(org_id):
            moved += some
        return moved

    async def _some(self, org_id: str) -> int:
        """A bounded part of it."""
        now = self._clock.now()
        moved = 0
        for gone in (True, False):
            due = _gone(now) if gone else ~_gone(now)
            by_organisation: defaultdict[str, list[str]] = defaultdict(list)
            async with self._database.reading() as connection:
                for row in await connection.execute(_devices(org_id, due, expired=not gone).limit(AT_ONCE)):
                    by_organisation[row.org_id].append(row.device_id)
            for of_org, device_ids in sorted(by_organisation.items()):
                moved += await self._move(of_org, device_ids, due, now if gone else None)
        return moved

    async def _move(self, org_id: str, device_ids: Sequence[str], due: ColumnElement[bool], to: datetime | None) -> int:
        async with self._database.transaction() as uow:
            locked = await self._standings.lock(uow, org_id, device_ids)
            # They may have called since, or another server was faster.
            query = _devices(org_id, due, expired=to is None).where(_STATUS.device_id.in_(locked))
            still = [row.device_id for row in await uow.connection.execute(query)]
            await uow.connection.execute(
                update(device_statuses)
                .where(_STATUS.org_id == org_id, _STATUS.device_id.in_(still))
                .values(expired_at=to)
            )
            now = self._clock.now()
            await self._standings.judge(uow, org_id, {each: locked[each] for each in still}, now)
            for device_id in still:
                uow.news_for(org_id, device_id, hint=False)
        return len(still)


def _gone(now: datetime) -> ColumnElement[bool]:
    """Silent for longer than the organisation waits."""
    days = func.coalesce(_SETTINGS.expire_after_days, DEFAULT_DAYS)
    silent_us = literal(to_microseconds(now), BigInteger) - type_coerce(_STATUS.last_seen, BigInteger)
    return and_(days > 0, silent_us > cast(days, BigInteger) * literal(_DAY_US, BigInteger))


def _devices(org_id: str, due: ColumnElement[bool], *, expired: bool) -> Select[Any]:
    """Devices in use that are due."""
    same = and_(_STANDING.org_id == _STATUS.org_id, _STANDING.device_id == _STATUS.device_id)
    query = (
        select(_STATUS.org_id, _STATUS.device_id)
        .select_from(
            device_statuses.join(device_standings, same).outerjoin(fleet_settings, _SETTINGS.org_id == _STATUS.org_id)
        )
        .where(due, _STATUS.expired_at.is_not(None) if expired else _STATUS.expired_at.is_(None))
        .order_by(_STATUS.org_id, _STATUS.device_id)
    )
    whose = _STATUS.org_id == org_id if org_id else _STATUS.org_id.not_in(select(sandbox_clocks.c.org_id))
    return query.where(whose)
