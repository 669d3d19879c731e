"""What billing needs from outside: who moves the money, who announces charges, who wants to hear of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.billing.attempts import Payment, ProviderCharge
from controlplane.billing.model import Invoice
from controlplane.billing.money import Money
from controlplane.storage.database import UnitOfWork


class ProviderError(Exception):
    """The provider said no before anything happened; `code` is its word for it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ProviderUncertainError(Exception):
    """The call may have had its effect: no answer, or an answer that says nothing."""


@dataclass(frozen=True, slots=True)
class MethodDetails:
    """A payment method as the provider describes it; numbers of cards never come here.

    Attributes:
        token: The provider's own name for it.
        brand: `visa`, `sepa_debit`.
        last4: The last four digits, to recognise it by.
        expires: Year and month; None: it does not.
    """

    token: str
    brand: str
    last4: str
    expires: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class ChargeOrder:
    """What a provider shall collect.

    Attributes:
        key: Idempotency key; also stored with the charge, so that it can be found by it.
        amount: How much.
        customer: The provider's own name for the customer.
        token: The payment method.
        reference: The number of the invoice, for the statement.
        present: The customer is there and can confirm it with their bank.
    """

    key: str
    amount: Money
    customer: str
    token: str
    reference: str
    present: bool


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """What a provider shall give back."""

    key: str
    provider_payment_id: str
    amount: Money


class RefundOutcome(Enum):
    """How a provider's refund stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    """A refund as the provider tells of it."""

    provider_refund_id: str
    key: str
    outcome: RefundOutcome
    amount: Money
    failure_code: str = ""


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """A hint from the provider: something about this charge changed. What, is asked for, never believed.

    Attributes:
        event_id: Theirs; the same event may come twice.
        provider_payment_id: The charge it is about; empty: none.
    """

    event_id: str
    provider_payment_id: str


class PaymentProvider(Protocol):
    """Whoever moves the money.

    Every method may raise `ProviderUncertainError`; those that change something also `ProviderError`, which promises
    that nothing was changed. A call with a key that was used before has no second effect.
    """

    @property
    def name(self) -> str:
        """Stored with every payment: `stripe`, `manual`."""

    @property
    def keeps_methods(self) -> bool:
        """Whether there are payment methods that can be charged."""

    async def new_customer(self, org_id: str, key: str) -> str:
        """Make an organisation known; its name there is stored, so this is called once, or again after a crash."""

    async def attach(self, customer: str, untrusted_token: str) -> MethodDetails:
        """Keep a payment method that the customer entered at the provider; `ProviderError` if it is refused."""

    async def detach(self, token: str) -> None:
        """Forget a payment method; one that is not there is forgotten already."""

    async def charge(self, order: ChargeOrder) -> ProviderCharge:
        """Collect; a decline is an answer (`ChargeState.FAILED`), not an error."""

    async def find_charge(self, customer: str, key: str) -> ProviderCharge | None:
        """The charge that was made with a key; None: there is none."""

    async def get_charge(self, provider_payment_id: str) -> ProviderCharge | None:
        """One charge by the provider's own id."""

    async def list_charges(self, customer: str, since: datetime) -> Sequence[ProviderCharge]:
        """Every charge of a customer, also those that were not made by us."""

    async def refund(self, order: RefundOrder) -> ProviderRefund:
        """Give back."""

    async def find_refund(self, provider_payment_id: str, key: str) -> ProviderRefund | None:
        """The refund that was made with a key; None: there is none."""

    def read_event(self, untrusted_body: bytes, untrusted_signature: str, now: datetime) -> ProviderEvent:
        """Check a webhook and take the hint out of it.

        Raises:
            Refusal: WEBHOOK_REFUSED.
        """


@dataclass(frozen=True, slots=True)
class Announcement:
    """A delivered notice of a charge.

    Attributes:
        amount: Exactly so much was announced.
        delivered_at: When the customer was told.
    """

    org_id: str
    notice_id: str
    amount: Money
    delivered_at: datetime

    @property
    def key(self) -> str:
        """Names notice and amount; a charge that refers to it cannot be of another (`payments.announced_by`)."""
        return f"{self.org_id}/{self.notice_id}/{self.amount.currency}/{self.amount.minor}"


class ChargeGate(Protocol):
    """Knows whether a charge that nobody asked for at this moment was announced to the customer."""

    async def announced(self, connection: AsyncConnection, invoice: Invoice, now: datetime) -> Announcement | None:
        """The notice of exactly the amount due that was delivered in its window; None: the charge has to wait."""


class BillingListener(Protocol):
    """Hears of what happens to invoices, inside the transaction in which it happens."""

    async def invoice_paid(self, uow: UnitOfWork, invoice: Invoice) -> None:
        """Nothing is due on it any more."""

    async def payment_failed(self, uow: UnitOfWork, invoice: Invoice, payment: Payment) -> None:
        """An attempt failed; `payment.failure_kind` says what that means for the next one."""

    async def invoice_refunded(self, uow: UnitOfWork, invoice: Invoice, amount: Money) -> None:
        """A refund of so much was decided; `invoice` is as it is afterwards."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Whom billing deals with.

    Attributes:
        provider: Moves the money.
        gate: Knows what was announced.
        listeners: Hear of what happens; the list may still grow while the control plane is built.
    """

    provider: PaymentProvider
    gate: ChargeGate
    listeners: Sequence[BillingListener]
