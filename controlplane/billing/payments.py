"""Collecting money so that it is collected once, whatever dies in between.

1. In one transaction: the `init` row with the provider's idempotency key, and the job that settles it if nobody else
   does.
2. The call, outside any transaction.
3. In one transaction: what the provider said, the invoice, the books, and whoever listens.

Killed before 2, the job makes the call. Killed after it, the job finds the charge by its key. A call that ended in
nobody knows what leaves `unknown`, which blocks the invoice until the provider has been asked; if it knows nothing of
the key, the same call is made again with the same key, which cannot charge twice within the key's life.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select

from controlplane.accounts.audit import AuditLog
from controlplane.billing import payment_rows
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
    told,
)
from controlplane.billing.errors import (
    nothing_due,
    payment_in_flight,
    payment_method_unknown,
    provider_without_methods,
    transfer_mismatch,
)
from controlplane.billing.invoices import rows as invoices
from controlplane.billing.invoices.invoicing import Invoicing
from controlplane.billing.methods import customer_at, every_method, find_method, method_token
from controlplane.billing.model import Invoice, InvoiceState
from controlplane.billing.money import Money
from controlplane.billing.ports import (
    ChargeOrder,
    Outside,
    ProviderError,
    ProviderUncertainError,
)
from controlplane.billing.refunds.refunds import Refunds
from controlplane.billing.tables import provider_events
from controlplane.runtime.clock import Clock
from controlplane.runtime.idempotency import RequestKey, claim, remember, request_hash
from controlplane.runtime.jobs.queue import schedule
from controlplane.runtime.principal import current_actor
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.storage.database import Database, UnitOfWork
from controlplane.storage.upsert import insert_into

#: The job that settles a payment which nobody else settled; its subject is the payment.
SETTLE_PAYMENT: Final = "billing.settle_payment"
#: The job that collects an invoice by itself; its subject is the invoice.
COLLECT_INVOICE: Final = "billing.collect_invoice"
#: Longer than any call to a provider takes.
SETTLE_AFTER: Final = timedelta(minutes=2)
#: A provider that has the charge in its hands is asked this often; webhooks are faster.
LOOK_AGAIN_AFTER: Final = timedelta(minutes=15)
#: How long a provider remembers a key at least (Stripe: 24 hours); after less than that the call is not repeated.
KEY_LIFE: Final = timedelta(hours=23)
#: A charge that was not announced waits this long for its notice.
POSTPONED_BY: Final = timedelta(days=1)
#: The provider's charges are compared with ours over this long.
COMPARED_SINCE: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money that somebody saw arrive at the bank.

    Attributes:
        reference: Of the bank; the same transfer is recorded once.
        amount: What came.
    """

    reference: str
    amount: Money


@dataclass(frozen=True, slots=True)
class _Wish:
    """What shall be charged, how."""

    invoice_id: str
    method_id: str = ""
    #: Nobody asks for it at this moment: the delivered notice of it.
    announced_by: str = ""

    @property
    def automatic(self) -> bool:
        """Whether nobody asks for it at this moment."""
        return bool(self.announced_by)


