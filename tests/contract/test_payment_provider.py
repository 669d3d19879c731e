"""What every payment provider promises; the Stripe adapter on a fake bank, in this process and over HTTP.

Faults differ in what happened; what is told to the caller must never promise more than is known.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.billing.attempts import ChargeState, FailureKind
from controlplane.billing.money import Money
from controlplane.billing.ports import (
    ChargeOrder,
    PaymentProvider,
    ProviderError,
    ProviderUncertainError,
    RefundOrder,
    RefundOutcome,
)
from controlplane.billing.providers.manual import ManualProvider
from controlplane.billing.providers.stripe_api import StripeProvider
from tests.fakes.clock import FakeClock
from tests.fakes.payment_provider.bank import FakeBank, Fault
from tests.fakes.payment_provider.server import serving
from tests.fakes.payment_provider.transport import SETTINGS, fake_stripe

EUROS = Money(4_999, "EUR")
#: Faults after which nobody but the provider knows what happened.
UNCERTAIN = (Fault.DONE_THEN_LOST, Fault.DONE_THEN_500, Fault.LOST, Fault.BROKEN_500, Fault.BUSY_429, Fault.LATE)


@pytest.fixture
def bank() -> FakeBank:
    return FakeBank(FakeClock())


@pytest.fixture(params=["in this process", "over http"])
def provider(request: pytest.FixtureRequest, bank: FakeBank) -> Iterator[PaymentProvider]:
    if request.param == "in this process":
        yield fake_stripe(bank)
        return
    with serving(bank) as base:
        yield StripeProvider(replace(SETTINGS, api_base=base))


async def _order(provider: PaymentProvider, token: str = "pm_good", key: str = "key-1") -> ChargeOrder:
    customer = await provider.new_customer("org_1", "customer-1")
    await provider.attach(customer, token)
    return ChargeOrder(key, EUROS, customer, token, "INV-X-00001", present=False)


async def test_a_customer_is_made_once_per_key(provider: PaymentProvider, bank: FakeBank) -> None:
    assert await provider.new_customer("org_1", "k1") == await provider.new_customer("org_1", "k1")
    assert len(bank.customers) == 1


async def test_a_charge_is_found_by_its_key_and_by_its_id(provider: PaymentProvider) -> None:
    order = await _order(provider)
    charge = await provider.charge(order)
    assert (charge.state, charge.amount, charge.key) == (ChargeState.CAPTURED, EUROS, "key-1")
    assert await provider.find_charge(order.customer, "key-1") == charge
    assert await provider.get_charge(charge.provider_payment_id) == charge
    assert await provider.find_charge(order.customer, "key-2") is None
    assert await provider.get_charge("pi_nobody") is None


async def test_the_same_key_charges_once(provider: PaymentProvider, bank: FakeBank) -> None:
    order = await _order(provider)
    assert await provider.charge(order) == await provider.charge(order)
    assert len(bank.captured()) == 1


async def test_the_same_key_for_another_amount_charges_nothing_and_promises_nothing(
    provider: PaymentProvider, bank: FakeBank
) -> None:
    order = await _order(provider)
    await provider.charge(order)
    with pytest.raises(ProviderUncertainError):
        await provider.charge(replace(order, amount=Money(1, "EUR")))
    assert bank.balance() == 4_999


@pytest.mark.parametrize(
    ("token", "kind", "code"),
    [
        ("pm_no_funds", FailureKind.SOFT, "insufficient_funds"),
        ("pm_lost", FailureKind.HARD, "lost_card"),
        ("pm_expired", FailureKind.HARD, "expired_card"),
        ("pm_3ds", FailureKind.ACTION_NEEDED, "authentication_required"),
        ("pm_odd", FailureKind.UNKNOWN, "a_code_from_next_year"),
    ],
)
async def test_a_decline_is_an_answer(provider: PaymentProvider, token: str, kind: FailureKind, code: str) -> None:
    order = await _order(provider, token)
    charge = await provider.charge(order)
    assert (charge.state, charge.failure_kind, charge.failure_code) == (ChargeState.FAILED, kind, code)
    assert await provider.charge(order) == charge
    assert await provider.find_charge(order.customer, order.key) == charge


async def test_a_customer_who_is_there_is_sent_to_their_bank(provider: PaymentProvider, bank: FakeBank) -> None:
    order = replace(await _order(provider, "pm_3ds"), present=True)
    charge = await provider.charge(order)
    assert (charge.state, charge.action_url) == (ChargeState.ACTION_NEEDED, "https://bank.invalid/3ds")
    bank.settle(charge.provider_payment_id)
    assert (await provider.charge(order)).state is ChargeState.ACTION_NEEDED  # what was answered then
    found = await provider.get_charge(charge.provider_payment_id)
    assert found is not None
    assert found.state is ChargeState.CAPTURED


async def test_a_charge_that_takes_days_is_pending(provider: PaymentProvider, bank: FakeBank) -> None:
    charge = await provider.charge(await _order(provider, "pm_slow"))
    assert charge.state is ChargeState.PENDING
    bank.settle(charge.provider_payment_id, decline="insufficient_funds")
    found = await provider.get_charge(charge.provider_payment_id)
    assert found is not None
    assert (found.state, found.failure_kind) == (ChargeState.FAILED, FailureKind.SOFT)


@pytest.mark.parametrize("fault", UNCERTAIN)
async def test_after_a_fault_nothing_is_promised_and_the_key_still_finds_the_truth(
    provider: PaymentProvider, bank: FakeBank, fault: Fault
) -> None:
    order = await _order(provider)
    bank.fail_next("charge", fault)
    with pytest.raises(ProviderUncertainError):
        await provider.charge(order)
    found = await provider.find_charge(order.customer, order.key)
    assert (found is not None) == (fault in {Fault.DONE_THEN_LOST, Fault.DONE_THEN_500})
    assert (await provider.charge(order)).state is ChargeState.CAPTURED
    bank.arrive_late()
    assert len(bank.captured()) == (2 if fault is Fault.LATE else 1)


async def test_a_method_that_was_removed_is_refused(provider: PaymentProvider, bank: FakeBank) -> None:
    order = await _order(provider)
    await provider.detach("pm_good")
    await provider.detach("pm_good")
    with pytest.raises(ProviderError):
        await provider.charge(order)
    assert bank.captured() == []


async def test_a_method_is_described_and_an_unknown_one_refused(provider: PaymentProvider) -> None:
    customer = await provider.new_customer("org_1", "customer-1")
    details = await provider.attach(customer, "pm_good")
    assert (details.token, details.brand, details.last4, details.expires) == ("pm_good", "visa", "4242", (2031, 8))
    with pytest.raises(ProviderError) as refused:
        await provider.attach(customer, "pm_nobody")
    assert refused.value.code == "resource_missing"


async def test_every_charge_is_listed_also_those_of_others(provider: PaymentProvider, bank: FakeBank) -> None:
    order = await _order(provider)
    for number in range(5):
        await provider.charge(replace(order, key=f"key-{number}"))
    bank.charge_by_hand(order.customer, 100, "eur")
    listed = await provider.list_charges(order.customer, bank.clock.now() - timedelta(days=1))
    assert [charge.key for charge in listed] == ["", "key-4", "key-3", "key-2", "key-1", "key-0"]
    assert await provider.list_charges(order.customer, bank.clock.now() + timedelta(days=1)) == []


async def test_a_refund_happens_once_per_key_and_never_beyond_the_charge(
    provider: PaymentProvider, bank: FakeBank
) -> None:
    charge = await provider.charge(await _order(provider))
    order = RefundOrder("refund-1", charge.provider_payment_id, Money(3_000, "EUR"))
    refund = await provider.refund(order)
    assert (refund.outcome, refund.amount) == (RefundOutcome.SUCCEEDED, order.amount)
    assert await provider.refund(order) == refund
    assert await provider.find_refund(charge.provider_payment_id, "refund-1") == refund
    assert await provider.find_refund(charge.provider_payment_id, "refund-2") is None
    with pytest.raises(ProviderError):
        await provider.refund(replace(order, key="refund-2"))
    assert bank.balance() == 1_999


@pytest.mark.parametrize(
    ("money", "sent"),
    [(Money(500, "JPY"), 500), (Money(5, "ISK"), 500), (Money(1_230, "KWD"), 1_230), (Money(7, "UGX"), 700)],
)
async def test_amounts_come_back_as_they_were_sent(
    provider: PaymentProvider, bank: FakeBank, money: Money, sent: int
) -> None:
    charge = await provider.charge(replace(await _order(provider), amount=money))
    assert (charge.amount, bank.captured()[0]["amount"]) == (money, sent)


async def test_an_amount_that_the_provider_cannot_charge_is_refused_before_it_is_asked(
    provider: PaymentProvider, bank: FakeBank
) -> None:
    order = replace(await _order(provider), amount=Money(1_234, "KWD"))
    with pytest.raises(ProviderError, match="amount_not_chargeable"):
        await provider.charge(order)
    assert bank.intents == {}


async def test_a_wrong_secret_key_leaves_the_outcome_open(bank: FakeBank) -> None:
    with serving(bank) as base:
        provider = StripeProvider(replace(SETTINGS, api_base=base, secret_key="sk_test_wrong"))
        with pytest.raises(ProviderUncertainError):
            await provider.new_customer("org_1", "customer-1")


async def test_a_provider_that_is_away_leaves_the_outcome_open(bank: FakeBank) -> None:
    with serving(bank) as base:
        gone = base
    with pytest.raises(ProviderUncertainError):
        await StripeProvider(replace(SETTINGS, api_base=gone)).new_customer("org_1", "customer-1")


async def test_the_librarys_own_retry_uses_the_same_key(bank: FakeBank) -> None:
    with serving(bank) as base:
        provider = StripeProvider(replace(SETTINGS, api_base=base, retries=1))
        order = await _order(provider)
        bank.fail_next("charge", Fault.DONE_THEN_500)
        assert (await provider.charge(order)).state is ChargeState.CAPTURED
    assert len(bank.captured()) == 1


async def test_by_hand_nothing_is_charged_and_refunds_wait_for_a_person() -> None:
    provider: PaymentProvider = ManualProvider()
    with pytest.raises(ProviderError):
        await provider.charge(ChargeOrder("k", EUROS, "org_1", "t", "INV", present=True))
    refund = await provider.refund(RefundOrder("k", "ref", EUROS))
    assert refund.outcome is RefundOutcome.PENDING
    assert not provider.keeps_methods
