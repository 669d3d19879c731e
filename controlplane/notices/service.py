"""Queueing notices, delivering them, and knowing which charges they announced."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.service import AccountService
from controlplane.billing.model import Invoice, Line, LineKind, Occasion
from controlplane.billing.ports import Announcement
from controlplane.licensing import ports as licensing_ports
from controlplane.notices import outbox
from controlplane.notices.mail import Mail, MailDelayedError, MailRefusedError
from controlplane.notices.model import Notice, NoticeKind, NoticeOrder, NoticeState, announces, retry_at
from controlplane.notices.rendering import render
from controlplane.runtime.clock import Clock
from controlplane.runtime.jobs.queue import schedule
from controlplane.runtime.paging import Page
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.storage.database import Database, UnitOfWork

#: The job that delivers one notice; its subject is the notice.
DELIVER_NOTICE: Final = "notices.deliver"
#: How long before a charge its notice has to be there, by the length of what is charged. For a year: within the windows
#: of California (15 to 45 days), Mastercard (7 to 30) and Visa (at least 7).
YEARLY_LEAD: Final = timedelta(days=15)
MONTHLY_LEAD: Final = timedelta(days=3)


class NoticeService:
    """The outbox; also the `Notices` of licensing and the `ChargeGate` of billing.

    Args:
        database: Where notices are.
        clock: Business time.
        randomness: For ids.
        accounts: Knows the owners' addresses.
        audit: Records what could not be delivered.
        mail: Delivers.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        randomness: Randomness,
        accounts: AccountService,
        audit: AuditLog,
        mail: Mail,
    ) -> None:
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._accounts = accounts
        self._audit = audit
        self._mail = mail

    async def tell(self, uow: UnitOfWork, order: NoticeOrder) -> None:
        """Queue a notice, in the transaction of what happened; an occasion that was told before is not told again."""
        now = self._clock.now()
        recipient = await self._accounts.owner_email(uow.connection, order.org_id)
        notice = Notice(
            org_id=order.org_id,
            notice_id=new_id(self._randomness, "ntc"),
            kind=order.kind,
            subject=order.subject,
            recipient=recipient,
            rendered=render(order.kind, order.facts),
            state=NoticeState.QUEUED if recipient else NoticeState.FAILED,
            queued_at=now,
            last_error="" if recipient else "no_owner",
            announced=order.announced,
        )
        if await outbox.add(uow, notice, order.key) and recipient:
            await schedule(uow, kind=DELIVER_NOTICE, subject=notice.notice_id, org_id=order.org_id, due_at=now)

    async def tell_owner(self, uow: UnitOfWork, notice: licensing_ports.Notice) -> None:
        """Queue what licensing has to tell; see `licensing.ports.Notices`."""
        kind = NoticeKind(notice.kind.value)
        key = new_id(self._randomness, kind.value)
        await self.tell(uow, NoticeOrder(notice.org_id, kind, notice.subject, key, notice.facts))

    async def deliver(self, org_id: str, notice_id: str) -> None:
        """Hand a notice to the mail server; the handler of `DELIVER_NOTICE`, repeatable."""
        async with self._database.reading() as connection:
            notice = await outbox.find(connection, org_id, notice_id)
        if notice.state is not NoticeState.QUEUED:
            return
        now = self._clock.now()
        tried = replace(notice, attempts=notice.attempts + 1)
        try:
            await self._mail.deliver(notice)
        except MailRefusedError as error:
            await self._settle(notice, replace(tried, state=NoticeState.FAILED, last_error=str(error)))
        except MailDelayedError as error:
            again = retry_at(tried.attempts, now)
            state = NoticeState.FAILED if again is None else NoticeState.QUEUED
            await self._settle(notice, replace(tried, state=state, last_error=str(error)), again)
        else:
            await self._settle(notice, replace(tried, state=NoticeState.DELIVERED, delivered_at=now, last_error=""))

    async def announced(self, connection: AsyncConnection, invoice: Invoice, now: datetime) -> Announcement | None:
        """The delivered notice that announced exactly what is due, in its window; see `billing.ports.ChargeGate`."""
        line = charged_line(invoice)
        if line is None or line.period is None:
            return None
        org_id, period = invoice.content.org_id, line.period
        for notice in await outbox.announcing(connection, org_id, period.subscription_id, period.start):
            if announces(notice, invoice.due, lead_of(line), now):
                assert notice.delivered_at is not None
                return Announcement(org_id, notice.notice_id, invoice.due, notice.delivered_at)
        return None

    async def find(self, connection: AsyncConnection, org_id: str, notice_id: str) -> Notice:
        """One notice.

        Raises:
            Refusal: NOTICE_UNKNOWN.
        """
        return await outbox.find(connection, org_id, notice_id)

    async def told(self, connection: AsyncConnection, org_id: str, key: str) -> Notice | None:
        """The notice of an occasion; None: it was not told."""
        return await outbox.told(connection, org_id, key)

    async def announcing(
        self, connection: AsyncConnection, org_id: str, subscription_id: str, period_start: datetime
    ) -> Sequence[Notice]:
        """Every notice that announces a charge for a period, the oldest first."""
        return await outbox.announcing(connection, org_id, subscription_id, period_start)

    async def newest(self, connection: AsyncConnection, org_id: str, page: Page) -> Sequence[Notice]:
        """One page, the newest first; one row more than asked for if there are more."""
        return await outbox.newest(connection, org_id, page)

    async def _settle(self, before: Notice, after: Notice, again: datetime | None = None) -> None:
        async with self._database.transaction() as uow:
            if not await outbox.store(uow, before, after):
                return
            if again is not None:
                await schedule(uow, kind=DELIVER_NOTICE, subject=after.notice_id, org_id=after.org_id, due_at=again)
            if after.state is NoticeState.FAILED:
                details = {"kind": after.kind.value, "why": after.last_error, "attempts": str(after.attempts)}
                await self._audit.record(
                    uow, org_id=after.org_id, action="notice.failed", subject=after.notice_id, details=details
                )


def charged_line(invoice: Invoice) -> Line | None:
    """The line of an invoice that charges a period of a subscription."""
    return next((line for line in invoice.content.lines if line.kind is LineKind.RECURRING), None)


def lead_of(line: Line) -> timedelta:
    """How long before a charge for this line its notice has to be there."""
    assert line.sold is not None, "a recurring line says what was sold"
    if line.sold.occasion is Occasion.AFTER_TRIAL or line.sold.term == "monthly":
        return MONTHLY_LEAD
    return YEARLY_LEAD
