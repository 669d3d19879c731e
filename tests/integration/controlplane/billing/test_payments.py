"""Collecting money on both databases: every fault of the provider ends in the right state, nothing is charged twice."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.accounts.tables import audit
from controlplane.billing.attempts import FailureKind, Payment, PaymentState
from controlplane.billing.double_charge import ChargeClass, SeenCharge
from controlplane.billing.ledger import Account
from controlplane.billing.model import Invoice, InvoiceState
from controlplane.billing.money import Money
from controlplane.billing.payments import COMPARED_SINCE, KEY_LIFE, Transfer
from controlplane.billing.refunds.refunds import RefundState
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database
from tests.fakes.billing import EVERYTHING, BillingWorld
from tests.fakes.payment_provider.bank import CARDS, Fault

AT_ONCE = 16
DAY = timedelta(days=1)


@pytest.fixture
async def second_server(world: BillingWorld) -> AsyncIterator[BillingWorld]:
    """Another server process' view of the same database and the same bank."""
    other = Database(world.database.url)
    yield BillingWorld(other, world.bank, world.clock)
    await other.close()


async def _open_invoice(world: BillingWorld, token: str = "pm_good") -> Invoice:
    return await world.issue(world.draft(await world.customer(token)))


async def _pay(world: BillingWorld, invoice: Invoice) -> Payment:
    return await world.service.pay(invoice.content.org_id, invoice.invoice_id)


async def _now(world: BillingWorld, invoice: Invoice) -> Invoice:
    return await world.invoice(invoice.content.org_id, invoice.invoice_id)


async def _the_payment(world: BillingWorld, invoice: Invoice) -> Payment:
    (payment,) = await world.payments_of(invoice.content.org_id, invoice.invoice_id)
    return payment


async def _assert_paid_once(world: BillingWorld, invoice: Invoice) -> None:
    """One charge at the provider, one invoice, books in order."""
    assert (await _now(world, invoice)).state is InvoiceState.PAID
    assert world.bank.balance() == invoice.content.total.minor
    assert await world.books(invoice.content.org_id) == {
        Account.CASH: 11_900,
        Account.DEFERRED_REVENUE: -10_000,
        Account.TAX: -1_900,
    }


async def test_a_good_card_pays(world: BillingWorld) -> None:
    invoice = await _open_invoice(world)
    payment = await _pay(world, invoice)
    assert (payment.state, payment.applied, payment.excess) == (PaymentState.CAPTURED, 11_900, 0)
    await _assert_paid_once(world, invoice)
    assert world.heard.paid == [invoice.invoice_id]
    with pytest.raises(Refusal, match="NOTHING_DUE"):
        await _pay(world, invoice)


@pytest.mark.parametrize("token", sorted(token for token, says in CARDS.items() if says not in {None, "processing"}))
async def test_a_declined_card_leaves_the_invoice_open_for_another(world: BillingWorld, token: str) -> None:
    invoice = await _open_invoice(world, token)
    await world.collect(invoice)
    payment = await _the_payment(world, invoice)
    assert payment.state is PaymentState.FAILED
    assert payment.failure_code == CARDS[token]
    assert world.heard.failed == [(invoice.invoice_id, payment.failure_kind.value)]
    assert (await _now(world, invoice)).due.minor == 11_900
    added = await world.billing.wallet.add(invoice.content.org_id, "pm_good", "another-card")
    assert [each.state for each in added.paid] == [PaymentState.CAPTURED]
    await _assert_paid_once(world, invoice)


