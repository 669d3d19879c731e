"""What an activated device does here besides checking in: it renews its certificate, gets a name, gives up.

Or is given up: whoever manages it can revoke its identity.
"""

from controlplane.accounts.audit import AuditLog
from controlplane.devices.errors import bad_certificate_request
from controlplane.devices.identity.certificate_request import read_certificate_request
from controlplane.devices.ports import CertificateAuthority, Licences, OpenCommands, RevocationAlarm
from controlplane.devices.registry import DeviceRegistry
from controlplane.devices.revocation import REVOKED
from controlplane.runtime.clock import Clock
from controlplane.runtime.idempotency import RequestKey, claim, remember, request_hash
from controlplane.runtime.principal import DevicePrincipal, PersonPrincipal, acting_as
from controlplane.storage.database import Database


class DeviceService:
    """The use cases.

    Args:
        database: The database.
        registry: The rows of devices.
        licences: Seats and access; licensing implements it.
        authority: Certifies device keys.
        commands: What devices were asked for; commands implements it.
        alarm: Told of devices that are revoked.
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
        commands: OpenCommands,
        alarm: RevocationAlarm,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._database = database
        self._registry = registry
        self._licences = licences
        self._authority = authority
        self._commands = commands
        self._alarm = alarm
        self._audit = audit
        self._clock = clock

    async def check(self, principal: DevicePrincipal) -> None:
        """Refuse a device that may not be in contact.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`, `DEVICE_REVOKED`, `DEVICE_REPLACED` or `DEVICE_DEACTIVATED`.
        """
        async with self._database.reading() as connection:
            await self._registry.require(connection, principal)

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

    async def certify_again(
        self, untrusted_org_id: str, untrusted_device_id: str, untrusted_certificate_request: bytes
    ) -> bytes:
        """A certificate for a device that has none that is accepted, as PEM; its request proves the device key.

        Raises:
            Refusal: As `rotate_certificate`.
        """
        key = read_certificate_request(untrusted_certificate_request).public_key_sha256
        principal = DevicePrincipal(untrusted_device_id, untrusted_org_id, key)
        with acting_as(principal.actor):
            return await self.rotate_certificate(principal, untrusted_certificate_request)

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

    async def release_hold(self, person: PersonPrincipal, device_id: str) -> None:
        """Hold a device no longer that was copied; of one that is not held nothing changes.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`.
        """
        async with self._database.transaction() as uow:
            device = await self._registry.lock(uow, person.org_id, device_id)
            if await self._registry.release(uow, device.org_id, device.device_id, self._clock.now()):
                await self._audit.record(
                    uow, org_id=device.org_id, action="device.hold_released", subject=device.device_id
                )

    async def revoke(self, person: PersonPrincipal, device_id: str, reason: str) -> None:
        """Refuse a device for good, as one that was stolen; of one that is revoked nothing changes.

        Its seat becomes free, its open commands are cancelled, its hold is lifted, and it is counted nowhere any more.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`.
        """
        async with self._database.transaction() as uow:
            device = await self._registry.lock(uow, person.org_id, device_id)
            if device.revoked_at is not None:
                return
            await self._commands.abandon(uow, device)
            await self._licences.give_seat_back(uow, device, actor=person.actor, reason=reason)
            await self._registry.mark_revoked(uow, device, self._clock.now())
            await self._audit.record(
                uow, org_id=device.org_id, action=REVOKED, subject=device_id, details={"reason": reason}
            )
            await self._alarm.revoked(uow, device, reason)

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
