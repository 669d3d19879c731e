"""Activation keys in the database: a slow hash to find them by, a hint to recognise them by, never the key."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import pbkdf2_hmac
from typing import Any

from sqlalchemy import Row, Select, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.licensing.errors import key_expired, key_not_found, key_revoked, key_unknown, key_used_up
from controlplane.licensing.tables import activation_key_digests, activation_key_uses, activation_keys
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into
from wire.activation_key import GROUP_LENGTH, RANDOM_BYTES, generate_activation_key

# A key has 85 random bits, of which the hint shows 25. The 60 that are left must cost more to try than a fast hash
# of a stolen table would; 4,096 rounds (about 2 ms here) add 12 bits, and an activation can afford them.
_ROUNDS = 4_096
# Fixed, because the hash is what a key is looked up by; it only separates this use from others.
_SALT = b"buckler-activation-key-v1"


@dataclass(frozen=True, slots=True)
class ActivationKey:
    """What is known about a key.

    Attributes:
        max_devices: Different devices that may use it; 0: as many as there are seats.
        devices_activated: Different devices that have used it.
        replaces_key_id: In whose place it was made; empty: in nobody's.
    """

    org_id: str
    key_id: str
    subscription_id: str
    hint: str
    max_devices: int
    devices_activated: int
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    replaces_key_id: str = ""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key, the only time it is seen whole (`raw`, see `wire.activation_key`)."""

    key: ActivationKey
    raw: str


def key_digest(raw: str) -> bytes:
    """What is stored and looked up instead of the 20 symbols of a key."""
    return pbkdf2_hmac("sha256", raw.encode("ascii"), _SALT, _ROUNDS)


