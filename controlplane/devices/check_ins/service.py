"""Check-ins: most change nothing and are only read for; what does change is written before the answer.

What is said here is the truth; most check-ins are answered by `devices.remembered`, which says the same from memory.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.devices.check_ins.freshness import Freshness
from controlplane.devices.check_ins.nonces import ContactNonces
from controlplane.devices.check_ins.quiet import Contact, Known, quiet_contact
from controlplane.devices.errors import device_cloned, device_not_found
from controlplane.devices.fleet.standing import condition_of
from controlplane.devices.fleet.standings import Standings
from controlplane.devices.identity import holds
from controlplane.devices.identity.lineage import NOTHING_SHOWN, Shown, followed
from controlplane.devices.model import Device, DeviceReport
from controlplane.devices.ports import CloneAlarm, Licences
from controlplane.devices.registry import DeviceRegistry, usable
from controlplane.devices.rows import (
    STATUS_COLUMNS,
    behind_since,
    device_of,
    issues_json,
    scan_columns,
    status_of,
    with_status,
)
from controlplane.devices.tables import device_standings, device_statuses, devices
from controlplane.runtime.clock import Clock
from controlplane.runtime.principal import DevicePrincipal
from controlplane.storage.database import Database, UnitOfWork
from controlplane.storage.upsert import insert_into


@dataclass(frozen=True, slots=True)
class CheckedIn:
    """The answer to a check-in.

    Attributes:
        now: The server's time.
        entitlement_changed: The device should ask for a new entitlement.
        next_nonce: What it should show at its next contact; empty: it shows none.
        quiet: What the answer rests on, if there was nothing to write or to tell; None: there was.
    """

    now: datetime
    entitlement_changed: bool
    next_nonce: bytes = b""
    quiet: "Quiet | None" = None


@dataclass(frozen=True, slots=True)
class Quiet:
    """A check-in without consequences.

    Attributes:
        shown: The nonce that it showed last.
        until: When its entitlement may be another by time alone; None: never.
    """

    known: Known
    shown: Shown
    until: datetime | None


class CheckIns:
    """Takes what devices say about themselves.

    Args:
        database: The database.
        registry: The rows of devices.
        standings: What they count as.
        freshness: Takes contacts that change nothing else.
        nonces: Tell two machines apart that call as one device.
        alarm: Told when that happens.
        licences: Knows whether there is a new entitlement.
        clock: Business time.
    """

    def __init__(
        self,
        *,
        database: Database,
        registry: DeviceRegistry,
        standings: Standings,
        freshness: Freshness,
        nonces: ContactNonces,
        alarm: CloneAlarm,
        licences: Licences,
        clock: Clock,
    ) -> None:
        self._database = database
        self._registry = registry
        self._standings = standings
        self._freshness = freshness
        self._nonces = nonces
        self._alarm = alarm
        self._licences = licences
        self._clock = clock

    async def take(
        self,
        principal: DevicePrincipal,
        report: DeviceReport,
        trusted_serial: int,
        untrusted_nonce: bytes | None = None,
    ) -> CheckedIn:
        """Keep what a device says about itself and tell it whether its entitlement changed.

        Args:
            principal: The device.
            report: Its own words.
            trusted_serial: Serial of the entitlement it trusts.
            untrusted_nonce: What it was given last; empty: it was given none yet; None: it knows nothing of nonces.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`, `DEVICE_REVOKED`, `DEVICE_REPLACED`, `DEVICE_DEACTIVATED` or `DEVICE_CLONED`.
        """
        now = self._clock.now()
        async with self._database.reading() as connection:
            known = await _known(connection, principal)
            shown = self._shown(known, untrusted_nonce)
            contact = None if shown is None else quiet_contact(known, report, trusted_serial, shown, now)
            outlook = None
            if contact is not None:
                outlook = await self._licences.entitlement_outlook(connection, known.device, trusted_serial)
        if shown is None:
            await self._held(known, now)
            raise device_cloned()
        answer = self._nonces.next(principal.org_id, principal.device_id, shown)
        next_nonce = b"" if untrusted_nonce is None else answer
        if contact is not None and outlook is not None:
            await self._freshness.note(contact)
            quiet = None if outlook.changed else Quiet(known, shown, outlook.until)
            return CheckedIn(now, outlook.changed, next_nonce, quiet)
        async with self._database.transaction() as uow:
            device = await self._registry.lock_calling(uow, principal)
            await self._keep(uow, device, report, trusted_serial, shown, now)
            outlook = await self._licences.entitlement_outlook(uow.connection, device, trusted_serial)
        return CheckedIn(now, outlook.changed, next_nonce)

    def _shown(self, known: Known, untrusted_nonce: bytes | None) -> Shown | None:
        """The nonce that the device showed last, after this contact; None: two machines call as this device."""
        device, status = known.device, known.status
        if status is not None and status.cloned_at is not None:
            return None
        written = NOTHING_SHOWN if status is None else status.shown
        last = self._freshness.shown(device.org_id, device.device_id) or written
        nonce = self._nonces.read(device.org_id, device.device_id, untrusted_nonce or b"")
        return followed(last, nonce)

    async def _held(self, known: Known, now: datetime) -> None:
        """Hold the device and raise the alarm, the first time; note that somebody was there, every time."""
        device, before = known.device, known.status
        assert before is not None, "who never reported was given nothing to show"
        if before.cloned_at is None:
            async with self._database.transaction() as uow:
                await self._registry.lock(uow, device.org_id, device.device_id)
                if await holds.hold(uow, self._standings, device.org_id, device.device_id, now):
                    await self._alarm.cloned(uow, device)
            self._freshness.forget(device.org_id, device.device_id)
            return
        report = before.report
        condition = condition_of(replace(before, last_seen=now), now)
        await self._freshness.note(
            Contact(device.org_id, device.device_id, now, condition, report.proven_at, report.raw, None)
        )

    async def _keep(
        self,
        uow: UnitOfWork,
        device: Device,
        report: DeviceReport,
        trusted_serial: int,
        shown: Shown,
        now: datetime,
    ) -> None:
        # The device knows; what another server remembers of it is wrong now.
        uow.news_for(device.org_id, device.device_id, hint=False)
        standing = await self._standings.lock(uow, device.org_id, [device.device_id])
        told = {
            "last_seen": now,
            "trusted_serial": trusted_serial,
            "real_time_enabled": report.real_time_enabled,
            "proven_at": report.proven_at,
            "health_issues": issues_json(report.health_issues),
            "signatures_made_at": report.signatures_made_at,
            "events_lost": report.events_lost,
            "report": report.raw,
            **scan_columns(report),
            "expired_at": None,
            "contact_depth": shown.depth,
            "contact_name": shown.name,
        }
        statement = insert_into(uow.connection, device_statuses).values(
            org_id=device.org_id,
            device_id=device.device_id,
            events_lost_at=now if report.events_lost else None,
            policy_behind_since=now if report.policy_behind else None,
            **told,
        )
        grew = statement.excluded.events_lost > device_statuses.c.events_lost
        lost_at = case((grew, statement.excluded.last_seen), else_=device_statuses.c.events_lost_at)
        statement = statement.on_conflict_do_update(
            index_elements=["org_id", "device_id"],
            set_={**told, "events_lost_at": lost_at, **behind_since(report, now)},
        )
        await uow.connection.execute(statement)
        await self._standings.judge(uow, device.org_id, standing, now)
        if report.platform is not None and report.platform != device.platform:
            await uow.connection.execute(
                update(devices)
                .where(devices.c.org_id == device.org_id, devices.c.device_id == device.device_id)
                .values(
                    os=report.platform.os,
                    os_version=report.platform.os_version,
                    architecture=report.platform.architecture,
                    agent_version=report.platform.agent_version,
                )
            )


async def _known(connection: AsyncConnection, principal: DevicePrincipal) -> Known:
    """Everything about a device that calls, in one query.

    Raises:
        Refusal: `DEVICE_NOT_FOUND`, `DEVICE_REVOKED`, `DEVICE_REPLACED` or `DEVICE_DEACTIVATED`.
    """
    same = and_(devices.c.org_id == device_standings.c.org_id, devices.c.device_id == device_standings.c.device_id)
    query = (
        select(*devices.columns, *STATUS_COLUMNS, device_standings.c.condition)
        .select_from(with_status().outerjoin(device_standings, same))
        .where(devices.c.org_id == principal.org_id, devices.c.device_id == principal.device_id)
    )
    row: Any = (await connection.execute(query)).one_or_none()
    if row is None:
        raise device_not_found()
    return Known(usable(device_of(row), principal), status_of(row), row.trusted_serial, row.condition)
