"""Giving money back on both databases: by the policy, once, never more than was paid, whoever asks at once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.billing.invoices.account import changed_documents
from controlplane.billing.invoices.invoicing import CreditOrder
from controlplane.billing.ledger import Account
from controlplane.billing.model import CreditReason, CreditTo, Invoice, InvoiceState, Occasion, SoldBy
from controlplane.billing.money import Money
from controlplane.billing.payments import Transfer
from controlplane.billing.refunds.desk import RefundAnswer, RefundWish
from controlplane.billing.refunds.policy import RefundDecision
from controlplane.billing.refunds.refunds import Refund, RefundState
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database
from tests.fakes.billing import EVERYTHING, BillingWorld
from tests.fakes.payment_provider.bank import Fault

AT_ONCE = 16
DAY = timedelta(days=1)


@pytest.fixture
async def second_server(world: BillingWorld) -> AsyncIterator[BillingWorld]:
    """Another server process' view of the same database and the same bank."""
    other = Database(world.database.url)
    yield BillingWorld(other, world.bank, world.clock)
    await other.close()


async def _paid(world: BillingWorld, **changes: object) -> Invoice:
    org_id = await world.customer()
    invoice = await world.issue(world.draft(org_id, **changes))  # type: ignore[arg-type]
    await world.service.pay(org_id, invoice.invoice_id)
    return await world.invoice(org_id, invoice.invoice_id)


async def _request(
    world: BillingWorld, invoice: Invoice, minor: int = 0, key: str = "my-refund-1", note: str = ""
) -> RefundAnswer:
    amount = Money(minor, "EUR") if minor else None
    return await world.billing.desk.request(invoice.content.org_id, RefundWish(invoice.invoice_id, amount, note, key))


async def _refunds(world: BillingWorld, org_id: str) -> list[Refund]:
    async with world.database.reading() as connection:
        return list(await world.billing.desk.refunds(connection, org_id, EVERYTHING))


async def test_a_refund_within_its_window_goes_back_the_way_it_came(world: BillingWorld) -> None:
    invoice = await _paid(world)
    org_id = invoice.content.org_id
    await world.advance(60 * DAY)
    answer = await _request(world, invoice, note="not needed")
    assert [refund.state for refund in answer.refunds] == [RefundState.APPROVED]
    assert world.heard.refunded == [(invoice.invoice_id, Money(11_900, "EUR"))]
    await world.run_jobs()
    assert [refund.state for refund in await _refunds(world, org_id)] == [RefundState.SUCCEEDED]
    assert (world.bank.balance(), await world.books(org_id)) == (0, {})
    async with world.database.reading() as connection:
        standing = await world.service.get(connection, org_id, invoice.invoice_id)
        assert await changed_documents(connection) == []
    assert (standing.invoice.state, standing.invoice.settlement.returnable) == (InvoiceState.PAID, 0)
    assert [(note.amount.minor, note.tax.minor, note.note) for note in standing.credit_notes] == [
        (11_900, 1_900, "not needed")
    ]


async def test_a_refund_after_its_window_is_refused_with_the_day(world: BillingWorld) -> None:
    invoice = await _paid(world)
    await world.advance(61 * DAY)
    with pytest.raises(Refusal, match="REFUND_NOT_ELIGIBLE") as refused:
        await _request(world, invoice)
    assert refused.value.facts == {"refund_reason": "WINDOW_OVER", "last_day": "2026-05-01"}
    assert await _refunds(world, invoice.content.org_id) == []


