"""Detections come in, exactly once each, and are looked at."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, and_, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.detections.errors import detection_not_found, too_many_incidents
from controlplane.detections.incidents import Incidents, incident_id_of
from controlplane.detections.model import MAX_INCIDENTS, Detection, Finding, ReportedIncident, threat_of
from controlplane.detections.outcomes import outcomes_of
from controlplane.detections.tables import detections
from controlplane.devices.registry import DeviceRegistry
from controlplane.runtime.clock import Clock
from controlplane.runtime.idempotency import RequestKey, claim, remember, request_hash
from controlplane.runtime.paging import KeyPart, Page, page_token_invalid
from controlplane.runtime.principal import DevicePrincipal
from controlplane.storage.database import Database, UnitOfWork
from controlplane.storage.outages import DatabaseUnavailableError
from controlplane.storage.types import from_microseconds, to_microseconds
from controlplane.storage.upsert import insert_into

#: Sort key of a list: received, detected (microseconds), uuid (hex).
DETECTION_KEY: tuple[type[KeyPart], ...] = (int, int, str)
RECENT = timedelta(hours=24)
#: A report is dated when it comes and seen when it is stored: an export that goes on from its last row would miss what
#: was dated before that row and stored after it. A transaction that stores a report ends sooner than this.
SETTLES_WITHIN = timedelta(seconds=10)
#: Each of its statements may wait for a lock, so that together they are given up in time, in seconds; the rest is for
#: the commit.
STORED_WITHIN_S = 7.0


@dataclass(frozen=True, slots=True)
class DetectionPage:
    """Some detections, the newest first, and the sort key to go on from; None: there are no more."""

    detections: tuple[Detection, ...]
    next_key: tuple[KeyPart, ...] | None


@dataclass(frozen=True, slots=True)
class DetectionFilter:
    """Which detections are wanted.

    Attributes:
        device_id: Empty: of every device.
        since: By the server's clock; None: from the beginning.
        incident_id: Empty: of every incident.
        oldest_first: For exports; what was received within `SETTLES_WITHIN` is held back.
    """

    device_id: str = ""
    since: datetime | None = None
    incident_id: str = ""
    oldest_first: bool = False


class DetectionService:
    """The use cases.

    Args:
        database: The database.
        registry: The rows of devices.
        incidents: What detections belong to.
        audit: Records what devices had to drop.
        clock: Business time.
    """

    def __init__(
        self, *, database: Database, registry: DeviceRegistry, incidents: Incidents, audit: AuditLog, clock: Clock
    ) -> None:
        self._database = database
        self._registry = registry
        self._incidents = incidents
        self._audit = audit
        self._clock = clock

    async def report(
        self,
        principal: DevicePrincipal,
        incidents: Sequence[ReportedIncident],
        dropped: Mapping[str, int],
        *,
        report_id: str = "",
    ) -> None:
        """Store incidents, all or none; the ones that are known already stay as they are.

        Args:
            principal: The device.
            incidents: At most `MAX_INCIDENTS`, valid.
            dropped: Rows the device had to drop since its last report, by class; they go into the audit.
            report_id: Names a report that may come again, so that what was dropped is told once; empty: it may not.

        Raises:
            Refusal: `TOO_MANY_INCIDENTS`, or what the registry says about the device.
            DatabaseUnavailableError: Too many reports wait already, or as always.
        """
        if len(incidents) > MAX_INCIDENTS:
            raise too_many_incidents(MAX_INCIDENTS)
        async with self._database.transaction(bulk=True) as uow:
            try:
                async with asyncio.timeout(STORED_WITHIN_S):
                    await self._store(uow, principal, incidents, dropped, report_id)
            except TimeoutError as error:
                raise DatabaseUnavailableError("a report took too long to be stored") from error

    async def _store(
        self,
        uow: UnitOfWork,
        principal: DevicePrincipal,
        incidents: Sequence[ReportedIncident],
        dropped: Mapping[str, int],
        report_id: str,
    ) -> None:
        # Not before: whoever has to wait for the database would be dated long before it can be seen.
        now = self._clock.now()
        device = await self._registry.require(uow.connection, principal)
        # In the order of their key: two reports that overlap then wait for each other instead of deadlocking.
        rows = [
            _row(incident, device.org_id, device.device_id, now)
            for incident in sorted(incidents, key=lambda incident: incident.uuid)
        ]
        if rows:
            statement = insert_into(uow.connection, detections).on_conflict_do_nothing().returning(detections.c.uuid)
            stored = set((await uow.connection.execute(statement, rows)).scalars())
            new = [incident for incident in incidents if incident.uuid in stored]
            await self._incidents.add(uow, device, new, now)
        if dropped and await self._is_first(uow, principal, report_id, now):
            await self._audit.record(
                uow,
                org_id=device.org_id,
                action="device.reports_dropped",
                subject=device.device_id,
                details={name: str(count) for name, count in dropped.items()},
            )

    async def _is_first(self, uow: UnitOfWork, principal: DevicePrincipal, report_id: str, now: datetime) -> bool:
        if not report_id:
            return True
        key = RequestKey(org_id=principal.org_id, caller=principal.actor, method="detections.report", key=report_id)
        if await claim(uow, key, request_hash([report_id]), now) is not None:
            return False
        await remember(uow, key, b"")
        return True

    async def page(self, org_id: str, page: Page, wanted: DetectionFilter) -> DetectionPage:
        """Detections of an organisation, the newest first unless the oldest are wanted first.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`.
        """
        async with self._database.reading() as connection:
            query = await self._filtered(connection, org_id, wanted)
            if page.after:
                query = query.where(_beyond(page.after, newer=wanted.oldest_first))
            order = [column.asc() if wanted.oldest_first else column.desc() for column in _ORDER]
            rows = (await connection.execute(query.order_by(*order).limit(page.size + 1))).all()
            found = await self._with_names(connection, org_id, rows[: page.size])
        # An export goes on from its last row some other day, whether there is more now or not.
        more = bool(found) if wanted.oldest_first else len(rows) > page.size
        return DetectionPage(found, _key(found[-1]) if more else None)

    async def _filtered(self, connection: AsyncConnection, org_id: str, wanted: DetectionFilter) -> Select[Any]:
        query = select(*detections.columns).where(detections.c.org_id == org_id)
        if wanted.device_id:
            device = await self._registry.find(connection, org_id, wanted.device_id)
            query = query.where(detections.c.device_id == device.device_id)
        if wanted.since is not None:
            query = query.where(detections.c.received_at >= wanted.since)
        if wanted.incident_id:
            query = query.where(detections.c.incident_id == wanted.incident_id)
        if wanted.oldest_first:
            query = query.where(detections.c.received_at <= self._clock.now() - SETTLES_WITHIN)
        return query

    async def get(self, org_id: str, uuid: bytes) -> Detection:
        """One detection.

        Raises:
            Refusal: `DETECTION_NOT_FOUND`.
        """
        async with self._database.reading() as connection:
            query = select(*detections.columns).where(and_(detections.c.org_id == org_id, detections.c.uuid == uuid))
            rows = (await connection.execute(query)).all()
            if not rows:
                raise detection_not_found()
            return (await self._with_names(connection, org_id, rows))[0]

    async def count_recent(self, org_id: str) -> int:
        """Detections received within `RECENT`."""
        query = select(func.count()).where(
            detections.c.org_id == org_id, detections.c.received_at > self._clock.now() - RECENT
        )
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalar_one()

    async def _with_names(
        self, connection: AsyncConnection, org_id: str, rows: Sequence[Row[Any]]
    ) -> tuple[Detection, ...]:
        contacts = await self._registry.contacts_of(connection, org_id, {row.device_id for row in rows})
        outcomes = await outcomes_of(connection, org_id, [row.uuid for row in rows])
        return tuple(
            Detection(
                incident=_incident(row),
                device_id=row.device_id,
                device_name=contacts[row.device_id].name,
                received_at=row.received_at,
                incident_id=row.incident_id or "",
                outcome=outcomes.get(row.uuid),
            )
            for row in rows
        )


_ORDER = (detections.c.received_at, detections.c.detected_at, detections.c.uuid)


def _beyond(key: tuple[KeyPart, ...], *, newer: bool) -> Any:
    received, detected, uuid = key
    try:
        values = (from_microseconds(int(received)), from_microseconds(int(detected)), bytes.fromhex(str(uuid)))
    except (ValueError, OverflowError) as error:
        raise page_token_invalid() from error
    there = tuple_(*(literal(value, column.type) for value, column in zip(values, _ORDER, strict=True)))
    return tuple_(*_ORDER) > there if newer else tuple_(*_ORDER) < there


def _key(detection: Detection) -> tuple[KeyPart, ...]:
    return (
        to_microseconds(detection.received_at),
        to_microseconds(detection.incident.detected_at),
        detection.incident.uuid.hex(),
    )


def _row(incident: ReportedIncident, org_id: str, device_id: str, received_at: datetime) -> dict[str, Any]:
    return {
        "org_id": org_id,
        "uuid": incident.uuid,
        "device_id": device_id,
        "detected_at": incident.detected_at,
        "received_at": received_at,
        "path": incident.path,
        "sha256": incident.sha256,
        "size_bytes": incident.size_bytes,
        "findings": json.dumps(
            [
                {
                    "rule": finding.rule,
                    "namespace": finding.namespace,
                    "severity": finding.severity,
                    "member_path": finding.member_path,
                    "threat_name": finding.threat_name,
                    "credit": finding.credit,
                }
                for finding in incident.findings
            ]
        ),
        "action": incident.action,
        "action_detail": incident.action_detail,
        "origin": incident.origin,
        "engine": incident.engine,
        "signatures_version": incident.signatures_version,
        "quarantine_id": incident.quarantine_id,
        "incident_id": incident_id_of(org_id, threat_of(incident)),
    }


def _incident(row: Row[Any]) -> ReportedIncident:
    return ReportedIncident(
        uuid=row.uuid,
        detected_at=row.detected_at,
        path=row.path,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        findings=tuple(
            Finding(
                rule=finding["rule"],
                namespace=finding["namespace"],
                severity=finding["severity"],
                member_path=tuple(finding["member_path"]),
                threat_name=finding["threat_name"],
                credit=finding.get("credit", ""),
            )
            for finding in json.loads(row.findings)
        ),
        action=row.action,
        action_detail=row.action_detail,
        origin=row.origin,
        engine=row.engine,
        signatures_version=row.signatures_version,
        quarantine_id=row.quarantine_id,
    )
