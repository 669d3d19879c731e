"""Second factors of people: enrol, confirm, check, remove."""

from datetime import datetime

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.errors import second_factor_absent, second_factor_present, second_factor_wrong
from controlplane.accounts.limits import RECOVERY_CODE_BYTES, RECOVERY_CODES, SECOND_FACTOR_SECRET_BYTES
from controlplane.accounts.ports import Sealer
from controlplane.accounts.second_factor import matching_step, recovery_code, recovery_code_sha256
from controlplane.accounts.tables import recovery_codes, second_factors
from controlplane.runtime.clock import Clock
from controlplane.runtime.randomness import Randomness
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into


class SecondFactors:
    """See the module.

    Args:
        wall: The machine's clock, which the apps follow, too.
        randomness: For secrets and recovery codes.
        sealer: Keeps the secrets.
        audit: Records every change.
    """

    def __init__(self, *, wall: Clock, randomness: Randomness, sealer: Sealer, audit: AuditLog) -> None:
        self._wall = wall
        self._randomness = randomness
        self._sealer = sealer
        self._audit = audit

    async def is_on(self, connection: AsyncConnection, user_id: str) -> bool:
        """Whether signing in takes a code."""
        query = select(second_factors.c.confirmed_at).where(second_factors.c.user_id == user_id)
        return await connection.scalar(query) is not None

    async def enrol(self, uow: UnitOfWork, user_id: str) -> bytes:
        """A new secret; one that was shown and never confirmed is replaced.

        Raises:
            Refusal: SECOND_FACTOR_PRESENT.
        """
        secret = self._randomness.token_bytes(SECOND_FACTOR_SECRET_BYTES)
        sealed = self._sealer.seal(secret, user_id)
        statement = insert_into(uow.connection, second_factors).values(user_id=user_id, sealed_secret=sealed)
        stored = await uow.connection.execute(
            statement.on_conflict_do_update(
                index_elements=["user_id"],
                set_={"sealed_secret": sealed, "last_step": None},
                where=second_factors.c.confirmed_at.is_(None),
            ).returning(second_factors.c.user_id)
        )
        if stored.first() is None:
            raise second_factor_present()
        return secret

    async def confirm(self, uow: UnitOfWork, org_id: str, user_id: str, untrusted_code: str) -> tuple[str, ...]:
        """From now on signing in takes a code; the recovery codes, which are shown this once.

        Raises:
            Refusal: SECOND_FACTOR_ABSENT, SECOND_FACTOR_PRESENT or SECOND_FACTOR_WRONG.
        """
        now = self._wall.now()
        query = select(second_factors).where(second_factors.c.user_id == user_id).with_for_update()
        row = (await uow.connection.execute(query)).one_or_none()
        if row is None:
            raise second_factor_absent()
        if row.confirmed_at is not None:
            raise second_factor_present()
        step = matching_step(self._sealer.open(row.sealed_secret, user_id), untrusted_code, now)
        if step is None:
            raise second_factor_wrong()
        await uow.connection.execute(
            update(second_factors).where(second_factors.c.user_id == user_id).values(confirmed_at=now, last_step=step)
        )
        codes = tuple(recovery_code(self._randomness.token_bytes(RECOVERY_CODE_BYTES)) for _ in range(RECOVERY_CODES))
        await uow.connection.execute(
            insert(recovery_codes),
            [{"user_id": user_id, "code_sha256": recovery_code_sha256(code)} for code in codes],
        )
        await self._audit.record(uow, org_id=org_id, action="second_factor.added", subject=user_id)
        return codes

    async def use(self, uow: UnitOfWork, org_id: str, user_id: str, untrusted_code: str) -> bool:
        """Whether a code is right; it is used up, whichever of two callers comes first."""
        now = self._wall.now()
        query = select(second_factors.c.sealed_secret).where(
            second_factors.c.user_id == user_id, second_factors.c.confirmed_at.is_not(None)
        )
        sealed = await uow.connection.scalar(query)
        if sealed is None:
            return False
        step = matching_step(self._sealer.open(sealed, user_id), untrusted_code, now)
        if step is not None:
            return await self._use_step(uow, user_id, step)
        return await self._use_recovery_code(uow, org_id, user_id, untrusted_code, now)

    async def remove(self, uow: UnitOfWork, org_id: str, user_id: str) -> None:
        """Signing in takes no code any more; somebody who has none is left as they are."""
        await uow.connection.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
        gone = await uow.connection.execute(
            delete(second_factors).where(second_factors.c.user_id == user_id).returning(second_factors.c.confirmed_at)
        )
        row = gone.one_or_none()
        if row is not None and row.confirmed_at is not None:
            await self._audit.record(uow, org_id=org_id, action="second_factor.removed", subject=user_id)

    async def _use_step(self, uow: UnitOfWork, user_id: str, step: int) -> bool:
        newer = or_(second_factors.c.last_step.is_(None), second_factors.c.last_step < step)
        used = await uow.connection.execute(
            update(second_factors)
            .where(second_factors.c.user_id == user_id, newer)
            .values(last_step=step)
            .returning(second_factors.c.user_id)
        )
        return used.first() is not None

    async def _use_recovery_code(
        self, uow: UnitOfWork, org_id: str, user_id: str, untrusted_code: str, now: datetime
    ) -> bool:
        code_sha256 = recovery_code_sha256(untrusted_code)
        if code_sha256 is None:
            return False
        used = await uow.connection.execute(
            update(recovery_codes)
            .where(
                recovery_codes.c.user_id == user_id,
                recovery_codes.c.code_sha256 == code_sha256,
                recovery_codes.c.used_at.is_(None),
            )
            .values(used_at=now)
            .returning(recovery_codes.c.user_id)
        )
        if used.first() is None:
            return False
        await self._audit.record(uow, org_id=org_id, action="second_factor.recovery_code_used", subject=user_id)
        return True
