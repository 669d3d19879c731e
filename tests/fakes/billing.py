"""Billing without the network: the real services on a real database, Stripe's own library on a fake bank."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.passwords import Argon2Passwords
from controlplane.accounts.service import AccountService
from controlplane.app import Clocks, Commerce, Ground, build_billing
from controlplane.billing.attempts import Payment
from controlplane.billing.calculation import ListPrice, TaxOn
from controlplane.billing.document import Party
from controlplane.billing.ledger import Account
from controlplane.billing.model import (
    BilledPeriod,
    Invoice,
    InvoiceDraft,
    Line,
    LineKind,
    Occasion,
    Sold,
)
from controlplane.billing.money import Money
from controlplane.billing.ports import Announcement, PaymentProvider
from controlplane.billing.tables import journal
from controlplane.job_handlers import billing_jobs
from controlplane.runtime.jobs.runner import JobRunner
from controlplane.runtime.paging import Page
from controlplane.runtime.randomness import SystemRandomness
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.storage.database import Database, UnitOfWork
from tests.fakes.clock import FakeClock
from tests.fakes.jobs import pass_time
from tests.fakes.migrated import migrated_sqlite
from tests.fakes.payment_provider.bank import FakeBank
from tests.fakes.payment_provider.transport import fake_stripe
from tests.fakes.world import CHEAP

YEAR = timedelta(days=365)
VAT = 190_000
SELLER = Party("Example Security GmbH", ("Some street 1", "10115 Berlin"))
EVERYTHING = Page(500)


class Announced:
    """A gate that knows of every notice, until it is told otherwise."""

    def __init__(self) -> None:
        self.answer = True

    async def announced(self, connection: AsyncConnection, invoice: Invoice, now: datetime) -> Announcement | None:
        return Announcement(invoice.content.org_id, "ntc_any", invoice.due, now) if self.answer else None


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.paid: list[str] = []
        self.failed: list[tuple[str, str]] = []
        self.refunded: list[tuple[str, Money]] = []

    async def invoice_paid(self, uow: UnitOfWork, invoice: Invoice) -> None:
        self.paid.append(invoice.invoice_id)

    async def payment_failed(self, uow: UnitOfWork, invoice: Invoice, payment: Payment) -> None:
        self.failed.append((invoice.invoice_id, payment.failure_kind.value))

    async def invoice_refunded(self, uow: UnitOfWork, invoice: Invoice, amount: Money) -> None:
        self.refunded.append((invoice.invoice_id, amount))


class BillingWorld:
    """Everything built once, as `app.py` does.

    Args:
        database: Migrated.
        bank: Shared by the worlds of one test; None: one of its own.
        clock: Shared likewise.
        provider: None: Stripe's adapter on the bank, without a network.
    """

    def __init__(
        self,
        database: Database,
        bank: FakeBank | None = None,
        clock: FakeClock | None = None,
        provider: PaymentProvider | None = None,
    ) -> None:
        self.database = database
        self.times = TenantTimes(database)
        self.clock = clock or FakeClock()
        self.bank = bank or FakeBank(self.clock)
        self.gate = Announced()
        self.heard = Heard()
        randomness = SystemRandomness()
        audit = AuditLog(self.clock, randomness)
        self.accounts = AccountService(
            wall=self.clock, randomness=randomness, passwords=Argon2Passwords(CHEAP), audit=audit
        )
        self.provider = provider or fake_stripe(self.bank)
        self.billing = build_billing(
            Ground(database, Clocks(self.clock, self.clock), randomness, audit),
            accounts=self.accounts,
            commerce=Commerce(SELLER, self.provider),
            gate=self.gate,
        )
        self.billing.listeners.append(self.heard)
        self.service, self.payments = self.billing.service, self.billing.payments
        self.runner = JobRunner(
            database=database,
            wall=self.clock,
            owner="srv_test",
            handlers=billing_jobs(self.billing),
            times=self.times,
        )
        self._subscriptions = count(1)
        self._cards = count(1)

    async def organisation(self, name: str = "Some household") -> str:
        async with self.database.transaction() as uow:
            return (await self.accounts.create_organisation(uow, name=name)).org_id

    async def customer(self, card: str = "pm_good") -> str:
        """An organisation with a payment method."""
        org_id = await self.organisation()
        await self.billing.wallet.add(org_id, f"{card}-{next(self._cards)}", "first-card")
        return org_id

    def draft(
        self,
        org_id: str,
        *,
        price: int = 10_000,
        currency: str = "EUR",
        subscription_id: str = "",
        start: datetime | None = None,
        tax: int = VAT,
        occasion: Occasion = Occasion.INITIAL,
        term: str = "yearly",
    ) -> InvoiceDraft:
        """A year, or a month of 30 days, of one plan; a subscription of its own unless one is named."""
        begins = start or self.clock.now()
        length = YEAR if term == "yearly" else timedelta(days=30)
        period = BilledPeriod(subscription_id or f"sub_{next(self._subscriptions)}", begins, begins + length)
        lines = [
            Line(
                kind=LineKind.RECURRING,
                description="Home 3",
                calculation=ListPrice(price),
                period=period,
                sold=Sold("home-3", "Home 3", 1, term, occasion),
            )
        ]
        if tax:
            lines.append(Line(kind=LineKind.TAX, description="VAT", calculation=TaxOn(price, tax)))
        return InvoiceDraft(org_id=org_id, currency=currency, lines=tuple(lines), due_at=begins)

    async def issue(self, draft: InvoiceDraft) -> Invoice:
        async with self.database.transaction() as uow:
            return await self.service.issue(uow, draft)

    async def invoice(self, org_id: str, invoice_id: str) -> Invoice:
        async with self.database.reading() as connection:
            return (await self.service.get(connection, org_id, invoice_id)).invoice

    async def payments_of(self, org_id: str, invoice_id: str) -> tuple[Payment, ...]:
        async with self.database.reading() as connection:
            return (await self.service.get(connection, org_id, invoice_id)).payments

    async def collect(self, invoice: Invoice) -> None:
        """Have the job collect it now."""
        async with self.database.transaction() as uow:
            await self.service.collect(
                uow, org_id=invoice.content.org_id, invoice_id=invoice.invoice_id, at=self.clock.now()
            )
        await self.run_jobs()

    async def run_jobs(self) -> None:
        report = await self.runner.run_until(self.clock.now())
        assert report.failed == 0

    async def advance(self, span: timedelta) -> None:
        report = await pass_time(self.runner, self.clock, self.clock.now() + span)
        assert report.failed == 0

    async def books(self, org_id: str, currency: str = "EUR") -> dict[Account, int]:
        """Balances that are not zero; checks that together they are."""
        async with self.database.reading() as connection:
            found = await account_balances(connection, org_id)
        mine = {account: amount for (account, code), amount in found.items() if code == currency and amount}
        assert sum(mine.values()) == 0
        return mine


async def account_balances(connection: AsyncConnection, org_id: str) -> dict[tuple[Account, str], int]:
    """Debits less credits, per account and currency; accounts that were never used are missing."""
    result: dict[tuple[Account, str], int] = {}
    for side, sign in ((journal.c.debit, 1), (journal.c.credit, -1)):
        rows = await connection.execute(
            select(side, journal.c.currency, func.sum(journal.c.amount))
            .where(journal.c.org_id == org_id)
            .group_by(side, journal.c.currency)
        )
        for account, currency, amount in rows:
            key = (Account(account), currency)
            # PostgreSQL sums a BIGINT as NUMERIC.
            result[key] = result.get(key, 0) + sign * int(amount)
    return result


@asynccontextmanager
async def billing_on_sqlite(folder: Path) -> AsyncIterator[BillingWorld]:
    """A world on a fresh SQLite database."""
    database = Database(await migrated_sqlite(folder / "server.db"))
    try:
        yield BillingWorld(database)
    finally:
        await database.close()
