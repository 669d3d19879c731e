"""Giving money back: decided and booked in one transaction, carried out by a durable job with a key of its own.

approved ──the call──▶ submitted (the provider works on it) ──▶ succeeded
    └──────────────────────────────────────────────────────────▶ failed: the money stays as the customer's balance
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.billing import ledger, payment_rows
from controlplane.billing.attempts import Payment, PaymentState, refund_key
from controlplane.billing.errors import over_credited, refund_unknown
from controlplane.billing.invoices import rows as invoices
from controlplane.billing.invoices.account import change_balance
from controlplane.billing.invoices.invoicing import CreditOrder, Invoicing
from controlplane.billing.journal import book
from controlplane.billing.model import CreditReason, CreditTo
from controlplane.billing.money import Money
from controlplane.billing.ports import (
    Outside,
    ProviderError,
    ProviderRefund,
    ProviderUncertainError,
    RefundOrder,
    RefundOutcome,
)
from controlplane.billing.providers.manual import ManualProvider
from controlplane.billing.tables import refunds
from controlplane.runtime.clock import Clock
from controlplane.runtime.jobs.queue import schedule
from controlplane.runtime.newest import newest_first
from controlplane.runtime.paging import Page
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.storage.database import Database, UnitOfWork

#: The job that carries a refund out; its subject is the refund.
SUBMIT_REFUND: Final = "billing.submit_refund"
#: How long until a provider that gave no clear answer is asked again.
ASK_AGAIN_AFTER: Final = timedelta(minutes=5)
#: How long until a provider that is working on it is asked again.
LOOK_AGAIN_AFTER: Final = timedelta(hours=12)


class RefundState(Enum):
    """Where a refund is."""

    APPROVED = "approved"
    SUBMITTED = "submitted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


_OVER = frozenset({RefundState.SUCCEEDED, RefundState.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money on its way back.

    Attributes:
        payment_id: Out of which payment.
        credit_note_id: What corrected the invoice; empty: a capture that was too much goes back.
        reason: A stable code, e.g. `duplicate_charge`.
    """

    org_id: str
    refund_id: str
    invoice_id: str
    payment_id: str
    credit_note_id: str
    amount: Money
    reason: str
    state: RefundState
    key: str
    created_at: datetime
    updated_at: datetime
    provider_refund_id: str = ""
    failure_code: str = ""


@dataclass(frozen=True, slots=True)
class Returned:
    """What a refund of an invoice became: parts that go back the way they came, and what had come from the balance."""

    refunds: tuple[Refund, ...]
    to_balance: Money


