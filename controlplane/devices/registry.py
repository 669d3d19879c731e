"""The rows of devices: found, registered, locked. Licensing and detections use this; it knows nothing of seats."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, case, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.devices.errors import device_deactivated, device_not_found, device_replaced, device_revoked
from controlplane.devices.fleet.standing import NO_SUBSCRIPTION
from controlplane.devices.fleet.standings import Standings
from controlplane.devices.identity import holds
from controlplane.devices.identity.recognition import Recognised, recognise, salt_of
from controlplane.devices.model import Device, FingerprintComponent, Platform
from controlplane.devices.rows import device_of, with_status
from controlplane.devices.tables import device_fingerprints, device_statuses, devices
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into


@dataclass(frozen=True, slots=True)
class NewDevice:
    """What a device tells at its activation.

    Attributes:
        admitted_at: When its activation key was made; without one, now.
    """

    name: str
    platform: Platform
    public_key_sha256: bytes
    fingerprint: frozenset[FingerprintComponent]
    admitted_at: datetime


@dataclass(frozen=True, slots=True)
class Registered:
    """A device's row, and whom an unknown key resembled; None: nobody, or the key was known."""

    device: Device
    recognised: Recognised | None


@dataclass(frozen=True, slots=True)
class DeviceContact:
    """What seats and detections show of a device."""

    name: str
    last_seen: datetime | None


