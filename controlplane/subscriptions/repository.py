"""Subscriptions in the database: rows in, values out, and the two conditional statements behind a renewal."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.catalog.model import Term
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into
from controlplane.subscriptions.model import Billing, Pending, PendingWhy, Period, Renewal, Subscription
from controlplane.subscriptions.tables import subscription_periods, subscription_steps, subscriptions


async def find(connection: AsyncConnection, *, org_id: str, subscription_id: str) -> Subscription | None:
    """One subscription of an organisation."""
    rows = await connection.execute(_selected(org_id).where(subscriptions.c.subscription_id == subscription_id))
    row = rows.one_or_none()
    return None if row is None else _subscription(row)


async def first_of(connection: AsyncConnection, *, org_id: str, limit: int | None = None) -> tuple[Subscription, ...]:
    """The oldest subscriptions of an organisation; all of them without a limit."""
    ordered = _selected(org_id).order_by(subscriptions.c.created_at, subscriptions.c.subscription_id)
    rows = await connection.execute(ordered.limit(limit))
    return tuple(_subscription(row) for row in rows)


async def add(uow: UnitOfWork, subscription: Subscription) -> None:
    """Store a new subscription and the period it opens with."""
    uow.news_for(subscription.org_id)
    await uow.connection.execute(
        insert(subscriptions).values(
            org_id=subscription.org_id,
            subscription_id=subscription.subscription_id,
            catalog_version=subscription.catalog_version,
            plan_id=subscription.plan_id,
            term=subscription.term.value,
            billing=subscription.billing.value,
            renewal=subscription.renewal.value,
            period_start=subscription.period_start,
            period_end=subscription.period_end,
            anchor_day=subscription.anchor_day,
            suspended_at=subscription.suspended_at,
            revoked_at=subscription.revoked_at,
            revocation_epoch=subscription.revocation_epoch,
            created_at=subscription.created_at,
            **_terms(subscription),
        )
    )
    await uow.connection.execute(
        insert(subscription_periods).values(
            org_id=subscription.org_id,
            subscription_id=subscription.subscription_id,
            period_start=subscription.period_start,
            period_end=subscription.period_end,
            opened_as="initial",
            opened_at=subscription.created_at,
        )
    )


async def open_period(uow: UnitOfWork, seen: Subscription, after: Subscription, opened: Period, now: datetime) -> bool:
    """Open one more period, unless somebody was faster.

    Two statements decide, whatever ran beside them: the update finds the subscription only as it was `seen`, and the
    primary key of the periods lets each be opened once.

    Args:
        uow: The transaction.
        seen: The subscription as the decision found it.
        after: The subscription as it shall be.
        opened: The new period.
        now: Business time.

    Returns:
        False: the subscription is no longer as it was seen, or the period had been opened; nothing was changed.
    """
    columns = subscriptions.c
    # The lock on the row comes first, so that the period is inserted by whoever will also own the update.
    moved = await uow.connection.execute(
        update(subscriptions)
        .where(
            columns.org_id == seen.org_id,
            columns.subscription_id == seen.subscription_id,
            columns.period_end == seen.period_end,
            columns.billing == seen.billing.value,
            columns.suspended_at.is_(None),
            columns.revoked_at.is_(None),
        )
        .values(
            period_start=after.period_start,
            period_end=after.period_end,
            anchor_day=after.anchor_day,
            billing=after.billing.value,
        )
        .returning(columns.subscription_id)
    )
    if moved.first() is None:
        return False
    uow.news_for(seen.org_id)
    inserted = await uow.connection.execute(
        insert_into(uow.connection, subscription_periods)
        .values(
            org_id=seen.org_id,
            subscription_id=seen.subscription_id,
            period_start=opened.start,
            period_end=opened.end,
            opened_as="renewal",
            opened_at=now,
        )
        .on_conflict_do_nothing()
        .returning(subscription_periods.c.period_start)
    )
    assert inserted.first() is not None, "a subscription that was found as seen has not opened its next period"
    return True


async def lock(uow: UnitOfWork, *, org_id: str, subscription_id: str) -> Subscription | None:
    """One subscription, its row locked until the transaction ends."""
    columns = subscriptions.c
    mine = columns.org_id == org_id, columns.subscription_id == subscription_id
    await uow.connection.execute(select(columns.org_id).where(*mine).with_for_update())
    # By a statement of its own: under READ COMMITTED it sees what was committed while we waited.
    return await find(uow.connection, org_id=org_id, subscription_id=subscription_id)


async def store(uow: UnitOfWork, subscription: Subscription) -> None:
    """Write what may change of a locked subscription."""
    uow.news_for(subscription.org_id)
    columns = subscriptions.c
    await uow.connection.execute(
        update(subscriptions)
        .where(columns.org_id == subscription.org_id, columns.subscription_id == subscription.subscription_id)
        .values(
            catalog_version=subscription.catalog_version,
            plan_id=subscription.plan_id,
            term=subscription.term.value,
            billing=subscription.billing.value,
            renewal=subscription.renewal.value,
            period_start=subscription.period_start,
            period_end=subscription.period_end,
            anchor_day=subscription.anchor_day,
            **_terms(subscription),
        )
    )


async def add_period(uow: UnitOfWork, subscription: Subscription, opened: Period, now: datetime) -> None:
    """Write down that a period was opened; the primary key lets that happen once."""
    await uow.connection.execute(
        insert(subscription_periods).values(
            org_id=subscription.org_id,
            subscription_id=subscription.subscription_id,
            period_start=opened.start,
            period_end=opened.end,
            opened_as="renewal",
            opened_at=now,
        )
    )


async def periods_after(
    connection: AsyncConnection, *, org_id: str, subscription_id: str, now: datetime
) -> Sequence[Period]:
    """Periods that run or will run, in order."""
    columns = subscription_periods.c
    rows = await connection.execute(
        select(columns.period_start, columns.period_end)
        .where(columns.org_id == org_id, columns.subscription_id == subscription_id, columns.period_end > now)
        .order_by(columns.period_start)
    )
    return [Period(row.period_start, row.period_end) for row in rows]


async def steps_done(connection: AsyncConnection, *, org_id: str, subscription_id: str) -> frozenset[str]:
    """Keys of everything that was done at its instant."""
    columns = subscription_steps.c
    query = select(columns.step).where(columns.org_id == org_id, columns.subscription_id == subscription_id)
    return frozenset((await connection.scalars(query)).all())


async def add_step(uow: UnitOfWork, *, org_id: str, subscription_id: str, key: str, now: datetime) -> None:
    """Write down that something was done."""
    await uow.connection.execute(
        insert(subscription_steps).values(org_id=org_id, subscription_id=subscription_id, step=key, done_at=now)
    )


async def every_id(connection: AsyncConnection) -> Sequence[tuple[str, str]]:
    """Organisation and id of every subscription that is not revoked."""
    columns = subscriptions.c
    rows = await connection.execute(
        select(columns.org_id, columns.subscription_id)
        .where(columns.revoked_at.is_(None))
        .order_by(columns.org_id, columns.subscription_id)
    )
    return [(row.org_id, row.subscription_id) for row in rows]


async def count_by_version(connection: AsyncConnection) -> dict[int, int]:
    """How many subscriptions have a plan of which version of the catalog."""
    version = subscriptions.c.catalog_version
    rows = await connection.execute(select(version, func.count()).group_by(version))
    return {row[0]: row[1] for row in rows}


def _selected(org_id: str) -> Select[tuple[object, ...]]:
    # Every column is named: a column that a newer server added must not disturb an older one.
    columns = subscriptions.c
    return select(
        columns.org_id,
        columns.subscription_id,
        columns.catalog_version,
        columns.plan_id,
        columns.term,
        columns.billing,
        columns.renewal,
        columns.period_start,
        columns.period_end,
        columns.anchor_day,
        columns.suspended_at,
        columns.revoked_at,
        columns.revocation_epoch,
        columns.created_at,
        columns.currency,
        columns.pending_plan_id,
        columns.pending_catalog_version,
        columns.pending_term,
        columns.pending_why,
        columns.open_invoice_id,
        columns.incomplete_until,
        columns.overdue_from,
        columns.cancelled_at,
    ).where(columns.org_id == org_id)


def _subscription(row: Row[tuple[object, ...]]) -> Subscription:
    return Subscription(
        org_id=row.org_id,
        subscription_id=row.subscription_id,
        plan_id=row.plan_id,
        catalog_version=row.catalog_version,
        term=Term(row.term),
        billing=Billing(row.billing),
        renewal=Renewal(row.renewal),
        period_start=row.period_start,
        period_end=row.period_end,
        anchor_day=row.anchor_day,
        suspended_at=row.suspended_at,
        revoked_at=row.revoked_at,
        revocation_epoch=row.revocation_epoch,
        created_at=row.created_at,
        currency=row.currency,
        pending=_pending(row),
        open_invoice_id=row.open_invoice_id or "",
        incomplete_until=row.incomplete_until,
        overdue_from=row.overdue_from,
        cancelled_at=row.cancelled_at,
    )


def _pending(row: Row[tuple[object, ...]]) -> Pending | None:
    if row.pending_plan_id is None:
        return None
    return Pending(
        row.pending_plan_id, row.pending_catalog_version, Term(row.pending_term), PendingWhy(row.pending_why)
    )


def _terms(subscription: Subscription) -> dict[str, object]:
    pending = subscription.pending
    return {
        "currency": subscription.currency,
        "pending_plan_id": pending.plan_id if pending else None,
        "pending_catalog_version": pending.catalog_version if pending else None,
        "pending_term": pending.term.value if pending else None,
        "pending_why": pending.why.value if pending else None,
        "open_invoice_id": subscription.open_invoice_id or None,
        "incomplete_until": subscription.incomplete_until,
        "overdue_from": subscription.overdue_from,
        "cancelled_at": subscription.cancelled_at,
    }
