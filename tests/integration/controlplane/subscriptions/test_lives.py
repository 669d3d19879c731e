import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from controlplane.billing.attempts import PaymentState
from controlplane.billing.model import CreditReason, InvoiceState
from controlplane.billing.tables import payments
from controlplane.catalog.model import AccessLevel, Term
from controlplane.notices.model import NoticeKind, NoticeState
from controlplane.runtime.clock import running_ahead
from controlplane.runtime.refusal import Refusal
from controlplane.subscriptions.model import AccessReason, Billing, Renewal, Subscription
from controlplane.subscriptions.retail import RetailTerm
from tests.fakes.lives import EVERYTHING, LARGE, SMALL, LivesWorld
from tests.fakes.payment_provider.bank import Fault

DAY = timedelta(days=1)
TEN = replace(LARGE, plan_id="home-10", name="Home 10", devices=10, prices={Term.YEARLY: {"EUR": 14999}})


async def kinds(world: LivesWorld, subscription: Subscription) -> list[NoticeKind]:
    return [notice.kind for notice in await world.told(subscription)]


async def paid(world: LivesWorld, subscription: Subscription) -> list[int]:
    invoices = await world.invoices(subscription)
    return [each.content.total.minor for each in invoices if each.state is InvoiceState.PAID]


async def test_a_year_is_charged_on_its_day_after_a_notice_of_exactly_that(world: LivesWorld) -> None:
    customer = await world.customer()
    end = customer.period_end
    await world.advance_to(end - 28 * DAY)
    (renewal,) = await world.told(customer)
    assert (renewal.kind, renewal.state) == (NoticeKind.RENEWAL, NoticeState.DELIVERED)
    assert renewal.announced is not None
    assert "49.99 EUR" in renewal.rendered.subject
    await world.advance_to(end - timedelta(seconds=1))
    assert await paid(world, customer) == [4999]
    await world.advance_to(end)
    assert await paid(world, customer) == [4999, 4999]
    assert (await world.look(customer)).period_end == end.replace(year=end.year + 1)
    assert (await world.state(customer)).access.level is AccessLevel.FULL


async def test_without_a_delivered_notice_nothing_is_charged_and_nothing_is_switched_off(world: LivesWorld) -> None:
    customer = await world.customer()
    end = customer.period_end
    await world.advance_to(end - 40 * DAY)
    world.mail.away = True
    await world.advance_to(end + 5 * DAY)
    world.mail.away = False
    for day in range(5, 60):
        await world.advance_to(end + day * DAY)
        assert (await world.state(customer)).access.level in {AccessLevel.FULL, AccessLevel.GRACE}
    assert await paid(world, customer) == [4999, 4999]
    assert NoticeState.FAILED in {notice.state for notice in await world.told(customer)}
    assert (await world.look(customer)).period_end == end.replace(year=end.year + 1)


async def test_the_schema_refuses_an_automatic_charge_without_its_notice(world: LivesWorld) -> None:
    customer = await world.customer()
    await world.advance_to(customer.period_end + DAY)
    async with world.database.reading() as connection:
        row = (await connection.execute(select(payments).where(payments.c.automatic))).mappings().one()
    assert row["announced_by"].endswith(f"/{row['currency']}/{row['amount']}")
    for wrong in (None, row["announced_by"].replace("/4999", "/4998"), "org/ntc/EUR/4999"):
        values = {**row, "payment_id": "pay_x", "attempt_no": 9, "idempotency_key": "k", "provider_payment_id": "p"}
        with pytest.raises(IntegrityError):
            async with world.database.transaction() as uow:
                await uow.connection.execute(insert(payments).values(**{**values, "announced_by": wrong}))


async def test_a_soft_decline_is_tried_again_on_published_days_then_access_is_limited(world: LivesWorld) -> None:
    customer = await world.customer(Term.MONTHLY)
    await world.billing.wallet.add(customer.org_id, "pm_no_funds-1", "second-card")
    end = customer.period_end
    await world.advance_to(end)
    assert (await world.look(customer)).billing is Billing.PAST_DUE
    (told,) = [each for each in await world.told(customer) if each.kind is NoticeKind.PAYMENT_FAILED]
    assert f"{end + 2 * DAY:%Y-%m-%d}" in told.rendered.text
    assert f"{end + 14 * DAY:%Y-%m-%d}" in told.rendered.text
    await world.advance_to(end + 14 * DAY - timedelta(seconds=1))
    assert (await world.state(customer)).access.level is AccessLevel.GRACE
    assert (await kinds(world, customer)).count(NoticeKind.PAYMENT_FAILED) == 5
    await world.advance_to(end + 14 * DAY)
    state = await world.state(customer)
    assert (state.access.level, state.access.reason) == (AccessLevel.LIMITED, AccessReason.PAYMENT_FAILED)
    assert (await world.invoices(customer))[-1].state is InvoiceState.VOID


