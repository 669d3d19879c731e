"""Where the payment provider posts its webhooks."""

from collections.abc import Mapping
from typing import Final

from controlplane.billing.providers.signature import MAX_BODY_BYTES, SIGNATURE_HEADER
from controlplane.billing.service import BillingService
from controlplane.runtime.network.web import Hook

#: What is entered at the provider, after the name of the host.
PATH: Final = "/hooks/payments"


def payment_hook(service: BillingService) -> Hook:
    """Takes webhooks; the answer says whether there was news, which is nobody's secret who can sign one."""

    async def take(untrusted_body: bytes, untrusted_headers: Mapping[str, str]) -> Mapping[str, object]:
        news = await service.take_event(untrusted_body, untrusted_headers.get(SIGNATURE_HEADER, ""))
        return {"news": news}

    return Hook(PATH, MAX_BODY_BYTES, take)