@pytest.mark.parametrize("fault", list(Fault))
async def test_every_fault_ends_in_one_charge(world: BillingWorld, fault: Fault) -> None:
    invoice = await _open_invoice(world)
    world.bank.fail_next("charge", fault)
    payment = await _pay(world, invoice)
    assert payment.state is PaymentState.UNKNOWN
    with pytest.raises(Refusal, match="PAYMENT_IN_FLIGHT"):
        await _pay(world, invoice)
    await world.advance(timedelta(hours=1))
    assert (await _the_payment(world, invoice)).state is PaymentState.CAPTURED
    if fault is not Fault.LATE:
        await _assert_paid_once(world, invoice)


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.DONE_THEN_LOST])
async def test_a_provider_that_cannot_even_be_asked_leaves_it_unknown_until_it_can(
    world: BillingWorld, fault: Fault
) -> None:
    invoice = await _open_invoice(world)
    world.bank.fail_next("charge", fault)
    world.bank.fail_next("list", *[Fault.LOST] * 3)
    await _pay(world, invoice)
    await world.advance(timedelta(minutes=5))
    assert (await _the_payment(world, invoice)).state is PaymentState.UNKNOWN
    await world.advance(timedelta(hours=2))
    await _assert_paid_once(world, invoice)


async def test_a_payment_nobody_has_heard_of_is_given_up_after_the_keys_life(world: BillingWorld) -> None:
    invoice = await _open_invoice(world)
    world.bank.fail_next("charge", *[Fault.LOST] * 200)
    await _pay(world, invoice)
    await world.advance(KEY_LIFE + timedelta(hours=1))
    payment = await _the_payment(world, invoice)
    assert (payment.state, payment.failure_code) == (PaymentState.FAILED, "never_arrived")
    assert world.heard.failed == [(invoice.invoice_id, FailureKind.UNKNOWN.value)]


async def test_a_duplicate_capture_that_comes_late_is_found_and_sent_back_by_itself(world: BillingWorld) -> None:
    invoice = await _open_invoice(world)
    org_id = invoice.content.org_id
    world.bank.fail_next("charge", Fault.LATE, *[Fault.LOST] * 200)
    await _pay(world, invoice)
    await world.advance(KEY_LIFE + timedelta(hours=1))
    world.bank.forget_faults()
    assert (await _pay(world, invoice)).state is PaymentState.CAPTURED
    world.bank.arrive_late()
    assert world.bank.balance() == 2 * 11_900
    assert await world.payments.compare() == 1
    assert (await world.books(org_id))[Account.REFUNDS_PAYABLE] == -11_900
    await world.run_jobs()
    await _assert_paid_once(world, invoice)
    async with world.database.reading() as connection:
        (refund,) = await world.billing.desk.refunds(connection, org_id, EVERYTHING)
    assert (refund.state, refund.reason, refund.amount.minor) == (RefundState.SUCCEEDED, "duplicate_charge", 11_900)
    await world.advance(COMPARED_SINCE + DAY)
    assert await world.payments.compare() == 0


async def test_a_second_capture_with_the_same_key_is_found_and_sent_back(world: BillingWorld) -> None:
    invoice = await _open_invoice(world)
    org_id = invoice.content.org_id
    world.bank.fail_next("charge", Fault.LATE)
    await _pay(world, invoice)
    await world.advance(timedelta(hours=1))
    await _assert_paid_once(world, invoice)
    assert await world.payments.compare() == 0
    world.bank.arrive_late()
    assert await world.payments.compare() == 1
    assert await world.payments.compare() == 0
    await world.run_jobs()
    await _assert_paid_once(world, invoice)
    first, second = await world.payments_of(org_id, invoice.invoice_id)
    assert (first.excess, second.excess, second.refunded) == (0, 11_900, 11_900)
    async with world.database.reading() as connection:
        seen = SeenCharge(second.amount, world.clock.now())
        found = await world.service.classify(connection, org_id, seen)
    assert (found.kind, found.refund) == (ChargeClass.DUPLICATE_CAPTURE, second.amount)


async def test_many_payments_of_one_invoice_at_once_charge_it_once(
    world: BillingWorld, second_server: BillingWorld
) -> None:
    invoice = await _open_invoice(world)

    async def pay(number: int) -> str:
        try:
            return (await _pay((world, second_server)[number % 2], invoice)).state.value
        except Refusal as refusal:
            return refusal.reason

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pay(number)) for number in range(AT_ONCE)]
    outcomes = [task.result() for task in tasks]
    assert outcomes.count("captured") == 1
    assert set(outcomes) <= {"captured", "PAYMENT_IN_FLIGHT", "NOTHING_DUE"}
    await _assert_paid_once(world, invoice)


