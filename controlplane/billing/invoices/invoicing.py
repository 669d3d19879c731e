"""Writing invoices and credit notes, and settling them: each function is one step inside a caller's transaction."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.service import AccountService
from controlplane.billing import ledger
from controlplane.billing.errors import invoice_has_payment, nothing_due, over_credited, period_unpaid
from controlplane.billing.invoices import rows as invoices
from controlplane.billing.invoices.account import (
    BillingAccount,
    change_balance,
    credit_balance,
    issue_document,
    lock_account,
)
from controlplane.billing.invoices.document import CreditNoteDocument, InvoiceDocument, Party
from controlplane.billing.journal import book
from controlplane.billing.model import (
    CreditReason,
    CreditTo,
    Invoice,
    InvoiceDraft,
    InvoiceState,
    LineRef,
    Settlement,
    check_draft,
    check_step,
    settled_with,
    tax_share,
    with_tax,
)
from controlplane.billing.money import Money
from controlplane.billing.tables import credit_notes
from controlplane.runtime.clock import Clock
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.storage.database import UnitOfWork


@dataclass(frozen=True, slots=True)
class CreditOrder:
    """What shall be credited.

    Attributes:
        invoice_id: On which invoice.
        amount: Tax included; minor units of the invoice's currency.
        to: Where it goes.
        reason: Why.
        note: One sentence for people; may be empty.
    """

    invoice_id: str
    amount: int
    to: CreditTo
    reason: CreditReason
    note: str = ""


@dataclass(frozen=True, slots=True)
class CreditNote:
    """A credit note as it was written."""

    credit_note_id: str
    number: str
    invoice_id: str
    amount: Money
    tax: Money
    reason: CreditReason
    to: CreditTo
    note: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of money that came for an invoice; both in minor units."""

    invoice: Invoice
    applied: int
    excess: int