class Refunds:
    """Gives money back.

    Args:
        database: Where refunds are.
        clock: Business time.
        randomness: For ids.
        audit: Records every change.
        invoicing: Corrects invoices.
        outside: Whom billing deals with.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        randomness: Randomness,
        audit: AuditLog,
        invoicing: Invoicing,
        outside: Outside,
    ) -> None:
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._audit = audit
        self._invoicing = invoicing
        self._provider = outside.provider
        self._listeners = outside.listeners

    async def approve(
        self, uow: UnitOfWork, org_id: str, invoice_id: str, amount: Money, *, reason: CreditReason, note: str = ""
    ) -> Returned:
        """Decide to give back a part of what was paid on an invoice; a job does it.

        The newest payments go back first; what was paid from the balance returns to it last.

        Raises:
            Refusal: INVOICE_UNKNOWN or MORE_THAN_PAID.
        """
        await self._invoicing.lock(uow, org_id)
        invoice = await invoices.find(uow.connection, org_id, invoice_id)
        left = Money(invoice.settlement.returnable, invoice.content.currency)
        if amount.currency != left.currency or not 0 < amount.minor <= left.minor:
            raise over_credited(left)
        parts = _parts(await payment_rows.of_invoice(uow.connection, org_id, invoice_id), amount.minor)
        by_payment = sum(part for _, part in parts)
        made: list[Refund] = []
        if by_payment:
            order = CreditOrder(invoice_id, by_payment, CreditTo.REFUND, reason, note)
            credit_note = await self._invoicing.credit(uow, org_id, order)
            for payment, part in parts:
                made.append(await self._add(uow, payment, part, reason.value, credit_note.credit_note_id))
        rest = amount.minor - by_payment
        if rest:
            await self._invoicing.credit(uow, org_id, CreditOrder(invoice_id, rest, CreditTo.BALANCE, reason, note))
        after = await invoices.find(uow.connection, org_id, invoice_id)
        for listener in self._listeners:
            await listener.invoice_refunded(uow, after, amount)
        return Returned(tuple(made), Money(rest, amount.currency))

    async def return_excess(self, uow: UnitOfWork, payment: Payment) -> Refund:
        """Send back what a capture brought beyond what its invoice needed; nobody has to ask for it."""
        return await self._add(uow, payment, payment.excess, CreditReason.DUPLICATE_CHARGE.value, "")

    async def submit(self, org_id: str, refund_id: str) -> Refund:
        """Have the provider carry it out, or ask how far it is; the handler of `SUBMIT_REFUND`, repeatable."""
        async with self._database.reading() as connection:
            refund = await find(connection, org_id, refund_id)
            payment = await payment_rows.find(connection, org_id, refund.payment_id)
        if refund.state in _OVER:
            return refund
        # What came by bank, or by a provider that is no longer in use, a person has to send back.
        provider = self._provider if payment.provider == self._provider.name else ManualProvider()
        try:
            told = await provider.find_refund(payment.provider_payment_id, refund.key)
            if told is None:
                order = RefundOrder(refund.key, payment.provider_payment_id, refund.amount)
                told = await provider.refund(order)
        except ProviderUncertainError:
            return await self._ask_again(refund)
        except ProviderError as error:
            told = ProviderRefund("", refund.key, RefundOutcome.FAILED, refund.amount, error.code)
        return await self.record(org_id, refund_id, told)

    async def record(self, org_id: str, refund_id: str, told: ProviderRefund) -> Refund:
        """Write down what became of a refund; older news changes nothing."""
        async with self._database.transaction() as uow:
            await self._invoicing.lock(uow, org_id)
            refund = await find(uow.connection, org_id, refund_id)
            if refund.state in _OVER:
                return refund
            now = self._clock.now()
            after = replace(
                refund,
                state=_STATE_OF[told.outcome],
                provider_refund_id=told.provider_refund_id,
                failure_code=told.failure_code,
                updated_at=now,
            )
            await _store(uow, after)
            if after.state is RefundState.SUBMITTED:
                await schedule(uow, kind=SUBMIT_REFUND, subject=refund_id, org_id=org_id, due_at=now + LOOK_AGAIN_AFTER)
                return after
            await self._settle(uow, after)
            return after

    async def _settle(self, uow: UnitOfWork, refund: Refund) -> None:
        succeeded = refund.state is RefundState.SUCCEEDED
        minor = refund.amount.minor
        if not succeeded:
            await change_balance(uow, refund.org_id, refund.amount.currency, minor)
        await book(
            uow,
            org_id=refund.org_id,
            event="refund.succeeded" if succeeded else "refund.failed",
            subject=refund.refund_id,
            currency=refund.amount.currency,
            booked=ledger.refund_succeeded(minor) if succeeded else ledger.refund_failed(minor),
            at=refund.updated_at,
        )
        await self._audit.record(
            uow,
            org_id=refund.org_id,
            action=f"refund.{refund.state.value}",
            subject=refund.refund_id,
            details={"amount": str(refund.amount), "code": refund.failure_code},
        )

    async def _ask_again(self, refund: Refund) -> Refund:
        async with self._database.transaction() as uow:
            due_at = self._clock.now() + ASK_AGAIN_AFTER
            await schedule(uow, kind=SUBMIT_REFUND, subject=refund.refund_id, org_id=refund.org_id, due_at=due_at)
        return refund

    async def _add(self, uow: UnitOfWork, payment: Payment, amount: int, reason: str, credit_note_id: str) -> Refund:
        if not await payment_rows.take_back(uow, payment, amount):
            raise over_credited(Money(payment.amount.minor - payment.refunded, payment.amount.currency))
        now, refund_id = self._clock.now(), new_id(self._randomness, "rfd")
        refund = Refund(
            org_id=payment.org_id,
            refund_id=refund_id,
            invoice_id=payment.invoice_id,
            payment_id=payment.payment_id,
            credit_note_id=credit_note_id,
            amount=Money(amount, payment.amount.currency),
            reason=reason,
            state=RefundState.APPROVED,
            key=refund_key(payment.org_id, refund_id),
            created_at=now,
            updated_at=now,
        )
        await _insert(uow, refund)
        await schedule(uow, kind=SUBMIT_REFUND, subject=refund_id, org_id=payment.org_id, due_at=now)
        await self._audit.record(
            uow,
            org_id=payment.org_id,
            action="refund.approved",
            subject=refund_id,
            details={"amount": str(refund.amount), "payment_id": payment.payment_id, "reason": reason},
        )
        return refund


_STATE_OF = {
    RefundOutcome.PENDING: RefundState.SUBMITTED,
    RefundOutcome.SUCCEEDED: RefundState.SUCCEEDED,
    RefundOutcome.FAILED: RefundState.FAILED,
}


def _parts(payments: Sequence[Payment], amount: int) -> list[tuple[Payment, int]]:
    """How much of an amount goes back into which payment, the newest first; what does not fit is left over."""
    parts: list[tuple[Payment, int]] = []
    for payment in reversed(payments):
        if payment.state is not PaymentState.CAPTURED:
            continue
        # Excess has its own refund; only what the invoice needed is given back here.
        free = min(payment.applied, payment.amount.minor - payment.refunded)
        part = min(free, amount)
        if part > 0:
            parts.append((payment, part))
            amount -= part
    return parts


# ---------------------------------------------------------------- rows


async def find(connection: AsyncConnection, org_id: str, refund_id: str) -> Refund:
    """One refund.

    Raises:
        Refusal: REFUND_UNKNOWN.
    """
    row = (
        await connection.execute(_selected().where(refunds.c.org_id == org_id, refunds.c.refund_id == refund_id))
    ).one_or_none()
    if row is None:
        raise refund_unknown(refund_id)
    return _refund(row)


async def of_organisation(connection: AsyncConnection, org_id: str, page: Page) -> Sequence[Refund]:
    """One page, the newest first; one row more than asked for if there are more."""
    mine = _selected().where(refunds.c.org_id == org_id)
    query = newest_first(mine, refunds.c.created_at, refunds.c.refund_id, page)
    return [_refund(row) for row in await connection.execute(query)]


async def _insert(uow: UnitOfWork, refund: Refund) -> None:
    await uow.connection.execute(
        insert(refunds).values(
            org_id=refund.org_id,
            refund_id=refund.refund_id,
            invoice_id=refund.invoice_id,
            payment_id=refund.payment_id,
            credit_note_id=refund.credit_note_id or None,
            currency=refund.amount.currency,
            amount=refund.amount.minor,
            reason=refund.reason,
            state=refund.state.value,
            idempotency_key=refund.key,
            created_at=refund.created_at,
            updated_at=refund.updated_at,
        )
    )


async def _store(uow: UnitOfWork, refund: Refund) -> None:
    await uow.connection.execute(
        update(refunds)
        .where(refunds.c.org_id == refund.org_id, refunds.c.refund_id == refund.refund_id)
        .values(
            state=refund.state.value,
            provider_refund_id=refund.provider_refund_id or None,
            failure_code=refund.failure_code,
            updated_at=refund.updated_at,
        )
    )


def _selected() -> Select[tuple[object, ...]]:
    columns = refunds.c
    return select(
        columns.org_id,
        columns.refund_id,
        columns.invoice_id,
        columns.payment_id,
        columns.credit_note_id,
        columns.currency,
        columns.amount,
        columns.reason,
        columns.state,
        columns.idempotency_key,
        columns.provider_refund_id,
        columns.failure_code,
        columns.created_at,
        columns.updated_at,
    )


def _refund(row: Row[tuple[object, ...]]) -> Refund:
    return Refund(
        org_id=row.org_id,
        refund_id=row.refund_id,
        invoice_id=row.invoice_id,
        payment_id=row.payment_id,
        credit_note_id=row.credit_note_id or "",
        amount=Money(row.amount, row.currency),
        reason=row.reason,
        state=RefundState(row.state),
        key=row.idempotency_key,
        created_at=row.created_at,
        updated_at=row.updated_at,
        provider_refund_id=row.provider_refund_id or "",
        failure_code=row.failure_code,
    )