class Payments:
    """Collects.

    Args:
        database: Where payments are.
        clock: Business time.
        randomness: For ids.
        audit: Records every change.
        invoicing: Settles invoices.
        refunds: Sends back what was too much.
        outside: Whom billing deals with.
        times: Charges are compared for all organisations at once, and taken at the time of each.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        randomness: Randomness,
        audit: AuditLog,
        invoicing: Invoicing,
        refunds: Refunds,
        outside: Outside,
        times: TenantTimes,
    ) -> None:
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._audit = audit
        self._invoicing = invoicing
        self._refunds = refunds
        self._provider = outside.provider
        self._gate = outside.gate
        self._listeners = outside.listeners
        self._times = times

    async def pay(self, org_id: str, invoice_id: str, method_id: str = "", idempotency_key: str = "") -> Payment:
        """Charge what is due, at the customer's wish; they are there to confirm it with their bank.

        Args:
            org_id: Whose.
            invoice_id: Id or number.
            method_id: Empty: the default.
            idempotency_key: Names the wish; a repeat finds the payment it made. Empty: it is not repeated.

        Raises:
            Refusal: INVOICE_UNKNOWN, NOTHING_DUE, PAYMENT_IN_FLIGHT, PAYMENT_METHODS_NOT_USED, PAYMENT_METHOD_UNKNOWN,
                IDEMPOTENCY_KEY_INVALID or IDEMPOTENCY_MISMATCH.
        """
        request = RequestKey(org_id=org_id, caller=current_actor(), method="billing.pay_invoice", key=idempotency_key)
        async with self._database.transaction() as uow:
            if idempotency_key:
                body = request_hash([invoice_id, method_id])
                answered = await claim(uow, request, body, self._clock.now())
                if answered is not None:
                    return await payment_rows.find(uow.connection, org_id, answered.decode())
            payment = await self._begin(uow, org_id, _Wish(invoice_id, method_id))
            if idempotency_key:
                await remember(uow, request, payment.payment_id.encode())
        return await self._send(payment)

    async def collect(self, org_id: str, invoice_id: str, due_at: datetime) -> Payment | None:
        """Charge what is due because it is time; the handler of `COLLECT_INVOICE`, repeatable.

        Args:
            org_id: Whose.
            invoice_id: What to collect.
            due_at: When it was time: a payment begun since then was this one.

        Returns:
            None: nothing is to be collected, or it has to wait for its notice.
        """
        async with self._database.transaction() as uow:
            await self._invoicing.lock(uow, org_id)
            invoice = await invoices.find(uow.connection, org_id, invoice_id)
            attempts = await payment_rows.of_invoice(uow.connection, org_id, invoice_id)
            tried = any(each.created_at >= due_at or each.state in IN_FLIGHT for each in attempts)
            if invoice.due.minor == 0 or tried or not self._provider.keeps_methods:
                return None
            now = self._clock.now()
            announcement = await self._gate.announced(uow.connection, invoice, now)
            if announcement is None:
                await self._postpone(uow, invoice, now)
                return None
            await payment_rows.store_announcement(uow, announcement)
            wish = _Wish(invoice.invoice_id, announced_by=announcement.key)
            if not await every_method(uow.connection, org_id):
                return await self._without_method(uow, invoice, wish)
            payment = await self._begin(uow, org_id, wish)
        return await self._send(payment)

    async def settle(self, org_id: str, payment_id: str) -> Payment:
        """Find out what became of a payment, and finish it; the handler of `SETTLE_PAYMENT`, repeatable."""
        async with self._database.reading() as connection:
            payment = await payment_rows.find(connection, org_id, payment_id)
        if payment.state not in IN_FLIGHT:
            return payment
        if payment.provider != self._provider.name:
            # Begun with a provider that is no longer in use: only with its settings back can it be asked.
            return await self._look_again(payment, LOOK_AGAIN_AFTER)
        try:
            customer = await customer_at(self._database, self._provider, org_id)
            charge = await self._provider.find_charge(customer, payment.key)
        except (ProviderUncertainError, ProviderError):
            return await self._look_again(payment, SETTLE_AFTER)
        if charge is not None:
            return await self.record(payment, charge)
        if self._clock.now() - payment.created_at < KEY_LIFE:
            return await self._send(payment)
        return await self._give_up(payment)

    async def record(self, payment: Payment, charge: ProviderCharge) -> Payment:
        """Write down what the provider says of a payment; older news and repeats change nothing."""
        org_id = payment.org_id
        async with self._database.transaction() as uow:
            await self._invoicing.lock(uow, org_id)
            before = await payment_rows.find(uow.connection, org_id, payment.payment_id)
            now = self._clock.now()
            after = told(before, charge, now)
            if after is None:
                await self._keep_looking(uow, before, now)
                return before
            if after.state is PaymentState.CAPTURED:
                after = await self._capture(uow, before, after)
            else:
                await payment_rows.store(uow, before, after)
                await self._keep_looking(uow, after, now)
                if after.state is PaymentState.FAILED:
                    await self._failed(uow, after)
            return after

    async def record_transfer(self, uow: UnitOfWork, org_id: str, invoice_id: str, transfer: Transfer) -> Payment:
        """Write down money that came by bank; the same reference again is the same money.

        Raises:
            Refusal: INVOICE_UNKNOWN, NOTHING_DUE, PAYMENT_IN_FLIGHT or TRANSFER_MISMATCH.
        """
        await self._invoicing.lock(uow, org_id)
        invoice = await invoices.find(uow.connection, org_id, invoice_id)
        known = await payment_rows.known_to_provider(
            uow.connection, "manual", provider_payment_id=transfer.reference, key=""
        )
        if known is not None:
            if (known.org_id, known.invoice_id, known.amount) != (org_id, invoice.invoice_id, transfer.amount):
                raise transfer_mismatch("its reference was recorded for another invoice or amount")
            return known
        if transfer.amount.currency != invoice.content.currency or transfer.amount.minor <= 0:
            raise transfer_mismatch(f"the invoice is in {invoice.content.currency}")
        await self._refuse_second(uow, invoice)
        if invoice.state is not InvoiceState.UNCOLLECTIBLE and invoice.due.minor == 0:
            raise nothing_due(invoice.number)
        began = await self._new(uow, invoice, _Wish(invoice.invoice_id))
        began = replace(began, provider="manual", amount=transfer.amount, state=PaymentState.PENDING)
        await payment_rows.add(uow, began)
        captured = replace(began, state=PaymentState.CAPTURED, provider_payment_id=transfer.reference)
        return await self._capture(uow, began, captured)

    async def compare(self) -> int:
        """Compare the provider's charges with ours, customer by customer; what we did not know of is taken.

        A payment that was given up and captured after all is settled. A second capture with the key of a payment that
        has one, which a provider that keeps its word never makes, is written down as what it is and goes back.

        Returns:
            How many were news.
        """
        since = self._clock.now() - COMPARED_SINCE
        async with self._database.reading() as connection:
            organisations = await payment_rows.organisations_since(connection, self._provider.name, since)
        news = 0
        for org_id in organisations:
            customer = await customer_at(self._database, self._provider, org_id)
            charges = await self._provider.list_charges(customer, since)
            async with self._times.of(org_id):
                for charge in charges:
                    news += await self._compare_one(charge)
        return news

    async def _compare_one(self, charge: ProviderCharge) -> bool:
        async with self._database.reading() as connection:
            payment = await payment_rows.known_to_provider(
                connection, self._provider.name, provider_payment_id=charge.provider_payment_id, key=charge.key
            )
        if payment is None:
            # Somebody made it in the provider's own pages.
            return False
        if payment.provider_payment_id in {"", charge.provider_payment_id}:
            return await self.record(payment, charge) != payment
        if charge.state is not ChargeState.CAPTURED:
            return False
        async with self._database.transaction() as uow:
            await self._take_second_capture(uow, payment, charge)
        return True

    async def _take_second_capture(self, uow: UnitOfWork, first: Payment, charge: ProviderCharge) -> None:
        await self._invoicing.lock(uow, first.org_id)
        invoice = await invoices.find(uow.connection, first.org_id, first.invoice_id)
        began = replace(
            await self._new(uow, invoice, _Wish(first.invoice_id, first.method_id)),
            amount=charge.amount,
            key=charge.provider_payment_id,
            provider_payment_id=charge.provider_payment_id,
            # Never in flight for us, so it is in nobody's way.
            state=PaymentState.FAILED,
        )
        await payment_rows.add(uow, began)
        await self._capture(uow, began, replace(began, state=PaymentState.CAPTURED))

    async def knows_event(self, event_id: str) -> bool:
        """Whether a webhook was taken before."""
        columns = provider_events.c
        query = select(columns.event_id).where(columns.provider == self._provider.name, columns.event_id == event_id)
        async with self._database.reading() as connection:
            return await connection.scalar(query) is not None

    async def remember_event(self, event_id: str) -> None:
        """Note that a webhook was taken, after what it led to was written down."""
        async with self._database.transaction() as uow:
            await uow.connection.execute(
                insert_into(uow.connection, provider_events)
                .values(provider=self._provider.name, event_id=event_id, received_at=self._clock.now())
                .on_conflict_do_nothing()
            )

    # ------------------------------------------------------------ the steps

    async def _begin(self, uow: UnitOfWork, org_id: str, wish: _Wish) -> Payment:
        """Step 1."""
        await self._invoicing.lock(uow, org_id)
        invoice = await invoices.find(uow.connection, org_id, wish.invoice_id)
        await self._refuse_second(uow, invoice)
        if invoice.due.minor == 0:
            raise nothing_due(invoice.number or invoice.invoice_id)
        if not self._provider.keeps_methods:
            raise provider_without_methods(self._provider.name)
        method = await find_method(uow.connection, org_id, wish.method_id)
        payment = replace(await self._new(uow, invoice, wish), method_id=method.method_id)
        await payment_rows.add(uow, payment)
        await schedule(
            uow,
            kind=SETTLE_PAYMENT,
            subject=payment.payment_id,
            org_id=org_id,
            due_at=payment.created_at + SETTLE_AFTER,
        )
        await self._record(uow, payment, "payment.started")
        return payment

    async def _send(self, payment: Payment) -> Payment:
        """Step 2, then 3."""
        try:
            order = await self._order(payment)
            charge = await self._provider.charge(order)
        except ProviderUncertainError:
            return await self._lose(payment)
        except ProviderError as error:
            return await self._refused(payment, error.code)
        return await self.record(payment, charge)

    async def _capture(self, uow: UnitOfWork, before: Payment, captured: Payment) -> Payment:
        """Step 3, when the money is there."""
        applied = await self._invoicing.apply(
            uow,
            captured.org_id,
            captured.invoice_id,
            payment_id=captured.payment_id,
            amount=captured.amount.minor,
        )
        after = replace(captured, applied=applied.applied)
        await payment_rows.store(uow, before, after)
        await self._record(uow, after, "payment.captured")
        if after.excess:
            await self._refunds.return_excess(uow, after)
        if applied.applied and applied.invoice.state is InvoiceState.PAID:
            for listener in self._listeners:
                await listener.invoice_paid(uow, applied.invoice)
        return after

    async def _refuse_second(self, uow: UnitOfWork, invoice: Invoice) -> None:
        running = await payment_rows.in_flight(uow.connection, invoice.content.org_id, invoice.invoice_id)
        if running is not None:
            raise payment_in_flight(invoice.number, running.payment_id, running.state.value)

    async def _new(self, uow: UnitOfWork, invoice: Invoice, wish: _Wish) -> Payment:
        org_id, now = invoice.content.org_id, self._clock.now()
        attempt_no = await invoices.next_attempt(uow, org_id, invoice.invoice_id)
        return Payment(
            org_id=org_id,
            payment_id=new_id(self._randomness, "pay"),
            invoice_id=invoice.invoice_id,
            attempt_no=attempt_no,
            provider=self._provider.name,
            method_id=wish.method_id,
            amount=invoice.due,
            key=payment_key(org_id, invoice.invoice_id, attempt_no),
            state=PaymentState.INIT,
            created_at=now,
            updated_at=now,
            automatic=wish.automatic,
            announced_by=wish.announced_by,
        )

    async def _order(self, payment: Payment) -> ChargeOrder:
        customer = await customer_at(self._database, self._provider, payment.org_id)
        async with self._database.reading() as connection:
            invoice = await invoices.find(connection, payment.org_id, payment.invoice_id)
            token = await method_token(connection, payment.org_id, payment.method_id)
        return ChargeOrder(
            key=payment.key,
            amount=payment.amount,
            customer=customer,
            token=token,
            reference=invoice.number,
            present=not payment.automatic,
        )

    async def _lose(self, payment: Payment) -> Payment:
        async with self._database.transaction() as uow:
            await self._invoicing.lock(uow, payment.org_id)
            before = await payment_rows.find(uow.connection, payment.org_id, payment.payment_id)
            now = self._clock.now()
            await self._keep_looking(uow, before, now)
            # A webhook may have settled it while the call was being lost.
            if before.state is not PaymentState.INIT:
                return before
            after = lost(before, now)
            await payment_rows.store(uow, before, after)
            await self._record(uow, after, "payment.unknown")
            return after

    async def _refused(self, payment: Payment, code: str) -> Payment:
        return await self._fail(
            payment, replace(payment, failure_kind=FailureKind.UNKNOWN, failure_code=code, state=PaymentState.FAILED)
        )

    async def _give_up(self, payment: Payment) -> Payment:
        return await self._fail(payment, never_arrived(payment, self._clock.now()))

    async def _fail(self, payment: Payment, after: Payment) -> Payment:
        async with self._database.transaction() as uow:
            await self._invoicing.lock(uow, payment.org_id)
            before = await payment_rows.find(uow.connection, payment.org_id, payment.payment_id)
            if before.state not in IN_FLIGHT:
                return before
            after = replace(after, updated_at=self._clock.now())
            await payment_rows.store(uow, before, after)
            await self._failed(uow, after)
            return after

    async def _failed(self, uow: UnitOfWork, payment: Payment) -> None:
        await self._record(uow, payment, "payment.failed")
        invoice = await invoices.find(uow.connection, payment.org_id, payment.invoice_id)
        for listener in self._listeners:
            await listener.payment_failed(uow, invoice, payment)

    async def _without_method(self, uow: UnitOfWork, invoice: Invoice, wish: _Wish) -> Payment:
        """An attempt that failed before it began, so that dunning hears of it as of any other."""
        began = await self._new(uow, invoice, wish)
        failed = replace(
            began,
            state=PaymentState.FAILED,
            failure_kind=FailureKind.HARD,
            failure_code=payment_method_unknown("").reason.lower(),
        )
        await payment_rows.add(uow, failed)
        await self._failed(uow, failed)
        return failed

    async def _postpone(self, uow: UnitOfWork, invoice: Invoice, now: datetime) -> None:
        org_id = invoice.content.org_id
        await schedule(uow, kind=COLLECT_INVOICE, subject=invoice.invoice_id, org_id=org_id, due_at=now + POSTPONED_BY)
        await self._audit.record(
            uow,
            org_id=org_id,
            action="charge.postponed",
            subject=invoice.invoice_id,
            details={"number": invoice.number, "why": "no notice of this amount was delivered in its window"},
        )

    async def _keep_looking(self, uow: UnitOfWork, payment: Payment, now: datetime) -> None:
        if payment.state in IN_FLIGHT:
            await schedule(
                uow,
                kind=SETTLE_PAYMENT,
                subject=payment.payment_id,
                org_id=payment.org_id,
                due_at=now + LOOK_AGAIN_AFTER,
            )

    async def _look_again(self, payment: Payment, after: timedelta) -> Payment:
        async with self._database.transaction() as uow:
            due_at = self._clock.now() + after
            await schedule(uow, kind=SETTLE_PAYMENT, subject=payment.payment_id, org_id=payment.org_id, due_at=due_at)
        return payment

    async def _record(self, uow: UnitOfWork, payment: Payment, action: str) -> None:
        details = {"invoice_id": payment.invoice_id, "amount": str(payment.amount), "code": payment.failure_code}
        await self._audit.record(uow, org_id=payment.org_id, action=action, subject=payment.payment_id, details=details)