async def test_the_same_wish_many_times_at_once_is_one_payment(
    world: BillingWorld, second_server: BillingWorld
) -> None:
    invoice = await _open_invoice(world)

    async def pay(number: int) -> str:
        server = (world, second_server)[number % 2]
        payment = await server.service.pay(invoice.content.org_id, invoice.invoice_id, "", "my-wish-1")
        return payment.payment_id

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pay(number)) for number in range(AT_ONCE)]
    assert len({task.result() for task in tasks}) == 1
    with pytest.raises(Refusal, match="IDEMPOTENCY_MISMATCH"):
        await world.service.pay(invoice.content.org_id, invoice.invoice_id, "pm_x", "my-wish-1")
    await _assert_paid_once(world, invoice)


# ---------------------------------------------------------------- by itself


async def test_nothing_is_collected_that_was_not_announced(world: BillingWorld) -> None:
    invoice = await _open_invoice(world)
    world.gate.answer = False
    await world.collect(invoice)
    await world.advance(DAY * 3)
    assert world.bank.intents == {}
    async with world.database.reading() as connection:
        actions = list((await connection.execute(audit.select())).mappings())
    assert [row["action"] for row in actions].count("charge.postponed") == 4
    world.gate.answer = True
    await world.advance(DAY)
    await _assert_paid_once(world, invoice)


async def test_collecting_again_after_a_crash_before_the_job_was_forgotten_tries_nothing_new(
    world: BillingWorld,
) -> None:
    invoice = await _open_invoice(world, "pm_no_funds")
    due_at = world.clock.now()
    await world.payments.collect(invoice.content.org_id, invoice.invoice_id, due_at)
    world.clock.advance(timedelta(minutes=6))
    assert await world.payments.collect(invoice.content.org_id, invoice.invoice_id, due_at) is None
    assert len(world.bank.intents) == 1
    await world.collect(invoice)
    assert len(world.bank.intents) == 2


async def test_whoever_has_no_payment_method_fails_as_a_hard_decline_would(world: BillingWorld) -> None:
    invoice = await world.issue(world.draft(await world.organisation()))
    await world.collect(invoice)
    payment = await _the_payment(world, invoice)
    assert (payment.failure_kind, payment.failure_code) == (FailureKind.HARD, "payment_method_unknown")
    assert world.heard.failed == [(invoice.invoice_id, "hard")]


async def test_two_servers_collect_once(world: BillingWorld, second_server: BillingWorld) -> None:
    invoice = await _open_invoice(world)
    async with world.database.transaction() as uow:
        await world.service.collect(
            uow, org_id=invoice.content.org_id, invoice_id=invoice.invoice_id, at=world.clock.now()
        )
    async with asyncio.TaskGroup() as group:
        for server in (world, second_server):
            group.create_task(server.run_jobs())
    await _assert_paid_once(world, invoice)
    assert len(world.bank.intents) == 1


# ---------------------------------------------------------------- webhooks


async def _take(world: BillingWorld, event: Mapping[str, object]) -> bool:
    return await world.service.take_event(*world.bank.webhook(event))


async def test_a_webhook_makes_us_ask_and_the_answer_counts_not_its_content(world: BillingWorld) -> None:
    invoice = await _open_invoice(world, "pm_slow")
    payment = await _pay(world, invoice)
    assert payment.state is PaymentState.PENDING
    lie = {
        "id": "evt_lie",
        "type": "payment_intent.succeeded",
        "data": {"object": {"object": "payment_intent", "id": payment.provider_payment_id, "status": "succeeded"}},
    }
    await _take(world, lie)
    assert (await _now(world, invoice)).state is InvoiceState.FINALISED
    world.bank.settle(payment.provider_payment_id)
    assert await _take(world, world.bank.events[-1])
    await _assert_paid_once(world, invoice)


