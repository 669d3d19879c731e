"""How subscriptions say no."""

from collections.abc import Iterable

from controlplane.catalog.model import Plan, Term
from controlplane.runtime.refusal import Kind, Refusal


def subscription_unknown(subscription_id: str) -> Refusal:
    """There is none, or it belongs to somebody else: the answer is the same."""
    return Refusal(
        Kind.NOT_FOUND,
        "SUBSCRIPTION_UNKNOWN",
        f"your organisation has no subscription {subscription_id}" if subscription_id else "there is no subscription",
        "List what there is: bucklerctl subscription show",
        facts={"subscription_id": subscription_id},
    )


def subscription_ambiguous(subscription_ids: Iterable[str]) -> Refusal:
    """None was named and there are several."""
    listed = ", ".join(subscription_ids)
    return Refusal(
        Kind.INVALID,
        "SUBSCRIPTION_AMBIGUOUS",
        "your organisation has several subscriptions",
        f"Name one of them: {listed}",
        facts={"subscription_ids": listed},
    )


def term_not_sold(plan: Plan, term: Term) -> Refusal:
    """The plan is not sold for this term."""
    sold = ", ".join(each.value for each in plan.terms)
    return Refusal(
        Kind.INVALID,
        "TERM_NOT_SOLD",
        f"the plan {plan.plan_id} is not sold for the term {term.value}",
        f"Choose one of: {sold}",
        facts={"plan_id": plan.plan_id, "terms": sold},
    )


def subscription_revoked(subscription_id: str) -> Refusal:
    """It is over for good."""
    return Refusal(
        Kind.PRECONDITION,
        "SUBSCRIPTION_REVOKED",
        "this subscription was revoked and cannot be renewed",
        "Write to support; a new subscription takes over the devices and their settings",
        facts={"subscription_id": subscription_id},
    )


def subscription_suspended(subscription_id: str) -> Refusal:
    """Something else has to be settled first."""
    return Refusal(
        Kind.PRECONDITION,
        "SUBSCRIPTION_SUSPENDED",
        "this subscription is suspended, another term would not change that",
        "Write to support to have the suspension lifted, then renew",
        facts={"subscription_id": subscription_id},
    )


def payment_disputed(subscription_id: str) -> Refusal:
    """Nothing is charged while a payment is disputed."""
    return Refusal(
        Kind.PRECONDITION,
        "PAYMENT_DISPUTED",
        "a payment of this subscription is disputed; nothing is charged until that is settled",
        "Wait for the outcome of the dispute, or withdraw it at your bank",
        facts={"subscription_id": subscription_id},
    )


def price_missing(plan: Plan, term: Term, currency: str) -> Refusal:
    """The catalog names no price for this."""
    return Refusal(
        Kind.INVALID,
        "PRICE_MISSING",
        f"the plan {plan.plan_id} has no {term.value} price in {currency}",
        "Choose another plan or term: its price in your currency is in the catalog",
        facts={"plan_id": plan.plan_id, "term": term.value, "currency": currency},
    )


def billed_elsewhere(subscription_id: str) -> Refusal:
    """Nothing is charged for it here."""
    return Refusal(
        Kind.PRECONDITION,
        "BILLED_ELSEWHERE",
        "this subscription is not paid for here",
        "Ask whoever sold it to you; to add a term that they agreed to: bucklerctl subscription renew",
        facts={"subscription_id": subscription_id},
    )


def quote_needed(subscription_id: str) -> Refusal:
    """It costs money, and nobody has said how much."""
    return Refusal(
        Kind.PRECONDITION,
        "QUOTE_NEEDED",
        "this subscription is charged: a term is bought by a quote",
        "Get one first: bucklerctl subscription preview",
        facts={"subscription_id": subscription_id},
    )


def quote_unknown(quote_id: str) -> Refusal:
    """There is none, or it belongs to somebody else: the answer is the same."""
    return Refusal(
        Kind.NOT_FOUND,
        "QUOTE_UNKNOWN",
        f"your organisation has no quote {quote_id}",
        "Get one: bucklerctl subscription preview",
        facts={"quote_id": quote_id},
    )


def quote_expired(quote_id: str) -> Refusal:
    """Its time is over; nothing was charged."""
    return Refusal(
        Kind.PRECONDITION,
        "QUOTE_EXPIRED",
        "this quote holds no longer; nothing was charged",
        "Get a new one: bucklerctl subscription preview",
        facts={"quote_id": quote_id},
    )


def quote_used(quote_id: str) -> Refusal:
    """It was taken before."""
    return Refusal(
        Kind.PRECONDITION,
        "QUOTE_USED",
        "this quote was taken before; nothing was charged again",
        "Look at what it did: bucklerctl subscription show",
        facts={"quote_id": quote_id},
    )


def quote_outdated(quote_id: str) -> Refusal:
    """The subscription is not what it was made for any more."""
    return Refusal(
        Kind.PRECONDITION,
        "QUOTE_OUTDATED",
        "the subscription has changed since this quote was made; nothing was charged",
        "Get a new one: bucklerctl subscription preview",
        facts={"quote_id": quote_id},
    )


def change_is_none() -> Refusal:
    """It has what is asked for."""
    return Refusal(
        Kind.INVALID,
        "NO_CHANGE",
        "the subscription has this plan and term already",
        "Choose another plan or term; to add a term: bucklerctl subscription renew",
    )


def not_running(subscription_id: str) -> Refusal:
    """It has run out: first it has to come back."""
    return Refusal(
        Kind.PRECONDITION,
        "SUBSCRIPTION_NOT_RUNNING",
        "this subscription has run out or is not paid for",
        "Come back with the same devices and settings: bucklerctl subscription resume",
        facts={"subscription_id": subscription_id},
    )


def renewal_is_off(subscription_id: str) -> Refusal:
    """Nothing happens at term end, so nothing can be changed for then."""
    return Refusal(
        Kind.PRECONDITION,
        "RENEWAL_OFF",
        "this subscription does not renew, so there is no next period to change",
        "Turn renewal on first: bucklerctl subscription auto-renew on",
        facts={"subscription_id": subscription_id},
    )


def invoice_open(subscription_id: str, invoice_id: str) -> Refusal:
    """What is due comes first."""
    return Refusal(
        Kind.PRECONDITION,
        "INVOICE_OPEN",
        "an invoice of this subscription waits to be paid",
        f"Pay it first: bucklerctl invoice pay {invoice_id}",
        facts={"subscription_id": subscription_id, "invoice_id": invoice_id},
    )


def nothing_to_undo(subscription_id: str) -> Refusal:
    """There is no change that could be taken back."""
    return Refusal(
        Kind.PRECONDITION,
        "NOTHING_TO_UNDO",
        "nothing waits for the end of the term, and no change of the last 14 days can be taken back",
        "Look at what there is: bucklerctl subscription show",
        facts={"subscription_id": subscription_id},
    )


def change_pending(subscription_id: str) -> Refusal:
    """Something waits for the end of the term already."""
    return Refusal(
        Kind.PRECONDITION,
        "CHANGE_PENDING",
        "another change of this subscription waits for the end of its term",
        "Wait until it has taken place, or have its owner undo it: bucklerctl subscription undo",
        facts={"subscription_id": subscription_id},
    )