class Invoicing:
    """Writes and settles.

    Args:
        clock: Business time.
        randomness: For ids.
        audit: Records every change.
        accounts: Knows what an organisation is called.
        seller: Printed on every document.
        refund_policy: Version in force, kept with every invoice.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        randomness: Randomness,
        audit: AuditLog,
        accounts: AccountService,
        seller: Party,
        refund_policy: int,
    ) -> None:
        self._clock = clock
        self._randomness = randomness
        self._audit = audit
        self._accounts = accounts
        self._seller = seller
        self._refund_policy = refund_policy

    async def lock(self, uow: UnitOfWork, org_id: str) -> BillingAccount:
        """Keep everybody else away from this organisation's money until the transaction ends."""
        return await lock_account(uow, org_id, self._randomness, self._clock.now())

    async def draft(self, uow: UnitOfWork, draft: InvoiceDraft) -> Invoice:
        """Store a draft; it has no number and can still be deleted.

        Raises:
            Refusal: DRAFT_INVALID or INVOICE_NEGATIVE.
        """
        check_draft(draft)
        invoice = Invoice(
            invoice_id=new_id(self._randomness, "inv"),
            state=InvoiceState.DRAFT,
            content=draft,
            settlement=Settlement(draft.total.minor, draft.tax.minor),
            created_at=self._clock.now(),
        )
        await invoices.add_draft(uow, invoice)
        return invoice

    async def finalise(self, uow: UnitOfWork, org_id: str, invoice_id: str) -> Invoice:
        """Give a draft its number and its final content; what the customer has with us is used at once.

        Raises:
            Refusal: INVOICE_UNKNOWN, INVOICE_STATE, PERIOD_BILLED or MORE_THAN_PAID.
        """
        account = await self.lock(uow, org_id)
        draft = await invoices.find(uow.connection, org_id, invoice_id)
        check_step(draft, InvoiceState.FINALISED)
        now, currency = self._clock.now(), draft.content.currency
        available = await credit_balance(uow.connection, org_id, currency)
        from_balance = min(available, draft.settlement.total)
        final = settled_with(
            replace(
                draft,
                state=InvoiceState.FINALISED,
                number=account.next_invoice_number(),
                finalised_at=now,
                refund_policy=self._refund_policy,
            ),
            paid=from_balance,
        )
        await invoices.store_final(uow, final, from_balance=from_balance, refund_policy=self._refund_policy)
        await self._give_back(uow, final)
        await change_balance(uow, org_id, currency, -from_balance)
        account = await issue_document(
            uow,
            account,
            InvoiceDocument(
                number=final.number,
                invoice_id=invoice_id,
                issued_at=now,
                seller=self._seller,
                bill_to=await self._bill_to(uow, org_id),
                content=final.content,
                refund_policy=self._refund_policy,
            ),
        )
        settled = final.settlement
        booked = ledger.invoice_finalised(total=settled.total, tax=settled.tax, from_balance=from_balance)
        await book(
            uow,
            org_id=org_id,
            event="invoice.finalised",
            subject=invoice_id,
            currency=currency,
            booked=booked,
            at=now,
        )
        await self._record(uow, final, "invoice.finalised", {"number": final.number, "total": str(final.content.total)})
        return replace(final, document_sha256=account.last_sha256)

    async def void(self, uow: UnitOfWork, org_id: str, invoice_id: str, reason: str) -> Invoice:
        """Take back an invoice that should never have been; a draft is deleted instead.

        Raises:
            Refusal: INVOICE_UNKNOWN, INVOICE_STATE or INVOICE_HAS_PAYMENT.
        """
        await self.lock(uow, org_id)
        invoice = await invoices.find(uow.connection, org_id, invoice_id)
        check_step(invoice, InvoiceState.VOID)
        from_balance = await invoices.from_balance(uow.connection, org_id, invoice_id)
        settled = invoice.settlement
        if settled.paid > from_balance or settled.forgiven or settled.returned:
            raise invoice_has_payment(invoice.number)
        void = replace(invoice, state=InvoiceState.VOID)
        await invoices.store_settlement(uow, invoice, void)
        await invoices.free_periods(uow, invoice)
        for source_id, gross in await invoices.given_back_by(uow.connection, org_id, invoice_id):
            await self._count_returned(uow, await invoices.find(uow.connection, org_id, source_id), -gross)
        await change_balance(uow, org_id, invoice.content.currency, from_balance)
        booked = ledger.invoice_void(total=settled.total, tax=settled.tax, from_balance=from_balance)
        await self._book(uow, invoice, "invoice.void", booked)
        await self._record(uow, invoice, "invoice.void", {"number": invoice.number, "reason": reason})
        return void

    async def give_up(self, uow: UnitOfWork, org_id: str, invoice_id: str) -> Invoice:
        """Stop expecting that an invoice is paid; if it is after all, it is taken.

        Raises:
            Refusal: INVOICE_UNKNOWN or INVOICE_STATE.
        """
        await self.lock(uow, org_id)
        invoice = await invoices.find(uow.connection, org_id, invoice_id)
        check_step(invoice, InvoiceState.UNCOLLECTIBLE)
        given_up = replace(invoice, state=InvoiceState.UNCOLLECTIBLE)
        await invoices.store_settlement(uow, invoice, given_up)
        await self._book(uow, invoice, "invoice.uncollectible", ledger.invoice_given_up(invoice.settlement.due))
        await self._record(uow, invoice, "invoice.uncollectible", {"number": invoice.number})
        return given_up

    async def credit(self, uow: UnitOfWork, org_id: str, order: CreditOrder) -> CreditNote:
        """Write a credit note; never more than was asked for or paid.

        Raises:
            Refusal: INVOICE_UNKNOWN, INVOICE_STATE, NOTHING_DUE or MORE_THAN_PAID.
        """
        account = await self.lock(uow, org_id)
        invoice = await invoices.find(uow.connection, org_id, order.invoice_id)
        after = _credited(invoice, order)
        note = CreditNote(
            credit_note_id=new_id(self._randomness, "crn"),
            number=account.next_credit_note_number(),
            invoice_id=invoice.invoice_id,
            amount=Money(order.amount, invoice.content.currency),
            tax=Money(tax_share(invoice.settlement, order.amount), invoice.content.currency),
            reason=order.reason,
            to=order.to,
            note=order.note,
            created_at=self._clock.now(),
        )
        await invoices.store_settlement(uow, invoice, after)
        if order.to is CreditTo.BALANCE:
            await change_balance(uow, org_id, note.amount.currency, order.amount)
        await self._store_note(uow, account, invoice, note)
        booked = ledger.credit_noted(amount=note.amount.minor, tax=note.tax.minor, to=order.to)
        await book(
            uow,
            org_id=org_id,
            event="credit_note.issued",
            subject=note.credit_note_id,
            currency=note.amount.currency,
            booked=booked,
            at=note.created_at,
        )
        details = {"number": note.number, "amount": str(note.amount), "to": order.to.value}
        await self._record(uow, invoice, "invoice.credited", details)
        return note

    async def apply(self, uow: UnitOfWork, org_id: str, invoice_id: str, *, payment_id: str, amount: int) -> Applied:
        """Take captured money for an invoice; what it does not need is excess and has to go back."""
        invoice = await invoices.find(uow.connection, org_id, invoice_id)
        given_up = invoice.state is InvoiceState.UNCOLLECTIBLE
        open_for_money = given_up or invoice.state is InvoiceState.FINALISED
        applied = min(amount, invoice.settlement.due) if open_for_money else 0
        after = settled_with(invoice, paid=applied) if applied else invoice
        if applied:
            await invoices.store_settlement(uow, invoice, after)
        booked = ledger.payment_captured(applied=applied, excess=amount - applied, given_up=given_up)
        await book(
            uow,
            org_id=org_id,
            event="payment.captured",
            subject=payment_id,
            currency=invoice.content.currency,
            booked=booked,
            at=self._clock.now(),
        )
        return Applied(after, applied, amount - applied)

    async def _give_back(self, uow: UnitOfWork, final: Invoice) -> None:
        """Count the proration credits of a new invoice against the lines they come from."""
        org_id = final.content.org_id
        for number, line in enumerate(final.content.lines, start=1):
            if line.source is None or line.amount == 0:
                continue
            live = await invoices.live_line(uow.connection, org_id, line.source)
            if live.paid == 0:
                raise period_unpaid(line.source.invoice_id)
            if -line.amount > live.creditable:
                raise over_credited(Money(live.creditable, final.content.currency))
            source = await invoices.find(uow.connection, org_id, line.source.invoice_id)
            gross = min(with_tax(source.settlement, -line.amount), source.settlement.returnable)
            await self._count_returned(uow, source, gross)
            by = LineRef(final.invoice_id, number)
            await invoices.store_line_credit(uow, org_id, live.ref, by=by, amount=-line.amount, gross=gross)

    async def _count_returned(self, uow: UnitOfWork, invoice: Invoice, amount: int) -> None:
        settled = replace(invoice.settlement, returned=invoice.settlement.returned + amount)
        await invoices.store_settlement(uow, invoice, replace(invoice, settlement=settled))

    async def _store_note(self, uow: UnitOfWork, account: BillingAccount, invoice: Invoice, note: CreditNote) -> None:
        await uow.connection.execute(
            insert(credit_notes).values(
                org_id=account.org_id,
                credit_note_id=note.credit_note_id,
                invoice_id=note.invoice_id,
                number=note.number,
                reason=note.reason.value,
                destination=note.to.value,
                currency=note.amount.currency,
                amount=note.amount.minor,
                tax=note.tax.minor,
                note=note.note,
                created_at=note.created_at,
            )
        )
        document = CreditNoteDocument(
            number=note.number,
            credit_note_id=note.credit_note_id,
            issued_at=note.created_at,
            seller=self._seller,
            bill_to=await self._bill_to(uow, account.org_id),
            org_id=account.org_id,
            invoice_id=note.invoice_id,
            invoice_number=invoice.number,
            amount=note.amount,
            tax=note.tax,
            reason=note.reason.value,
            destination=note.to.value,
            note=note.note,
        )
        await issue_document(uow, account, document)

    async def _bill_to(self, uow: UnitOfWork, org_id: str) -> Party:
        return Party((await self._accounts.organisation(uow.connection, org_id)).name)

    async def _book(self, uow: UnitOfWork, invoice: Invoice, event: str, booked: tuple[ledger.Transfer, ...]) -> None:
        await book(
            uow,
            org_id=invoice.content.org_id,
            event=event,
            subject=invoice.invoice_id,
            currency=invoice.content.currency,
            booked=booked,
            at=self._clock.now(),
        )

    async def _record(self, uow: UnitOfWork, invoice: Invoice, action: str, details: dict[str, str]) -> None:
        await self._audit.record(
            uow, org_id=invoice.content.org_id, action=action, subject=invoice.invoice_id, details=details
        )


