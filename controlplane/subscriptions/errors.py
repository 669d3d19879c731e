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