async def test_a_hard_decline_is_not_tried_again_and_a_new_card_pays_at_once(world: LivesWorld) -> None:
    customer = await world.customer(Term.MONTHLY)
    await world.billing.wallet.add(customer.org_id, "pm_lost-1", "second-card")
    end = customer.period_end
    await world.advance_to(end + 5 * DAY)
    assert (await kinds(world, customer)).count(NoticeKind.PAYMENT_FAILED) == 1
    await world.billing.wallet.add(customer.org_id, "pm_good-2", "third-card")
    after = await world.look(customer)
    assert (after.billing, after.period_start) == (Billing.ACTIVE, end)


async def test_off_is_off_at_once_with_a_receipt_and_stays_off(world: LivesWorld) -> None:
    customer = await world.customer()
    await world.desk.set_auto_renew(customer.org_id, "", world.wish(), on=False)
    await world.advance_to(customer.period_end + 20 * DAY)
    assert await paid(world, customer) == [4999]
    assert await kinds(world, customer) == [
        NoticeKind.AUTO_RENEW_OFF,
        NoticeKind.ENDING,
        NoticeKind.ACCESS_CHANGED,
    ]
    back = await world.change(customer)
    assert back.state.access.level is AccessLevel.FULL
    assert back.state.subscription.renewal is Renewal.OFF
    assert back.state.subscription.subscription_id == customer.subscription_id


async def test_cancelling_says_first_what_happens_and_can_be_undone(world: LivesWorld) -> None:
    customer = await world.customer()
    first = await world.desk.cancel(customer.org_id, "", confirmed=False)
    assert not first.cancelled
    assert (await world.look(customer)).renewal is Renewal.AUTO
    assert first.kept_until == customer.period_end + timedelta(days=365)
    await world.desk.cancel(customer.org_id, "", world.wish(), confirmed=True)
    assert (await world.look(customer)).renewal is Renewal.OFF
    undone = await world.desk.undo(customer.org_id, "", world.wish())
    assert undone.subscription.renewal is Renewal.AUTO
    assert undone.subscription.cancelled_at is None


async def test_an_upgrade_is_charged_as_quoted_and_its_undoing_loses_nothing(world: LivesWorld) -> None:
    customer = await world.customer()
    await world.advance(120 * DAY)
    quote = await world.preview(customer, "home-5")
    assert quote.draft is not None
    assert [line.amount for line in quote.draft.lines] == [-3355, 6712]
    upgraded = await world.take(quote)
    assert upgraded.standing is not None
    assert upgraded.standing.invoice.content == quote.draft
    assert upgraded.state.plan.devices == 5
    undone = await world.desk.undo(customer.org_id, "", world.wish())
    assert undone.plan.devices == 3
    async with world.database.reading() as connection:
        assert (await world.billing.service.balance(connection, customer.org_id, "EUR")).minor == 3357
    again = await world.preview(customer, "home-5")
    assert again.draft is not None
    assert [line.amount for line in again.draft.lines] == [-3355, 6712]


async def test_a_second_upgrade_in_a_period_credits_all_that_is_unused(world: LivesWorld) -> None:
    customer = await world.customer()
    await world.publish(2, SMALL, LARGE, TEN)
    await world.advance(120 * DAY)
    await world.change(customer, "home-5")
    again = await world.preview(customer, "home-10")
    assert again.draft is not None
    # 245 of 365 days of 99.99 are unused, half of it paid with what was unused of the plan before.
    assert [line.amount for line in again.draft.lines] == [-6712, 10068]
    await world.take(again)
    assert sum(await paid(world, customer)) == 4999 + 3357 + 3356


