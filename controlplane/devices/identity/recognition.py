"""Finds the device that an unknown key was before, and gives it the new key."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Table, distinct, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.devices.errors import device_revoked
from controlplane.devices.identity.evidence import (
    FEWEST_MATCHES,
    REBIND_WINDOW,
    Resemblance,
    Twin,
    is_match,
    matching_kinds,
    resemblance,
)
from controlplane.devices.model import FingerprintComponent
from controlplane.devices.tables import (
    device_fingerprints,
    device_statuses,
    devices,
    fingerprint_salts,
    former_device_keys,
)
from controlplane.runtime.randomness import Randomness
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into

SALT_BYTES = 32
#: Devices that share two facts are few, unless an image was copied often.
_CANDIDATES = 16


@dataclass(frozen=True, slots=True)
class Recognised:
    """A known device that resembles the one that asks, and what that means."""

    device_id: str
    resemblance: Resemblance


async def salt_of(uow: UnitOfWork, org_id: str, randomness: Randomness) -> bytes:
    """The organisation's salt; made at the first call."""
    statement = insert_into(uow.connection, fingerprint_salts).values(
        org_id=org_id, salt=randomness.token_bytes(SALT_BYTES)
    )
    await uow.connection.execute(statement.on_conflict_do_nothing())
    query = select(fingerprint_salts.c.salt).where(fingerprint_salts.c.org_id == org_id)
    return bytes((await uow.connection.execute(query)).scalar_one())


async def recognise(
    uow: UnitOfWork,
    org_id: str,
    shown: frozenset[FingerprintComponent],
    public_key_sha256: bytes,
    *,
    admitted_at: datetime,
    now: datetime,
) -> Recognised | None:
    """The device that shows this evidence; its row is locked from then on. None: nobody resembles it.

    A device that is the same machine has the new key when this returns, and the old one is remembered. A machine whose
    identity was revoked resembles nobody once somebody admits it anew.

    Args:
        uow: The transaction.
        org_id: The tenant.
        shown: The evidence.
        public_key_sha256: The unknown key.
        admitted_at: When what admits the machine was made.
        now: The present.

    Raises:
        Refusal: `DEVICE_REVOKED`: it is admitted by what was there before it was revoked.
    """
    device_id = await _most_similar(uow.connection, org_id, shown)
    if device_id is None:
        return None
    mine = devices.c.org_id == org_id, devices.c.device_id == device_id
    columns = devices.c.public_key_sha256, devices.c.activated_at, devices.c.revoked_at
    row = (await uow.connection.execute(select(*columns).where(*mine).with_for_update())).one()
    if row.revoked_at is not None:
        # A thief may have found an activation key on it, but none that was made later.
        if admitted_at <= row.revoked_at:
            raise device_revoked()
        return None
    if row.public_key_sha256 == public_key_sha256:
        # Another request with the same new key was faster.
        return Recognised(device_id, Resemblance.SAME_MACHINE)
    judged = resemblance(await _twin(uow.connection, org_id, device_id, row.activated_at, now), now)
    if judged is Resemblance.SAME_MACHINE:
        former = {"org_id": org_id, "device_id": device_id, "public_key_sha256": row.public_key_sha256}
        await uow.connection.execute(insert(former_device_keys).values(**former, replaced_at=now))
        await uow.connection.execute(update(devices).where(*mine).values(public_key_sha256=public_key_sha256))
    return Recognised(device_id, judged)


async def _most_similar(connection: AsyncConnection, org_id: str, shown: frozenset[FingerprintComponent]) -> str | None:
    table = device_fingerprints.c
    kinds, digests = {component.kind for component in shown}, {component.digest for component in shown}
    if len(kinds) < FEWEST_MATCHES:
        return None
    common = func.count(distinct(table.kind))
    query = (
        select(func.min(table.device_id).label("device_id"))
        # A digest is made from its kind as well, so that no two kinds share one; and each database has an index for it.
        .where(table.org_id == org_id, table.kind.in_(kinds), table.digest.in_(digests))
        # An expression, not the column: both planners would walk all evidence of the organisation in its order.
        .group_by(table.device_id.concat(""))
        .having(common >= FEWEST_MATCHES)
        .order_by(common.desc(), func.max(table.seen_at).desc(), func.min(table.device_id))
        .limit(_CANDIDATES)
    )
    candidates = list((await connection.execute(query)).scalars())
    if not candidates:
        return None
    evidence: defaultdict[str, set[FingerprintComponent]] = defaultdict(set)
    everything = select(table.device_id, table.kind, table.digest).where(
        table.org_id == org_id, table.device_id.in_(candidates)
    )
    for row in await connection.execute(everything):
        evidence[row.device_id].add(FingerprintComponent(row.kind, row.digest))
    matching = [device_id for device_id in candidates if is_match(evidence[device_id], shown)]
    return max(matching, key=lambda each: matching_kinds(evidence[each], shown), default=None)


async def _twin(
    connection: AsyncConnection, org_id: str, device_id: str, activated_at: datetime, now: datetime
) -> Twin:
    async def newest(column: Column[Any], table: Table) -> datetime:
        query = select(func.max(column)).where(table.c.org_id == org_id, table.c.device_id == device_id)
        return (await connection.execute(query)).scalar() or activated_at

    seen = await newest(device_statuses.c.last_seen, device_statuses)
    shown = await newest(device_fingerprints.c.seen_at, device_fingerprints)
    keys = former_device_keys.c
    rebinds = select(func.count()).where(
        keys.org_id == org_id, keys.device_id == device_id, keys.replaced_at > now - REBIND_WINDOW
    )
    return Twin(max(activated_at, seen, shown), (await connection.execute(rebinds)).scalar_one())
