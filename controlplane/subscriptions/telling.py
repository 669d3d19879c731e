"""The notices of subscriptions: which occasion, which facts, which announced charge."""

from collections.abc import Sequence
from datetime import datetime

from controlplane.billing.model import Invoice
from controlplane.billing.money import Money
from controlplane.catalog.model import Plan, Term
from controlplane.notices.model import Announced, NoticeKind, NoticeOrder
from controlplane.subscriptions.lifecycle import Ask, Dunning
from controlplane.subscriptions.model import Access, Subscription, kept_until

_ASKED = {
    Ask.NOTHING: "Nothing to do: it is tried again on {day}, and {left} more after that",
    Ask.NEW_METHOD: "It is not tried again with this card: please add another one",
    Ask.CONFIRM: "Your bank wants you to confirm it: please pay the invoice yourself",
}
_LAST = "Every attempt was made: please add another card, or pay the invoice yourself"


def day(instant: datetime) -> str:
    """A day as notices name it; days begin in UTC."""
    return f"{instant:%Y-%m-%d}"


def charge_ahead(
    kind: NoticeKind, subscription: Subscription, plan: Plan, due: Money, *, old: Money, occasion: str
) -> NoticeOrder:
    """A renewal or the end of a trial, with the amount that will be charged.

    Args:
        kind: RENEWAL or TRIAL_END.
        subscription: Whose period ends.
        plan: Of the next period.
        due: Exactly what will be charged.
        old: What the last period cost.
        occasion: Which of several notices of the same charge.
    """
    facts = {**_about(subscription, plan), "day": day(subscription.period_end), "amount": str(due)}
    announced = Announced(subscription.subscription_id, subscription.period_end, due) if due.minor else None
    key = f"{occasion}/{due}"
    return _order(kind, subscription, key, {**facts, "old_amount": str(old)}, announced)


def new_version(subscription: Subscription, plan: Plan, old: Money, new: Money, changes: Sequence[str]) -> NoticeOrder:
    """A new price, or another content, of the plan from the next period on.

    Args:
        subscription: With the new terms waiting.
        plan: That it has.
        old: What a period costs.
        new: What it will cost.
        changes: What else is different, each as a sentence without its full stop.
    """
    facts = {
        **_about(subscription, plan),
        "day": day(subscription.period_end),
        "amount": str(new),
        "old_amount": str(old),
    }
    if not changes:
        return _order(NoticeKind.PRICE_CHANGE, subscription, price_key(subscription), facts)
    facts["changes"] = "; ".join(changes)
    return _order(NoticeKind.TERMS_CHANGE, subscription, price_key(subscription), facts)


def price_key(subscription: Subscription) -> str:
    """The occasion of a new price's notice."""
    version = subscription.pending.catalog_version if subscription.pending else 0
    return f"price/{subscription.period_end.isoformat()}/{version}"


def payment_failed(
    subscription: Subscription, plan: Plan, invoice: Invoice, dunning: Dunning, now: datetime
) -> NoticeOrder:
    """A charge that failed, with the day of the next attempt, how many follow, and the day access changes."""
    asked = _ASKED[dunning.ask]
    if dunning.ask is Ask.NOTHING:
        asked = _LAST
        if dunning.retry_at is not None:
            asked = _ASKED[Ask.NOTHING].format(day=day(dunning.retry_at), left=dunning.tries_left - 1)
    facts = {
        **_about(subscription, plan),
        "day": day(now),
        "amount": str(invoice.due),
        "invoice": invoice.number,
        "why": _WHY[dunning.ask],
        "next": f"{asked}.",
        "access_day": day(dunning.access_changes_at),
    }
    announced = Announced(subscription.subscription_id, subscription.period_end, invoice.due)
    key = f"payment_failed/{invoice.invoice_id}/{now.isoformat()}"
    return _order(NoticeKind.PAYMENT_FAILED, subscription, key, facts, announced)


_WHY = {
    Ask.NOTHING: "the bank declined it, which may pass",
    Ask.NEW_METHOD: "the card cannot be charged any more",
    Ask.CONFIRM: "the bank wants to see you confirm it",
}


def card_expiring(subscription: Subscription, plan: Plan, last4: str, expires: tuple[int, int]) -> NoticeOrder:
    """The card will not be valid when it is needed."""
    facts = {
        **_about(subscription, plan),
        "day": day(subscription.period_end),
        "last4": last4,
        "expires": f"{expires[0]}-{expires[1]:02d}",
    }
    return _order(NoticeKind.CARD_EXPIRING, subscription, f"card/{subscription.period_end.isoformat()}", facts)


def ending(subscription: Subscription, plan: Plan) -> NoticeOrder:
    """It ends soon, because renewal is off."""
    facts = {**_about(subscription, plan), "day": day(subscription.period_end)}
    return _order(NoticeKind.ENDING, subscription, f"ending/{subscription.period_end.isoformat()}", facts)


def access_changed(subscription: Subscription, plan: Plan, access: Access, now: datetime) -> NoticeOrder:
    """Access is less than it was."""
    facts = {
        **_about(subscription, plan),
        "day": day(now),
        "access": access.level.value,
        "reason": access.reason.value.replace("_", " ").lower(),
        **_kept(subscription, plan),
    }
    key = f"access/{access.level.value}/{subscription.period_end.isoformat()}/{access.reason.value}"
    return _order(NoticeKind.ACCESS_CHANGED, subscription, key, facts)


def inactive(subscription: Subscription, plan: Plan, last_seen: datetime, due: Money) -> NoticeOrder:
    """Nobody has used it for a year."""
    facts = {
        **_about(subscription, plan),
        "day": day(subscription.period_end),
        "last_seen": day(last_seen),
        "amount": str(due),
    }
    return _order(NoticeKind.INACTIVE, subscription, f"inactive/{subscription.period_end.isoformat()}", facts)


def receipt(kind: NoticeKind, subscription: Subscription, plan: Plan, now: datetime) -> NoticeOrder:
    """Renewal was turned on or off, or the subscription was cancelled, at this moment."""
    facts = {
        **_about(subscription, plan),
        "at": f"{now:%Y-%m-%d %H:%M} UTC",
        "day": day(subscription.period_end),
        **_kept(subscription, plan),
    }
    return _order(kind, subscription, f"{kind.value}/{now.isoformat()}", facts)


def plan_changed(subscription: Subscription, old: str, new: str, at: datetime) -> NoticeOrder:
    """Another plan or term, now or from the end of the term on; both as `plan_and_term` names them."""
    facts = {"subscription_id": subscription.subscription_id, "plan": new, "old_plan": old, "day": day(at)}
    return _order(NoticeKind.PLAN_CHANGED, subscription, f"plan_changed/{new}/{at.isoformat()}", facts)


def plan_and_term(plan: Plan, term: Term) -> str:
    """`Home 3 (yearly)`."""
    return f"{plan.name} ({term.value})"


def _about(subscription: Subscription, plan: Plan) -> dict[str, str]:
    return {"plan": plan.name, "subscription_id": subscription.subscription_id}


def _kept(subscription: Subscription, plan: Plan) -> dict[str, str]:
    until = kept_until(subscription, plan)
    return {"kept_until": "you delete them" if until is None else day(until)}


def _order(
    kind: NoticeKind,
    subscription: Subscription,
    key: str,
    facts: dict[str, str],
    announced: Announced | None = None,
) -> NoticeOrder:
    occasion = f"{subscription.subscription_id}/{key}"
    return NoticeOrder(subscription.org_id, kind, subscription.subscription_id, occasion, facts, announced)
