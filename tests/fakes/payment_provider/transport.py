"""Stripe's own library, connected to the fake bank without a network."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import stripe

from controlplane.billing.providers.stripe_api import StripeProvider, StripeSettings
from tests.fakes.payment_provider.bank import SECRET_KEY, WEBHOOK_SECRET, FakeBank, LostConnectionError

SETTINGS = StripeSettings(secret_key=SECRET_KEY, webhook_secrets=(WEBHOOK_SECRET,), retries=0, timeout_s=20)


class BankTransport(stripe.HTTPClient):
    """Hands requests to the bank as a server would have parsed them."""

    name = "fake"

    def __init__(self, bank: FakeBank) -> None:
        super().__init__()
        self._bank = bank

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        parts = urlsplit(url)
        body = post_data if method.upper() == "POST" else parts.query
        try:
            status, answer = self._bank.handle(
                method.upper(), parts.path, nested(body or ""), (headers or {}).get("Idempotency-Key", "")
            )
        except LostConnectionError as error:
            broke: Any = stripe.APIConnectionError
            raise broke("the connection broke", should_retry=True) from error
        return json.dumps(answer), status, {}

    def close(self) -> None:
        """Nothing is open."""


def fake_stripe(bank: FakeBank) -> StripeProvider:
    """The real adapter on the fake bank."""
    return StripeProvider(SETTINGS, BankTransport(bank))


def nested(form: str) -> dict[str, Any]:
    """`metadata[a]=b` as `{"metadata": {"a": "b"}}`; one level is all that is used."""
    result: dict[str, Any] = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        outer, bracket, inner = name.partition("[")
        if bracket:
            result.setdefault(outer, {})[inner.rstrip("]")] = value
        else:
            result[name] = value
    return result
