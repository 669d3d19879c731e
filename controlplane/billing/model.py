"""Invoices and credit notes as values: what may be written on one, and which states it may go through.

    draft ──finalise──▶ finalised ──everything settled──▶ paid
                            ├── void: it should never have been; only while nothing was paid on it
                            └── uncollectible ──paid after all──▶ paid

From `finalised` on its content never changes (`document.py`); what changes is how much of it is settled. A mistake is
corrected by a credit note, and a new invoice if there is one to write.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from fractions import Fraction

from controlplane.billing.calculation import Calculation
from controlplane.billing.errors import draft_invalid, invoice_negative, invoice_state
from controlplane.billing.money import MAX_MINOR, Money, allocate, round_half_up

MAX_LINES = 500
MAX_TEXT = 200


class InvoiceState(Enum):
    """Where an invoice is."""

    DRAFT = "draft"
    FINALISED = "finalised"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


class LineKind(Enum):
    """What a line is about."""

    #: A period of a subscription; at most one per subscription and period over all invoices that are not void.
    RECURRING = "recurring"
    #: Unused time of something paid before; names the line it gives back from.
    PRORATION_CREDIT = "proration_credit"
    #: The rest of a running period on another plan.
    PRORATION_CHARGE = "proration_charge"
    TAX = "tax"
    DISCOUNT = "discount"
    #: A term bought elsewhere, in a shop; it costs nothing here.
    RETAIL_KEY = "retail_key"


class Occasion(Enum):
    """Why a period is charged; the refund policy tells them apart."""

    INITIAL = "initial"
    AFTER_TRIAL = "after_trial"
    RENEWAL = "renewal"
    CHANGE = "change"


class SoldBy(Enum):
    """Who took the customer's money."""

    US = "us"
    APP_STORE = "app_store"
    RETAILER = "retailer"
    PROVIDER = "internet_provider"


class CreditReason(Enum):
    """Why a credit note was written."""

    REFUND = "refund"
    ORDER_CHANGE = "order_change"
    ORDER_CANCELLATION = "order_cancellation"
    DUPLICATE_CHARGE = "duplicate_charge"
    BILLING_ERROR = "billing_error"
    GOODWILL = "goodwill"


class CreditTo(Enum):
    """Where a credited amount goes."""

    #: It lowers what is still due on the invoice.
    INVOICE = "invoice"
    #: The customer's balance, used up by the next invoices in the same currency.
    BALANCE = "balance"
    #: Back the way it came.
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class BilledPeriod:
    """Half-open; what a line pays for."""

    subscription_id: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Sold:
    """What was sold, as the catalog said it then.

    Attributes:
        plan_id: Of the catalog.
        plan_name: For people, as it was called then.
        catalog_version: Which publication.
        term: `monthly` or `yearly`.
        occasion: Why it is charged.
    """

    plan_id: str
    plan_name: str
    catalog_version: int
    term: str
    occasion: Occasion


