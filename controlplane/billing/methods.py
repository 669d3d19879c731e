"""Payment methods: the provider keeps them, here are its tokens and what a person recognises them by."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.billing.errors import payment_method_exists, payment_method_unknown
from controlplane.billing.ports import MethodDetails, PaymentProvider
from controlplane.billing.tables import payment_methods, provider_customers
from controlplane.runtime.idempotency import request_hash
from controlplane.storage.database import Database, UnitOfWork
from controlplane.storage.upsert import insert_into


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    """A way to pay.

    Attributes:
        token: The provider's name for it; never shown.
        expires: Year and month; None: it does not.
        is_default: Charged unless another is named.
    """

    org_id: str
    method_id: str
    token: str
    brand: str
    last4: str
    expires: tuple[int, int] | None
    is_default: bool
    added_at: datetime


async def customer_at(database: Database, provider: PaymentProvider, org_id: str) -> str:
    """What the provider calls an organisation; made known there if it is not yet."""
    query = select(provider_customers.c.customer).where(
        provider_customers.c.org_id == org_id, provider_customers.c.provider == provider.name
    )
    async with database.reading() as connection:
        known = await connection.scalar(query)
    if known is not None:
        return str(known)
    key = request_hash(["billing.customer", provider.name, org_id]).hex()
    customer = await provider.new_customer(org_id, key)
    async with database.transaction() as uow:
        await uow.connection.execute(
            insert_into(uow.connection, provider_customers)
            .values(org_id=org_id, provider=provider.name, customer=customer)
            .on_conflict_do_nothing()
        )
        return str(await uow.connection.scalar(query))


async def every_method(connection: AsyncConnection, org_id: str) -> Sequence[PaymentMethod]:
    """All that were not removed, the default first."""
    columns = payment_methods.c
    rows = await connection.execute(
        _selected(org_id).order_by(columns.is_default.desc(), columns.added_at.desc(), columns.method_id)
    )
    return [_method(row) for row in rows]


async def find_method(connection: AsyncConnection, org_id: str, method_id: str = "") -> PaymentMethod:
    """One method; an empty id: the default.

    Raises:
        Refusal: PAYMENT_METHOD_UNKNOWN.
    """
    columns = payment_methods.c
    named = columns.method_id == method_id if method_id else columns.is_default
    row = (await connection.execute(_selected(org_id).where(named))).one_or_none()
    if row is None:
        raise payment_method_unknown(method_id)
    return _method(row)


async def method_token(connection: AsyncConnection, org_id: str, method_id: str) -> str:
    """The provider's name for a method that a payment names; also if it was removed meanwhile."""
    columns = payment_methods.c
    query = select(columns.token).where(columns.org_id == org_id, columns.method_id == method_id)
    return str((await connection.execute(query)).scalar_one())


async def add_method(
    uow: UnitOfWork, *, org_id: str, method_id: str, provider: str, details: MethodDetails, now: datetime
) -> PaymentMethod:
    """Store a method; it becomes the default. The billing account is locked.

    Raises:
        Refusal: PAYMENT_METHOD_EXISTS.
    """
    columns = payment_methods.c
    taken = await uow.connection.scalar(
        select(columns.method_id).where(columns.provider == provider, columns.token == details.token)
    )
    if taken is not None:
        raise payment_method_exists()
    await uow.connection.execute(update(payment_methods).where(columns.org_id == org_id).values(is_default=False))
    year, month = details.expires or (None, None)
    await uow.connection.execute(
        insert(payment_methods).values(
            org_id=org_id,
            method_id=method_id,
            provider=provider,
            token=details.token,
            brand=details.brand,
            last4=details.last4,
            expires_year=year,
            expires_month=month,
            is_default=True,
            added_at=now,
        )
    )
    return await find_method(uow.connection, org_id, method_id)


async def remove_method(uow: UnitOfWork, org_id: str, method_id: str, now: datetime) -> PaymentMethod:
    """Charge a method no more; the newest of the others becomes the default. The billing account is locked.

    Raises:
        Refusal: PAYMENT_METHOD_UNKNOWN.
    """
    method = await find_method(uow.connection, org_id, method_id)
    columns = payment_methods.c
    await uow.connection.execute(
        update(payment_methods)
        .where(columns.org_id == org_id, columns.method_id == method_id)
        .values(removed_at=now, is_default=False)
    )
    left = await every_method(uow.connection, org_id)
    if method.is_default and left:
        await uow.connection.execute(
            update(payment_methods)
            .where(columns.org_id == org_id, columns.method_id == left[0].method_id)
            .values(is_default=True)
        )
    return method


def _selected(org_id: str) -> Select[tuple[object, ...]]:
    columns = payment_methods.c
    return select(
        columns.org_id,
        columns.method_id,
        columns.token,
        columns.brand,
        columns.last4,
        columns.expires_year,
        columns.expires_month,
        columns.is_default,
        columns.added_at,
    ).where(columns.org_id == org_id, columns.removed_at.is_(None))


def _method(row: Row[tuple[object, ...]]) -> PaymentMethod:
    return PaymentMethod(
        org_id=row.org_id,
        method_id=row.method_id,
        token=row.token,
        brand=row.brand,
        last4=row.last4,
        expires=None if row.expires_year is None else (row.expires_year, row.expires_month),
        is_default=row.is_default,
        added_at=row.added_at,
    )