async def test_a_downgrade_waits_for_the_end_of_the_term(world: LivesWorld) -> None:
    customer = await world.customer()
    await world.change(customer, "home-5")
    scheduled = await world.change(customer, "home-3")
    assert scheduled.standing is None
    assert scheduled.state.subscription.renewal is Renewal.CHANGE_SCHEDULED
    await world.advance_to(customer.period_end)
    after = await world.state(customer)
    assert (after.plan.plan_id, after.subscription.renewal) == ("home-3", Renewal.AUTO)
    assert (await paid(world, customer))[-1] == 4999


async def test_quotes_expire_are_taken_once_and_know_what_they_were_made_for(world: LivesWorld) -> None:
    customer = await world.customer()
    expired, used, outdated = [await world.preview(customer, "home-5") for _ in range(3)]
    await world.take(used)
    for quote, reason in ((used, "QUOTE_USED"), (outdated, "QUOTE_OUTDATED")):
        with pytest.raises(Refusal) as refused:
            await world.take(quote)
        assert refused.value.reason == reason
    await world.advance(timedelta(minutes=30))
    with pytest.raises(Refusal) as refused:
        await world.take(expired)
    assert refused.value.reason == "QUOTE_EXPIRED"
    assert len(await paid(world, customer)) == 2


async def test_a_declined_upgrade_changes_nothing(world: LivesWorld) -> None:
    customer = await world.customer()
    await world.billing.wallet.add(customer.org_id, "pm_lost-1", "second-card")
    applied = await world.change(customer, "home-5")
    assert applied.state.plan.devices == 3
    assert applied.standing is not None
    assert applied.standing.invoice.state is InvoiceState.VOID


async def test_a_purchase_without_its_first_payment_is_over_after_23_hours(world: LivesWorld) -> None:
    customer = await world.customer(card="")
    assert (await world.state(customer)).access.reason is AccessReason.PURCHASE_INCOMPLETE
    await world.advance(timedelta(hours=23))
    (invoice,) = await world.invoices(customer)
    assert invoice.state is InvoiceState.VOID


async def test_a_trial_is_announced_twice_and_then_charged(world: LivesWorld) -> None:
    customer = await world.customer(trial_days=30)
    assert (await world.state(customer)).access.reason is AccessReason.TRIAL
    await world.advance_to(customer.period_end)
    assert await kinds(world, customer) == [NoticeKind.TRIAL_END, NoticeKind.TRIAL_END]
    assert await paid(world, customer) == [4999]
    assert (await world.look(customer)).billing is Billing.ACTIVE


async def test_an_early_renewal_extends_and_loses_no_day(world: LivesWorld) -> None:
    customer = await world.customer()
    renewed = await world.change(customer)
    assert renewed.state.subscription.period_end == customer.period_end.replace(year=customer.period_end.year + 1)
    assert await paid(world, customer) == [4999, 4999]
    await world.advance_to(customer.period_end)
    assert await paid(world, customer) == [4999, 4999]


async def test_a_quote_that_many_take_at_once_is_charged_once(world: LivesWorld) -> None:
    customer = await world.customer()
    quote = await world.preview(customer, "home-5")
    keys = [world.wish() for _ in range(4)] * 2
    outcomes = await asyncio.gather(
        *(world.quotes.apply(customer.org_id, quote.quote_id, key) for key in keys), return_exceptions=True
    )
    reasons = {each.reason for each in outcomes if isinstance(each, Refusal)}
    assert not [each for each in outcomes if isinstance(each, BaseException) and not isinstance(each, Refusal)]
    assert reasons == {"QUOTE_USED"}
    assert len(world.bank.captured()) == 2
    assert (await world.state(customer)).plan.plan_id == "home-5"


async def test_cancelling_beside_the_renewal_has_exactly_one_outcome(world: LivesWorld) -> None:
    customer = await world.customer()
    await world.advance_to(customer.period_end - timedelta(microseconds=1))
    world.clock.advance(timedelta(microseconds=1))
    cancel = world.desk.cancel(customer.org_id, "", world.wish(), confirmed=True)
    await asyncio.gather(cancel, world.advance(timedelta(0)), return_exceptions=True)
    await world.advance(DAY)
    after, charged = await world.look(customer), await paid(world, customer)
    renewed = after.period_end > customer.period_end
    assert len(charged) == (2 if renewed else 1)
    assert after.open_invoice_id == ""


