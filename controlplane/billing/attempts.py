"""Attempts to collect money, as values: what a provider said, and what that makes of a payment.

    init ──the call──▶ captured | failed | pending | action_needed | unknown
                          pending, action_needed, unknown ──asked again──▶ captured | failed

`init` is written before the call, so that no charge is ever made that no row speaks of. `unknown` means that the call
may have charged: until the provider has been asked, nothing else is charged for that invoice.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from controlplane.billing.money import Money
from controlplane.runtime.idempotency import request_hash


class PaymentState(Enum):
    """Where an attempt is."""

    INIT = "init"
    PENDING = "pending"
    #: The customer has to confirm it with their bank.
    ACTION_NEEDED = "action_needed"
    UNKNOWN = "unknown"
    CAPTURED = "captured"
    FAILED = "failed"


#: At most one payment of an invoice is in one of these; the schema says so too.
IN_FLIGHT = frozenset({PaymentState.INIT, PaymentState.PENDING, PaymentState.ACTION_NEEDED, PaymentState.UNKNOWN})


class FailureKind(Enum):
    """What a failed attempt means for the next one."""

    NONE = ""
    #: May succeed later: no funds, bank away.
    SOFT = "soft"
    #: Never with this method: lost, stolen, expired.
    HARD = "hard"
    #: Only with the customer present.
    ACTION_NEEDED = "action_needed"
    #: Refused for a reason that we do not know.
    UNKNOWN = "unknown"


class ChargeState(Enum):
    """Where the provider says a charge is."""

    PENDING = "pending"
    ACTION_NEEDED = "action_needed"
    CAPTURED = "captured"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCharge:
    """A charge as the provider tells of it.

    Attributes:
        provider_payment_id: Theirs.
        key: Our idempotency key, as we sent it along; empty: this charge is none of ours.
        state: Where it is.
        amount: What was or will be taken.
        failure_kind: Only when it failed.
        failure_code: The provider's word for it.
        action_url: Where the customer confirms; empty: nowhere.
    """

    provider_payment_id: str
    key: str
    state: ChargeState
    amount: Money
    failure_kind: FailureKind = FailureKind.NONE
    failure_code: str = ""
    action_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One attempt.

    Attributes:
        attempt_no: From 1, per invoice.
        provider: Its name.
        method_id: What was charged; empty: nothing that is stored, e.g. a bank transfer.
        amount: What was asked for.
        key: The idempotency key: derived, stored before the call.
        provider_payment_id: Empty until the provider gave one.
        applied: Of a captured amount, what the invoice needed; the rest was too much and goes back.
        refunded: Given back or being given back through the provider.
        automatic: Nobody asked for it at this moment.
        announced_by: The delivered notice of it (`ports.Announcement.key`); empty: somebody asked for it.
    """

    org_id: str
    payment_id: str
    invoice_id: str
    attempt_no: int
    provider: str
    method_id: str
    amount: Money
    key: str
    state: PaymentState
    created_at: datetime
    updated_at: datetime
    provider_payment_id: str = ""
    failure_kind: FailureKind = FailureKind.NONE
    failure_code: str = ""
    action_url: str = ""
    applied: int = 0
    refunded: int = 0
    automatic: bool = False
    announced_by: str = ""

    @property
    def excess(self) -> int:
        """Captured, but more than the invoice needed; minor units."""
        return self.amount.minor - self.applied if self.state is PaymentState.CAPTURED else 0


def payment_key(org_id: str, invoice_id: str, attempt_no: int) -> str:
    """The provider's idempotency key of an attempt: the same attempt has the same key in every process."""
    return request_hash(["billing.payment", org_id, invoice_id, str(attempt_no)]).hex()


def refund_key(org_id: str, refund_id: str) -> str:
    """The provider's idempotency key of a refund."""
    return request_hash(["billing.refund", org_id, refund_id]).hex()


#: What has been settled is not unsettled by older news; a capture that comes after a failure is still a capture.
_RANK = {
    PaymentState.INIT: 0,
    PaymentState.UNKNOWN: 1,
    PaymentState.PENDING: 1,
    PaymentState.ACTION_NEEDED: 1,
    PaymentState.FAILED: 2,
    PaymentState.CAPTURED: 3,
}


def told(payment: Payment, charge: ProviderCharge, now: datetime) -> Payment | None:
    """A payment after its provider was asked; None: that is no news, nothing changes.

    Raises:
        ValueError: The charge is for another amount: this is not the same charge.
    """
    if charge.amount != payment.amount:
        raise ValueError(f"the provider speaks of {charge.amount}, the payment of {payment.amount}")
    state = PaymentState(charge.state.value)
    if _RANK[state] < _RANK[payment.state]:
        return None
    after = replace(
        payment,
        state=state,
        provider_payment_id=charge.provider_payment_id,
        failure_kind=charge.failure_kind if state is PaymentState.FAILED else FailureKind.NONE,
        failure_code=charge.failure_code if state is PaymentState.FAILED else "",
        action_url=charge.action_url if state is PaymentState.ACTION_NEEDED else "",
    )
    return None if after == payment else replace(after, updated_at=now)


def lost(payment: Payment, now: datetime) -> Payment:
    """A payment after a call of which nobody knows how it ended."""
    return replace(payment, state=PaymentState.UNKNOWN, updated_at=now)


def never_arrived(payment: Payment, now: datetime) -> Payment:
    """A payment that the provider, asked with its key after the key's life, has never heard of."""
    return replace(
        payment,
        state=PaymentState.FAILED,
        failure_kind=FailureKind.UNKNOWN,
        failure_code="never_arrived",
        updated_at=now,
    )
