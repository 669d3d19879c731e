"""A charge on a statement, and what our books say about it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.billing.attempts import FailureKind, Payment, PaymentState
from controlplane.billing.calculation import Fixed, ListPrice, Prorated, TaxOn
from controlplane.billing.double_charge import Books, ChargeClass, Classification, SeenCharge, classify_double_charge
from controlplane.billing.model import (
    BilledPeriod,
    Invoice,
    InvoiceDraft,
    InvoiceState,
    Line,
    LineKind,
    LineRef,
    Occasion,
    Settlement,
    Sold,
    SoldBy,
)
from controlplane.billing.money import Money

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
YEAR = timedelta(days=365)
SOLD = Sold("home-3", "Home 3", 1, "yearly", Occasion.RENEWAL)


def invoice(
    invoice_id: str = "inv_1",
    *,
    price: int = 4_999,
    tax: int = 0,
    start: datetime = NOW,
    subscription_id: str = "sub_1",
    kind: LineKind = LineKind.RECURRING,
    sold_by: SoldBy = SoldBy.US,
    currency: str = "EUR",
) -> Invoice:
    period = BilledPeriod(subscription_id, start, start + YEAR)
    lines = [Line(kind=kind, description="Home 3", calculation=ListPrice(price), period=period, sold=SOLD)]
    if tax:
        lines.append(Line(kind=LineKind.TAX, description="VAT", calculation=TaxOn(price, tax)))
    content = InvoiceDraft(org_id="org_1", currency=currency, lines=tuple(lines), due_at=start, sold_by=sold_by)
    total = content.total.minor
    return Invoice(
        invoice_id=invoice_id,
        state=InvoiceState.PAID,
        content=content,
        settlement=Settlement(total, content.tax.minor, paid=total),
        created_at=start,
        number=invoice_id.upper(),
        finalised_at=start,
    )


def payment(of: Invoice, payment_id: str = "pay_1", *, excess: bool = False, at: datetime = NOW) -> Payment:
    return Payment(
        org_id="org_1",
        payment_id=payment_id,
        invoice_id=of.invoice_id,
        attempt_no=1,
        provider="stripe",
        method_id="pm_1",
        amount=of.content.total,
        key="k",
        state=PaymentState.CAPTURED,
        created_at=at,
        updated_at=at,
        applied=0 if excess else of.content.total.minor,
    )


def classify(books: Books, minor: int = 4_999, currency: str = "EUR", descriptor: str = "") -> Classification:
    return classify_double_charge(SeenCharge(Money(minor, currency), NOW + timedelta(days=2), descriptor), books)


def test_an_ordinary_charge_is_expected() -> None:
    mine = invoice()
    found = classify(Books([payment(mine)], [mine]))
    assert (found.kind, found.evidence, found.refund) == (ChargeClass.EXPECTED, ("pay_1", "inv_1"), None)


def test_the_second_capture_of_an_invoice_is_a_duplicate_and_goes_back() -> None:
    mine = invoice()
    books = Books([payment(mine), payment(mine, "pay_2", excess=True)], [mine])
    found = classify(books)
    assert (found.kind, found.refund) == (ChargeClass.DUPLICATE_CAPTURE, Money(4_999, "EUR"))
    assert found.evidence == ("pay_1", "pay_2", "inv_1")


@pytest.mark.parametrize("state", [PaymentState.FAILED, PaymentState.PENDING, PaymentState.UNKNOWN])
def test_what_was_only_tried_is_a_hold(state: PaymentState) -> None:
    mine = invoice()
    tried = replace(payment(mine), state=state, applied=0, failure_kind=FailureKind.SOFT)
    assert classify(Books([tried], [mine])).kind is ChargeClass.AUTHORISATION_HOLD


def test_a_captured_charge_explains_the_amount_before_a_failed_one() -> None:
    mine = invoice()
    failed = replace(payment(mine, "pay_0"), state=PaymentState.FAILED, applied=0)
    assert classify(Books([failed, payment(mine)], [mine])).kind is ChargeClass.EXPECTED


def test_a_charge_for_the_rest_of_a_period_is_a_plan_change_not_a_double_one() -> None:
    before = invoice("inv_0", start=NOW - timedelta(days=120))
    change = invoice(kind=LineKind.PRORATION_CHARGE)
    credit = Line(
        kind=LineKind.PRORATION_CREDIT,
        description="Unused time",
        calculation=Prorated(4_999, 245, 365, credit=True),
        source=LineRef("inv_0", 1),
    )
    change = replace(change, content=replace(change.content, lines=(credit, *change.content.lines)))
    charged = payment(change)
    found = classify(Books([payment(before, "pay_0"), charged], [before, change]), change.content.total.minor)
    assert found.kind is ChargeClass.PLAN_CHANGE


def test_two_subscriptions_at_once_are_named() -> None:
    mine, other = invoice(), invoice("inv_2", subscription_id="sub_2", start=NOW - timedelta(days=100))
    found = classify(Books([payment(mine)], [mine, other]))
    assert found.kind is ChargeClass.OVERLAPPING_SUBSCRIPTIONS
    assert "sub_1" in found.sentence
    assert "sub_2" in found.sentence
    unpaid = replace(other, state=InvoiceState.FINALISED)
    assert classify(Books([payment(mine)], [mine, unpaid])).kind is ChargeClass.EXPECTED


def test_subscriptions_that_follow_one_another_do_not_overlap() -> None:
    mine, other = invoice(), invoice("inv_2", subscription_id="sub_2", start=NOW - YEAR)
    assert classify(Books([payment(mine)], [mine, other])).kind is ChargeClass.EXPECTED


def test_another_price_than_last_year_is_a_price_change() -> None:
    mine, before = invoice(price=9_999), invoice("inv_0", start=NOW - YEAR)
    found = classify(Books([payment(mine)], [before, mine]), 9_999)
    assert found.kind is ChargeClass.PRICE_CHANGE
    assert "49.99 EUR" in found.sentence
    assert "99.99 EUR" in found.sentence


def test_the_same_price_with_another_tax_or_currency_is_not_a_price_change() -> None:
    taxed, before = invoice(tax=190_000), invoice("inv_0", start=NOW - YEAR)
    assert classify(Books([payment(taxed)], [before, taxed]), 5_949).kind is ChargeClass.TAX_OR_CURRENCY
    dollars = invoice(currency="USD", price=5_499)
    found = classify(Books([payment(dollars)], [before, dollars]), 5_499, "USD")
    assert found.kind is ChargeClass.TAX_OR_CURRENCY


def test_an_amount_that_the_bank_converted_is_recognised_by_its_day() -> None:
    mine = invoice(tax=190_000)
    books = Books([payment(mine)], [mine])
    assert classify(books, 6_480, "USD").kind is ChargeClass.TAX_OR_CURRENCY
    assert classify(books, 4_999).kind is ChargeClass.TAX_OR_CURRENCY
    assert classify(books, 4_998).kind is ChargeClass.NOT_OURS


@pytest.mark.parametrize("descriptor", ["APPLE.COM/BILL", "Google *Buckler", "AMAZON MKTP"])
def test_a_shops_charge_is_the_shops(descriptor: str) -> None:
    assert classify(Books([], []), descriptor=descriptor).kind is ChargeClass.THIRD_PARTY_SELLER


def test_a_term_bought_in_a_shop_points_to_the_shop() -> None:
    key = invoice("inv_9", price=0, kind=LineKind.RETAIL_KEY, sold_by=SoldBy.RETAILER)
    found = classify(Books([], [key]))
    assert (found.kind, found.evidence) == (ChargeClass.THIRD_PARTY_SELLER, ("inv_9",))


def test_what_nobody_here_charged_is_not_ours() -> None:
    mine = invoice()
    assert classify(Books([], [])).kind is ChargeClass.NOT_OURS
    long_ago = payment(mine, at=NOW - timedelta(days=30))
    assert classify(Books([long_ago], [mine])).kind is ChargeClass.NOT_OURS


def test_a_fixed_amount_is_as_good_as_any() -> None:
    mine = invoice()
    lines = (replace(mine.content.lines[0], calculation=Fixed(4_999, "of an agreement")),)
    agreed = replace(mine, content=replace(mine.content, lines=lines))
    assert classify(Books([payment(agreed)], [agreed])).kind is ChargeClass.EXPECTED
