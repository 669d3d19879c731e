"""Keeps count of the devices of every fleet, in the transactions that change them.

Each device in use has a row that says what it counts as; `fleet_counts` and `fleet_changes` together always say how
many rows there are of each sort. Locks are taken in one order by everybody: device, allotment of seats, standing,
status.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, tuple_, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.devices.fleet.standing import NO_SUBSCRIPTION, Standing, standing_of
from controlplane.devices.model import Device, DeviceStatus
from controlplane.devices.rows import STATUS_COLUMNS, status_of
from controlplane.devices.tables import device_standings, device_statuses, fleet_changes, fleet_counts
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into

#: What devices are counted by: subscription of the seat, condition.
Group = tuple[str, str]
#: Rows that a transaction of the job changes at most.
AT_ONCE = 500

_MINE = device_standings.c


class Standings:
    """Writes down what each device counts as.

    Args:
        randomness: For ids of changes.
    """

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness

    # ------------------------------------------------------------ one device

    async def entered(self, uow: UnitOfWork, device: Device, now: datetime) -> None:
        """A device is in use, under this name; the caller holds the lock of its row."""
        if await self.lock(uow, device.org_id, [device.device_id]):
            await self.renamed(uow, device, device.name)
            return
        status = (await _statuses(uow, device.org_id, [device.device_id])).get(device.device_id)
        standing = standing_of(NO_SUBSCRIPTION, status, now)
        await uow.connection.execute(
            insert(device_standings).values(
                org_id=device.org_id,
                device_id=device.device_id,
                name=device.name,
                subscription_id=standing.subscription_id,
                condition=standing.condition,
                changes_at=standing.changes_at,
            )
        )
        await self._count(uow, device.org_id, Counter({(standing.subscription_id, standing.condition): 1}))

    async def left(self, uow: UnitOfWork, device: Device) -> None:
        """A device is not in use any more."""
        gone = (
            delete(device_standings)
            .where(_MINE.org_id == device.org_id, _MINE.device_id == device.device_id)
            .returning(_MINE.subscription_id, _MINE.condition)
        )
        row = (await uow.connection.execute(gone)).one_or_none()
        if row is not None:
            await self._count(uow, device.org_id, Counter({(row.subscription_id, row.condition): -1}))

    async def renamed(self, uow: UnitOfWork, device: Device, name: str) -> None:
        """A device has another name."""
        await uow.connection.execute(
            update(device_standings)
            .where(_MINE.org_id == device.org_id, _MINE.device_id == device.device_id, _MINE.name != name)
            .values(name=name)
        )

    async def seated(self, uow: UnitOfWork, org_id: str, device_id: str, subscription_id: str) -> None:
        """A device holds a seat of this subscription; `NO_SUBSCRIPTION`: of none."""
        before = (await self.lock(uow, org_id, [device_id])).get(device_id)
        if before is not None and before.subscription_id != subscription_id:
            await self._moved(uow, org_id, {device_id: (before, replace(before, subscription_id=subscription_id))})

    # ------------------------------------------------------------ many devices

    async def lock(self, uow: UnitOfWork, org_id: str, device_ids: Collection[str]) -> Mapping[str, Standing]:
        """What devices count as, by id; nobody changes it until the transaction ends."""
        query = (
            select(_MINE.device_id, _MINE.subscription_id, _MINE.condition, _MINE.changes_at)
            .where(_MINE.org_id == org_id, _MINE.device_id.in_(device_ids))
            .order_by(_MINE.device_id)
            .with_for_update()
        )
        return {row.device_id: _standing(row) for row in await uow.connection.execute(query)}

    async def judge(self, uow: UnitOfWork, org_id: str, locked: Mapping[str, Standing], now: datetime) -> None:
        """Have locked devices count as their reports say."""
        statuses = await _statuses(uow, org_id, locked)
        changed = {}
        for device_id, before in locked.items():
            after = standing_of(before.subscription_id, statuses.get(device_id), now)
            if after != before:
                changed[device_id] = before, after
        await self._moved(uow, org_id, changed)

    async def settle(self, uow: UnitOfWork, org_id: str, now: datetime, limit: int = AT_ONCE) -> int:
        """Judge devices of an organisation whose condition time may have changed.

        Those that another transaction is changing are left to it.

        Returns:
            How many were looked at.
        """
        query = (
            select(_MINE.device_id, _MINE.subscription_id, _MINE.condition, _MINE.changes_at)
            .where(_MINE.org_id == org_id, _MINE.changes_at <= now)
            .order_by(_MINE.changes_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        due = {row.device_id: _standing(row) for row in await uow.connection.execute(query)}
        if due:
            await self.judge(uow, org_id, due, now)
        return len(due)

    async def add_up(self, uow: UnitOfWork, limit: int = AT_ONCE) -> int:
        """Put changes into the counters, whosever they are. How many there were."""
        some = select(fleet_changes.c.org_id, fleet_changes.c.change_id).limit(limit)
        taken = (
            delete(fleet_changes)
            .where(tuple_(fleet_changes.c.org_id, fleet_changes.c.change_id).in_(some))
            .returning(*fleet_changes.columns)
        )
        rows = (await uow.connection.execute(taken)).all()
        sums: Counter[tuple[str, str, str]] = Counter()
        for row in rows:
            sums[row.org_id, row.subscription_id, row.condition] += row.devices
        for (org_id, subscription_id, condition), devices in sorted(sums.items()):
            statement = insert_into(uow.connection, fleet_counts).values(
                org_id=org_id, subscription_id=subscription_id, condition=condition, devices=devices
            )
            added = fleet_counts.c.devices + statement.excluded.devices
            await uow.connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["org_id", "subscription_id", "condition"], set_={"devices": added}
                )
            )
        return len(rows)

    # ------------------------------------------------------------ inside

    async def _moved(self, uow: UnitOfWork, org_id: str, changed: Mapping[str, tuple[Standing, Standing]]) -> None:
        """Write how locked devices count now, by id: before, after."""
        if not changed:
            return
        statement = (
            update(device_standings)
            .where(_MINE.org_id == org_id, _MINE.device_id == bindparam("of_device"))
            .values(
                subscription_id=bindparam("to_subscription"), condition=bindparam("to"), changes_at=bindparam("due")
            )
        )
        rows = [
            {
                "of_device": device_id,
                "to_subscription": after.subscription_id,
                "to": after.condition,
                "due": after.changes_at,
            }
            for device_id, (_, after) in changed.items()
        ]
        await uow.connection.execute(statement, rows)
        counts: Counter[Group] = Counter()
        for before, after in changed.values():
            counts[before.subscription_id, before.condition] -= 1
            counts[after.subscription_id, after.condition] += 1
        await self._count(uow, org_id, counts)

    async def _count(self, uow: UnitOfWork, org_id: str, changes: Mapping[Group, int]) -> None:
        rows = [
            {
                "org_id": org_id,
                "change_id": new_id(self._randomness, "fch"),
                "subscription_id": subscription_id,
                "condition": condition,
                "devices": devices,
            }
            for (subscription_id, condition), devices in changes.items()
            if devices
        ]
        if rows:
            await uow.connection.execute(insert(fleet_changes), rows)


async def counts_of(connection: AsyncConnection, org_id: str) -> Mapping[Group, int]:
    """How many devices of an organisation count as what; groups without a device are left out."""
    # One statement, so that a change is seen either here or there.
    parts = union_all(
        *(
            select(table.c.subscription_id, table.c.condition, table.c.devices).where(table.c.org_id == org_id)
            for table in (fleet_counts, fleet_changes)
        )
    ).subquery()
    total = func.sum(parts.c.devices)
    query = (
        select(parts.c.subscription_id, parts.c.condition, total.label("devices"))
        .group_by(parts.c.subscription_id, parts.c.condition)
        .having(total != 0)
    )
    return {(row.subscription_id, row.condition): int(row.devices) for row in await connection.execute(query)}


async def count_due(connection: AsyncConnection, org_id: str, now: datetime) -> int:
    """Devices of an organisation whose condition time may have changed since they were counted."""
    query = select(func.count()).select_from(device_standings).where(_MINE.org_id == org_id, _MINE.changes_at <= now)
    return (await connection.execute(query)).scalar_one()


async def organisations_due(connection: AsyncConnection, now: datetime, limit: int) -> Sequence[str]:
    """Organisations in which something is due."""
    first = select(_MINE.org_id).where(_MINE.changes_at <= now).order_by(_MINE.changes_at).limit(limit).subquery()
    return list((await connection.execute(select(first.c.org_id).distinct())).scalars())


async def _statuses(uow: UnitOfWork, org_id: str, device_ids: Collection[str]) -> Mapping[str, DeviceStatus]:
    # Locked: what is buffered of these devices is written either before or after they are judged, see `freshness`.
    query = (
        select(device_statuses.c.device_id, *STATUS_COLUMNS)
        .where(device_statuses.c.org_id == org_id, device_statuses.c.device_id.in_(device_ids))
        .order_by(device_statuses.c.device_id)
        .with_for_update()
    )
    found = {row.device_id: status_of(row) for row in await uow.connection.execute(query)}
    return {device_id: status for device_id, status in found.items() if status is not None}


def _standing(row: Row[*tuple[Any, ...]]) -> Standing:
    return Standing(row.subscription_id, row.condition, row.changes_at)
