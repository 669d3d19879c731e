"""Bank transfers: the customer pays by the invoice's number, an operator records what arrived and sends refunds."""

from collections.abc import Sequence
from datetime import datetime

from controlplane.billing.attempts import ProviderCharge
from controlplane.billing.errors import webhook_refused
from controlplane.billing.ports import (
    ChargeOrder,
    MethodDetails,
    ProviderError,
    ProviderEvent,
    ProviderRefund,
    RefundOrder,
    RefundOutcome,
)


class ManualProvider:
    """Implements `PaymentProvider` with nobody behind it: it cannot collect, and its refunds wait for a person.

    Most of what the port asks about does not exist here, so most arguments are not looked at.
    """

    name = "manual"
    keeps_methods = False

    async def new_customer(self, org_id: str, key: str) -> str:  # noqa: ARG002
        """The organisation is its own name."""
        return org_id

    async def attach(self, customer: str, untrusted_token: str) -> MethodDetails:  # noqa: ARG002
        """There is nothing to keep."""
        raise ProviderError("not_supported")

    async def detach(self, token: str) -> None:
        """There is nothing to forget."""

    async def charge(self, order: ChargeOrder) -> ProviderCharge:  # noqa: ARG002
        """Nobody can be made to send money."""
        raise ProviderError("not_supported")

    async def find_charge(self, customer: str, key: str) -> ProviderCharge | None:  # noqa: ARG002
        """No charge was ever made."""
        return None

    async def get_charge(self, provider_payment_id: str) -> ProviderCharge | None:  # noqa: ARG002
        """No charge was ever made."""
        return None

    async def list_charges(self, customer: str, since: datetime) -> Sequence[ProviderCharge]:  # noqa: ARG002
        """No charge was ever made."""
        return ()

    async def refund(self, order: RefundOrder) -> ProviderRefund:
        """Waits until an operator says that it was sent."""
        return ProviderRefund("", order.key, RefundOutcome.PENDING, order.amount)

    async def find_refund(self, provider_payment_id: str, key: str) -> ProviderRefund | None:  # noqa: ARG002
        """Only the operator knows."""
        return None

    def read_event(
        self,
        untrusted_body: bytes,  # noqa: ARG002
        untrusted_signature: str,  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> ProviderEvent:
        """No bank sends any."""
        raise webhook_refused("this control plane collects by bank transfer")
