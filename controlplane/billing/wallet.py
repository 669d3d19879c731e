"""Payment methods as customers handle them: added with the provider's token, removed; open invoices paid at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.billing import payment_rows
from controlplane.billing.attempts import Payment, PaymentState
from controlplane.billing.errors import payment_method_refused, provider_unavailable, provider_without_methods
from controlplane.billing.invoices import rows as invoices
from controlplane.billing.invoices.invoicing import Invoicing
from controlplane.billing.methods import (
    PaymentMethod,
    add_method,
    customer_at,
    every_method,
    find_method,
    remove_method,
)
from controlplane.billing.payments import Payments
from controlplane.billing.ports import PaymentProvider, ProviderError, ProviderUncertainError
from controlplane.runtime.clock import Clock
from controlplane.runtime.idempotency import RequestKey, answer_of, claim, remember, request_hash
from controlplane.runtime.principal import current_actor
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database


@dataclass(frozen=True, slots=True)
class Added:
    """A new payment method, and what was paid with it at once."""

    method: PaymentMethod
    paid: tuple[Payment, ...]


class Wallet:
    """Adds and removes.

    Args:
        database: Where everything is.
        clock: Business time.
        randomness: For ids.
        audit: Records every change.
        invoicing: Locks accounts.
        payments: Tries again what failed.
        provider: Keeps the methods.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        randomness: Randomness,
        audit: AuditLog,
        invoicing: Invoicing,
        payments: Payments,
        provider: PaymentProvider,
    ) -> None:
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._audit = audit
        self._invoicing = invoicing
        self._payments = payments
        self._provider = provider

    @property
    def keeps_methods(self) -> bool:
        """Whether there is anything to charge, or customers pay by bank."""
        return self._provider.keeps_methods

    async def methods(self, connection: AsyncConnection, org_id: str) -> Sequence[PaymentMethod]:
        """All of them, the default first."""
        return await every_method(connection, org_id)

    async def add(self, org_id: str, untrusted_token: str, idempotency_key: str) -> Added:
        """Keep a payment method that was entered at the provider; it becomes the default.

        Invoices whose last attempt failed are paid with it at once: whoever replaces a card should not have to wait.

        Raises:
            Refusal: PAYMENT_METHODS_NOT_USED, PAYMENT_METHOD_REFUSED, PAYMENT_METHOD_EXISTS,
                PAYMENT_PROVIDER_UNAVAILABLE, IDEMPOTENCY_KEY_INVALID or IDEMPOTENCY_MISMATCH.
        """
        if not self._provider.keeps_methods:
            raise provider_without_methods(self._provider.name)
        request = RequestKey(
            org_id=org_id, caller=current_actor(), method="billing.add_payment_method", key=idempotency_key
        )
        body = request_hash([untrusted_token])
        async with self._database.reading() as connection:
            answered = await answer_of(connection, request, body)
            if answered is not None:
                return Added(await find_method(connection, org_id, answered.decode()), ())
        try:
            customer = await customer_at(self._database, self._provider, org_id)
            details = await self._provider.attach(customer, untrusted_token)
        except ProviderUncertainError as error:
            raise provider_unavailable() from error
        except ProviderError as error:
            raise payment_method_refused(error.code) from error
        async with self._database.transaction() as uow:
            now = self._clock.now()
            answered = await claim(uow, request, body, now)
            if answered is not None:
                return Added(await find_method(uow.connection, org_id, answered.decode()), ())
            await self._invoicing.lock(uow, org_id)
            method = await add_method(
                uow,
                org_id=org_id,
                method_id=new_id(self._randomness, "pm"),
                provider=self._provider.name,
                details=details,
                now=now,
            )
            await self._audit.record(
                uow,
                org_id=org_id,
                action="payment_method.added",
                subject=method.method_id,
                details={"brand": method.brand, "last4": method.last4},
            )
            await remember(uow, request, method.method_id.encode())
        return Added(method, await self._try_again(org_id, method.method_id))

    async def remove(self, org_id: str, method_id: str) -> PaymentMethod:
        """Charge a method no more and have the provider forget it.

        Raises:
            Refusal: PAYMENT_METHOD_UNKNOWN or PAYMENT_PROVIDER_UNAVAILABLE.
        """
        async with self._database.reading() as connection:
            method = await find_method(connection, org_id, method_id)
        try:
            await self._provider.detach(method.token)
        except (ProviderUncertainError, ProviderError) as error:
            raise provider_unavailable() from error
        async with self._database.transaction() as uow:
            await self._invoicing.lock(uow, org_id)
            removed = await remove_method(uow, org_id, method.method_id, self._clock.now())
            await self._audit.record(
                uow, org_id=org_id, action="payment_method.removed", subject=method_id, details={"last4": method.last4}
            )
        return removed

    async def _try_again(self, org_id: str, method_id: str) -> tuple[Payment, ...]:
        async with self._database.reading() as connection:
            open_invoices = await invoices.with_amount_due(connection, org_id)
            failed = []
            for invoice in open_invoices:
                attempts = await payment_rows.of_invoice(connection, org_id, invoice.invoice_id)
                if attempts and attempts[-1].state is PaymentState.FAILED:
                    failed.append(invoice.invoice_id)
        paid = []
        for invoice_id in failed:
            try:
                paid.append(await self._payments.pay(org_id, invoice_id, method_id))
            except Refusal:
                # Somebody else is paying it at this moment, or has.
                continue
        return tuple(paid)
