"""Incidents: kept with the detections that make them, judged by people."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.detections.errors import incident_not_found
from controlplane.detections.model import (
    SEVERITIES,
    Incident,
    IncidentStatus,
    ReportedIncident,
    detected_again,
    left_behind,
    only_newer,
    set_status,
    threat_of,
    worst_finding,
)
from controlplane.detections.ports import Outlet
from controlplane.detections.tables import incident_devices, incidents
from controlplane.devices.model import Device
from controlplane.devices.registry import DeviceRegistry
from controlplane.devices.threats import ActiveThreats, Threat
from controlplane.runtime.clock import Clock
from controlplane.runtime.idempotency import request_hash
from controlplane.runtime.newest import newest_first
from controlplane.runtime.paging import KeyPart, Page
from controlplane.runtime.principal import PersonPrincipal
from controlplane.storage.database import Database, UnitOfWork
from controlplane.storage.types import to_microseconds
from controlplane.storage.upsert import insert_into

#: Sort key of a list: newest detection (microseconds), incident id.
INCIDENT_KEY: tuple[type[KeyPart], ...] = (int, str)
#: Devices that one incident names.
DEVICES_SHOWN = 100
#: Hexadecimal digits of an incident's id: enough that no two threats share one.
_ID_DIGITS = 32


@dataclass(frozen=True, slots=True)
class OnDevice:
    """One device of an incident."""

    device_id: str
    device_name: str
    detections: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class IncidentView:
    """An incident with its numbers; `on` is filled in for a single one only."""

    incident: Incident
    devices: int
    detections: int
    on: tuple[OnDevice, ...] = ()


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """Some incidents, and the sort key to go on from; None: there are no more."""

    views: tuple[IncidentView, ...]
    next_key: tuple[KeyPart, ...] | None


def incident_id_of(org_id: str, threat: str) -> str:
    """The id of a threat's incident."""
    return f"inc_{request_hash([org_id, threat]).hex()[:_ID_DIGITS]}"