class ActivationKeys:
    """Reads and changes keys.

    Args:
        randomness: For keys and their ids.
    """

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness

    async def issue(
        self,
        uow: UnitOfWork,
        *,
        org_id: str,
        subscription_id: str,
        max_devices: int,
        expires_at: datetime | None,
        now: datetime,
        replaces_key_id: str = "",
    ) -> IssuedKey:
        """Make a key."""
        raw = generate_activation_key(self._randomness.token_bytes(RANDOM_BYTES))
        key = ActivationKey(
            org_id=org_id,
            key_id=new_id(self._randomness, "key"),
            subscription_id=subscription_id,
            hint=raw[-GROUP_LENGTH:],
            max_devices=max_devices,
            devices_activated=0,
            created_at=now,
            expires_at=expires_at,
            revoked_at=None,
            replaces_key_id=replaces_key_id,
        )
        await uow.connection.execute(
            insert(activation_keys).values(
                org_id=key.org_id,
                key_id=key.key_id,
                subscription_id=key.subscription_id,
                hint=key.hint,
                max_devices=key.max_devices,
                created_at=key.created_at,
                expires_at=key.expires_at,
                replaces_key_id=key.replaces_key_id or None,
            )
        )
        await uow.connection.execute(
            insert(activation_key_digests).values(digest=key_digest(raw), org_id=org_id, key_id=key.key_id)
        )
        return IssuedKey(key, raw)

    async def reissue(self, uow: UnitOfWork, old: ActivationKey, now: datetime) -> IssuedKey:
        """Revoke a locked key and make one in its place.

        The devices that the old one brought in count against the new one: a key that is used up stays used up.

        Raises:
            Refusal: `KEY_REVOKED`.
        """
        if old.revoked_at is not None:
            raise key_revoked(old.revoked_at)
        await self.revoke(uow, old.org_id, old.key_id, now)
        issued = await self.issue(
            uow,
            org_id=old.org_id,
            subscription_id=old.subscription_id,
            max_devices=old.max_devices,
            expires_at=old.expires_at,
            now=now,
            replaces_key_id=old.key_id,
        )
        uses = activation_key_uses.c
        theirs = select(uses.org_id, literal(issued.key.key_id), uses.device_id, uses.used_at).where(
            uses.org_id == old.org_id, uses.key_id == old.key_id
        )
        await uow.connection.execute(
            insert(activation_key_uses).from_select(["org_id", "key_id", "device_id", "used_at"], theirs)
        )
        return IssuedKey(replace(issued.key, devices_activated=old.devices_activated), issued.raw)

    async def lock(self, uow: UnitOfWork, org_id: str, key_id: str) -> ActivationKey:
        """A key of an organisation, its row locked.

        Raises:
            Refusal: `KEY_NOT_FOUND`.
        """
        await uow.connection.execute(select(activation_keys.c.key_id).where(*_is(org_id, key_id)).with_for_update())
        # Counted by a statement of its own: under READ COMMITTED it sees what was committed while we waited.
        return await self.find(uow.connection, org_id, key_id)

    async def lock_by_digest(self, uow: UnitOfWork, digest: bytes) -> ActivationKey:
        """The key that hashes to this, its row locked, so that its uses are counted one after the other.

        Raises:
            Refusal: `KEY_UNKNOWN` or `KEY_REVOKED`.
        """
        query = select(activation_key_digests.c.org_id, activation_key_digests.c.key_id).where(
            activation_key_digests.c.digest == digest
        )
        found = (await uow.connection.execute(query)).one_or_none()
        if found is None:
            raise key_unknown()
        key = await self.lock(uow, found.org_id, found.key_id)
        if key.revoked_at is not None:
            raise key_revoked(key.revoked_at)
        return key

    async def use(self, uow: UnitOfWork, key: ActivationKey, device_id: str, now: datetime) -> None:
        """Count a device against a locked key; one that has used it before is not counted again.

        Raises:
            Refusal: `KEY_EXPIRED` or `KEY_USED_UP`, for devices that have not used it before.
        """
        before = select(activation_key_uses.c.used_at).where(
            activation_key_uses.c.org_id == key.org_id,
            activation_key_uses.c.key_id == key.key_id,
            activation_key_uses.c.device_id == device_id,
        )
        if (await uow.connection.execute(before)).one_or_none() is not None:
            return
        if key.expires_at is not None and now >= key.expires_at:
            raise key_expired(key.expires_at)
        if key.max_devices and key.devices_activated >= key.max_devices:
            raise key_used_up(key.max_devices)
        statement = insert_into(uow.connection, activation_key_uses).values(
            org_id=key.org_id, key_id=key.key_id, device_id=device_id, used_at=now
        )
        await uow.connection.execute(statement.on_conflict_do_nothing())

    async def find(self, connection: AsyncConnection, org_id: str, key_id: str) -> ActivationKey:
        """A key of an organisation.

        Raises:
            Refusal: `KEY_NOT_FOUND`.
        """
        row = (await connection.execute(_select_key().where(*_is(org_id, key_id)))).one_or_none()
        if row is None:
            raise key_not_found()
        return _key(row)

    async def of_subscription(
        self, connection: AsyncConnection, org_id: str, subscription_id: str
    ) -> Sequence[ActivationKey]:
        """Every key, the newest first."""
        query = (
            _select_key()
            .where(activation_keys.c.org_id == org_id, activation_keys.c.subscription_id == subscription_id)
            .order_by(activation_keys.c.created_at.desc(), activation_keys.c.key_id)
        )
        return [_key(row) for row in await connection.execute(query)]

    async def revoke(self, uow: UnitOfWork, org_id: str, key_id: str, now: datetime) -> bool:
        """Revoke for good; False: it was revoked already, and keeps its first date."""
        statement = (
            update(activation_keys)
            .where(*_is(org_id, key_id), activation_keys.c.revoked_at.is_(None))
            .values(revoked_at=now)
            .returning(activation_keys.c.key_id)
        )
        return (await uow.connection.execute(statement)).one_or_none() is not None


def _is(org_id: str, key_id: str) -> tuple[Any, Any]:
    return activation_keys.c.org_id == org_id, activation_keys.c.key_id == key_id


def _select_key() -> Select[Any]:
    uses = (
        select(func.count())
        .where(
            activation_key_uses.c.org_id == activation_keys.c.org_id,
            activation_key_uses.c.key_id == activation_keys.c.key_id,
        )
        .correlate(activation_keys)
        .scalar_subquery()
    )
    return select(*activation_keys.columns, uses.label("devices_activated"))


def _key(row: Row[Any]) -> ActivationKey:
    return ActivationKey(
        org_id=row.org_id,
        key_id=row.key_id,
        subscription_id=row.subscription_id,
        hint=row.hint,
        max_devices=row.max_devices,
        devices_activated=row.devices_activated,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        replaces_key_id=row.replaces_key_id or "",
    )
