from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from controlplane.cli.ctl.account_findings import Account, Standing, account_findings
from controlplane.storage.types import to_microseconds
from wire.v1 import common_pb2
from wire.v1.billing_pb2 import ChargeClassification, Invoice, Money, Payment, PaymentMethod, RefundEligibility
from wire.v1.subscription_pb2 import Subscription

TODAY = date(2026, 3, 2)
END = datetime(2026, 9, 1, tzinfo=UTC)
EUROS = Money(minor=11_900, currency="EUR")


def subscription(**changes: object) -> Subscription:
    made = Subscription(
        subscription_id="sub_1",
        renewal="auto",
        access=common_pb2.ACCESS_LEVEL_FULL,
        access_reason="PAID",
        period_end_at_us=to_microseconds(END),
        next_charge=EUROS,
    )
    made.MergeFrom(Subscription(**changes))  # type: ignore[arg-type]
    return made


CARD = PaymentMethod(method_id="pm_1", brand="visa", last4="4242", expires_year=2030, expires_month=1, is_default=True)
HEALTHY = Account(subscription(), methods=[CARD])
OPEN = Invoice(invoice_id="inv_1", number="INV-1", state="finalised", due=EUROS)


def first(account: Account) -> tuple[str, str]:
    found = account_findings(account, TODAY)[0]
    if found.standing is not Standing.PASSING:
        assert found.next_step, found
    return found.standing.value, found.code


def test_access_that_waits_for_an_invoice_is_had_by_paying_it() -> None:
    unpaid = subscription(access=common_pb2.ACCESS_LEVEL_LIMITED, access_reason="PURCHASE_INCOMPLETE")
    (found, *_) = account_findings(Account(unpaid, invoices=[OPEN], methods=[CARD]), TODAY)
    assert (found.code, found.next_step) == ("PURCHASE_INCOMPLETE", "bucklerctl invoice pay INV-1")


def test_a_healthy_account_has_nothing_to_do() -> None:
    assert {finding.standing for finding in account_findings(HEALTHY, TODAY)} == {Standing.PASSING}


@pytest.mark.parametrize(
    ("state", "kind", "expected"),
    [
        ("failed", "hard", ("failing", "PAYMENT_DECLINED")),
        ("failed", "unknown", ("failing", "PAYMENT_DECLINED")),
        ("failed", "soft", ("warning", "PAYMENT_RETRIED")),
        ("action_needed", "", ("failing", "PAYMENT_CONFIRMATION_NEEDED")),
        ("pending", "", ("warning", "PAYMENT_PENDING")),
        ("unknown", "", ("warning", "PAYMENT_PENDING")),
    ],
)
def test_the_last_attempt_at_an_open_invoice_decides(state: str, kind: str, expected: tuple[str, str]) -> None:
    before = Payment(payment_id="pay_1", invoice_id="inv_1", attempt=1, state="failed", failure_kind="hard")
    last = Payment(payment_id="pay_2", invoice_id="inv_1", attempt=2, state=state, failure_kind=kind)
    assert first(replace(HEALTHY, invoices=[OPEN], payments=[last, before])) == expected


def test_an_invoice_nobody_tried_to_pay_is_open() -> None:
    assert first(replace(HEALTHY, invoices=[OPEN])) == ("warning", "INVOICE_OPEN")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("DUPLICATE_CAPTURE", ("failing", "DUPLICATE_CAPTURE")),
        ("OVERLAPPING_SUBSCRIPTIONS", ("failing", "OVERLAPPING_SUBSCRIPTIONS")),
        ("PRICE_CHANGE", ("warning", "PRICE_CHANGE")),
        ("PLAN_CHANGE", ("warning", "PLAN_CHANGE")),
        ("EXPECTED", ("passing", "ACCESS_FULL")),
    ],
)
def test_a_charge_is_told_as_the_books_have_it(kind: str, expected: tuple[str, str]) -> None:
    charge = ChargeClassification(kind=kind, sentence="so it is", next_step="do this")
    assert first(replace(HEALTHY, charges={"pay_1": charge})) == expected


def test_a_card_that_will_not_live_to_the_next_charge_is_told() -> None:
    assert first(replace(HEALTHY, methods=[])) == ("warning", "METHOD_MISSING")
    old = PaymentMethod(brand="visa", last4="4242", expires_year=2026, expires_month=8, is_default=True)
    assert first(replace(HEALTHY, methods=[old])) == ("warning", "METHOD_EXPIRES")
    in_time = PaymentMethod(brand="visa", last4="4242", expires_year=2026, expires_month=9, is_default=True)
    assert first(replace(HEALTHY, methods=[in_time])) == ("passing", "ACCESS_FULL")
    # Without renewal nothing is charged.
    assert first(Account(subscription(renewal="off"))) == ("passing", "ACCESS_FULL")


def test_whoever_pays_by_bank_transfer_is_asked_for_no_card() -> None:
    paid = Payment(payment_id="pay_1", invoice_id="inv_0", attempt=1, state="captured", provider="manual")
    by_bank = replace(HEALTHY, methods=[], payments=[paid])
    found = {finding.code: finding for finding in account_findings(by_bank, TODAY)}
    assert found["PAID_BY_TRANSFER"].standing is Standing.PASSING
    assert "METHOD_MISSING" not in found
    limited = subscription(access=common_pb2.ACCESS_LEVEL_LIMITED, access_reason="PAYMENT_OVERDUE")
    owing = account_findings(replace(by_bank, subscription=limited, invoices=[OPEN]), TODAY)
    pay = "Pay it by bank transfer with its number as the reference: bucklerctl invoice show INV-1"
    assert {finding.next_step for finding in owing if finding.code in {"PAYMENT_OVERDUE", "INVOICE_OPEN"}} == {pay}
    # A card counts, however the last payment came.
    assert "PAID_BY_TRANSFER" not in {
        finding.code for finding in account_findings(replace(by_bank, methods=[CARD]), TODAY)
    }


def test_renewal_cancellation_and_refund_are_confirmed_with_their_dates() -> None:
    def told(account: Account, code: str) -> str:
        return next(finding.evidence for finding in account_findings(account, TODAY) if finding.code == code)

    assert "2026-09-01" in told(Account(subscription(renewal="off")), "RENEWAL_OFF")
    cancelled = subscription(
        cancelled_at_us=to_microseconds(END - timedelta(days=200)),
        kept_until_at_us=to_microseconds(END + timedelta(days=90)),
    )
    assert "kept until 2026-11-30" in told(Account(cancelled), "CANCELLED")
    rule = RefundEligibility(decision="full", sentence="bought 3 days ago", last_day="2026-05-01")
    assert told(replace(HEALTHY, refund=rule), "REFUND_RULE") == "full, until 2026-05-01: bought 3 days ago"


def test_lower_access_names_its_reason_and_the_way_back() -> None:
    limited = subscription(
        access=common_pb2.ACCESS_LEVEL_LIMITED, access_reason="PAYMENT_FAILED", open_invoice_id="inv_1"
    )
    found = account_findings(Account(limited, methods=[CARD]), TODAY)[0]
    assert (found.standing, found.code, found.next_step) == (
        Standing.FAILING, "PAYMENT_FAILED", "bucklerctl invoice pay inv_1",
    )  # fmt: skip
    grace = subscription(access=common_pb2.ACCESS_LEVEL_GRACE, access_reason="PAYMENT_OVERDUE")
    assert first(Account(grace, methods=[CARD])) == ("warning", "PAYMENT_OVERDUE")