async def test_a_webhook_that_overtakes_the_answer_settles_the_payment(world: BillingWorld) -> None:
    invoice = await _open_invoice(world)
    world.bank.fail_next("charge", Fault.DONE_THEN_LOST)
    payment = await _pay(world, invoice)
    assert payment.provider_payment_id == ""
    assert await _take(world, world.bank.events[-1])
    await _assert_paid_once(world, invoice)
    await world.advance(DAY)
    await _assert_paid_once(world, invoice)


async def test_a_storm_of_webhooks_in_any_order_and_often_changes_nothing(world: BillingWorld) -> None:
    invoices = [await _open_invoice(world) for _ in range(3)]
    for invoice in invoices:
        world.bank.fail_next("charge", Fault.DONE_THEN_LOST)
        await _pay(world, invoice)
    declined = await _open_invoice(world, "pm_no_funds")
    await _pay(world, declined)
    storm = [event for event in world.bank.events for _ in range(10)]
    random.Random(7).shuffle(storm)
    async with asyncio.TaskGroup() as group:
        for event in storm:
            group.create_task(_take(world, event))
    for invoice in invoices:
        assert (await _now(world, invoice)).state is InvoiceState.PAID
        assert sum((await world.books(invoice.content.org_id)).values()) == 0
    assert (await _now(world, declined)).state is InvoiceState.FINALISED
    assert world.bank.balance() == 3 * 11_900
    assert sorted(world.heard.paid) == sorted(invoice.invoice_id for invoice in invoices)


@pytest.mark.parametrize("shift", [timedelta(minutes=-6), timedelta(minutes=6), timedelta(days=-400)])
async def test_old_and_future_webhooks_are_refused(world: BillingWorld, shift: timedelta) -> None:
    invoice = await _open_invoice(world)
    world.bank.fail_next("charge", Fault.DONE_THEN_LOST)
    await _pay(world, invoice)
    now = world.clock.now()
    world.clock.set_wall(now + shift)
    body, signature = world.bank.webhook(world.bank.events[-1])
    world.clock.set_wall(now)
    with pytest.raises(Refusal, match="WEBHOOK_REFUSED"):
        await world.service.take_event(body, signature)
    assert (await _the_payment(world, invoice)).state is PaymentState.UNKNOWN


async def test_forged_and_broken_webhooks_are_refused(world: BillingWorld) -> None:
    event = {"id": "evt_1", "data": {"object": {"object": "payment_intent", "id": "pi_1"}}}
    body, signature = world.bank.webhook(event)
    forged = world.bank.webhook(event, secret="whsec_of_somebody_else")
    broken = [
        world.bank.webhook(each) for each in ({}, {"id": "evt_1", "data": []}, {"id": "e", "data": {"object": 1}})
    ]
    for untrusted_body, untrusted_signature in (
        forged,
        *broken,
        (body + b" ", signature),
        (body, ""),
        (body, "t=,v1="),
        (body, "t=99999999999999999999,v1=00"),
        (body, signature.replace("v1=", "v0=")),
        (b"x" * 2_000_000, signature),
    ):
        with pytest.raises(Refusal, match="WEBHOOK_REFUSED"):
            await world.service.take_event(untrusted_body, untrusted_signature)
    with_two = signature + ",v1=" + "0" * 64
    assert await world.service.take_event(body, with_two) is False


async def test_a_webhook_about_somebody_elses_charge_is_no_news(world: BillingWorld) -> None:
    invoice = await _open_invoice(world)
    await _pay(world, invoice)
    customer = world.bank.captured()[0]["customer"]
    by_hand = world.bank.charge_by_hand(customer, 100, "eur")
    event = {"id": "evt_hand", "data": {"object": {"object": "payment_intent", "id": by_hand["id"]}}}
    assert await _take(world, event) is False
    refund = {"id": "evt_r", "data": {"object": {"object": "refund", "payment_intent": None, "id": "re_1"}}}
    assert await _take(world, refund) is False
    assert json.loads(world.bank.webhook(event)[0])["id"] == "evt_hand"


