"""Payments in the database: rows in, values out."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.billing.attempts import IN_FLIGHT, FailureKind, Payment, PaymentState
from controlplane.billing.errors import payment_unknown
from controlplane.billing.money import Money
from controlplane.billing.ports import Announcement
from controlplane.billing.tables import charge_announcements, payments
from controlplane.runtime.newest import newest_first
from controlplane.runtime.paging import Page
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into


async def add(uow: UnitOfWork, payment: Payment) -> None:
    """Store a new payment; the schema refuses a second one in flight."""
    await uow.connection.execute(
        insert(payments).values(
            org_id=payment.org_id,
            payment_id=payment.payment_id,
            invoice_id=payment.invoice_id,
            attempt_no=payment.attempt_no,
            provider=payment.provider,
            method_id=payment.method_id,
            automatic=payment.automatic,
            announced_by=payment.announced_by or None,
            currency=payment.amount.currency,
            amount=payment.amount.minor,
            idempotency_key=payment.key,
            created_at=payment.created_at,
            **_told(payment),
        )
    )


async def store_announcement(uow: UnitOfWork, announcement: Announcement) -> None:
    """Keep the delivered notice of a charge, for payments to refer to; several attempts may."""
    await uow.connection.execute(
        insert_into(uow.connection, charge_announcements)
        .values(announcement=announcement.key, delivered_at=announcement.delivered_at)
        .on_conflict_do_nothing()
    )


async def store(uow: UnitOfWork, before: Payment, after: Payment) -> None:
    """Move a payment on; finds it only as it was seen."""
    columns = payments.c
    moved = await uow.connection.execute(
        update(payments)
        .where(
            columns.org_id == before.org_id,
            columns.payment_id == before.payment_id,
            columns.state == before.state.value,
        )
        .values(**_told(after))
        .returning(columns.payment_id)
    )
    assert moved.first() is not None, "whoever changes a payment holds the lock of its account"


async def take_back(uow: UnitOfWork, payment: Payment, amount: int) -> bool:
    """Set a part of a captured payment aside to be refunded; False: that would be more than was captured."""
    columns = payments.c
    taken = await uow.connection.execute(
        update(payments)
        .where(
            columns.org_id == payment.org_id,
            columns.payment_id == payment.payment_id,
            columns.state == PaymentState.CAPTURED.value,
            columns.refunded + amount <= columns.amount,
        )
        .values(refunded=columns.refunded + amount)
        .returning(columns.payment_id)
    )
    return taken.first() is not None


async def find(connection: AsyncConnection, org_id: str, payment_id: str) -> Payment:
    """One payment.

    Raises:
        Refusal: PAYMENT_UNKNOWN.
    """
    row = (await connection.execute(_selected().where(*_is(org_id, payment_id)))).one_or_none()
    if row is None:
        raise payment_unknown(payment_id)
    return _payment(row)


async def in_flight(connection: AsyncConnection, org_id: str, invoice_id: str) -> Payment | None:
    """The payment of an invoice whose outcome is not settled."""
    columns = payments.c
    row = (
        await connection.execute(
            _selected().where(
                columns.org_id == org_id,
                columns.invoice_id == invoice_id,
                columns.state.in_([state.value for state in IN_FLIGHT]),
            )
        )
    ).one_or_none()
    return None if row is None else _payment(row)


async def of_invoice(connection: AsyncConnection, org_id: str, invoice_id: str) -> Sequence[Payment]:
    """Every attempt, in order."""
    columns = payments.c
    query = _selected().where(columns.org_id == org_id, columns.invoice_id == invoice_id)
    return [_payment(row) for row in await connection.execute(query.order_by(columns.attempt_no))]


async def of_organisation(connection: AsyncConnection, org_id: str) -> Sequence[Payment]:
    """Every payment, the oldest first."""
    columns = payments.c
    query = _selected().where(columns.org_id == org_id)
    return [_payment(row) for row in await connection.execute(query.order_by(columns.created_at, columns.payment_id))]


async def newest(connection: AsyncConnection, org_id: str, page: Page) -> Sequence[Payment]:
    """One page, the newest first; one row more than asked for if there are more."""
    mine = _selected().where(payments.c.org_id == org_id)
    query = newest_first(mine, payments.c.created_at, payments.c.payment_id, page)
    return [_payment(row) for row in await connection.execute(query)]


async def known_to_provider(
    connection: AsyncConnection, provider: str, *, provider_payment_id: str, key: str
) -> Payment | None:
    """The payment that a charge belongs to: by the provider's id, or by the key if the id has not come to us yet."""
    columns = payments.c
    ours = _selected().where(columns.provider == provider)
    row = (await connection.execute(ours.where(columns.provider_payment_id == provider_payment_id))).one_or_none()
    if row is None and key:
        row = (await connection.execute(ours.where(columns.idempotency_key == key))).one_or_none()
    return None if row is None else _payment(row)


async def organisations_since(connection: AsyncConnection, provider: str, since: datetime) -> Sequence[str]:
    """Whom something was tried to be collected from lately."""
    columns = payments.c
    query = select(columns.org_id).distinct().where(columns.provider == provider, columns.updated_at >= since)
    return (await connection.scalars(query.order_by(columns.org_id))).all()


def _is(org_id: str, payment_id: str) -> tuple[ColumnElement[bool], ...]:
    return (payments.c.org_id == org_id, payments.c.payment_id == payment_id)


def _told(payment: Payment) -> dict[str, object]:
    return {
        "state": payment.state.value,
        "provider_payment_id": payment.provider_payment_id or None,
        "failure_kind": payment.failure_kind.value,
        "failure_code": payment.failure_code,
        "action_url": payment.action_url,
        "applied": payment.applied,
        "updated_at": payment.updated_at,
    }


def _selected() -> Select[tuple[object, ...]]:
    columns = payments.c
    return select(
        columns.org_id,
        columns.payment_id,
        columns.invoice_id,
        columns.attempt_no,
        columns.provider,
        columns.method_id,
        columns.automatic,
        columns.announced_by,
        columns.currency,
        columns.amount,
        columns.idempotency_key,
        columns.state,
        columns.provider_payment_id,
        columns.failure_kind,
        columns.failure_code,
        columns.action_url,
        columns.applied,
        columns.refunded,
        columns.created_at,
        columns.updated_at,
    )


def _payment(row: Row[tuple[object, ...]]) -> Payment:
    return Payment(
        org_id=row.org_id,
        payment_id=row.payment_id,
        invoice_id=row.invoice_id,
        attempt_no=row.attempt_no,
        provider=row.provider,
        method_id=row.method_id,
        amount=Money(row.amount, row.currency),
        key=row.idempotency_key,
        state=PaymentState(row.state),
        created_at=row.created_at,
        updated_at=row.updated_at,
        provider_payment_id=row.provider_payment_id or "",
        failure_kind=FailureKind(row.failure_kind),
        failure_code=row.failure_code,
        action_url=row.action_url,
        applied=row.applied,
        refunded=row.refunded,
        automatic=row.automatic,
        announced_by=row.announced_by or "",
    )
