"""SubscriptionService on the wire: validate, call one use case, translate."""

from typing import Final

from controlplane.billing.messages import (
    invoice_message,
    line_message,
    microseconds,
    money_message,
    payment_message,
)
from controlplane.billing.money import Money
from controlplane.catalog.model import Term
from controlplane.catalog.wire_names import ACCESS_LEVEL_ON_THE_WIRE
from controlplane.runtime.fields import invalid, text
from controlplane.runtime.interceptors import Context
from controlplane.runtime.principal import current_person
from controlplane.storage.database import Database
from controlplane.storage.types import to_microseconds
from controlplane.subscriptions.desk import SubscriptionDesk
from controlplane.subscriptions.lifecycle import next_terms, renews
from controlplane.subscriptions.model import kept_until
from controlplane.subscriptions.purchases import Quote
from controlplane.subscriptions.quote_desk import QuoteDesk, Wish
from controlplane.subscriptions.service import SubscriptionService, SubscriptionState
from wire.v1 import subscription_pb2
from wire.v1.subscription_pb2_grpc import SubscriptionServiceServicer

MAX_ID_CHARACTERS: Final = 64
#: Ten years.
MAX_MONTHS: Final = 120


class SubscriptionRpc(SubscriptionServiceServicer):
    """The servicer."""

    def __init__(
        self, database: Database, service: SubscriptionService, desk: SubscriptionDesk, quotes: QuoteDesk
    ) -> None:
        self._database = database
        self._service = service
        self._desk = desk
        self._quotes = quotes

    async def GetSubscription(  # noqa: N802 -- the name is the protocol's
        self,
        request: subscription_pb2.GetSubscriptionRequest,
        _context: Context,
    ) -> subscription_pb2.Subscription:
        """One subscription of the caller's organisation."""
        async with self._database.reading() as connection:
            state = await self._service.get(
                connection, org_id=current_person().org_id, subscription_id=request.subscription_id
            )
            return _message(state, await self._service.seats_taken(connection, state))

    async def Renew(  # noqa: N802 -- the name is the protocol's
        self,
        request: subscription_pb2.RenewRequest,
        _context: Context,
    ) -> subscription_pb2.RenewResponse:
        """Adds one term."""
        renewed = await self._service.renew(
            org_id=current_person().org_id,
            subscription_id=request.subscription_id,
            idempotency_key=request.idempotency_key,
        )
        async with self._database.reading() as connection:
            taken = await self._service.seats_taken(connection, renewed.state)
        return subscription_pb2.RenewResponse(subscription=_message(renewed.state, taken), renewed=renewed.changed)

    async def Preview(  # noqa: N802 -- the name is the protocol's
        self,
        request: subscription_pb2.PreviewRequest,
        _context: Context,
    ) -> subscription_pb2.Quote:
        """What a change costs, and when it takes effect."""
        wish = Wish(
            _id("subscription_id", request.subscription_id), _id("plan_id", request.plan_id), _term(request.term)
        )
        return _quote(await self._quotes.preview(current_person().org_id, wish))

    async def ApplyQuote(  # noqa: N802 -- the name is the protocol's
        self,
        request: subscription_pb2.ApplyQuoteRequest,
        _context: Context,
    ) -> subscription_pb2.ApplyQuoteResponse:
        """Does what a quote says."""
        quote_id = _id("quote_id", request.quote_id, required=True)
        applied = await self._quotes.apply(current_person().org_id, quote_id, request.idempotency_key)
        standing = applied.standing
        return subscription_pb2.ApplyQuoteResponse(
            subscription=await self._shown(applied.state),
            invoice=None if standing is None else invoice_message(standing.invoice),
            payment=payment_message(standing.payments[-1]) if standing is not None and standing.payments else None,
        )

    async def Undo(  # noqa: N802 -- the name is the protocol's
        self,
        request: subscription_pb2.UndoRequest,
        _context: Context,
    ) -> subscription_pb2.Subscription:
        """Takes back what waits, or what was changed last."""
        named = _id("subscription_id", request.subscription_id)
        return await self._shown(await self._desk.undo(current_person().org_id, named, request.idempotency_key))

    async def Cancel(  # noqa: N802 -- the name is the protocol's
        self,
        request: subscription_pb2.CancelRequest,
        _context: Context,
    ) -> subscription_pb2.CancelResponse:
        """Says what cancelling means, then does it."""
        named = _id("subscription_id", request.subscription_id)
        ending = await self._desk.cancel(
            current_person().org_id, named, request.idempotency_key, confirmed=request.confirmed
        )
        return subscription_pb2.CancelResponse(
            subscription=await self._shown(ending.state),
            ends_at_us=microseconds(ending.ends_at),
            kept_until_at_us=microseconds(ending.kept_until),
            cancelled=ending.cancelled,
        )

    async def SetAutoRenew(  # noqa: N802 -- the name is the protocol's
        self,
        request: subscription_pb2.SetAutoRenewRequest,
        _context: Context,
    ) -> subscription_pb2.Subscription:
        """Turns renewal on or off."""
        named = _id("subscription_id", request.subscription_id)
        state = await self._desk.set_auto_renew(current_person().org_id, named, request.idempotency_key, on=request.on)
        return await self._shown(state)

    async def ListConsents(  # noqa: N802 -- the name is the protocol's
        self,
        request: subscription_pb2.ListConsentsRequest,
        _context: Context,
    ) -> subscription_pb2.ListConsentsResponse:
        """What was agreed to."""
        named = _id("subscription_id", request.subscription_id)
        found = await self._desk.consents(current_person().org_id, named)
        return subscription_pb2.ListConsentsResponse(
            consents=[
                subscription_pb2.Consent(
                    given_at_us=microseconds(each.given_at),
                    given_by=each.given_by,
                    occasion=each.occasion.value,
                    plan_id=each.plan_id,
                    catalog_version=each.catalog_version,
                    statement=each.statement,
                )
                for each in found
            ]
        )

    async def Simulate(  # noqa: N802 -- the name is the protocol's
        self,
        request: subscription_pb2.SimulateRequest,
        _context: Context,
    ) -> subscription_pb2.SimulateResponse:
        """The future calendar."""
        if not 1 <= request.months <= MAX_MONTHS:
            raise invalid("months", f"is not 1 to {MAX_MONTHS}")
        named = _id("subscription_id", request.subscription_id)
        entries = await self._desk.simulate(current_person().org_id, named, request.months)
        return subscription_pb2.SimulateResponse(
            entries=[
                subscription_pb2.CalendarEntry(
                    at_us=microseconds(entry.at),
                    what=entry.what.value,
                    plan_name=entry.plan_name,
                    amount=None if entry.amount is None else money_message(entry.amount),
                    access=ACCESS_LEVEL_ON_THE_WIRE[entry.access.level],
                )
                for entry in entries
            ]
        )

    async def _shown(self, state: SubscriptionState) -> subscription_pb2.Subscription:
        async with self._database.reading() as connection:
            return _message(state, await self._service.seats_taken(connection, state))


