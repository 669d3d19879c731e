from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from controlplane.billing.attempts import (
    IN_FLIGHT,
    ChargeState,
    FailureKind,
    Payment,
    PaymentState,
    ProviderCharge,
    lost,
    never_arrived,
    payment_key,
    refund_key,
    told,
)
from controlplane.billing.money import Money
from controlplane.billing.providers.signature import check_signature, sign
from controlplane.runtime.refusal import Refusal

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
#: Stored at the provider: another derivation would charge open payments anew.
GOLDEN_KEY = "ad15201b78560e278b10e7525d5e6587c780836fc55a4d0240140c3d316fa986"
PAYMENT = Payment(
    org_id="org_1",
    payment_id="pay_1",
    invoice_id="inv_1",
    attempt_no=1,
    provider="stripe",
    method_id="pm_1",
    amount=Money(100, "EUR"),
    key="k",
    state=PaymentState.INIT,
    created_at=NOW,
    updated_at=NOW,
)


def charge(state: ChargeState, **changes: object) -> ProviderCharge:
    told_of = ProviderCharge(provider_payment_id="pi_1", key="k", state=state, amount=Money(100, "EUR"))
    return replace(told_of, **changes)  # type: ignore[arg-type]


def test_news_in_any_order_ends_in_what_is_true() -> None:
    news = [charge(state) for state in ChargeState]
    for order in permutations(news):
        payment = PAYMENT
        for each in order:
            payment = told(payment, each, NOW) or payment
        assert payment.state is PaymentState.CAPTURED


def test_old_news_and_repeats_change_nothing() -> None:
    captured = told(PAYMENT, charge(ChargeState.CAPTURED), NOW)
    assert captured is not None
    assert told(captured, charge(ChargeState.CAPTURED), NOW + timedelta(days=1)) is None
    assert told(captured, charge(ChargeState.FAILED), NOW) is None
    assert captured.state not in IN_FLIGHT


def test_a_failure_keeps_its_kind_until_it_was_a_capture_after_all() -> None:
    failed = told(PAYMENT, charge(ChargeState.FAILED, failure_kind=FailureKind.HARD, failure_code="lost_card"), NOW)
    assert failed is not None
    assert (failed.failure_kind, failed.failure_code) == (FailureKind.HARD, "lost_card")
    captured = told(failed, charge(ChargeState.CAPTURED), NOW)
    assert captured is not None
    assert (captured.failure_kind, captured.failure_code) == (FailureKind.NONE, "")


def test_another_amount_is_another_charge() -> None:
    with pytest.raises(ValueError, match="speaks of"):
        told(PAYMENT, charge(ChargeState.CAPTURED, amount=Money(1, "EUR")), NOW)


def test_what_was_lost_blocks_and_what_never_arrived_does_not() -> None:
    assert lost(PAYMENT, NOW).state in IN_FLIGHT
    given_up = never_arrived(lost(PAYMENT, NOW), NOW)
    assert given_up.state not in IN_FLIGHT
    assert given_up.failure_kind is FailureKind.UNKNOWN
    late = told(given_up, charge(ChargeState.CAPTURED), NOW)
    assert late is not None
    assert late.excess == 100


def test_keys_are_the_same_in_every_process_and_different_for_every_attempt() -> None:
    assert payment_key("org_1", "inv_1", 1) == GOLDEN_KEY
    keys = {payment_key("org_1", "inv_1", 1), payment_key("org_1", "inv_1", 2), payment_key("org_1", "inv_11", 2)}
    assert len(keys | {payment_key("org_1i", "nv_1", 1), refund_key("org_1", "inv_1")}) == 5


def test_a_webhook_is_believed_within_five_minutes_of_its_time_and_with_any_of_the_secrets() -> None:
    body = b'{"id":"evt_1"}'
    signature = sign(body, "new", NOW)
    for minutes in (-5, 0, 5):
        check_signature(body, signature, ("old", "new"), NOW + timedelta(minutes=minutes))
    for minutes, why in ((6, "too old"), (-6, "future")):
        with pytest.raises(Refusal, match=why):
            check_signature(body, signature, ("old", "new"), NOW + timedelta(minutes=minutes))
    with pytest.raises(Refusal, match="not right"):
        check_signature(body, signature, ("old",), NOW)
    with pytest.raises(Refusal, match="not right"):
        check_signature(body + b" ", signature, ("new",), NOW)
