"""Planned, then signed: a statement is durable before its signature exists.

    plan (in the transaction of the change) ──commit──▶ sign exactly those bytes ──▶ mark issued

A crash anywhere leaves either nothing or a planned row with its final bytes; `sweep` finishes those. Nobody ever
makes two different statements with one serial, because the bytes and the serial are written by one insert.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.licensing.claims import claims_bytes
from controlplane.licensing.errors import signing_unavailable
from controlplane.licensing.model import Basis, LatestEntitlement, needs_new, times_of
from controlplane.licensing.ports import EntitlementSigner, SignerUnavailableError
from controlplane.licensing.tables import entitlements
from controlplane.runtime.clock import Clock
from controlplane.storage.database import Database, UnitOfWork

PLANNED = "planned"
ISSUED = "issued"
#: Planned rows that one sweep finishes.
SWEEP_BATCH = 200

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """What a device gets."""

    serial: int
    claims: bytes
    signature: bytes
    kid: str


@dataclass(frozen=True, slots=True)
class Entitlement:
    """A row: planned as long as it has no signature."""

    org_id: str
    device_id: str
    serial: int
    subscription_id: str
    claims: bytes
    basis_sha256: bytes
    refresh_after: datetime
    signature: bytes | None
    kid: str | None

    @property
    def latest(self) -> LatestEntitlement:
        """What deciding about the next one needs."""
        return LatestEntitlement(self.serial, self.basis_sha256, self.refresh_after)


class EntitlementIssuer:
    """Plans, signs and finds entitlements.

    Args:
        database: Where they are kept.
        signer: Holds the key.
        clock: Business time.
    """

    def __init__(self, database: Database, signer: EntitlementSigner, clock: Clock) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock

    def revoked_kids(self) -> AbstractSet[str]:
        """Keys whose statements have to be made again."""
        return self._signer.revoked_kids()

    async def latest_of(self, connection: AsyncConnection, org_id: str, device_id: str) -> Entitlement | None:
        """The newest entitlement of a device, planned or issued."""
        query = (
            select(*entitlements.columns)
            .where(entitlements.c.org_id == org_id, entitlements.c.device_id == device_id)
            .order_by(entitlements.c.serial.desc())
            .limit(1)
        )
        row = (await connection.execute(query)).one_or_none()
        return None if row is None else _entitlement(row)

    async def plan(
        self, uow: UnitOfWork, basis: Basis, *, trusted_serial: int = 0, licence: timedelta | None = None
    ) -> Entitlement:
        """The entitlement that says this: the newest one if it still does, else a new one with the next serial.

        The caller holds the lock of the device's row, so that serials of a device are given one after the other.

        Args:
            uow: The transaction of whatever changed.
            basis: What to say.
            trusted_serial: What the device trusts. Higher than anything here means that this database was restored
                from a back-up; the next serial then follows the device's, or it would refuse us for ever.
            licence: See `times_of`; each licence is a statement of its own.
        """
        now = self._clock.now()
        latest = await self.latest_of(uow.connection, basis.org_id, basis.device_id)
        newest_serial = latest.serial if latest is not None else 0
        if latest is not None and licence is None and trusted_serial <= newest_serial:
            revoked = latest.kid in self._signer.revoked_kids()
            if not revoked and not needs_new(latest.latest, basis, now):
                return latest
        times = times_of(basis, now, licence)
        serial = max(newest_serial, trusted_serial) + 1
        planned = Entitlement(
            org_id=basis.org_id,
            device_id=basis.device_id,
            serial=serial,
            subscription_id=basis.subscription_id,
            claims=claims_bytes(basis, times, serial),
            basis_sha256=basis.digest(),
            refresh_after=times.refresh_after,
            signature=None,
            kid=None,
        )
        await uow.connection.execute(
            insert(entitlements).values(
                org_id=planned.org_id,
                device_id=planned.device_id,
                serial=planned.serial,
                subscription_id=planned.subscription_id,
                state=PLANNED,
                claims=planned.claims,
                basis_sha256=planned.basis_sha256,
                refresh_after=planned.refresh_after,
                planned_at=now,
            )
        )
        uow.news_for(planned.org_id, planned.device_id)
        return planned

    async def finish(self, entitlement: Entitlement) -> SignedStatement:
        """Sign a committed plan and mark it issued. Safe to repeat, and to race with the sweeper.

        Raises:
            Refusal: `SIGNING_UNAVAILABLE`; the plan stays, the sweeper or a retry finishes it.
        """
        if entitlement.signature is not None and entitlement.kid is not None:
            return SignedStatement(entitlement.serial, entitlement.claims, entitlement.signature, entitlement.kid)
        try:
            kid, signature = self._signer.sign(entitlement.claims)
        except SignerUnavailableError as error:
            raise signing_unavailable() from error
        async with self._database.transaction() as uow:
            mine = (
                entitlements.c.org_id == entitlement.org_id,
                entitlements.c.device_id == entitlement.device_id,
                entitlements.c.serial == entitlement.serial,
            )
            await uow.connection.execute(
                update(entitlements)
                .where(*mine, entitlements.c.state == PLANNED)
                .values(state=ISSUED, kid=kid, signature=signature, issued_at=self._clock.now())
            )
            # Read back: if somebody else was faster, theirs is the signature on record.
            query = select(entitlements.c.claims, entitlements.c.signature, entitlements.c.kid).where(*mine)
            row = (await uow.connection.execute(query)).one()
        return SignedStatement(entitlement.serial, row.claims, row.signature, row.kid)

    async def sweep(self) -> int:
        """Finish what a crash left planned; a durable job calls this every minute.

        Returns:
            How many were signed. Equal to `SWEEP_BATCH`: there may be more.
        """
        query = (
            select(*entitlements.columns)
            .where(entitlements.c.state == PLANNED)
            .order_by(entitlements.c.planned_at)
            .limit(SWEEP_BATCH)
        )
        async with self._database.reading() as connection:
            planned = [_entitlement(row) for row in await connection.execute(query)]
        for entitlement in planned:
            await self.finish(entitlement)
            _log.info("entitlement_swept", device_id=entitlement.device_id, serial=entitlement.serial)
        return len(planned)


def _entitlement(row: Row[Any]) -> Entitlement:
    return Entitlement(
        org_id=row.org_id,
        device_id=row.device_id,
        serial=row.serial,
        subscription_id=row.subscription_id,
        claims=row.claims,
        basis_sha256=row.basis_sha256,
        refresh_after=row.refresh_after,
        signature=row.signature,
        kid=row.kid,
    )