@dataclass(frozen=True, slots=True)
class LineRef:
    """One line of one finalised invoice; lines count from 1."""

    invoice_id: str
    line_no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line.

    Attributes:
        kind: What it is about.
        description: One sentence without a final period, for people.
        calculation: Gives the amount.
        period: What it pays for; needed by recurring and proration lines.
        sold: The plan; needed where there is a period.
        source: The line a proration credit gives back from.
    """

    kind: LineKind
    description: str
    calculation: Calculation
    period: BilledPeriod | None = None
    sold: Sold | None = None
    source: LineRef | None = None

    @property
    def amount(self) -> int:
        """Minor units."""
        return self.calculation.amount


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceDraft:
    """What shall be on an invoice; a quote is one that was not stored.

    Attributes:
        org_id: Who pays.
        currency: Of every line.
        lines: In the order in which they are printed.
        due_at: When it has to be paid.
        sold_by: Who takes the money; anybody but us is where refunds are asked for.
    """

    org_id: str
    currency: str
    lines: tuple[Line, ...]
    due_at: datetime
    sold_by: SoldBy = SoldBy.US

    @property
    def total(self) -> Money:
        """What has to be paid, tax included."""
        return Money(sum(line.amount for line in self.lines), self.currency)

    @property
    def tax(self) -> Money:
        """The tax in it."""
        return Money(sum(line.amount for line in self.lines if line.kind is LineKind.TAX), self.currency)


@dataclass(frozen=True, slots=True)
class Settlement:
    """How much of an invoice is settled, in minor units of its currency. `total` never changes.

    Attributes:
        total: What the invoice says.
        tax: The tax in it.
        paid: Covered by payments and by the customer's balance.
        forgiven: Credited before it was paid.
        returned: Given back of what was paid: refunds, asked for or done, and credits to the balance.
    """

    total: int
    tax: int
    paid: int = 0
    forgiven: int = 0
    returned: int = 0

    @property
    def due(self) -> int:
        """Still to be paid."""
        return self.total - self.paid - self.forgiven

    @property
    def returnable(self) -> int:
        """Of what was paid, not yet given back."""
        return self.paid - self.returned

    @property
    def credited(self) -> int:
        """Taken off by credit notes, whether it had been paid or not."""
        return self.forgiven + self.returned


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An invoice and where it stands.

    Attributes:
        number: Empty while it is a draft.
        finalised_at: When its content became final; None: it is a draft.
        document_sha256: Of its canonical bytes, chained to the document before; empty while it is a draft.
        refund_policy: Version in force when it was finalised; 0 while it is a draft.
    """

    invoice_id: str
    state: InvoiceState
    content: InvoiceDraft
    settlement: Settlement
    created_at: datetime
    number: str = ""
    finalised_at: datetime | None = None
    document_sha256: bytes = b""
    refund_policy: int = 0

    @property
    def due(self) -> Money:
        """Still to be paid; nothing once it is void or given up."""
        owed = self.settlement.due if self.state is InvoiceState.FINALISED else 0
        return Money(owed, self.content.currency)


@dataclass(frozen=True, slots=True)
class LiveLine:
    """A line that pays for an instant, and what it is still worth.

    Attributes:
        ref: Where it is.
        line: As it was invoiced.
        paid: What was really paid on it, without tax and after discounts; 0 while the invoice is open.
        credited: Given back of that by credits so far.
    """

    ref: LineRef
    line: Line
    paid: int
    credited: int

    @property
    def creditable(self) -> int:
        """The most that unused time of this line can be worth: `Prorated.full` of a credit."""
        return self.paid - self.credited


def check_draft(draft: InvoiceDraft) -> None:
    """Refuse what can be on no invoice.

    Raises:
        Refusal: DRAFT_INVALID or INVOICE_NEGATIVE.
    """
    if not 1 <= len(draft.lines) <= MAX_LINES:
        raise draft_invalid(f"it has {len(draft.lines)} lines, not 1 to {MAX_LINES}")
    for number, line in enumerate(draft.lines, start=1):
        problem = _problem_of(line)
        if problem:
            raise draft_invalid(f"line {number} {problem}")
    periods = [(line.period.subscription_id, line.period.start) for line in recurring_lines(draft) if line.period]
    if len(set(periods)) != len(periods):
        raise draft_invalid("two lines charge the same period of a subscription")
    if draft.total.minor < 0:
        raise invoice_negative(draft.total)


def recurring_lines(draft: InvoiceDraft) -> list[Line]:
    """The lines that charge a period of a subscription."""
    return [line for line in draft.lines if line.kind is LineKind.RECURRING]


def _problem_of(line: Line) -> str:
    if not 0 < len(line.description) <= MAX_TEXT or not line.description.isprintable():
        return f"needs a description of 1 to {MAX_TEXT} printable characters"
    if abs(line.amount) > MAX_MINOR:
        return "is larger than any amount that is kept here"
    if line.period is not None and line.period.start >= line.period.end:
        return "has a period that ends before it begins"
    if line.kind in _TIMED and (line.period is None or line.sold is None):
        return "has to say which period of what it is for"
    if (line.kind is LineKind.PRORATION_CREDIT) != (line.source is not None):
        return "has to name the line it gives back from exactly if it is a proration credit"
    lowest, highest = _RANGE.get(line.kind, (-MAX_MINOR, MAX_MINOR))
    return "" if lowest <= line.amount <= highest else f"cannot be {line.amount} if it is a {line.kind.value}"


