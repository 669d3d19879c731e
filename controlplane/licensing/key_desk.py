"""What people do with activation keys: issue, list, revoke, re-issue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from controlplane.accounts.audit import AuditLog
from controlplane.catalog.model import AccessLevel
from controlplane.licensing.errors import subscription_ended
from controlplane.licensing.keys import ActivationKey, IssuedKey
from controlplane.licensing.parts import LicensingParts
from controlplane.runtime.clock import Clock
from controlplane.runtime.fields import invalid
from controlplane.runtime.principal import PersonPrincipal
from controlplane.runtime.repeatable import Repeatable
from controlplane.storage.database import Database, UnitOfWork

#: The key itself, in the answer to a repeat: it was shown once, and is stored nowhere.
NOT_SHOWN_AGAIN = ""


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a person wants a key for.

    Attributes:
        subscription_id: Empty: the only one there is.
        max_devices: Different devices that may use it; 0: as many as there are seats.
        expires_at: None: it does not.
    """

    subscription_id: str = ""
    max_devices: int = 0
    expires_at: datetime | None = None


class KeyDesk:
    """The use cases.

    Args:
        database: The database.
        parts: The rooms of licensing.
        audit: Records every change.
        clock: Business time.
    """

    def __init__(self, *, database: Database, parts: LicensingParts, audit: AuditLog, clock: Clock) -> None:
        self._database = database
        self._keys = parts.keys
        self._terms = parts.terms
        self._audit = audit
        self._clock = clock

    async def issue(self, person: PersonPrincipal, wish: KeyWish, idempotency_key: str) -> IssuedKey:
        """Make an activation key, and show it once.

        Raises:
            Refusal: `INVALID_REQUEST`, `SUBSCRIPTION_ENDED`, about the idempotency key, or as the subscriptions
                capability says it.
        """
        expires = wish.expires_at.isoformat() if wish.expires_at else ""
        parts = (wish.subscription_id, str(wish.max_devices), expires)
        request = Repeatable(person, "licensing.issue_key", idempotency_key, *parts)
        async with self._database.transaction() as uow:
            answered = await request.answered(uow, self._clock.now())
            if answered is not None:
                key = await self._keys.find(uow.connection, person.org_id, answered["key_id"])
                return IssuedKey(key, NOT_SHOWN_AGAIN)
            issued = await self.issue_within(uow, person.org_id, wish)
            await request.remember(uow, key_id=issued.key.key_id)
        return issued

    async def issue_within(self, uow: UnitOfWork, org_id: str, wish: KeyWish) -> IssuedKey:
        """`issue` as part of a larger change.

        Raises:
            Refusal: As `issue`, but for the idempotency key.
        """
        now = self._clock.now()
        if wish.expires_at is not None and wish.expires_at <= now:
            raise invalid("expires_at_us", "is not in the future")
        terms = await self._terms.of(uow.connection, org_id=org_id, subscription_id=wish.subscription_id)
        if terms.access is AccessLevel.ENDED:
            raise subscription_ended()
        issued = await self._keys.issue(
            uow,
            org_id=org_id,
            subscription_id=terms.subscription_id,
            max_devices=wish.max_devices,
            expires_at=wish.expires_at,
            now=now,
        )
        await self._record(uow, "key.issued", issued.key)
        return issued

    async def list_keys(self, org_id: str, subscription_id: str) -> Sequence[ActivationKey]:
        """Every key of a subscription, the newest first; an empty id asks for the only subscription there is.

        Raises:
            Refusal: As the subscriptions capability says it.
        """
        async with self._database.reading() as connection:
            terms = await self._terms.of(connection, org_id=org_id, subscription_id=subscription_id)
            return await self._keys.of_subscription(connection, org_id, terms.subscription_id)

    async def revoke(self, org_id: str, key_id: str) -> ActivationKey:
        """Revoke a key for good. Devices it brought in keep their seats. A repeat changes nothing.

        Raises:
            Refusal: `KEY_NOT_FOUND`.
        """
        async with self._database.transaction() as uow:
            revoked = await self._keys.revoke(uow, org_id, key_id, self._clock.now())
            key = await self._keys.find(uow.connection, org_id, key_id)
            if revoked:
                await self._record(uow, "key.revoked", key)
        return key

    async def reissue(self, person: PersonPrincipal, key_id: str, idempotency_key: str) -> IssuedKey:
        """Revoke a key and make one in its place, with what is left of its uses and its time.

        Raises:
            Refusal: `KEY_NOT_FOUND`, `KEY_REVOKED`, or about the idempotency key.
        """
        request = Repeatable(person, "licensing.reissue_key", idempotency_key, key_id)
        async with self._database.transaction() as uow:
            now = self._clock.now()
            answered = await request.answered(uow, now)
            if answered is not None:
                key = await self._keys.find(uow.connection, person.org_id, answered["key_id"])
                return IssuedKey(key, NOT_SHOWN_AGAIN)
            old = await self._keys.lock(uow, person.org_id, key_id)
            issued = await self._keys.reissue(uow, old, now)
            await self._record(uow, "key.reissued", issued.key, replaces=old.key_id)
            await request.remember(uow, key_id=issued.key.key_id)
        return issued

    async def _record(self, uow: UnitOfWork, action: str, key: ActivationKey, **further: str) -> None:
        details = {"hint": key.hint, "subscription_id": key.subscription_id, **further}
        await self._audit.record(uow, org_id=key.org_id, action=action, subject=key.key_id, details=details)