class DeviceRegistry:
    """Reads and writes device rows.

    Args:
        randomness: For device ids.
        standings: Keeps count of what is written here.
    """

    def __init__(self, randomness: Randomness, standings: Standings) -> None:
        self._randomness = randomness
        self._standings = standings

    async def fingerprint_salt(self, uow: UnitOfWork, org_id: str) -> bytes:
        """Under which the devices of an organisation hash their hardware facts."""
        return await salt_of(uow, org_id, self._randomness)

    async def register(self, uow: UnitOfWork, org_id: str, new: NewDevice, now: datetime) -> Registered:
        """The row of this public key: the old one with its name and platform refreshed, or a new one.

        An unknown key that shows the evidence of a known machine is given that machine's row, see `evidence`. The row
        stays locked until the transaction ends, so that two activations of one device follow each other.

        Raises:
            Refusal: `DEVICE_REVOKED`.
        """
        recognised = None
        if new.fingerprint and not await self._knows(uow.connection, org_id, new.public_key_sha256):
            recognised = await recognise(
                uow, org_id, new.fingerprint, new.public_key_sha256, admitted_at=new.admitted_at, now=now
            )
            if recognised is not None:
                # The copy has a key of its own from now on.
                await self.release(uow, org_id, recognised.device_id, now)
        return Registered(await self._written(uow, org_id, new, now), recognised)

    async def _knows(self, connection: AsyncConnection, org_id: str, public_key_sha256: bytes) -> bool:
        query = select(devices.c.device_id).where(
            devices.c.org_id == org_id, devices.c.public_key_sha256 == public_key_sha256
        )
        return (await connection.execute(query)).one_or_none() is not None

    async def _written(self, uow: UnitOfWork, org_id: str, new: NewDevice, now: datetime) -> Device:
        told = {
            "os": new.platform.os,
            "os_version": new.platform.os_version,
            "architecture": new.platform.architecture,
            "agent_version": new.platform.agent_version,
            "deactivated_at": None,
        }
        statement = insert_into(uow.connection, devices).values(
            org_id=org_id,
            device_id=new_id(self._randomness, "dev"),
            public_key_sha256=new.public_key_sha256,
            activated_at=now,
            name=new.name,
            **told,
        )
        name = case((devices.c.renamed_at.is_(None), new.name), else_=devices.c.name)
        statement = statement.on_conflict_do_update(
            index_elements=["org_id", "public_key_sha256"], set_={"name": name, **told}
        )
        row = (await uow.connection.execute(statement.returning(*devices.columns))).one()
        device = device_of(row)
        if device.revoked_at is not None:
            raise device_revoked()
        uow.news_for(org_id, device.device_id)
        await self._keep_fingerprint(uow, device, new.fingerprint, now)
        await self._standings.entered(uow, device, now)
        return device

    async def is_held(self, connection: AsyncConnection, device: Device) -> bool:
        """Whether two machines call as this device: nothing is asked of either until they are told apart."""
        mine = device_statuses.c.org_id == device.org_id, device_statuses.c.device_id == device.device_id
        query = select(device_statuses.c.cloned_at).where(*mine)
        return (await connection.execute(query)).scalar_one_or_none() is not None

    async def release(self, uow: UnitOfWork, org_id: str, device_id: str, now: datetime) -> bool:
        """Hold a device no longer that was held because two machines called as it; False: it was not held."""
        return await holds.lift(uow, self._standings, org_id, device_id, now)

    async def _keep_fingerprint(
        self, uow: UnitOfWork, device: Device, components: Collection[FingerprintComponent], now: datetime
    ) -> None:
        """The evidence of the newest activation that showed any replaces what was there."""
        if not components:
            return
        table = device_fingerprints.c
        await uow.connection.execute(
            delete(device_fingerprints).where(table.org_id == device.org_id, table.device_id == device.device_id)
        )
        rows = [
            {
                "org_id": device.org_id,
                "device_id": device.device_id,
                "kind": component.kind,
                "digest": component.digest,
                "seen_at": now,
            }
            for component in components
        ]
        await uow.connection.execute(insert(device_fingerprints), rows)

    async def require(self, connection: AsyncConnection, principal: DevicePrincipal) -> Device:
        """The device that is calling.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`, `DEVICE_REVOKED`, `DEVICE_REPLACED` or `DEVICE_DEACTIVATED`.
        """
        return usable(await self.find(connection, principal.org_id, principal.device_id), principal)

    async def lock(self, uow: UnitOfWork, org_id: str, device_id: str) -> Device:
        """A device, its row locked until the transaction ends.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`.
        """
        query = _select_device(org_id).where(devices.c.device_id == device_id).with_for_update()
        row = (await uow.connection.execute(query)).one_or_none()
        if row is None:
            raise device_not_found()
        return device_of(row)

    async def lock_calling(self, uow: UnitOfWork, principal: DevicePrincipal) -> Device:
        """The device that is calling, its row locked until the transaction ends.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`, `DEVICE_REVOKED`, `DEVICE_REPLACED` or `DEVICE_DEACTIVATED`.
        """
        return usable(await self.lock(uow, principal.org_id, principal.device_id), principal)

    async def find(self, connection: AsyncConnection, org_id: str, device_id: str) -> Device:
        """A device of an organisation.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`.
        """
        query = _select_device(org_id).where(devices.c.device_id == device_id)
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise device_not_found()
        return device_of(row)

    async def active_of(
        self, connection: AsyncConnection, org_id: str, device_ids: Collection[str] = ()
    ) -> list[Device]:
        """Devices that are neither deactivated nor revoked, by id.

        Args:
            connection: A reading one, or that of a unit of work.
            org_id: The tenant.
            device_ids: Only these; empty: all.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`: one of the ids is not an active device's.
        """
        query = _select_device(org_id).where(devices.c.deactivated_at.is_(None), devices.c.revoked_at.is_(None))
        if device_ids:
            query = query.where(devices.c.device_id.in_(device_ids))
        found = [device_of(row) for row in await connection.execute(query.order_by(devices.c.device_id))]
        if device_ids and {device.device_id for device in found} != set(device_ids):
            raise device_not_found()
        return found

    async def contacts_of(
        self, connection: AsyncConnection, org_id: str, device_ids: Collection[str]
    ) -> Mapping[str, DeviceContact]:
        """Names and last contacts by device id."""
        query = (
            select(devices.c.device_id, devices.c.name, device_statuses.c.last_seen)
            .select_from(with_status())
            .where(devices.c.org_id == org_id, devices.c.device_id.in_(device_ids))
        )
        return {row.device_id: DeviceContact(row.name, row.last_seen) for row in await connection.execute(query)}

    async def rename(self, uow: UnitOfWork, device: Device, name: str, now: datetime) -> Device:
        """Give a locked device a name that stays, whatever it calls itself."""
        await uow.connection.execute(
            update(devices)
            .where(devices.c.org_id == device.org_id, devices.c.device_id == device.device_id)
            .values(name=name, renamed_at=now)
        )
        await self._standings.renamed(uow, device, name)
        return replace(device, name=name)

    async def seated(self, uow: UnitOfWork, org_id: str, device_id: str, subscription_id: str) -> None:
        """A device holds a seat of this subscription from now on; empty: it holds none."""
        uow.news_for(org_id, device_id)
        await self._standings.seated(uow, org_id, device_id, subscription_id or NO_SUBSCRIPTION)

    async def mark_deactivated(self, uow: UnitOfWork, device: Device, now: datetime) -> None:
        """Remember that a device gave up; its history stays."""
        await self._leave(uow, device, deactivated_at=now)

    async def mark_revoked(self, uow: UnitOfWork, device: Device, now: datetime) -> None:
        """Refuse a device for good, and lift its hold; its history stays."""
        await self.release(uow, device.org_id, device.device_id, now)
        await self._leave(uow, device, revoked_at=now)

    async def _leave(self, uow: UnitOfWork, device: Device, **since: datetime) -> None:
        await uow.connection.execute(
            update(devices)
            .where(devices.c.org_id == device.org_id, devices.c.device_id == device.device_id)
            .values(**since)
        )
        uow.news_for(device.org_id, device.device_id)
        await self._standings.left(uow, device)


def _select_device(org_id: str) -> Select[Any]:
    return select(*devices.columns).where(devices.c.org_id == org_id)


def usable(device: Device, principal: DevicePrincipal) -> Device:
    """The device, if it may call under this key.

    Raises:
        Refusal: `DEVICE_REVOKED`, `DEVICE_REPLACED` or `DEVICE_DEACTIVATED`.
    """
    if device.revoked_at is not None:
        raise device_revoked()
    if device.public_key_sha256 != principal.public_key_sha256:
        raise device_replaced()
    if device.deactivated_at is not None:
        raise device_deactivated()
    return device