def _id(field: str, untrusted_id: str, *, required: bool = False) -> str:
    return text(field, untrusted_id, limit=MAX_ID_CHARACTERS, required=required)


def _term(untrusted_term: str) -> Term | None:
    if not untrusted_term:
        return None
    if untrusted_term not in {term.value for term in Term}:
        raise invalid("term", "is neither monthly nor yearly")
    return Term(untrusted_term)


def _quote(quote: Quote) -> subscription_pb2.Quote:
    draft = quote.draft
    return subscription_pb2.Quote(
        quote_id=quote.quote_id,
        subscription_id=quote.subscription_id,
        kind=quote.kind.value,
        plan_id=quote.terms.plan_id,
        term=quote.terms.term.value,
        total=None if draft is None else money_message(draft.total),
        lines=[] if draft is None else [line_message(line, draft.currency) for line in draft.lines],
        effective_at_us=microseconds(quote.effective_at),
        expires_at_us=microseconds(quote.expires_at),
    )


def _next_charge(state: SubscriptionState) -> Money | None:
    subscription = state.subscription
    if not renews(subscription) or not subscription.currency:
        return None
    terms = next_terms(subscription, price_announced=True)
    price = (state.ahead or state.plan).price(terms.term, subscription.currency)
    return None if price is None else Money(price, subscription.currency)


def _message(state: SubscriptionState, seats_taken: int) -> subscription_pb2.Subscription:
    subscription, plan, access = state.subscription, state.plan, state.access
    pending, charge = subscription.pending, _next_charge(state)
    return subscription_pb2.Subscription(
        subscription_id=subscription.subscription_id,
        plan_id=plan.plan_id,
        plan_name=plan.name,
        seats=plan.devices,
        seats_taken=seats_taken,
        billing=subscription.billing.value,
        renewal=subscription.renewal.value,
        access=ACCESS_LEVEL_ON_THE_WIRE[access.level],
        access_reason=access.reason.value,
        access_until_at_us=0 if access.until is None else to_microseconds(access.until),
        period_start_at_us=to_microseconds(subscription.period_start),
        period_end_at_us=to_microseconds(subscription.period_end),
        term=subscription.term.value,
        currency=subscription.currency,
        pending_plan_id="" if pending is None else pending.plan_id,
        pending_term="" if pending is None else pending.term.value,
        open_invoice_id=subscription.open_invoice_id,
        cancelled_at_us=microseconds(subscription.cancelled_at),
        kept_until_at_us=microseconds(kept_until(subscription, plan)),
        next_charge=None if charge is None else money_message(charge),
    )