async def test_a_webhook_that_cannot_be_checked_now_is_sent_again(world: BillingWorld) -> None:
    invoice = await _open_invoice(world)
    world.bank.fail_next("charge", Fault.DONE_THEN_LOST)
    await _pay(world, invoice)
    world.bank.fail_next("get", Fault.BROKEN_500)
    with pytest.raises(Refusal, match="PAYMENT_PROVIDER_UNAVAILABLE"):
        await _take(world, world.bank.events[-1])
    assert await _take(world, world.bank.events[-1])
    await _assert_paid_once(world, invoice)


# ---------------------------------------------------------------- by bank


async def test_a_transfer_is_recorded_once_and_pays(world: BillingWorld) -> None:
    org_id = await world.organisation()
    invoice = await world.issue(world.draft(org_id))
    first, rest = Transfer("bank-1", Money(10_000, "EUR")), Transfer("bank-2", Money(2_000, "EUR"))

    async def record(transfer: Transfer, number: str = invoice.number) -> Payment:
        async with world.database.transaction() as uow:
            return await world.service.record_transfer(uow, org_id, number, transfer)

    partly = await record(first)
    assert await record(first) == partly
    assert (await _now(world, invoice)).due.minor == 1_900
    for wrong in (replace(first, amount=Money(1, "EUR")), Transfer("bank-3", Money(1, "USD"))):
        with pytest.raises(Refusal, match="TRANSFER_MISMATCH"):
            await record(wrong)
    too_much = await record(rest)
    assert (too_much.applied, too_much.excess) == (1_900, 100)
    assert (await _now(world, invoice)).state is InvoiceState.PAID
    assert (await world.books(org_id))[Account.REFUNDS_PAYABLE] == -100


async def test_a_transfer_pays_what_had_been_given_up(world: BillingWorld) -> None:
    org_id = await world.organisation()
    invoice = await world.issue(world.draft(org_id))
    async with world.database.transaction() as uow:
        await world.service.give_up(uow, org_id, invoice.invoice_id)
        await world.service.record_transfer(uow, org_id, invoice.invoice_id, Transfer("bank-1", Money(11_900, "EUR")))
    assert (await _now(world, invoice)).state is InvoiceState.PAID
    assert Account.BAD_DEBT not in await world.books(org_id)


# ---------------------------------------------------------------- payment methods


async def test_methods_are_added_listed_and_removed(world: BillingWorld) -> None:
    org_id = await world.customer()
    wallet = world.billing.wallet
    added = await wallet.add(org_id, "pm_other", "add-other-1")
    assert await wallet.add(org_id, "pm_other", "add-other-1") == replace(added, paid=())
    for token, key, reason in (
        ("pm_lost", "add-other-1", "IDEMPOTENCY_MISMATCH"),
        ("pm_other", "add-other-2", "PAYMENT_METHOD_EXISTS"),
        ("pm_nobody", "add-other-3", "PAYMENT_METHOD_REFUSED"),
    ):
        with pytest.raises(Refusal, match=reason):
            await wallet.add(org_id, token, key)
    async with world.database.reading() as connection:
        methods = await wallet.methods(connection, org_id)
    assert [(each.token, each.is_default) for each in methods] == [("pm_other", True), ("pm_good-1", False)]
    await wallet.remove(org_id, added.method.method_id)
    async with world.database.reading() as connection:
        methods = await wallet.methods(connection, org_id)
    assert [(each.token, each.is_default) for each in methods] == [("pm_good-1", True)]
    other = await world.organisation("Somebody else")
    with pytest.raises(Refusal, match="PAYMENT_METHOD_UNKNOWN"):
        await wallet.remove(other, methods[0].method_id)
    assert world.bank.methods["pm_other"] is None


async def test_a_method_removed_during_a_lost_payment_does_not_leave_it_open_for_ever(world: BillingWorld) -> None:
    invoice = await _open_invoice(world)
    world.bank.fail_next("charge", Fault.LOST)
    payment = await _pay(world, invoice)
    await world.billing.wallet.remove(invoice.content.org_id, payment.method_id)
    await world.advance(timedelta(hours=1))
    assert (await _the_payment(world, invoice)).state is PaymentState.FAILED
    assert world.bank.balance() == 0
