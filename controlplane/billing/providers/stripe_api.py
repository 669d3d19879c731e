"""Stripe, through its own library, with the version of its interface pinned.

Every charge is a PaymentIntent that is created and confirmed in one call, with our idempotency key as Stripe's and in
its metadata, where it can be found long after Stripe forgot the key itself. The library's own retries use the same key.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import stripe
import structlog

from controlplane.billing.attempts import ChargeState, FailureKind, ProviderCharge
from controlplane.billing.errors import webhook_refused
from controlplane.billing.ports import (
    ChargeOrder,
    MethodDetails,
    ProviderError,
    ProviderEvent,
    ProviderRefund,
    ProviderUncertainError,
    RefundOrder,
    RefundOutcome,
)
from controlplane.billing.providers.signature import check_signature
from controlplane.billing.providers.stripe_amounts import from_stripe, to_stripe
from controlplane.storage.types import to_microseconds

#: Read and tested against this version; a newer library does not change what Stripe answers.
API_VERSION: Final = "2026-10-28.endive"
_KEY: Final = "buckler_key"
_SECOND_US: Final = 1_000_000

#: "Never with this card", after Stripe's list of declines that are not worth a retry.
_HARD: Final = frozenset(
    {
        "card_not_supported",
        "currency_not_supported",
        "expired_card",
        "fraudulent",
        "highest_risk_level",
        "incorrect_number",
        "invalid_account",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "invalid_number",
        "lost_card",
        "merchant_blacklist",
        "new_account_information_available",
        "no_action_taken",
        "pickup_card",
        "restricted_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "service_not_allowed",
        "stolen_card",
        "stop_payment_order",
        "testmode_decline",
        "transaction_not_allowed",
    }
)
_SOFT: Final = frozenset(
    {
        "approve_with_id",
        "call_issuer",
        "card_velocity_exceeded",
        "do_not_honor",
        "do_not_try_again",
        "duplicate_transaction",
        "generic_decline",
        "insufficient_funds",
        "issuer_not_available",
        "not_permitted",
        "processing_error",
        "reenter_transaction",
        "try_again_later",
        "withdrawal_count_limit_exceeded",
    }
)
_ACTION: Final = frozenset({"authentication_required", "authentication_not_handled", "offline_pin_required"})

_STATE: Final = {
    "succeeded": ChargeState.CAPTURED,
    "processing": ChargeState.PENDING,
    "requires_capture": ChargeState.PENDING,
    "requires_confirmation": ChargeState.PENDING,
    "requires_action": ChargeState.ACTION_NEEDED,
    "requires_payment_method": ChargeState.FAILED,
    "canceled": ChargeState.FAILED,
}
_OUTCOME: Final = {
    "succeeded": RefundOutcome.SUCCEEDED,
    "failed": RefundOutcome.FAILED,
    "canceled": RefundOutcome.FAILED,
}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StripeSettings:
    """How to reach Stripe.

    Attributes:
        secret_key: Of the account; never shown.
        webhook_secrets: Signing secrets of the endpoint; two while they are exchanged.
        api_base: None: Stripe itself; tests point it at a loopback address.
        timeout_s: Of one call.
        retries: By the library itself, with the same idempotency key.
        return_url: Where a customer comes back to from their bank; empty: they confirm within a page.
    """

    secret_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    api_base: str | None = None
    timeout_s: int = 30
    retries: int = 2
    return_url: str = ""


class StripeProvider:
    """Implements `PaymentProvider`.

    Args:
        settings: How to reach Stripe.
        transport: How requests travel; None: over HTTP.
    """

    name = "stripe"
    keeps_methods = True

    def __init__(self, settings: StripeSettings, transport: stripe.HTTPClient | None = None) -> None:
        self._settings = settings
        base: Any = {} if settings.api_base is None else {"api": settings.api_base}
        self._api = stripe.StripeClient(
            settings.secret_key,
            stripe_version=API_VERSION,
            base_addresses=base,
            max_network_retries=settings.retries,
            http_client=transport or stripe.RequestsClient(timeout=settings.timeout_s),
        ).v1

    async def new_customer(self, org_id: str, key: str) -> str:
        """Make an organisation known."""
        params: Any = {"metadata": {"buckler_org": org_id}}
        made = await _call(lambda: self._api.customers.create(params=params, options={"idempotency_key": key}))
        return str(made["id"])

    async def attach(self, customer: str, untrusted_token: str) -> MethodDetails:
        """Keep a payment method; attaching it again changes nothing."""
        method = await _call(lambda: self._api.payment_methods.attach(untrusted_token, params={"customer": customer}))
        return _details(method)

    async def detach(self, token: str) -> None:
        """Forget a payment method."""
        try:
            await _call(lambda: self._api.payment_methods.detach(token))
        except ProviderError:
            # It is not attached, or there is none: it is forgotten.
            return

    async def charge(self, order: ChargeOrder) -> ProviderCharge:
        """Create and confirm a PaymentIntent."""
        params: Any = {
            "amount": to_stripe(order.amount),
            "currency": order.amount.currency.lower(),
            "customer": order.customer,
            "payment_method": order.token,
            "confirm": True,
            "off_session": not order.present,
            "description": order.reference,
            "metadata": {_KEY: order.key, "invoice": order.reference},
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
        if order.present and self._settings.return_url:
            params["return_url"] = self._settings.return_url
            params["automatic_payment_methods"] = {"enabled": True}
        intent = await _call(
            lambda: self._api.payment_intents.create(params=params, options={"idempotency_key": order.key}),
            declined=True,
        )
        return _charge(intent)

    async def find_charge(self, customer: str, key: str) -> ProviderCharge | None:
        """Look through the customer's charges, the newest first; Stripe's search would lag behind by up to a minute."""
        for charge in await self._charges(customer, None):
            if charge.key == key:
                return charge
        return None

    async def get_charge(self, provider_payment_id: str) -> ProviderCharge | None:
        """One PaymentIntent."""
        try:
            return _charge(await _call(lambda: self._api.payment_intents.retrieve(provider_payment_id)))
        except ProviderError as error:
            if error.code == "resource_missing":
                return None
            raise

    async def list_charges(self, customer: str, since: datetime) -> Sequence[ProviderCharge]:
        """Every PaymentIntent of a customer, also those that somebody made in Stripe's own pages."""
        return await self._charges(customer, since)

    async def refund(self, order: RefundOrder) -> ProviderRefund:
        """Give back."""
        params: Any = {
            "payment_intent": order.provider_payment_id,
            "amount": to_stripe(order.amount),
            "metadata": {_KEY: order.key},
        }
        made = await _call(lambda: self._api.refunds.create(params=params, options={"idempotency_key": order.key}))
        return _refund(made)

    async def find_refund(self, provider_payment_id: str, key: str) -> ProviderRefund | None:
        """Look through the refunds of a charge."""
        params: Any = {"payment_intent": provider_payment_id, "limit": 100}
        found = await _call(lambda: self._api.refunds.list(params=params).auto_paging_iter())
        return next((_refund(each) for each in found if _metadata(each).get(_KEY) == key), None)

    def read_event(self, untrusted_body: bytes, untrusted_signature: str, now: datetime) -> ProviderEvent:
        """Check the signature, take out which PaymentIntent it is about."""
        check_signature(untrusted_body, untrusted_signature, self._settings.webhook_secrets, now)
        try:
            event = json.loads(untrusted_body)
            about = event["data"]["object"]
            is_intent = about["object"] == "payment_intent"
            intent = about["id"] if is_intent else about.get("payment_intent")
            return ProviderEvent(str(event["id"]), intent if isinstance(intent, str) else "")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise webhook_refused("it is no event") from error

    async def _charges(self, customer: str, since: datetime | None) -> Sequence[ProviderCharge]:
        params: Any = {"customer": customer, "limit": 100}
        if since is not None:
            params["created"] = {"gte": to_microseconds(since) // _SECOND_US}
        found = await _call(lambda: self._api.payment_intents.list(params=params).auto_paging_iter())
        return [_charge(each) for each in found]


async def _call(ask: Callable[[], Any], *, declined: bool = False) -> Any:
    """Ask Stripe on another thread, its errors translated into ours.

    Args:
        ask: The call.
        declined: A decline is an answer: its PaymentIntent is returned.
    """
    try:
        return await asyncio.to_thread(lambda: _plain(ask()))
    except stripe.CardError as error:
        intent = _intent_of(error)
        if declined and intent is not None:
            return intent
        raise ProviderError(error.code or "card_error") from error
    except stripe.InvalidRequestError as error:
        if error.code == "idempotency_key_in_use":
            raise ProviderUncertainError from error
        raise ProviderError(error.code or "invalid_request") from error
    except stripe.StripeError as error:
        # No answer, an answer that says nothing, or keys that are wrong: whoever operates this can put that right.
        _log.warning("payment_provider_uncertain", error=type(error).__name__, status=error.http_status)
        raise ProviderUncertainError from error


def _plain(answer: Any) -> Any:
    """Dictionaries instead of the library's objects; a list is read to its last page."""
    return answer.to_dict() if isinstance(answer, stripe.StripeObject) else [each.to_dict() for each in answer]


def _intent_of(error: stripe.CardError) -> Any | None:
    body = error.json_body
    return body.get("error", {}).get("payment_intent") if isinstance(body, dict) else None


def _charge(intent: Any) -> ProviderCharge:
    state = _STATE[intent["status"]]
    error = intent.get("last_payment_error") or {}
    code = error.get("decline_code") or error.get("code") or ("canceled" if intent["status"] == "canceled" else "")
    action = (intent.get("next_action") or {}).get("redirect_to_url") or {}
    return ProviderCharge(
        provider_payment_id=intent["id"],
        key=_metadata(intent).get(_KEY, ""),
        state=state,
        amount=from_stripe(intent["amount"], intent["currency"]),
        failure_kind=_kind(code) if state is ChargeState.FAILED else FailureKind.NONE,
        failure_code=code if state is ChargeState.FAILED else "",
        action_url=action.get("url") or "",
    )


def _kind(code: str) -> FailureKind:
    if code in _ACTION:
        return FailureKind.ACTION_NEEDED
    if code in _HARD:
        return FailureKind.HARD
    return FailureKind.SOFT if code in _SOFT else FailureKind.UNKNOWN


def _refund(refund: Any) -> ProviderRefund:
    return ProviderRefund(
        provider_refund_id=refund["id"],
        key=_metadata(refund).get(_KEY, ""),
        outcome=_OUTCOME.get(refund["status"], RefundOutcome.PENDING),
        amount=from_stripe(refund["amount"], refund["currency"]),
        failure_code=refund.get("failure_reason") or "",
    )


def _details(method: Any) -> MethodDetails:
    kind = str(method["type"])
    described = method.get(kind) or {}
    year, month = described.get("exp_year"), described.get("exp_month")
    return MethodDetails(
        token=method["id"],
        brand=described.get("brand") or kind,
        last4=described.get("last4") or "",
        expires=(year, month) if year and month else None,
    )


def _metadata(thing: Any) -> Any:
    return thing.get("metadata") or {}
