"""The use cases of billing. Other capabilities call these and nothing else of this room.

How a renewal uses it, in one unit of work of its own:

    invoice = await billing.issue(uow, InvoiceDraft(…, lines=(…recurring…, …tax…)))   # number, hash, books, balance
    await billing.collect(uow, org_id=…, invoice_id=invoice.invoice_id, at=renewal_day)   # charged by a durable job

The job asks the `ChargeGate` whether the charge was announced; `BillingListener.invoice_paid` and `.payment_failed` are
called in the transaction that records the outcome. How an upgrade computes its credit:

    # The newest line that pays for this time; what those before it gave back is in it.
    live = (await billing.live_lines(uow.connection, org_id=…, subscription_id=…, at=now))[-1]
    credit = Prorated(live.creditable, part=days_left, whole=days_of_its_period, credit=True)
    Line(kind=LineKind.PRORATION_CREDIT, source=live.ref, calculation=credit, …)

A quote is an `InvoiceDraft` that is not issued yet: `draft.total` is what will be charged, `explain_invoice` says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.billing import payment_rows
from controlplane.billing.attempts import Payment
from controlplane.billing.double_charge import Books, Classification, SeenCharge, classify_double_charge
from controlplane.billing.errors import (
    invoice_unknown,
    payment_in_flight,
    provider_unavailable,
    refund_by_provider,
    webhook_refused,
)
from controlplane.billing.invoices import rows as invoices
from controlplane.billing.invoices.account import credit_balance, set_place, stored_document
from controlplane.billing.invoices.document import Document, read_document
from controlplane.billing.invoices.explanation import Explained, explain_invoice
from controlplane.billing.invoices.invoicing import CreditNote, CreditOrder, Invoicing, credit_notes_of
from controlplane.billing.model import Invoice, InvoiceDraft, InvoiceState, LiveLine
from controlplane.billing.money import Money
from controlplane.billing.payments import COLLECT_INVOICE, Payments, Transfer
from controlplane.billing.ports import Outside, ProviderError, ProviderRefund, ProviderUncertainError, RefundOutcome
from controlplane.billing.refunds import refunds as refund_rows
from controlplane.billing.refunds.refunds import Refund, Refunds
from controlplane.runtime.clock import Clock
from controlplane.runtime.jobs.queue import schedule
from controlplane.runtime.paging import Page
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.storage.database import Database, UnitOfWork


@dataclass(frozen=True, slots=True)
class InvoiceStanding:
    """An invoice, with everything that happened to it."""

    invoice: Invoice
    payments: tuple[Payment, ...]
    credit_notes: tuple[CreditNote, ...]


class BillingService:
    """Invoices and payments.

    Args:
        database: Where everything is.
        wall: The machine's clock; webhooks are signed with the provider's.
        invoicing: Writes and settles invoices.
        payments: Collects.
        refunds: Gives back.
        outside: Whom billing deals with.
        times: Webhooks come from nobody in particular, but are about an organisation.
    """

    def __init__(
        self,
        *,
        database: Database,
        wall: Clock,
        invoicing: Invoicing,
        payments: Payments,
        refunds: Refunds,
        outside: Outside,
        times: TenantTimes,
    ) -> None:
        self._database = database
        self._wall = wall
        self._invoicing = invoicing
        self._payments = payments
        self._refunds = refunds
        self._outside = outside
        self._times = times

    # ------------------------------------------------------------ for other capabilities, in their unit of work

    async def lock(self, uow: UnitOfWork, org_id: str) -> None:
        """Keep everybody else away from an organisation's money until the transaction ends.

        Whoever locks something else as well, and will write invoices, calls this first: payments take this lock before
        they tell their listeners, so the other order could wait for itself.
        """
        await self._invoicing.lock(uow, org_id)

    async def draft(self, uow: UnitOfWork, draft: InvoiceDraft) -> Invoice:
        """Store a draft, to be finalised or discarded later.

        Raises:
            Refusal: DRAFT_INVALID or INVOICE_NEGATIVE.
        """
        return await self._invoicing.draft(uow, draft)

    async def discard(self, uow: UnitOfWork, org_id: str, invoice_id: str) -> None:
        """Forget a draft.

        Raises:
            Refusal: INVOICE_UNKNOWN, it is none.
        """
        if not await invoices.delete_draft(uow, org_id, invoice_id):
            raise invoice_unknown(invoice_id)

    async def finalise(self, uow: UnitOfWork, org_id: str, invoice_id: str) -> Invoice:
        """Give a draft its number and its final content; paid at once if nothing is due or the balance covers it.

        Raises:
            Refusal: INVOICE_UNKNOWN, INVOICE_STATE, PERIOD_BILLED, PERIOD_UNPAID or MORE_THAN_PAID; the transaction
                has to be rolled back.
        """
        final = await self._invoicing.finalise(uow, org_id, invoice_id)
        if final.state is InvoiceState.PAID:
            for listener in self._outside.listeners:
                await listener.invoice_paid(uow, final)
        return final

    async def issue(self, uow: UnitOfWork, draft: InvoiceDraft) -> Invoice:
        """`draft` and `finalise` in one step."""
        drafted = await self._invoicing.draft(uow, draft)
        return await self.finalise(uow, draft.org_id, drafted.invoice_id)

    async def collect(self, uow: UnitOfWork, *, org_id: str, invoice_id: str, at: datetime) -> None:
        """Have a durable job charge what is due then, once, with the default payment method.

        Charged only if the `ChargeGate` says that it was announced; else the job comes back a day later. An attempt
        that fails is told to the listeners, who decide about the next one by calling this again.
        """
        await schedule(uow, kind=COLLECT_INVOICE, subject=invoice_id, org_id=org_id, due_at=at)

    async def void(self, uow: UnitOfWork, org_id: str, invoice_id: str, reason: str) -> Invoice:
        """Take back a finalised invoice that nothing was paid on; its periods may be invoiced again.

        Raises:
            Refusal: INVOICE_UNKNOWN, INVOICE_STATE, INVOICE_HAS_PAYMENT or PAYMENT_IN_FLIGHT.
        """
        await self._invoicing.lock(uow, org_id)
        await self._refuse_in_flight(uow.connection, org_id, invoice_id)
        return await self._invoicing.void(uow, org_id, invoice_id, reason)

    async def give_up(self, uow: UnitOfWork, org_id: str, invoice_id: str) -> Invoice:
        """Stop expecting that an invoice is paid.

        Raises:
            Refusal: INVOICE_UNKNOWN, INVOICE_STATE or PAYMENT_IN_FLIGHT.
        """
        await self._invoicing.lock(uow, org_id)
        await self._refuse_in_flight(uow.connection, org_id, invoice_id)
        return await self._invoicing.give_up(uow, org_id, invoice_id)

    async def credit(self, uow: UnitOfWork, org_id: str, order: CreditOrder) -> CreditNote:
        """Write a credit note to the invoice or to the balance; for money back use `RefundDesk`.

        Raises:
            Refusal: INVOICE_UNKNOWN, INVOICE_STATE, NOTHING_DUE, MORE_THAN_PAID or PAYMENT_IN_FLIGHT.
        """
        await self._invoicing.lock(uow, org_id)
        await self._refuse_in_flight(uow.connection, org_id, order.invoice_id)
        return await self._invoicing.credit(uow, org_id, order)

    async def record_transfer(self, uow: UnitOfWork, org_id: str, invoice_id: str, transfer: Transfer) -> Payment:
        """Write down money that an operator saw arrive at the bank; the same reference again changes nothing.

        Raises:
            Refusal: INVOICE_UNKNOWN, NOTHING_DUE, PAYMENT_IN_FLIGHT or TRANSFER_MISMATCH.
        """
        return await self._payments.record_transfer(uow, org_id, invoice_id, transfer)

    async def set_place(self, uow: UnitOfWork, org_id: str, *, country: str, time_zone: str) -> None:
        """Say where a customer is: decides which refund rules apply, and when a day ends.

        Raises:
            Refusal: INVALID_REQUEST.
        """
        await set_place(uow, await self._invoicing.lock(uow, org_id), country=country, time_zone=time_zone)

    async def live_lines(
        self, connection: AsyncConnection, *, org_id: str, subscription_id: str, at: datetime
    ) -> Sequence[LiveLine]:
        """The lines that pay for an instant of a subscription, and what unused time of each may be worth at most."""
        return await invoices.live_lines(connection, org_id, subscription_id, at)

    # ------------------------------------------------------------ paying

    async def pay(self, org_id: str, invoice_id: str, method_id: str = "", idempotency_key: str = "") -> Payment:
        """Charge what is due now, at the customer's wish; not to be called inside a transaction. See `Payments.pay`."""
        return await self._payments.pay(org_id, invoice_id, method_id, idempotency_key)

    async def confirm_refund(self, org_id: str, refund_id: str, reference: str) -> Refund:
        """Write down that an operator sent a refund by bank.

        Raises:
            Refusal: REFUND_UNKNOWN, or REFUND_BY_PROVIDER: it is sent by itself, a second time would be too much.
        """
        async with self._database.reading() as connection:
            refund = await refund_rows.find(connection, org_id, refund_id)
            payment = await payment_rows.find(connection, org_id, refund.payment_id)
        provider = self._outside.provider
        if provider.keeps_methods and payment.provider == provider.name:
            raise refund_by_provider(refund_id, provider.name)
        told = ProviderRefund(reference, refund.key, RefundOutcome.SUCCEEDED, refund.amount)
        return await self._refunds.record(org_id, refund_id, told)

    async def take_event(self, untrusted_body: bytes, untrusted_signature: str) -> bool:
        """Take a webhook: a hint that makes us ask the provider. Repeats, old news and disorder change nothing.

        Returns:
            Whether it was news about a payment of ours.

        Raises:
            Refusal: WEBHOOK_REFUSED, or PAYMENT_PROVIDER_UNAVAILABLE: it shall be sent again.
        """
        provider, now = self._outside.provider, self._wall.now()
        event = provider.read_event(untrusted_body, untrusted_signature, now)
        if not event.event_id:
            raise webhook_refused("it has no id")
        if not event.provider_payment_id or await self._payments.knows_event(event.event_id):
            return False
        try:
            charge = await provider.get_charge(event.provider_payment_id)
        except (ProviderUncertainError, ProviderError) as error:
            raise provider_unavailable() from error
        if charge is None:
            return False
        async with self._database.reading() as connection:
            payment = await payment_rows.known_to_provider(
                connection, provider.name, provider_payment_id=charge.provider_payment_id, key=charge.key
            )
        if payment is None:
            return False
        async with self._times.of(payment.org_id):
            await self._payments.record(payment, charge)
        await self._payments.remember_event(event.event_id)
        return True

    # ------------------------------------------------------------ reading

    async def get(self, connection: AsyncConnection, org_id: str, invoice_id: str) -> InvoiceStanding:
        """One invoice, by id or number, with its payments and credit notes.

        Raises:
            Refusal: INVOICE_UNKNOWN.
        """
        invoice = await invoices.find(connection, org_id, invoice_id)
        return InvoiceStanding(
            invoice,
            tuple(await payment_rows.of_invoice(connection, org_id, invoice.invoice_id)),
            await credit_notes_of(connection, org_id, invoice.invoice_id),
        )

    async def invoices(self, connection: AsyncConnection, org_id: str, page: Page) -> Sequence[Invoice]:
        """One page, the newest first; one row more than asked for if there are more."""
        return await invoices.newest(connection, org_id, page)

    async def payments(self, connection: AsyncConnection, org_id: str, page: Page) -> Sequence[Payment]:
        """One page, the newest first; one row more than asked for if there are more."""
        return await payment_rows.newest(connection, org_id, page)

    async def balance(self, connection: AsyncConnection, org_id: str, currency: str) -> Money:
        """What the customer has with us."""
        return Money(await credit_balance(connection, org_id, currency), currency)

    async def document(
        self, connection: AsyncConnection, org_id: str, document_id: str
    ) -> tuple[Document, bytes, bytes]:
        """An invoice or credit note as it went out, its canonical bytes and their hash.

        Raises:
            Refusal: INVOICE_UNKNOWN, there is none or it is a draft.
        """
        stored = await stored_document(connection, org_id, document_id)
        if stored is None:
            raise invoice_unknown(document_id)
        content, sha256 = stored
        return read_document(content), content, sha256

    async def explain(
        self, connection: AsyncConnection, org_id: str, invoice_id: str
    ) -> tuple[Invoice, tuple[Explained, ...]]:
        """An invoice, and why every amount on it is what it is.

        Raises:
            Refusal: INVOICE_UNKNOWN.
        """
        invoice = await invoices.find(connection, org_id, invoice_id)
        return invoice, explain_invoice(invoice.content, invoice.settlement)

    async def classify(self, connection: AsyncConnection, org_id: str, seen: SeenCharge) -> Classification:
        """Say what a charge on a bank statement is."""
        books = Books(
            await payment_rows.of_organisation(connection, org_id),
            await invoices.of_organisation(connection, org_id),
        )
        return classify_double_charge(seen, books)

    async def _refuse_in_flight(self, connection: AsyncConnection, org_id: str, invoice_id: str) -> None:
        invoice = await invoices.find(connection, org_id, invoice_id)
        running = await payment_rows.in_flight(connection, org_id, invoice.invoice_id)
        if running is not None:
            raise payment_in_flight(invoice.number, running.payment_id, running.state.value)
