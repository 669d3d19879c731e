"""Refunds as customers ask for them: what the policy allows, and one refund per wish however often it is repeated."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.billing import payment_rows
from controlplane.billing.attempts import PaymentState
from controlplane.billing.errors import over_credited, refund_not_eligible
from controlplane.billing.invoices import rows as invoices
from controlplane.billing.invoices.invoicing import Invoicing
from controlplane.billing.model import CreditReason, Invoice, Occasion
from controlplane.billing.money import Money
from controlplane.billing.refunds import refunds as refund_rows
from controlplane.billing.refunds.policy import (
    Charge,
    Eligibility,
    Place,
    RefundDecision,
    RefundPolicy,
    best_eligibility,
)
from controlplane.billing.refunds.refunds import Refund, Refunds
from controlplane.billing.tables import billing_accounts
from controlplane.runtime.clock import Clock
from controlplane.runtime.idempotency import RequestKey, claim, remember, request_hash
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import current_actor
from controlplane.storage.database import Database, UnitOfWork

_GIVEN = frozenset({RefundDecision.FULL, RefundDecision.PRO_RATA})


@dataclass(frozen=True, slots=True)
class RefundWish:
    """What a customer asks for.

    Attributes:
        invoice_id: Id or number.
        amount: How much; None: as much as the policy gives.
        note: For the credit note.
        idempotency_key: Names the wish.
    """

    invoice_id: str
    amount: Money | None
    note: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class RefundAnswer:
    """What became of a wish; a repeat gets the same, with the states of today."""

    refunds: tuple[Refund, ...]
    to_balance: Money


class RefundDesk:
    """Checks and takes requests.

    Args:
        database: Where everything is.
        clock: Business time.
        invoicing: Locks accounts.
        refunds: Gives back.
        policies: Every published policy, the newest last.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        invoicing: Invoicing,
        refunds: Refunds,
        policies: Sequence[RefundPolicy],
    ) -> None:
        self._database = database
        self._clock = clock
        self._invoicing = invoicing
        self._refunds = refunds
        self._policies = policies

    async def check(self, connection: AsyncConnection, org_id: str, invoice_id: str) -> Eligibility:
        """What the policy gives back of an invoice now.

        Raises:
            Refusal: INVOICE_UNKNOWN.
        """
        invoice = await invoices.find(connection, org_id, invoice_id)
        charge = await self._charge(connection, org_id, invoice)
        place = await _place(connection, org_id)
        return best_eligibility(charge, self._policies, invoice.refund_policy, place, self._clock.now())

    async def request(self, org_id: str, wish: RefundWish) -> RefundAnswer:
        """Give back what the policy allows; a durable job carries it out.

        Raises:
            Refusal: INVOICE_UNKNOWN, REFUND_NOT_ELIGIBLE, MORE_THAN_PAID, IDEMPOTENCY_KEY_INVALID or
                IDEMPOTENCY_MISMATCH.
        """
        request = RequestKey(
            org_id=org_id, caller=current_actor(), method="billing.request_refund", key=wish.idempotency_key
        )
        body = request_hash([wish.invoice_id, "" if wish.amount is None else str(wish.amount), wish.note])
        async with self._database.transaction() as uow:
            answered = await claim(uow, request, body, self._clock.now())
            if answered is not None:
                return await _repeated(uow, org_id, answered)
            await self._invoicing.lock(uow, org_id)
            invoice = await invoices.find(uow.connection, org_id, wish.invoice_id)
            amount = await self._granted(uow, org_id, invoice, wish)
            returned = await self._refunds.approve(
                uow, org_id, invoice.invoice_id, amount, reason=CreditReason.REFUND, note=wish.note
            )
            ids = [refund.refund_id for refund in returned.refunds]
            stored = {"refunds": ids, "balance": returned.to_balance.minor, "currency": amount.currency}
            await remember(uow, request, json.dumps(stored).encode())
            return RefundAnswer(returned.refunds, returned.to_balance)

    async def refunds(self, connection: AsyncConnection, org_id: str, page: Page) -> Sequence[Refund]:
        """One page, the newest first; one row more than asked for if there are more."""
        return await refund_rows.of_organisation(connection, org_id, page)

    async def _granted(self, uow: UnitOfWork, org_id: str, invoice: Invoice, wish: RefundWish) -> Money:
        answer = await self.check(uow.connection, org_id, invoice.invoice_id)
        if answer.decision not in _GIVEN:
            raise refund_not_eligible(answer.reason, answer.sentence, answer.last_day)
        if wish.amount is None:
            return answer.amount
        if wish.amount.currency != answer.amount.currency or wish.amount.minor > answer.amount.minor:
            raise over_credited(answer.amount)
        return wish.amount

    async def _charge(self, connection: AsyncConnection, org_id: str, invoice: Invoice) -> Charge:
        currency = invoice.content.currency
        captured = [
            payment.updated_at
            for payment in await payment_rows.of_invoice(connection, org_id, invoice.invoice_id)
            if payment.state is PaymentState.CAPTURED
        ]
        charged_at = min(captured, default=invoice.finalised_at or invoice.created_at)
        timed = next(
            (line for line in invoice.content.lines if line.sold is not None and line.period is not None), None
        )
        sold = None if timed is None else timed.sold
        period = None if timed is None else timed.period
        return Charge(
            term="" if sold is None else sold.term,
            occasion=Occasion.INITIAL if sold is None else sold.occasion,
            sold_by=invoice.content.sold_by,
            charged_at=charged_at,
            period_start=charged_at if period is None else period.start,
            period_end=charged_at if period is None else period.end,
            paid=Money(invoice.settlement.paid, currency),
            left=Money(invoice.settlement.returnable, currency),
        )


async def _place(connection: AsyncConnection, org_id: str) -> Place:
    columns = billing_accounts.c
    query = select(columns.country, columns.time_zone).where(columns.org_id == org_id)
    row = (await connection.execute(query)).one_or_none()
    return Place("", ZoneInfo("UTC")) if row is None else Place(row.country, ZoneInfo(row.time_zone))


async def _repeated(uow: UnitOfWork, org_id: str, answered: bytes) -> RefundAnswer:
    stored = json.loads(answered)
    found = [await refund_rows.find(uow.connection, org_id, refund_id) for refund_id in stored["refunds"]]
    return RefundAnswer(tuple(found), Money(stored["balance"], stored["currency"]))
