"""Notices in the database: rows in, values out."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, Select, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.billing.money import Money
from controlplane.notices.errors import notice_unknown
from controlplane.notices.model import Announced, Notice, NoticeKind, NoticeState, Rendered
from controlplane.notices.tables import notices
from controlplane.runtime.newest import newest_first
from controlplane.runtime.paging import Page
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into


async def add(uow: UnitOfWork, notice: Notice, occasion: str) -> bool:
    """Store a new notice; False: this occasion was told before, nothing was changed."""
    announced = notice.announced
    inserted = await uow.connection.execute(
        insert_into(uow.connection, notices)
        .values(
            org_id=notice.org_id,
            notice_id=notice.notice_id,
            kind=notice.kind.value,
            subject=notice.subject,
            occasion=occasion,
            recipient=notice.recipient,
            mail_subject=notice.rendered.subject,
            mail_text=notice.rendered.text,
            mail_html=notice.rendered.html,
            subscription_id=announced.subscription_id if announced else None,
            period_start=announced.period_start if announced else None,
            currency=announced.amount.currency if announced else None,
            amount=announced.amount.minor if announced else None,
            queued_at=notice.queued_at,
            **_outcome(notice),
        )
        .on_conflict_do_nothing(index_elements=["org_id", "occasion"])
        .returning(notices.c.notice_id)
    )
    return inserted.first() is not None


async def store(uow: UnitOfWork, before: Notice, after: Notice) -> bool:
    """Move a notice on; False: somebody else has, nothing was changed."""
    columns = notices.c
    moved = await uow.connection.execute(
        update(notices)
        .where(
            columns.org_id == before.org_id,
            columns.notice_id == before.notice_id,
            columns.state == before.state.value,
            columns.attempts == before.attempts,
        )
        .values(**_outcome(after))
        .returning(columns.notice_id)
    )
    return moved.first() is not None


async def find(connection: AsyncConnection, org_id: str, notice_id: str) -> Notice:
    """One notice.

    Raises:
        Refusal: NOTICE_UNKNOWN.
    """
    query = _selected().where(notices.c.org_id == org_id, notices.c.notice_id == notice_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise notice_unknown(notice_id)
    return _notice(row)


async def told(connection: AsyncConnection, org_id: str, occasion: str) -> Notice | None:
    """The notice of an occasion."""
    query = _selected().where(notices.c.org_id == org_id, notices.c.occasion == occasion)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _notice(row)


async def announcing(
    connection: AsyncConnection, org_id: str, subscription_id: str, period_start: datetime
) -> Sequence[Notice]:
    """Every notice that announces a charge for a period, the oldest first."""
    columns = notices.c
    query = _selected().where(
        columns.org_id == org_id,
        columns.subscription_id == subscription_id,
        columns.period_start == period_start,
    )
    rows = await connection.execute(query.order_by(columns.queued_at, columns.notice_id))
    return [_notice(row) for row in rows]


async def newest(connection: AsyncConnection, org_id: str, page: Page) -> Sequence[Notice]:
    """One page, the newest first; one row more than asked for if there are more."""
    mine = _selected().where(notices.c.org_id == org_id)
    query = newest_first(mine, notices.c.queued_at, notices.c.notice_id, page)
    return [_notice(row) for row in await connection.execute(query)]


def _outcome(notice: Notice) -> dict[str, object]:
    return {
        "state": notice.state.value,
        "attempts": notice.attempts,
        "last_error": notice.last_error,
        "delivered_at": notice.delivered_at,
    }


def _selected() -> Select[tuple[object, ...]]:
    columns = notices.c
    return select(
        columns.org_id,
        columns.notice_id,
        columns.kind,
        columns.subject,
        columns.recipient,
        columns.mail_subject,
        columns.mail_text,
        columns.mail_html,
        columns.subscription_id,
        columns.period_start,
        columns.currency,
        columns.amount,
        columns.state,
        columns.attempts,
        columns.last_error,
        columns.queued_at,
        columns.delivered_at,
    )


def _notice(row: Row[tuple[object, ...]]) -> Notice:
    announced = None
    if row.amount is not None:
        announced = Announced(row.subscription_id, row.period_start, Money(row.amount, row.currency))
    return Notice(
        org_id=row.org_id,
        notice_id=row.notice_id,
        kind=NoticeKind(row.kind),
        subject=row.subject,
        recipient=row.recipient,
        rendered=Rendered(row.mail_subject, row.mail_text, row.mail_html),
        state=NoticeState(row.state),
        queued_at=row.queued_at,
        attempts=row.attempts,
        delivered_at=row.delivered_at,
        last_error=row.last_error,
        announced=announced,
    )
