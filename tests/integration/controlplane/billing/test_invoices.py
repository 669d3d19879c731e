"""Invoices on both databases: numbers, the chain, what may never change, what may never happen twice."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError

from controlplane.billing import payment_rows
from controlplane.billing.calculation import Fixed, ListPrice, Prorated
from controlplane.billing.invoices.account import change_balance, changed_documents
from controlplane.billing.invoices.invoicing import CreditOrder
from controlplane.billing.ledger import Account
from controlplane.billing.model import (
    BilledPeriod,
    CreditReason,
    CreditTo,
    Invoice,
    InvoiceDraft,
    InvoiceState,
    Line,
    LineKind,
    LiveLine,
    Occasion,
    Sold,
)
from controlplane.billing.tables import (
    billing_documents,
    credit_notes,
    invoice_lines,
    invoices,
    journal,
)
from controlplane.runtime.refusal import Refusal
from tests.fakes.billing import EVERYTHING, BillingWorld

AT_ONCE = 24


async def _refused(world: BillingWorld, draft: InvoiceDraft) -> str:
    with pytest.raises(Refusal) as refused:
        await world.issue(draft)
    return refused.value.reason


async def test_an_invoice_gets_a_number_a_hash_and_its_place_in_the_books(world: BillingWorld) -> None:
    org_id = await world.organisation()
    invoice = await world.issue(world.draft(org_id))
    assert (invoice.state, invoice.due.minor, invoice.settlement.tax) == (InvoiceState.FINALISED, 11_900, 1_900)
    assert invoice.number.startswith("INV-")
    assert invoice.number.endswith("-00001")
    assert len(invoice.document_sha256) == 32
    assert await world.invoice(org_id, invoice.number) == invoice
    assert await world.books(org_id) == {
        Account.RECEIVABLE: 11_900,
        Account.DEFERRED_REVENUE: -10_000,
        Account.TAX: -1_900,
    }


async def test_numbers_have_no_gaps_however_many_are_written_at_once_and_whoever_fails(world: BillingWorld) -> None:
    org_id = await world.organisation()
    other = await world.organisation("Somebody else")

    async def write(number: int) -> Invoice | None:
        draft = world.draft(other if number % 5 == 4 else org_id)
        async with world.database.transaction() as uow:
            invoice = await world.service.issue(uow, draft)
            if number % 3 == 2:
                await uow.connection.rollback()
                return None
            return invoice

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(write(number)) for number in range(AT_ONCE)]
    written = [task.result() for task in tasks]
    for owner in (org_id, other):
        numbers = sorted(each.number for each in written if each is not None and each.content.org_id == owner)
        assert [number[-5:] for number in numbers] == [f"{place:05d}" for place in range(1, len(numbers) + 1)]
        assert len({number[:10] for number in numbers}) == 1
    async with world.database.reading() as connection:
        assert await changed_documents(connection) == []


async def test_what_went_out_cannot_be_changed_or_deleted(world: BillingWorld) -> None:
    org_id = await world.customer()
    invoice = await world.issue(world.draft(org_id))
    await world.service.pay(org_id, invoice.invoice_id)
    async with world.database.transaction() as uow:
        await world.service.credit(
            uow, org_id, CreditOrder(invoice.invoice_id, 100, CreditTo.BALANCE, CreditReason.GOODWILL)
        )
    tampering = [
        update(invoices).values(total=1),
        update(invoices).values(content="{}"),
        update(invoices).values(number="INV-X-1"),
        delete(invoices),
        update(billing_documents).values(content=b"{}"),
        delete(billing_documents),
        update(invoice_lines).values(amount=1),
        delete(invoice_lines),
        update(credit_notes).values(amount=1),
        update(journal).values(amount=1),
        delete(journal),
    ]
    for statement in tampering:
        with pytest.raises(DBAPIError):
            async with world.database.transaction() as uow:
                await uow.connection.execute(statement)
    assert (await world.invoice(org_id, invoice.invoice_id)).content == invoice.content


async def test_more_settled_than_owed_or_returned_than_paid_cannot_be_written(world: BillingWorld) -> None:
    org_id = await world.customer()
    invoice = await world.issue(world.draft(org_id))
    await world.service.pay(org_id, invoice.invoice_id)
    for values in ({"paid": 11_901}, {"returned": 11_901}, {"forgiven": 1}, {"paid": -1}):
        with pytest.raises(DBAPIError):
            async with world.database.transaction() as uow:
                await uow.connection.execute(update(invoices).values(**values))
    assert (await world.invoice(org_id, invoice.invoice_id)).settlement.paid == 11_900


async def test_a_charge_of_the_provider_is_counted_once(world: BillingWorld) -> None:
    org_id = await world.customer()
    invoice = await world.issue(world.draft(org_id))
    await world.service.pay(org_id, invoice.invoice_id)
    (payment,) = await world.payments_of(org_id, invoice.invoice_id)
    copy = replace(payment, payment_id="pay_copy", attempt_no=2)

    async def write_twice() -> None:
        async with world.database.transaction() as uow:
            await payment_rows.add(uow, copy)

    with pytest.raises(DBAPIError):
        await write_twice()
    assert await world.payments_of(org_id, invoice.invoice_id) == (payment,)


async def test_a_period_is_invoiced_once_until_its_invoice_is_void(world: BillingWorld) -> None:
    org_id = await world.organisation()
    draft = world.draft(org_id, subscription_id="sub_x")
    first = await world.issue(draft)
    assert await _refused(world, draft) == "PERIOD_BILLED"
    async with world.database.transaction() as uow:
        await world.service.void(uow, org_id, first.invoice_id, "written by mistake")
    second = await world.issue(draft)
    assert second.number.endswith("-00002")
    assert (await world.invoice(org_id, first.invoice_id)).due.minor == 0
    assert (await world.books(org_id))[Account.RECEIVABLE] == 11_900


async def test_the_same_period_many_times_at_once_is_invoiced_once(world: BillingWorld) -> None:
    org_id = await world.organisation()
    draft = world.draft(org_id, subscription_id="sub_x")

    async def write() -> str:
        try:
            return (await world.issue(draft)).number[-5:]
        except Refusal as refusal:
            return refusal.reason

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(write()) for _ in range(AT_ONCE)]
    outcomes = [task.result() for task in tasks]
    assert sorted(set(outcomes)) == ["00001", "PERIOD_BILLED"]
    assert outcomes.count("00001") == 1


async def test_a_paid_invoice_cannot_become_void(world: BillingWorld) -> None:
    org_id = await world.customer()
    invoice = await world.issue(world.draft(org_id))
    await world.service.pay(org_id, invoice.invoice_id)
    with pytest.raises(Refusal) as refused:
        async with world.database.transaction() as uow:
            await world.service.void(uow, org_id, invoice.invoice_id, "no")
    assert refused.value.reason == "INVOICE_STATE"


async def test_a_changed_document_is_found_even_without_the_triggers(world: BillingWorld) -> None:
    org_id = await world.organisation()
    for _ in range(3):
        await world.issue(world.draft(org_id))
    # What is left of PostgreSQL's triggers afterwards is for the next test.
    without, with_again = (
        [f"ALTER TABLE billing_documents {what} TRIGGER billing_documents_only_grows" for what in ("DISABLE", "ENABLE")]
        if world.database.url.startswith("postgresql")
        else ["DROP TRIGGER billing_documents_no_update", "SELECT 1"]
    )
    async with world.database.transaction() as uow:
        await uow.connection.exec_driver_sql(without)
        await uow.connection.execute(
            update(billing_documents).where(billing_documents.c.chain_no == 2).values(content=b"{}")
        )
        await uow.connection.exec_driver_sql(with_again)
    async with world.database.reading() as connection:
        (number,) = await changed_documents(connection)
    assert number.endswith("-00002")


async def test_the_document_stays_the_same_when_the_customer_is_renamed(world: BillingWorld) -> None:
    org_id = await world.organisation("Before")
    invoice = await world.issue(world.draft(org_id))
    async with world.database.reading() as connection:
        before = await world.service.document(connection, org_id, invoice.invoice_id)
    async with world.database.transaction() as uow:
        await uow.connection.exec_driver_sql("UPDATE organisations SET name = 'After'")
    async with world.database.reading() as connection:
        document, content, sha256 = await world.service.document(connection, org_id, invoice.invoice_id)
    assert (document, content, sha256) == before
    assert document.bill_to.name == "Before"


async def test_the_balance_pays_the_next_invoice_and_void_gives_it_back(world: BillingWorld) -> None:
    org_id = await world.customer()
    first = await world.issue(world.draft(org_id))
    await world.service.pay(org_id, first.invoice_id)
    async with world.database.transaction() as uow:
        order = CreditOrder(first.invoice_id, 5_000, CreditTo.BALANCE, CreditReason.GOODWILL, "sorry")
        note = await world.service.credit(uow, org_id, order)
    assert (note.amount.minor, note.tax.minor, note.number[-5:]) == (5_000, 798, "00001")
    second = await world.issue(world.draft(org_id))
    assert second.due.minor == 11_900 - 5_000
    third = await world.issue(world.draft(org_id, price=0, tax=0))
    assert third.state is InvoiceState.PAID
    assert world.heard.paid == [first.invoice_id, third.invoice_id]
    async with world.database.transaction() as uow:
        await world.service.void(uow, org_id, second.invoice_id, "not wanted")
    async with world.database.reading() as connection:
        assert (await world.service.balance(connection, org_id, "EUR")).minor == 5_000
        assert await changed_documents(connection) == []
    assert (await world.books(org_id))[Account.CREDIT_BALANCE] == -5_000


async def test_the_balance_never_goes_below_nothing(world: BillingWorld) -> None:
    org_id = await world.organisation()
    with pytest.raises(Refusal) as refused:
        async with world.database.transaction() as uow:
            await change_balance(uow, org_id, "EUR", -1)
    assert refused.value.reason == "BALANCE_TOO_LOW"


async def test_an_open_invoice_can_be_forgiven_but_not_more_than_is_due(world: BillingWorld) -> None:
    org_id = await world.organisation()
    invoice = await world.issue(world.draft(org_id))

    async def forgive(amount: int) -> None:
        async with world.database.transaction() as uow:
            order = CreditOrder(invoice.invoice_id, amount, CreditTo.INVOICE, CreditReason.BILLING_ERROR)
            await world.service.credit(uow, org_id, order)

    with pytest.raises(Refusal, match="MORE_THAN_PAID"):
        await forgive(11_901)
    await forgive(4_000)
    await forgive(7_900)
    assert (await world.invoice(org_id, invoice.invoice_id)).state is InvoiceState.PAID
    with pytest.raises(Refusal, match="INVOICE_STATE"):
        await forgive(1)
    assert await world.books(org_id) == {}


async def test_what_was_given_up_can_still_be_paid_by_bank(world: BillingWorld) -> None:
    org_id = await world.organisation()
    invoice = await world.issue(world.draft(org_id))
    async with world.database.transaction() as uow:
        await world.service.give_up(uow, org_id, invoice.invoice_id)
    assert (await world.books(org_id))[Account.BAD_DEBT] == 11_900
    assert (await world.invoice(org_id, invoice.invoice_id)).state is InvoiceState.UNCOLLECTIBLE


# ---------------------------------------------------------------- changes of plan within a period


async def _live(world: BillingWorld, org_id: str, subscription_id: str) -> list[LiveLine]:
    async with world.database.reading() as connection:
        return list(
            await world.service.live_lines(
                connection, org_id=org_id, subscription_id=subscription_id, at=world.clock.now()
            )
        )


def _change(world: BillingWorld, org_id: str, live: LiveLine, *, left: int, price: int) -> InvoiceDraft:
    """An upgrade with so many days of 365 left."""
    assert live.line.period is not None
    whole = (live.line.period.end - live.line.period.start).days
    rest = BilledPeriod(live.line.period.subscription_id, world.clock.now(), live.line.period.end)
    sold = Sold("home-10", "Home 10", 1, "yearly", Occasion.CHANGE)
    return InvoiceDraft(
        org_id=org_id,
        currency="EUR",
        due_at=world.clock.now(),
        lines=(
            Line(
                kind=LineKind.PRORATION_CREDIT,
                description="Unused time",
                calculation=Prorated(live.creditable, left, whole, credit=True),
                source=live.ref,
            ),
            Line(
                kind=LineKind.PRORATION_CHARGE,
                description="Home 10 for the rest of the year",
                calculation=Prorated(price, left, 365),
                period=rest,
                sold=sold,
            ),
        ),
    )


async def test_an_upgrade_charges_the_difference_to_the_cent(world: BillingWorld) -> None:
    org_id = await world.customer()
    first = await world.issue(world.draft(org_id, price=4_999, tax=0, subscription_id="sub_x"))
    await world.service.pay(org_id, first.invoice_id)
    world.clock.advance(timedelta(days=120))
    (live,) = await _live(world, org_id, "sub_x")
    assert (live.paid, live.credited) == (4_999, 0)
    upgrade = await world.issue(_change(world, org_id, live, left=245, price=9_999))
    assert [line.amount for line in upgrade.content.lines] == [-3_355, 6_712]
    assert upgrade.due.minor == 3_357


async def test_several_upgrades_in_one_period_never_give_back_more_than_was_paid(world: BillingWorld) -> None:
    org_id = await world.customer()
    first = await world.issue(world.draft(org_id, price=4_999, tax=0, subscription_id="sub_x"))
    await world.service.pay(org_id, first.invoice_id)
    world.clock.advance(timedelta(days=120))
    (live,) = await _live(world, org_id, "sub_x")
    draft = _change(world, org_id, live, left=245, price=9_999)
    second = await world.issue(draft)
    with pytest.raises(Refusal, match="MORE_THAN_PAID"):
        await world.issue(draft)
    lines = await _live(world, org_id, "sub_x")
    assert [(each.paid, each.credited) for each in lines] == [(4_999, 3_355), (0, 0)]
    unpaid = _change(world, org_id, replace(lines[1], paid=6_712), left=200, price=14_999)
    with pytest.raises(Refusal, match="PERIOD_UNPAID"):
        await world.issue(unpaid)
    await world.service.pay(org_id, second.invoice_id)
    # Together exactly what was paid: 49.99 for the year and 33.57 for the change, which took 33.55 along.
    assert [each.creditable for each in await _live(world, org_id, "sub_x")] == [1_644, 6_712]


async def test_an_undone_upgrade_makes_the_old_line_worth_what_it_was(world: BillingWorld) -> None:
    org_id = await world.customer()
    first = await world.issue(world.draft(org_id, price=4_999, subscription_id="sub_x"))
    await world.service.pay(org_id, first.invoice_id)
    world.clock.advance(timedelta(days=120))
    (before,) = await _live(world, org_id, "sub_x")
    upgrade = await world.issue(_change(world, org_id, before, left=245, price=9_999))
    assert (await world.invoice(org_id, first.invoice_id)).settlement.returned == 3_993
    async with world.database.transaction() as uow:
        await world.service.void(uow, org_id, upgrade.invoice_id, "undone")
    (after,) = await _live(world, org_id, "sub_x")
    assert after == before
    assert (await world.invoice(org_id, first.invoice_id)).settlement.returned == 0


async def test_a_refund_of_the_whole_invoice_leaves_nothing_to_credit(world: BillingWorld) -> None:
    org_id = await world.customer()
    first = await world.issue(world.draft(org_id, price=4_999, subscription_id="sub_x"))
    await world.service.pay(org_id, first.invoice_id)
    async with world.database.transaction() as uow:
        paid = first.content.total
        await world.billing.refunds.approve(uow, org_id, first.invoice_id, paid, reason=CreditReason.REFUND)
    (live,) = await _live(world, org_id, "sub_x")
    assert live.creditable == 0


async def test_drafts_wait_without_a_number_and_can_be_forgotten(world: BillingWorld) -> None:
    org_id = await world.organisation()
    async with world.database.transaction() as uow:
        kept = await world.service.draft(uow, world.draft(org_id))
        forgotten = await world.service.draft(uow, world.draft(org_id))
    assert (kept.state, kept.number) == (InvoiceState.DRAFT, "")
    async with world.database.transaction() as uow:
        await world.service.discard(uow, org_id, forgotten.invoice_id)
        final = await world.service.finalise(uow, org_id, kept.invoice_id)
    with pytest.raises(Refusal, match="INVOICE_STATE"):
        async with world.database.transaction() as uow:
            await world.service.finalise(uow, org_id, kept.invoice_id)
    with pytest.raises(Refusal, match="INVOICE_UNKNOWN"):
        async with world.database.transaction() as uow:
            await world.service.discard(uow, org_id, final.invoice_id)
    async with world.database.reading() as connection:
        assert [each.invoice_id for each in await world.service.invoices(connection, org_id, EVERYTHING)] == [
            kept.invoice_id
        ]


async def test_a_draft_that_asks_for_less_than_nothing_is_refused(world: BillingWorld) -> None:
    org_id = await world.organisation()
    discount = Line(kind=LineKind.DISCOUNT, description="Too much", calculation=Fixed(-20_000, "of a mistake"))
    draft = world.draft(org_id)
    assert await _refused(world, replace(draft, lines=(*draft.lines, discount))) == "INVOICE_NEGATIVE"
    assert await _refused(world, replace(draft, lines=())) == "DRAFT_INVALID"
    twice = replace(draft, lines=(draft.lines[0], replace(draft.lines[0], calculation=ListPrice(1))))
    assert await _refused(world, twice) == "DRAFT_INVALID"


async def test_other_organisations_invoices_do_not_exist(world: BillingWorld) -> None:
    org_id, other = await world.organisation(), await world.organisation("Somebody else")
    invoice = await world.issue(world.draft(org_id))
    for named in (invoice.invoice_id, invoice.number):
        with pytest.raises(Refusal, match="INVOICE_UNKNOWN"):
            await world.invoice(other, named)
