"""Lives of customers without the network: the real rooms on a real database, a fake bank, and mails on paper."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.passwords import Argon2Passwords
from controlplane.accounts.service import AccountService
from controlplane.app import Clocks, Commerce, Ground, build_billing, build_lives
from controlplane.billing.model import Invoice
from controlplane.billing.ports import PaymentProvider
from controlplane.catalog.document import Catalog
from controlplane.catalog.model import Plan, Term
from controlplane.catalog.service import CatalogService
from controlplane.job_handlers import billing_jobs, lives_jobs
from controlplane.licensing.allotments import Allotments
from controlplane.notices.mail import MailDelayedError, MailRefusedError
from controlplane.notices.model import Notice
from controlplane.notices.service import NoticeService
from controlplane.runtime.clock import TenantClock, run_ahead
from controlplane.runtime.jobs.runner import JobRunner
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import Role
from controlplane.runtime.randomness import Randomness
from controlplane.runtime.sandbox import SandboxDesk
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.storage.database import Database
from controlplane.subscriptions.model import Subscription
from controlplane.subscriptions.purchases import Quote
from controlplane.subscriptions.quote_desk import Applied, Wish
from controlplane.subscriptions.selling import SaleOrder
from controlplane.subscriptions.service import SubscriptionState
from tests.fakes.billing import SELLER
from tests.fakes.clock import FakeClock
from tests.fakes.jobs import pass_time
from tests.fakes.migrated import migrated_sqlite
from tests.fakes.payment_provider.bank import FakeBank
from tests.fakes.payment_provider.transport import fake_stripe
from tests.fakes.randomness import SeededRandomness
from tests.fakes.subscriptions import PLAN
from tests.fakes.world import CHEAP

SMALL = replace(
    PLAN, plan_id="home-3", name="Home 3", devices=3, prices={Term.YEARLY: {"EUR": 4999}, Term.MONTHLY: {"EUR": 499}}
)
LARGE = replace(
    PLAN, plan_id="home-5", name="Home 5", devices=5, prices={Term.YEARLY: {"EUR": 9999}, Term.MONTHLY: {"EUR": 999}}
)
EVERYTHING = Page(500)


class PaperMail:
    """Honest fake of `notices.mail.Mail`: keeps what it took; can be away, or refuse."""

    def __init__(self) -> None:
        self.taken: list[Notice] = []
        self.away = False
        self.refuses = False

    async def deliver(self, notice: Notice) -> None:
        if self.away:
            raise MailDelayedError("away")
        if self.refuses:
            raise MailRefusedError("recipient_550")
        self.taken.append(notice)


class LivesWorld:
    """Everything built once, as `app.py` does.

    Args:
        database: Migrated.
        provider: None: the real adapter on a fake bank.
        randomness: None: the same ids in every world; a second server on one database needs others.
    """

    def __init__(
        self,
        database: Database,
        provider: PaymentProvider | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        self.database = database
        self.times = TenantTimes(database)
        self.clock = FakeClock()
        self.bank = FakeBank(self.clock)
        self.mail = PaperMail()
        randomness = randomness or SeededRandomness()
        clock = TenantClock(self.clock)
        audit = AuditLog(clock, randomness)
        ground = Ground(database, Clocks(self.clock, clock), randomness, audit)
        self.catalog = CatalogService(clock)
        self.accounts = AccountService(
            wall=self.clock, randomness=randomness, passwords=Argon2Passwords(CHEAP), audit=audit
        )
        self.notices = NoticeService(
            **ground.with_ids(),
            accounts=self.accounts,
            mail=self.mail,
        )
        self.billing = build_billing(
            ground,
            accounts=self.accounts,
            commerce=Commerce(SELLER, provider or fake_stripe(self.bank)),
            gate=self.notices,
        )
        self.subscriptions, self.lives = build_lives(
            ground,
            catalog=self.catalog,
            billing=self.billing,
            notices=self.notices,
            seats=Allotments(self.notices),
        )
        self.desk, self.quotes = self.lives.desk, self.lives.quotes
        self.runner = JobRunner(
            database=database,
            wall=self.clock,
            owner="srv_test",
            handlers={**billing_jobs(self.billing), **lives_jobs(self.lives)},
            times=self.times,
        )
        self.travel = SandboxDesk(
            database=database,
            wall=self.clock,
            times=self.times,
            runner=self.runner,
            owner="srv_test",
            live_money=False,
        )
        #: Whether the next customers are sandboxes: time passes for the newest one then, and for nobody else.
        self.makes_sandboxes = False
        self._traveller = ""
        self._wishes = 0

    async def publish(self, version: int, *plans: Plan) -> None:
        published = tuple(replace(plan, catalog_version=version) for plan in plans)
        async with self.database.transaction() as uow:
            await self.catalog.apply(uow, Catalog(version, published))

    async def customer(
        self,
        term: Term = Term.YEARLY,
        *,
        plan: Plan = SMALL,
        trial_days: int = 0,
        card: str = "pm_good",
        owner: bool = True,
    ) -> Subscription:
        """A household with a card and a subscription whose first period, if it is no trial, is paid."""
        async with self.database.transaction() as uow:
            made = await self.accounts.create_organisation(uow, name="Some household", sandbox=self.makes_sandboxes)
            org_id = made.org_id
            if owner:
                await self.accounts.create_person(
                    uow, org_id=org_id, email=f"{org_id}@example.com", password_hash="x", role=Role.OWNER
                )
        self._traveller = org_id if self.makes_sandboxes else ""
        if card:
            await self.billing.wallet.add(org_id, f"{card}-{org_id}", "first-card")
        order = SaleOrder(org_id, plan.plan_id, term, "EUR", trial_days)
        async with self.database.transaction() as uow:
            sold = await self.lives.selling.sell(uow, order)
        if sold.invoice_id and card:
            await self.billing.service.pay(org_id, sold.invoice_id)
        await self.advance(timedelta(0))
        return await self.look(sold.state.subscription)

    async def state(self, subscription: Subscription) -> SubscriptionState:
        async with self.database.reading() as connection:
            return await self.subscriptions.get(
                connection, org_id=subscription.org_id, subscription_id=subscription.subscription_id
            )

    async def look(self, subscription: Subscription) -> Subscription:
        return (await self.state(subscription)).subscription

    async def now(self) -> datetime:
        """What time it is for the customer at hand."""
        return self.clock.now() + await self.times.ahead(self._traveller)

    async def advance(self, span: timedelta) -> None:
        until = await self.now() + span
        if not self._traveller:
            assert (await pass_time(self.runner, self.clock, until)).failed == 0
            return
        while True:
            moved = await self.travel.advance(self._traveller, until)
            assert moved.failed == 0
            if moved.reached:
                break
        # As the interceptor does for each of their calls.
        run_ahead(await self.times.ahead(self._traveller))

    async def advance_to(self, instant: datetime) -> None:
        await self.advance(max(timedelta(0), instant - await self.now()))

    async def invoices(self, subscription: Subscription) -> list[Invoice]:
        """The oldest first."""
        async with self.database.reading() as connection:
            found = await self.billing.service.invoices(connection, subscription.org_id, EVERYTHING)
        return list(reversed(found))

    async def told(self, subscription: Subscription) -> Sequence[Notice]:
        """The oldest first."""
        async with self.database.reading() as connection:
            return list(reversed(await self.notices.newest(connection, subscription.org_id, EVERYTHING)))

    async def preview(self, subscription: Subscription, plan_id: str = "", term: Term | None = None) -> Quote:
        return await self.quotes.preview(subscription.org_id, Wish(subscription.subscription_id, plan_id, term))

    async def take(self, quote: Quote) -> Applied:
        return await self.quotes.apply(quote.org_id, quote.quote_id, self.wish())

    async def change(self, subscription: Subscription, plan_id: str = "", term: Term | None = None) -> Applied:
        return await self.take(await self.preview(subscription, plan_id, term))

    def wish(self) -> str:
        self._wishes += 1
        return f"wish-{self._wishes:06d}"


@asynccontextmanager
async def lives_on_sqlite(folder: Path, name: str = "server.db", *, sandbox: bool = False) -> AsyncIterator[LivesWorld]:
    """A world on a fresh SQLite database, with two plans on sale."""
    database = Database(await migrated_sqlite(folder / name))
    world = LivesWorld(database)
    await world.publish(1, SMALL, LARGE)
    try:
        yield world
    finally:
        await database.close()
