"""Whatever is invoiced, paid, credited, refunded, voided and lost, in whatever order: the books agree with the rest.

The real services run on a real database and a fake bank; each sequence has an organisation of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from controlplane.billing.invoices.account import changed_documents
from controlplane.billing.invoices.invoicing import CreditOrder
from controlplane.billing.ledger import Account
from controlplane.billing.model import CreditReason, CreditTo, Invoice, InvoiceState
from controlplane.billing.money import Money
from controlplane.billing.payments import Transfer
from controlplane.billing.refunds.refunds import Refund, RefundState
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database
from tests.fakes.billing import EVERYTHING, BillingWorld, account_balances
from tests.fakes.migrated import migrated_sqlite
from tests.fakes.payment_provider.bank import Fault

CURRENCIES = ("EUR", "JPY", "KWD")
_SMALL = st.integers(min_value=0, max_value=4)
_AMOUNT = st.integers(min_value=1, max_value=15_000).map(lambda tens: tens * 10)
#: In thousandths of the invoice's total; now and then more than there can be.
_SHARE = st.integers(min_value=1, max_value=1_100)
_FAULT = st.sampled_from([None, None, *Fault])
_ISSUE = st.tuples(st.just("issue"), _SMALL, _AMOUNT, st.sampled_from([0, 77_500, 190_000]))

STEPS = st.lists(
    st.one_of(
        _ISSUE,
        st.tuples(st.just("pay"), _SMALL, _FAULT),
        st.tuples(st.just("pay"), _SMALL, st.none()),
        st.tuples(st.just("transfer"), _SMALL, _SHARE),
        st.tuples(st.just("credit"), _SMALL, _SHARE, st.sampled_from([CreditTo.INVOICE, CreditTo.BALANCE])),
        st.tuples(st.just("refund"), _SMALL, _SHARE, _FAULT),
        st.tuples(st.just("void"), _SMALL),
        st.tuples(st.just("give_up"), _SMALL),
        st.tuples(st.just("jobs"), _SMALL),
        st.tuples(st.just("arrive"), _SMALL),
    ),
    min_size=1,
    max_size=12,
)


class Story:
    """One organisation's life; a step that is refused changes nothing."""

    def __init__(self, world: BillingWorld, org_id: str) -> None:
        self.world = world
        self.org_id = org_id
        self.invoices: list[Invoice] = []
        self._transfers = 0

    async def step(self, step: tuple[object, ...]) -> None:
        name, *arguments = step
        does: Callable[..., Awaitable[object]] = getattr(self, str(name))
        with suppress(Refusal):
            await does(*arguments)

    async def issue(self, which: int, amount: int, tax: int) -> None:
        draft = self.world.draft(self.org_id, price=amount, tax=tax, currency=CURRENCIES[which % len(CURRENCIES)])
        self.invoices.append(await self.world.issue(draft))

    async def pay(self, which: int, fault: Fault | None) -> None:
        if fault is not None:
            self.world.bank.fail_next("charge", fault)
        await self.world.service.pay(self.org_id, self._id(which))

    async def transfer(self, which: int, share: int) -> None:
        self._transfers += 1
        transfer = Transfer(f"{self.org_id}-{self._transfers}", Money(self._part(which, share), self._currency(which)))
        async with self.world.database.transaction() as uow:
            await self.world.service.record_transfer(uow, self.org_id, self._id(which), transfer)

    async def credit(self, which: int, share: int, to: CreditTo) -> None:
        async with self.world.database.transaction() as uow:
            order = CreditOrder(self._id(which), self._part(which, share), to, CreditReason.GOODWILL)
            await self.world.service.credit(uow, self.org_id, order)

    async def refund(self, which: int, share: int, fault: Fault | None) -> None:
        if fault is not None:
            self.world.bank.fail_next("refund", fault)
        async with self.world.database.transaction() as uow:
            money = Money(self._part(which, share), self._currency(which))
            await self.world.billing.refunds.approve(
                uow, self.org_id, self._id(which), money, reason=CreditReason.REFUND
            )

    async def void(self, which: int) -> None:
        async with self.world.database.transaction() as uow:
            await self.world.service.void(uow, self.org_id, self._id(which), "a test")

    async def give_up(self, which: int) -> None:
        async with self.world.database.transaction() as uow:
            await self.world.service.give_up(uow, self.org_id, self._id(which))

    async def jobs(self, _which: int) -> None:
        await self.world.run_jobs()

    async def arrive(self, _which: int) -> None:
        self.world.bank.arrive_late()

    def _part(self, which: int, share: int) -> int:
        total = self.invoices[which % len(self.invoices)].settlement.total if self.invoices else 1
        return max(1, total * share // 1_000)

    def _id(self, which: int) -> str:
        return self.invoices[which % len(self.invoices)].invoice_id if self.invoices else "inv_none"

    def _currency(self, which: int) -> str:
        return self.invoices[which % len(self.invoices)].content.currency if self.invoices else "EUR"


async def assert_books_agree(story: Story) -> None:
    world, org_id = story.world, story.org_id
    async with world.database.reading() as connection:
        books = await account_balances(connection, org_id)
        invoices = list(await world.service.invoices(connection, org_id, EVERYTHING))
        payments = await world.service.payments(connection, org_id, EVERYTHING)
        refunds = await world.billing.desk.refunds(connection, org_id, EVERYTHING)
        balances = {code: (await world.service.balance(connection, org_id, code)).minor for code in CURRENCIES}
        assert await changed_documents(connection) == []
    for code in CURRENCIES:
        mine = {account: books.get((account, code), 0) for account in Account}
        assert sum(mine.values()) == 0
        finalised = [each for each in invoices if each.content.currency == code]
        assert mine[Account.RECEIVABLE] == sum(each.due.minor for each in finalised)
        assert mine[Account.CREDIT_BALANCE] == -balances[code] <= 0
        assert mine[Account.REFUNDS_PAYABLE] == -sum(
            each.amount.minor for each in _of(refunds, code) if not _over(each)
        )
        captured = sum(each.applied + each.excess for each in payments if each.amount.currency == code)
        given = sum(each.amount.minor for each in _of(refunds, code) if each.state is RefundState.SUCCEEDED)
        assert mine[Account.CASH] == captured - given
    for payment in payments:
        back = sum(each.amount.minor for each in refunds if each.payment_id == payment.payment_id)
        assert back == payment.refunded <= payment.amount.minor
    numbers = sorted(int(each.number[-5:]) for each in invoices)
    assert numbers == list(range(1, len(invoices) + 1))
    assert all(each.settlement.due == 0 for each in invoices if each.state is InvoiceState.PAID)


def _of(refunds: object, code: str) -> list[Refund]:
    assert isinstance(refunds, list)
    return [each for each in refunds if each.amount.currency == code]


def _over(refund: Refund) -> bool:
    return refund.state in {RefundState.SUCCEEDED, RefundState.FAILED}


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


@contextmanager
def fresh_world(runner: asyncio.Runner, folder: Path) -> Iterator[BillingWorld]:
    """Accounts without a posting, used for many sequences, each with a customer of its own."""
    database = Database(runner.run(migrated_sqlite(folder / "server.db")))
    yield BillingWorld(database)
    runner.run(database.close())


@pytest.fixture(scope="module")
def world(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BillingWorld]:
    with fresh_world(runner, tmp_path_factory.mktemp("books")) as made:
        yield made


def check_life(world: BillingWorld, runner: asyncio.Runner, steps: list[tuple[object, ...]]) -> None:
    async def story() -> None:
        world.bank.forget_faults()
        told = Story(world, await world.customer())
        # Most steps need an invoice.
        for step in (("issue", 0, 10_000, 190_000), *steps):
            await told.step(step)
        await assert_books_agree(told)
        world.bank.forget_faults()
        await world.advance(timedelta(hours=1))
        await world.run_jobs()
        await assert_books_agree(told)

    runner.run(story())


@given(steps=STEPS)
@settings(max_examples=60)
def test_the_books_agree_after_any_sequence(
    world: BillingWorld, runner: asyncio.Runner, steps: list[tuple[object, ...]]
) -> None:
    check_life(world, runner, steps)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("batch", range(20))
def test_a_campaign_of_sequences_leaves_no_unit_unaccounted_for(
    runner: asyncio.Runner, tmp_path: Path, batch: int
) -> None:
    """10,000 in all; one world for all of them would be ever slower, since its sweeps look at every customer."""
    with fresh_world(runner, tmp_path) as fresh:

        @seed(batch)
        @settings(max_examples=500)
        @given(steps=STEPS)
        def campaign(steps: list[tuple[object, ...]]) -> None:
            check_life(fresh, runner, steps)

        campaign()