async def test_another_price_than_was_announced_is_not_charged(world: LivesWorld) -> None:
    customer = await world.customer()
    await world.publish(2, replace(SMALL, prices={Term.YEARLY: {"EUR": 5999}}), LARGE)
    await world.advance_to(customer.period_end - 25 * DAY)
    async with world.database.transaction() as uow:
        await world.lives.selling.reprice(uow, customer.org_id, customer.subscription_id)
    await world.advance_to(customer.period_end)
    assert await paid(world, customer) == [4999, 4999]
    await world.advance_to((await world.look(customer)).period_end)
    assert await paid(world, customer) == [4999, 4999, 5999]


async def test_an_address_that_is_refused_is_seen_and_nothing_is_charged(world: LivesWorld) -> None:
    customer = await world.customer(Term.MONTHLY)
    world.mail.refuses = True
    await world.advance_to(customer.period_end + 3 * DAY)
    assert {notice.state for notice in await world.told(customer)} == {NoticeState.FAILED}
    assert await paid(world, customer) == [499]


async def test_a_refunded_period_ends(world: LivesWorld) -> None:
    customer = await world.customer()
    await world.advance(10 * DAY)
    (invoice,) = await world.invoices(customer)
    async with world.database.transaction() as uow:
        await world.billing.refunds.approve(
            uow, customer.org_id, invoice.invoice_id, invoice.content.total, reason=CreditReason.REFUND
        )
    await world.advance(DAY)
    state = await world.state(customer)
    assert (state.access.level, state.subscription.renewal) == (AccessLevel.LIMITED, Renewal.OFF)


async def extend(world: LivesWorld, customer: Subscription, plan_id: str, reference: str) -> Subscription:
    async with world.database.transaction() as uow:
        bought = RetailTerm(customer.subscription_id, plan_id, Term.YEARLY, reference)
        return (await world.lives.retail.extend(uow, customer.org_id, bought)).subscription


async def test_time_bought_in_a_shop_is_appended_once_and_converted_by_a_shown_sum(world: LivesWorld) -> None:
    customer = await world.customer()
    end = customer.period_end
    for _ in range(2):
        extended = await extend(world, customer, "home-3", "shop-0001")
        assert extended.period_end == end.replace(year=end.year + 1)
    await world.advance(DAY)
    extended = await extend(world, customer, "home-5", "shop-0002")
    # 2028 has a 29 February behind 2 March; a year of Home 5 is worth two of Home 3, nearly.
    days = (end.replace(year=end.year + 2) - end.replace(year=end.year + 1)).days
    assert extended.period_end == end.replace(year=end.year + 1) + days * 9999 // 4999 * DAY
    invoices = await world.invoices(customer)
    assert sorted(each.content.total.minor for each in invoices) == [0, 0, 4999]
    assert extended.anchor_day == extended.period_end.day
    async with world.database.reading() as connection:
        _, why = await world.billing.service.explain(connection, customer.org_id, invoices[-1].invoice_id)
    assert f"{days} × 99.99 EUR / 49.99 EUR = {days * 9999 // 4999} days" in why[0].sentence


async def test_who_ran_out_comes_back_with_time_from_a_shop(world: LivesWorld) -> None:
    customer = await world.customer()
    await world.desk.set_auto_renew(customer.org_id, "", world.wish(), on=False)
    await world.advance_to(customer.period_end + 50 * DAY)
    extended = await extend(world, customer, "home-3", "shop-0001")
    assert extended.period_start == world.clock.now()
    assert (await world.state(customer)).access.level is AccessLevel.FULL


async def test_a_webhook_about_a_sandbox_is_taken_at_the_time_of_the_sandbox(world: LivesWorld) -> None:
    world.makes_sandboxes = True
    customer = await world.customer()
    world.bank.fail_next("charge", Fault.DONE_THEN_LOST)
    world.bank.fail_next("list", Fault.LOST)
    await world.advance_to(customer.period_end)
    with running_ahead(timedelta(0)):
        assert await world.billing.service.take_event(*world.bank.webhook(world.bank.events[-1]))
    async with world.database.reading() as connection:
        renewal, *_ = await world.billing.service.payments(connection, customer.org_id, EVERYTHING)
    assert (renewal.state, renewal.updated_at) == (PaymentState.CAPTURED, customer.period_end)