async def credit_notes_of(connection: AsyncConnection, org_id: str, invoice_id: str) -> tuple[CreditNote, ...]:
    """Credit notes on an invoice, the oldest first."""
    columns = credit_notes.c
    rows = await connection.execute(
        select(
            columns.credit_note_id,
            columns.number,
            columns.invoice_id,
            columns.amount,
            columns.tax,
            columns.currency,
            columns.reason,
            columns.destination,
            columns.note,
            columns.created_at,
        )
        .where(columns.org_id == org_id, columns.invoice_id == invoice_id)
        .order_by(columns.number)
    )
    return tuple(
        CreditNote(
            credit_note_id=row.credit_note_id,
            number=row.number,
            invoice_id=row.invoice_id,
            amount=Money(row.amount, row.currency),
            tax=Money(row.tax, row.currency),
            reason=CreditReason(row.reason),
            to=CreditTo(row.destination),
            note=row.note,
            created_at=row.created_at,
        )
        for row in rows
    )


def _credited(invoice: Invoice, order: CreditOrder) -> Invoice:
    """The invoice after a credit note."""
    if order.to is CreditTo.INVOICE:
        check_step(invoice, InvoiceState.PAID)
        if invoice.due.minor == 0:
            raise nothing_due(invoice.number)
        if not 0 < order.amount <= invoice.due.minor:
            raise over_credited(invoice.due)
        return settled_with(invoice, forgiven=order.amount)
    left = Money(invoice.settlement.returnable, invoice.content.currency)
    if not 0 < order.amount <= left.minor:
        raise over_credited(left)
    after = replace(invoice.settlement, returned=invoice.settlement.returned + order.amount)
    return replace(invoice, settlement=after)