async def test_where_the_law_says_so_the_rest_of_a_year_goes_back(world: BillingWorld) -> None:
    invoice = await _paid(world, occasion=Occasion.RENEWAL, price=36_500, tax=0)
    org_id = invoice.content.org_id
    async with world.database.transaction() as uow:
        await world.service.set_place(uow, org_id, country="GB", time_zone="Europe/London")
    await world.advance(99 * DAY)
    async with world.database.reading() as connection:
        answer = await world.billing.desk.check(connection, org_id, invoice.invoice_id)
    assert (answer.decision, answer.amount.minor) == (RefundDecision.PRO_RATA, 26_500)
    with pytest.raises(Refusal, match="MORE_THAN_PAID"):
        await _request(world, invoice, 26_501)
    await _request(world, invoice, 0, "my-refund-2")
    await world.run_jobs()
    assert world.bank.balance() == 10_000


async def test_the_same_wish_is_one_refund_and_another_body_is_refused(world: BillingWorld) -> None:
    invoice = await _paid(world)
    first = await _request(world, invoice, 1_000)
    await world.run_jobs()
    again = await _request(world, invoice, 1_000)
    assert [refund.refund_id for refund in again.refunds] == [refund.refund_id for refund in first.refunds]
    assert [refund.state for refund in again.refunds] == [RefundState.SUCCEEDED]
    for minor, note in ((2_000, ""), (1_000, "x"), (0, "")):
        with pytest.raises(Refusal, match="IDEMPOTENCY_MISMATCH"):
            await _request(world, invoice, minor, note=note)
    assert world.bank.balance() == 10_900


async def test_many_refunds_at_once_never_give_back_more_than_was_paid(
    world: BillingWorld, second_server: BillingWorld
) -> None:
    invoice = await _paid(world)

    async def ask(number: int) -> str:
        server = (world, second_server)[number % 2]
        try:
            if number % 4 == 3:
                async with server.database.transaction() as uow:
                    order = CreditOrder(invoice.invoice_id, 3_000, CreditTo.BALANCE, CreditReason.GOODWILL)
                    await server.service.credit(uow, invoice.content.org_id, order)
            else:
                await _request(server, invoice, 3_000, f"my-refund-{number}")
        except Refusal as refusal:
            return refusal.reason
        return "GIVEN"

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(number)) for number in range(AT_ONCE)]
    outcomes = [task.result() for task in tasks]
    assert outcomes.count("GIVEN") == 3
    assert set(outcomes) == {"GIVEN", "MORE_THAN_PAID"}
    await world.run_jobs()
    after = await world.invoice(invoice.content.org_id, invoice.invoice_id)
    assert after.settlement.returned == 9_000
    books = await world.books(invoice.content.org_id)
    # Both are the customer's: the balance is money that we still have.
    assert books[Account.CASH] + books.get(Account.CREDIT_BALANCE, 0) == 11_900 - 9_000
    assert world.bank.balance() == books[Account.CASH]


@pytest.mark.parametrize("fault", [Fault.DONE_THEN_LOST, Fault.DONE_THEN_500, Fault.LOST, Fault.BUSY_429])
async def test_every_fault_during_a_refund_gives_back_once(world: BillingWorld, fault: Fault) -> None:
    invoice = await _paid(world)
    await _request(world, invoice)
    world.bank.fail_next("refund", fault)
    await world.run_jobs()
    assert [refund.state for refund in await _refunds(world, invoice.content.org_id)] == [RefundState.APPROVED]
    await world.advance(timedelta(hours=1))
    assert [refund.state for refund in await _refunds(world, invoice.content.org_id)] == [RefundState.SUCCEEDED]
    assert (len(world.bank.refunds), world.bank.balance()) == (1, 0)


async def test_a_refund_that_cannot_go_back_becomes_the_customers_balance(world: BillingWorld) -> None:
    invoice = await _paid(world)
    org_id = invoice.content.org_id
    await _request(world, invoice)
    intent = world.bank.captured()[0]
    intent["status"] = "canceled"
    await world.run_jobs()
    (refund,) = await _refunds(world, org_id)
    assert (refund.state, refund.failure_code) == (RefundState.FAILED, "payment_intent_unexpected_state")
    async with world.database.reading() as connection:
        assert (await world.service.balance(connection, org_id, "EUR")).minor == 11_900
    second = await world.issue(world.draft(org_id))
    assert second.state is InvoiceState.PAID


