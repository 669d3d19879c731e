"""Somebody sees a charge on their bank statement and asks what it is: classified by evidence, never by a deadline.

Pure: the charge as the customer sees it and what our books say, in; a class, its evidence and what is done, out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from controlplane.billing.attempts import Payment, PaymentState
from controlplane.billing.model import BilledPeriod, Invoice, InvoiceState, Line, LineKind, SoldBy
from controlplane.billing.money import Money

#: Banks post a charge up to three working days later, over a weekend.
POSTED_WITHIN: Final = timedelta(days=5)
#: How shops of others appear on statements.
_SELLERS: Final = ("apple.com", "itunes", "google", "play store", "microsoft", "amazon", "samsung")
_CHANGES: Final = frozenset({LineKind.PRORATION_CHARGE, LineKind.PRORATION_CREDIT})
_TIMED: Final = frozenset({LineKind.RECURRING, LineKind.PRORATION_CHARGE, LineKind.RETAIL_KEY})


class ChargeClass(Enum):
    """What a charge turned out to be."""

    EXPECTED = "EXPECTED"
    DUPLICATE_CAPTURE = "DUPLICATE_CAPTURE"
    OVERLAPPING_SUBSCRIPTIONS = "OVERLAPPING_SUBSCRIPTIONS"
    AUTHORISATION_HOLD = "AUTHORISATION_HOLD"
    PLAN_CHANGE = "PLAN_CHANGE"
    PRICE_CHANGE = "PRICE_CHANGE"
    TAX_OR_CURRENCY = "TAX_OR_CURRENCY"
    THIRD_PARTY_SELLER = "THIRD_PARTY_SELLER"
    NOT_OURS = "NOT_OURS"


@dataclass(frozen=True, slots=True)
class SeenCharge:
    """A charge as a bank statement has it; `descriptor` is the statement's text, may be empty."""

    amount: Money
    at: datetime
    descriptor: str = ""


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that was charged to, or tried on, one organisation."""

    payments: Sequence[Payment]
    invoices: Sequence[Invoice]

    def invoice_of(self, payment: Payment) -> Invoice:
        """A payment always has one: an invoice that was tried is not void while it may still be paid."""
        return next(invoice for invoice in self.invoices if invoice.invoice_id == payment.invoice_id)


@dataclass(frozen=True, slots=True)
class Classification:
    """The answer.

    Attributes:
        kind: What it is.
        sentence: Why, for people, without a final period.
        next_step: What happens or can be done, without a final period.
        evidence: Ids of payments, invoices and subscriptions that show it.
        refund: What goes back by itself; None: nothing.
    """

    kind: ChargeClass
    sentence: str
    next_step: str
    evidence: tuple[str, ...]
    refund: Money | None = None


def classify_double_charge(seen: SeenCharge, books: Books) -> Classification:
    """Say what a charge is."""
    payment = _matching(seen, books.payments)
    if payment is None:
        return _unmatched(seen, books)
    invoice = books.invoice_of(payment)
    for question in (_duplicate, _hold, _plan_change, _overlap, _another_price):
        found = question(payment, invoice, books)
        if found is not None:
            return found
    return Classification(
        ChargeClass.EXPECTED,
        f"it paid the invoice {invoice.number}, once",
        f"See how its amount comes about: bucklerctl invoice why {invoice.number}",
        (payment.payment_id, invoice.invoice_id),
    )


def _matching(seen: SeenCharge, payments: Sequence[Payment]) -> Payment | None:
    """The payment that was seen: the same amount, the nearest in time; one too many before the one it repeats."""
    same = [
        payment
        for payment in payments
        if payment.amount == seen.amount and abs(seen.at - payment.updated_at) <= POSTED_WITHIN
    ]
    return min(
        same,
        key=lambda each: (
            each.excess == 0,
            each.state is not PaymentState.CAPTURED,
            abs(seen.at - each.updated_at),
            each.payment_id,
        ),
        default=None,
    )


# ---------------------------------------------------------------- a charge of ours


def _duplicate(payment: Payment, invoice: Invoice, books: Books) -> Classification | None:
    if payment.excess == 0:
        return None
    twins = [
        each.payment_id
        for each in books.payments
        if each.invoice_id == invoice.invoice_id and each.state is PaymentState.CAPTURED
    ]
    return Classification(
        ChargeClass.DUPLICATE_CAPTURE,
        f"the invoice {invoice.number} was settled already when this came",
        "It is sent back by itself; follow it with: bucklerctl refund list",
        (*twins, invoice.invoice_id),
        Money(payment.excess, payment.amount.currency),
    )


def _hold(payment: Payment, invoice: Invoice, _books: Books) -> Classification | None:
    if payment.state is PaymentState.CAPTURED:
        return None
    return Classification(
        ChargeClass.AUTHORISATION_HOLD,
        f"this attempt is {payment.state.value.replace('_', ' ')}: the bank reserved the amount, nobody collected it",
        "The reservation disappears from the statement within a few days",
        (payment.payment_id, invoice.invoice_id),
    )


def _plan_change(payment: Payment, invoice: Invoice, _books: Books) -> Classification | None:
    if not any(line.kind in _CHANGES for line in invoice.content.lines):
        return None
    return Classification(
        ChargeClass.PLAN_CHANGE,
        f"the plan was changed within a period; the invoice {invoice.number} settles the difference",
        f"See how it was computed: bucklerctl invoice why {invoice.number}",
        (payment.payment_id, invoice.invoice_id),
    )


def _overlap(payment: Payment, invoice: Invoice, books: Books) -> Classification | None:
    periods = _periods(invoice)
    for other in books.invoices:
        if other.state is not InvoiceState.PAID or other.invoice_id == invoice.invoice_id:
            continue
        for theirs in _periods(other):
            ours = next((period for period in periods if _both_run(period, theirs)), None)
            if ours is not None:
                return Classification(
                    ChargeClass.OVERLAPPING_SUBSCRIPTIONS,
                    f"two subscriptions run at once: {ours.subscription_id} and {theirs.subscription_id}",
                    "Cancel the one that is not needed and ask for its refund: bucklerctl refund check",
                    (payment.payment_id, invoice.invoice_id, other.invoice_id),
                )
    return None


def _another_price(payment: Payment, invoice: Invoice, books: Books) -> Classification | None:
    before = _previous(invoice, books.invoices)
    if before is None or before.content.total == invoice.content.total:
        return None
    evidence = (payment.payment_id, invoice.invoice_id, before.invoice_id)
    if _untaxed(before) == _untaxed(invoice) or before.content.currency != invoice.content.currency:
        return Classification(
            ChargeClass.TAX_OR_CURRENCY,
            f"the price is the same as on {before.number}, its tax or currency is not: "
            f"{before.content.total} then, {invoice.content.total} now",
            f"Compare both: bucklerctl invoice why {invoice.number}",
            evidence,
        )
    return Classification(
        ChargeClass.PRICE_CHANGE,
        f"the price changed: {before.content.total} on {before.number}, {invoice.content.total} now",
        "The notice of it named the day; within the refund window it can be given back: bucklerctl refund check",
        evidence,
    )


# ---------------------------------------------------------------- none of our charges


def _unmatched(seen: SeenCharge, books: Books) -> Classification:
    descriptor = seen.descriptor.casefold()
    elsewhere = [invoice for invoice in books.invoices if invoice.content.sold_by is not SoldBy.US]
    if any(seller in descriptor for seller in _SELLERS) or any(_covers(invoice, seen.at) for invoice in elsewhere):
        return Classification(
            ChargeClass.THIRD_PARTY_SELLER,
            "a shop took this money, not we",
            "Ask the shop that is named on the statement; it also gives refunds and ends the renewal",
            tuple(invoice.invoice_id for invoice in elsewhere),
        )
    for payment in books.payments:
        if abs(seen.at - payment.updated_at) > POSTED_WITHIN or payment.state is not PaymentState.CAPTURED:
            continue
        invoice = books.invoice_of(payment)
        untaxed = Money(_untaxed(invoice), invoice.content.currency)
        if seen.amount.currency != payment.amount.currency or seen.amount == untaxed:
            return Classification(
                ChargeClass.TAX_OR_CURRENCY,
                f"{payment.amount} were charged on these days for {invoice.number}; banks convert and add fees",
                f"Compare the amounts: bucklerctl invoice show {invoice.number}",
                (payment.payment_id, invoice.invoice_id),
            )
    return Classification(
        ChargeClass.NOT_OURS,
        "nothing of this amount was charged or tried by us around this day",
        "Tell your bank; whoever asks for money in our name by telephone or mail is not us",
        (),
    )


def _periods(invoice: Invoice) -> list[BilledPeriod]:
    return [line.period for line in _timed(invoice) if line.period is not None]


def _timed(invoice: Invoice) -> list[Line]:
    return [line for line in invoice.content.lines if line.kind in _TIMED]


def _both_run(one: BilledPeriod, other: BilledPeriod) -> bool:
    different = one.subscription_id != other.subscription_id
    return different and one.start < other.end and other.start < one.end


def _covers(invoice: Invoice, at: datetime) -> bool:
    return any(period.start <= at < period.end for period in _periods(invoice))


def _previous(invoice: Invoice, others: Sequence[Invoice]) -> Invoice | None:
    """The invoice of the period before, of the same subscription."""
    mine = {period.subscription_id: period.start for period in _periods(invoice)}
    earlier = [
        (period.start, other.invoice_id, other)
        for other in others
        if other.state is InvoiceState.PAID and other.invoice_id != invoice.invoice_id
        for period in _periods(other)
        if period.subscription_id in mine and period.start < mine[period.subscription_id]
    ]
    return max(earlier, key=lambda each: each[:2])[2] if earlier else None


def _untaxed(invoice: Invoice) -> int:
    return invoice.settlement.total - invoice.settlement.tax