#: Kinds that are about a period of a subscription.
_TIMED = frozenset({LineKind.RECURRING, LineKind.PRORATION_CHARGE, LineKind.RETAIL_KEY})
#: Lowest and highest amount of a kind; the others may go either way.
_RANGE = {
    LineKind.RECURRING: (0, MAX_MINOR),
    LineKind.PRORATION_CHARGE: (0, MAX_MINOR),
    LineKind.PRORATION_CREDIT: (-MAX_MINOR, 0),
    LineKind.DISCOUNT: (-MAX_MINOR, 0),
    LineKind.RETAIL_KEY: (0, 0),
}


#: What may follow what; `document.py` freezes the content at the first step.
_NEXT: dict[InvoiceState, frozenset[InvoiceState]] = {
    InvoiceState.DRAFT: frozenset({InvoiceState.FINALISED}),
    InvoiceState.FINALISED: frozenset({InvoiceState.PAID, InvoiceState.VOID, InvoiceState.UNCOLLECTIBLE}),
    InvoiceState.UNCOLLECTIBLE: frozenset({InvoiceState.PAID}),
    InvoiceState.PAID: frozenset(),
    InvoiceState.VOID: frozenset(),
}


def check_step(invoice: Invoice, to: InvoiceState) -> None:
    """Refuse a step that an invoice cannot take from where it is.

    Raises:
        Refusal: INVOICE_STATE.
    """
    if to not in _NEXT[invoice.state]:
        raise invoice_state(invoice.number or invoice.invoice_id, invoice.state.value, to.value)


def tax_share(settlement: Settlement, amount: int) -> int:
    """The tax in a credit of so much: what all credits together contain, less what those before contained.

    Credits that add up to the total contain exactly its tax, however they were cut.
    """
    if settlement.total == 0:
        return 0
    before = Fraction(settlement.tax * settlement.credited, settlement.total)
    after = Fraction(settlement.tax * (settlement.credited + amount), settlement.total)
    return round_half_up(after) - round_half_up(before)


def net_of(settlement: Settlement, gross: int) -> int:
    """A part of an invoice without the tax in it; minor units."""
    if settlement.total == 0:
        return 0
    return gross - round_half_up(Fraction(settlement.tax * gross, settlement.total))


def with_tax(settled: Settlement, net: int) -> int:
    """An amount without tax, with the tax that this invoice has on it."""
    without = settled.total - settled.tax
    return net if without <= 0 else round_half_up(Fraction(net * settled.total, without))


def settled_with(invoice: Invoice, *, paid: int = 0, forgiven: int = 0, returned: int = 0) -> Invoice:
    """The invoice with more of it settled; paid once nothing is due any more."""
    before = invoice.settlement
    after = replace(
        before, paid=before.paid + paid, forgiven=before.forgiven + forgiven, returned=before.returned + returned
    )
    state = InvoiceState.PAID if after.due == 0 else invoice.state
    return replace(invoice, state=state, settlement=after)


def brought_along(lines: Sequence[Line]) -> int:
    """What an invoice takes over of lines that were paid before: the unused time that it gives back; minor units."""
    return -sum(line.amount for line in lines if line.kind is LineKind.PRORATION_CREDIT)


def paid_per_line(lines: Sequence[Line], paid_net: int) -> tuple[int, ...]:
    """What was really paid on each line: discounts and credits lower what they stand beside, in proportion.

    Args:
        lines: All of an invoice.
        paid_net: What was paid on the invoice, without its tax.

    Returns:
        One amount per line; 0 for lines that charge nothing.
    """
    weights = [line.amount if line.amount > 0 and line.kind is not LineKind.TAX else 0 for line in lines]
    if paid_net <= 0 or not any(weights):
        return (0,) * len(lines)
    return allocate(paid_net, weights)
