"""What an activated device does here: it checks in, renews its certificate, gives up its seat, is given a name."""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, update

from controlplane.accounts.audit import AuditLog
from controlplane.devices.errors import bad_certificate_request
from controlplane.devices.identity import read_certificate_request
from controlplane.devices.model import Device, DeviceReport
from controlplane.devices.ports import CertificateAuthority, Licences
from controlplane.devices.registry import DeviceRegistry
from controlplane.devices.tables import device_statuses, devices
from controlplane.runtime.clock import Clock
from controlplane.runtime.idempotency import RequestKey, claim, remember, request_hash
from controlplane.runtime.principal import DevicePrincipal, PersonPrincipal
from controlplane.storage.database import Database, UnitOfWork
from controlplane.storage.upsert import insert_into


@dataclass(frozen=True, slots=True)
class CheckedIn:
    """The answer to a check-in.

    Attributes:
        now: The server's time.
        entitlement_changed: The device should ask for a new entitlement.
    """

    now: datetime
    entitlement_changed: bool


class DeviceService:
    """The use cases.

    Args:
        database: The database.
        registry: The rows of devices.
        licences: Seats and access; licensing implements it.
        authority: Certifies device keys.
        audit: Records every change, in its transaction.
        clock: Business time.
    """

    def __init__(
        self,
        *,
        database: Database,
        registry: DeviceRegistry,
        licences: Licences,
        authority: CertificateAuthority,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._database = database
        self._registry = registry
        self._licences = licences
        self._authority = authority
        self._audit = audit
        self._clock = clock

    async def check_in(self, principal: DevicePrincipal, report: DeviceReport, trusted_serial: int) -> CheckedIn:
        """Keep what a device says about itself and tell it whether its entitlement changed.

        Args:
            principal: The device.
            report: Its own words.
            trusted_serial: Serial of the entitlement it trusts.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`, `DEVICE_REVOKED` or `DEVICE_DEACTIVATED`.
        """
        now = self._clock.now()
        async with self._database.transaction() as uow:
            device = await self._registry.require(uow.connection, principal)
            await self._keep_report(uow, device, report, trusted_serial, now)
            changed = await self._licences.entitlement_changed(uow.connection, device, trusted_serial)
        return CheckedIn(now, changed)

    async def check(self, principal: DevicePrincipal) -> None:
        """Refuse a device that may not be in contact.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`, `DEVICE_REVOKED`, `DEVICE_REPLACED` or `DEVICE_DEACTIVATED`.
        """
        async with self._database.reading() as connection:
            await self._registry.require(connection, principal)

    async def _keep_report(
        self, uow: UnitOfWork, device: Device, report: DeviceReport, trusted_serial: int, now: datetime
    ) -> None:
        told = {
            "last_seen": now,
            "trusted_serial": trusted_serial,
            "real_time_enabled": report.real_time_enabled,
            "proven_at": report.proven_at,
            "health_issues": json.dumps([[issue.code, issue.message] for issue in report.health_issues]),
            "signatures_made_at": report.signatures_made_at,
            "events_lost": report.events_lost,
            "report": report.raw,
        }
        statement = insert_into(uow.connection, device_statuses).values(
            org_id=device.org_id,
            device_id=device.device_id,
            events_lost_at=now if report.events_lost else None,
            **told,
        )
        grew = statement.excluded.events_lost > device_statuses.c.events_lost
        lost_at = case((grew, statement.excluded.last_seen), else_=device_statuses.c.events_lost_at)
        statement = statement.on_conflict_do_update(
            index_elements=["org_id", "device_id"], set_={**told, "events_lost_at": lost_at}
        )
        await uow.connection.execute(statement)
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

    async def rotate_certificate(self, principal: DevicePrincipal, untrusted_certificate_request: bytes) -> bytes:
        """A fresh certificate for the same device key, as PEM.

        Raises:
            Refusal: `BAD_CERTIFICATE_REQUEST`, or what the registry says about the device.
        """
        request = read_certificate_request(untrusted_certificate_request)
        async with self._database.transaction() as uow:
            device = await self._registry.require(uow.connection, principal)
            if request.public_key_sha256 != device.public_key_sha256:
                raise bad_certificate_request("it is for another key than the one this device was activated with")
            await self._audit.record(
                uow, org_id=device.org_id, action="device.certificate_rotated", subject=device.device_id
            )
        return self._authority.issue_device(request.der, device_id=device.device_id, org_id=device.org_id)

    async def rename(self, person: PersonPrincipal, device_id: str, name: str, idempotency_key: str) -> None:
        """Give a device a name that stays, whatever it calls itself.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`, or about the idempotency key.
        """
        request = RequestKey(org_id=person.org_id, caller=person.actor, method="devices.rename", key=idempotency_key)
        async with self._database.transaction() as uow:
            now = self._clock.now()
            if await claim(uow, request, request_hash([device_id, name]), now) is not None:
                return
            device = await self._registry.lock(uow, person.org_id, device_id)
            await self._registry.rename(uow, device, name, now)
            details = {"from": device.name, "to": name}
            await self._audit.record(
                uow, org_id=device.org_id, action="device.renamed", subject=device_id, details=details
            )
            await remember(uow, request, b"renamed")

    def authorities_pem(self) -> bytes:
        """PEM: what device and server certificates chain to."""
        return self._authority.authorities_pem()

    async def deactivate(self, principal: DevicePrincipal, reason: str) -> None:
        """Give the device's seat back; the device keeps the floor of protection and its history stays here.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`, `DEVICE_REVOKED` or `DEVICE_DEACTIVATED`.
        """
        async with self._database.transaction() as uow:
            device = await self._registry.lock_calling(uow, principal)
            await self._licences.give_seat_back(uow, device, actor=principal.actor, reason=reason or "deactivated")
            await self._registry.mark_deactivated(uow, device, self._clock.now())
            await self._audit.record(
                uow,
                org_id=device.org_id,
                action="device.deactivated",
                subject=device.device_id,
                details={"reason": reason},
            )