async def test_what_the_balance_paid_returns_to_the_balance(world: BillingWorld) -> None:
    first = await _paid(world)
    org_id = first.content.org_id
    async with world.database.transaction() as uow:
        order = CreditOrder(first.invoice_id, 5_000, CreditTo.BALANCE, CreditReason.GOODWILL)
        await world.service.credit(uow, org_id, order)
    second = await world.issue(world.draft(org_id))
    await world.service.pay(org_id, second.invoice_id)
    answer = await _request(world, second)
    assert [refund.amount.minor for refund in answer.refunds] == [6_900]
    assert answer.to_balance == Money(5_000, "EUR")
    await world.run_jobs()
    async with world.database.reading() as connection:
        assert (await world.service.balance(connection, org_id, "EUR")).minor == 5_000


async def test_a_transfer_is_given_back_by_a_person_who_says_so(world: BillingWorld) -> None:
    org_id = await world.organisation()
    invoice = await world.issue(world.draft(org_id))
    async with world.database.transaction() as uow:
        transfer = Transfer("bank-1", Money(11_900, "EUR"))
        await world.service.record_transfer(uow, org_id, invoice.invoice_id, transfer)
    answer = await _request(world, invoice)
    (refund,) = answer.refunds
    await world.run_jobs()
    await world.advance(3 * DAY)
    assert [each.state for each in await _refunds(world, org_id)] == [RefundState.SUBMITTED]
    confirmed = await world.service.confirm_refund(org_id, refund.refund_id, "bank-out-1")
    assert confirmed.state is RefundState.SUCCEEDED
    assert await world.service.confirm_refund(org_id, refund.refund_id, "bank-out-1") == confirmed
    await world.advance(DAY)
    assert await world.books(org_id) == {}


async def test_what_a_shop_sold_the_shop_gives_back(world: BillingWorld) -> None:
    org_id = await world.organisation()
    invoice = await world.issue(replace(world.draft(org_id), sold_by=SoldBy.APP_STORE))
    with pytest.raises(Refusal, match="REFUND_NOT_ELIGIBLE") as refused:
        await _request(world, invoice)
    assert refused.value.facts["refund_reason"] == "SOLD_BY_OTHERS"


async def test_other_organisations_invoices_are_not_refunded(world: BillingWorld) -> None:
    invoice = await _paid(world)
    other = await world.organisation("Somebody else")
    with pytest.raises(Refusal, match="INVOICE_UNKNOWN"):
        await world.billing.desk.request(other, RefundWish(invoice.invoice_id, None, "", "my-refund-1"))
    with pytest.raises(Refusal, match="REFUND_UNKNOWN"):
        await world.service.confirm_refund(other, "rfd_1", "x")
    assert world.bank.balance() == 11_900


@pytest.mark.parametrize(
    ("country", "zone"), [("gb", "UTC"), ("GBR", "UTC"), ("GB", "Moon/Base"), ("GB", "../etc/passwd")]
)
async def test_a_place_that_is_none_is_refused(world: BillingWorld, country: str, zone: str) -> None:
    org_id = await world.organisation()
    with pytest.raises(Refusal, match="INVALID_REQUEST"):
        async with world.database.transaction() as uow:
            await world.service.set_place(uow, org_id, country=country, time_zone=zone)


async def test_nobody_sends_by_hand_what_the_provider_sends(world: BillingWorld) -> None:
    invoice = await _paid(world)
    (refund,) = (await _request(world, invoice)).refunds
    with pytest.raises(Refusal, match="REFUND_BY_PROVIDER"):
        await world.service.confirm_refund(invoice.content.org_id, refund.refund_id, "bank-out-1")
    await world.run_jobs()
    assert world.bank.balance() == 0