class Incidents:
    """The use cases.

    Args:
        database: The database.
        registry: Names the devices.
        threats: What devices have of incidents and have not dealt with.
        outlet: Told of incidents that open, open again or are judged.
        audit: Records who judged what.
        clock: Business time.
    """

    def __init__(
        self,
        *,
        database: Database,
        registry: DeviceRegistry,
        threats: ActiveThreats,
        outlet: Outlet,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._database = database
        self._registry = registry
        self._threats = threats
        self._outlet = outlet
        self._audit = audit
        self._clock = clock

    # ------------------------------------------------------------ from devices

    async def add(self, uow: UnitOfWork, device: Device, stored: Sequence[ReportedIncident], now: datetime) -> None:
        """Put detections that were stored for the first time into their incidents.

        Incidents are written in the order of their ids: two reports of the same threats wait for each other instead of
        deadlocking.
        """
        by_incident: defaultdict[str, list[ReportedIncident]] = defaultdict(list)
        for reported in stored:
            by_incident[incident_id_of(device.org_id, threat_of(reported))].append(reported)
        for incident_id, found in sorted(by_incident.items()):
            severity = min((worst_finding(each.findings).severity for each in found), key=SEVERITIES.index)
            opened = await self._open(uow, device, incident_id, threat_of(found[0]), severity, now)
            new_device = await _count(uow, device, incident_id, len(found), now)
            if not opened:
                await self._again(uow, device, incident_id, severity, now, new_device=new_device)
        await self._note_threats(uow, device, stored, now)

    async def _note_threats(
        self, uow: UnitOfWork, device: Device, stored: Sequence[ReportedIncident], now: datetime
    ) -> None:
        places = left_behind(stored)
        left = [
            (incident, incident_id_of(device.org_id, threat_of(incident)))
            for incident in places.values()
            if incident is not None
        ]
        over = await _over(uow.connection, device.org_id, {incident_id for _, incident_id in left})
        await self._threats.note(
            uow,
            device.org_id,
            device.device_id,
            left=[
                Threat(incident.uuid, incident.path, incident_id, now, judged=incident_id in over)
                for incident, incident_id in left
            ],
            dealt_with=[path for path, incident in places.items() if incident is None],
            now=now,
        )

    async def _open(
        self, uow: UnitOfWork, device: Device, incident_id: str, threat: str, severity: str, now: datetime
    ) -> bool:
        """Make an incident's row; False: there is one."""
        known = select(incidents.c.incident_id).where(*_is(device.org_id, incident_id))
        if (await uow.connection.execute(known)).one_or_none() is not None:
            return False
        statement = (
            insert_into(uow.connection, incidents)
            .values(
                org_id=device.org_id,
                incident_id=incident_id,
                threat=threat,
                severity=severity,
                status=IncidentStatus.NEW.value,
                status_by="",
                status_at=now,
                note="",
                opened_at=now,
                last_at=now,
                reopened=0,
            )
            .on_conflict_do_nothing()
            .returning(*incidents.columns)
        )
        row = (await uow.connection.execute(statement)).one_or_none()
        if row is None:
            return False
        await self._tell(uow, "incident.opened", _incident(row), device_id=device.device_id)
        return True

    async def _again(
        self, uow: UnitOfWork, device: Device, incident_id: str, severity: str, now: datetime, *, new_device: bool
    ) -> None:
        """A detection of a known incident; mostly nothing of it changes, and then its row is not even locked.

        Who would only say that it was seen a moment ago leaves that to whoever has the row: an outbreak on a thousand
        devices would queue for it, each with a transaction and a connection.
        """
        before = await _find(uow.connection, device.org_id, incident_id)
        after = detected_again(before, severity, now, new_device=new_device)
        if after == before:
            return
        locked = await _locked(uow.connection, before, wait=not only_newer(before, after))
        if locked is None:
            return
        before, after = locked, detected_again(locked, severity, now, new_device=new_device)
        if after != before:
            await _store(uow, after)
        if after.reopened != before.reopened:
            await self._tell(uow, "incident.reopened", after, device_id=device.device_id)
            await self._audit.record(
                uow,
                org_id=device.org_id,
                action="incident.reopened",
                subject=incident_id,
                details={"was": before.status.value, "device_id": device.device_id},
            )

    async def _tell(self, uow: UnitOfWork, kind: str, incident: Incident, **more: str) -> None:
        facts = {
            "incident_id": incident.incident_id,
            "threat": incident.threat,
            "severity": incident.severity,
            "status": incident.status.value,
            **more,
        }
        await self._outlet.tell(uow, incident.org_id, kind, facts)

    # ------------------------------------------------------------ for people

    async def page(self, org_id: str, page: Page, statuses: Collection[IncidentStatus] = ()) -> IncidentPage:
        """Incidents, those with the newest detections first.

        Args:
            org_id: The tenant.
            page: From where and how many.
            statuses: Only these; empty: all.
        """
        query: Select[Any] = select(*incidents.columns).where(incidents.c.org_id == org_id)
        if statuses:
            query = query.where(incidents.c.status.in_([status.value for status in statuses]))
        query = newest_first(query, incidents.c.last_at, incidents.c.incident_id, page)
        async with self._database.reading() as connection:
            found = [_incident(row) for row in await connection.execute(query)]
            shown = found[: page.size]
            numbers = await _numbers(connection, org_id, [incident.incident_id for incident in shown])
        views = tuple(IncidentView(incident, *numbers[incident.incident_id]) for incident in shown)
        last = shown[-1] if len(found) > page.size else None
        return IncidentPage(views, None if last is None else (to_microseconds(last.last_at), last.incident_id))

    async def get(self, org_id: str, incident_id: str) -> IncidentView:
        """One incident and the devices that have it.

        Raises:
            Refusal: `INCIDENT_NOT_FOUND`.
        """
        async with self._database.reading() as connection:
            incident = await _find(connection, org_id, incident_id)
            return await self._view(connection, incident)

    async def set_status(
        self, person: PersonPrincipal, incident_id: str, status: IncidentStatus, note: str
    ) -> IncidentView:
        """Judge an incident; saying again what was said changes nothing.

        Raises:
            Refusal: `INCIDENT_NOT_FOUND`.
        """
        async with self._database.transaction() as uow:
            before = await _find(uow.connection, person.org_id, incident_id, lock=True)
            now = self._clock.now()
            after = set_status(before, status, person.actor, note, now)
            await self._threats.judged(uow, person.org_id, incident_id, now, over=after.status.is_over)
            if after != before:
                await _store(uow, after)
                details = {"from": before.status.value, "to": after.status.value, "note": note}
                await self._audit.record(
                    uow, org_id=person.org_id, action="incident.status_set", subject=incident_id, details=details
                )
                await self._tell(uow, "incident.status_changed", after, was=before.status.value, by=person.actor)
            return await self._view(uow.connection, after)

    async def _view(self, connection: AsyncConnection, incident: Incident) -> IncidentView:
        columns = incident_devices.c
        query = (
            select(*columns)
            .where(columns.org_id == incident.org_id, columns.incident_id == incident.incident_id)
            .order_by(columns.last_at.desc(), columns.device_id)
            .limit(DEVICES_SHOWN)
        )
        rows = (await connection.execute(query)).all()
        contacts = await self._registry.contacts_of(connection, incident.org_id, {row.device_id for row in rows})
        on = tuple(
            OnDevice(row.device_id, contacts[row.device_id].name, row.detections, row.first_at, row.last_at)
            for row in rows
        )
        numbers = await _numbers(connection, incident.org_id, [incident.incident_id])
        return IncidentView(incident, *numbers[incident.incident_id], on)


def _is(org_id: str, incident_id: str) -> tuple[Any, Any]:
    return incidents.c.org_id == org_id, incidents.c.incident_id == incident_id


async def _find(connection: AsyncConnection, org_id: str, incident_id: str, *, lock: bool = False) -> Incident:
    query = select(*incidents.columns).where(*_is(org_id, incident_id))
    row = (await connection.execute(query.with_for_update(key_share=True) if lock else query)).one_or_none()
    if row is None:
        raise incident_not_found()
    return _incident(row)


async def _locked(connection: AsyncConnection, incident: Incident, *, wait: bool) -> Incident | None:
    """An incident as it is once its row is ours; None: it is somebody else's, and we were not to wait."""
    query = select(*incidents.columns).where(*_is(incident.org_id, incident.incident_id))
    row = (await connection.execute(query.with_for_update(key_share=True, skip_locked=not wait))).one_or_none()
    return None if row is None else _incident(row)


async def _over(connection: AsyncConnection, org_id: str, incident_ids: Collection[str]) -> frozenset[str]:
    """Those of these incidents that nobody needs to look at."""
    if not incident_ids:
        return frozenset()
    query = select(incidents.c.incident_id).where(
        incidents.c.org_id == org_id,
        incidents.c.incident_id.in_(incident_ids),
        incidents.c.status.in_([status.value for status in IncidentStatus if status.is_over]),
    )
    return frozenset((await connection.execute(query)).scalars())


async def _store(uow: UnitOfWork, incident: Incident) -> None:
    await uow.connection.execute(
        update(incidents)
        .where(*_is(incident.org_id, incident.incident_id))
        .values(
            severity=incident.severity,
            status=incident.status.value,
            status_by=incident.status_by,
            status_at=incident.status_at,
            note=incident.note,
            last_at=incident.last_at,
            reopened=incident.reopened,
        )
    )


async def _count(uow: UnitOfWork, device: Device, incident_id: str, number: int, now: datetime) -> bool:
    """Count detections of a device; whether these are its first."""
    statement = insert_into(uow.connection, incident_devices).values(
        org_id=device.org_id,
        incident_id=incident_id,
        device_id=device.device_id,
        detections=number,
        first_at=now,
        last_at=now,
    )
    columns = incident_devices.c
    statement = statement.on_conflict_do_update(
        index_elements=["org_id", "incident_id", "device_id"],
        set_={"detections": columns.detections + statement.excluded.detections, "last_at": now},
    )
    counted = (await uow.connection.execute(statement.returning(columns.detections))).scalar_one()
    return bool(counted == number)


async def _numbers(
    connection: AsyncConnection, org_id: str, incident_ids: Sequence[str]
) -> Mapping[str, tuple[int, int]]:
    """Devices and detections of incidents, by id."""
    columns = incident_devices.c
    query = (
        select(columns.incident_id, func.count().label("devices"), func.sum(columns.detections).label("detections"))
        .where(columns.org_id == org_id, columns.incident_id.in_(incident_ids))
        .group_by(columns.incident_id)
    )
    return {row.incident_id: (row.devices, int(row.detections)) for row in await connection.execute(query)}


def _incident(row: Row[Any]) -> Incident:
    return Incident(
        org_id=row.org_id,
        incident_id=row.incident_id,
        threat=row.threat,
        severity=row.severity,
        status=IncidentStatus(row.status),
        status_by=row.status_by,
        status_at=row.status_at,
        note=row.note,
        opened_at=row.opened_at,
        last_at=row.last_at,
        reopened=row.reopened,
    )
