"""When what happens to a subscription, and what follows from a charge that failed: values and `now` in, dates out.

A subscription has a timeline: every instant at which something is due by itself, known long before. One durable job per
subscription wakes at the next of them; `subscription_steps` remembers which were done, so that each happens once,
however late the job comes. The rehearsal (`rehearsal.py`) walks the same timeline.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from controlplane.billing.attempts import FailureKind
from controlplane.catalog.model import ExistingCustomers, Plan, Term
from controlplane.subscriptions.model import (
    Billing,
    Pending,
    PendingWhy,
    Renewal,
    Subscription,
    kept_until,
    limited_from,
)

#: How long before the charge a renewal is announced. A year: inside the windows of California (15 to 45 days) and
#: Mastercard (7 to 30); a charge needs its notice 15 days before (`notices.service.YEARLY_LEAD`).
RENEWAL_NOTICE: Final = {Term.YEARLY: timedelta(days=28), Term.MONTHLY: timedelta(days=5)}
#: A new price is announced by itself, before the renewal that charges it.
PRICE_NOTICE: Final = {Term.YEARLY: timedelta(days=30), Term.MONTHLY: timedelta(days=14)}
#: California asks for 3 to 21 days, Mastercard for 3 to 7, Visa for at least 7: two notices meet all three.
TRIAL_NOTICES: Final = (timedelta(days=10), timedelta(days=5))
CARD_CHECK: Final = {Term.YEARLY: timedelta(days=21), Term.MONTHLY: timedelta(days=5)}
ENDING_NOTICE: Final = timedelta(days=7)
#: A declined charge is tried again so long after the day it was due, while access is in its grace.
RETRIES: Final = (timedelta(days=2), timedelta(days=5), timedelta(days=9), timedelta(days=13))
#: A retry is never closer than this: the customer has to have a chance to read why.
_SHORTEST_REST: Final = timedelta(hours=12)
#: A purchase waits so long for its first payment.
INCOMPLETE_FOR: Final = timedelta(hours=23)
#: An upgrade can be undone so long.
UNDO_FOR: Final = timedelta(days=14)
#: Nobody was in contact for so long: the owner is asked whether they still need it.
INACTIVE_AFTER: Final = timedelta(days=365)


class Step(Enum):
    """What is due at an instant; in this order if several are due at the same."""

    PRICE_NOTICE = "price_notice"
    TRIAL_FIRST_NOTICE = "trial_first_notice"
    TRIAL_LAST_NOTICE = "trial_last_notice"
    RENEWAL_NOTICE = "renewal_notice"
    CARD_CHECK = "card_check"
    ENDING_NOTICE = "ending_notice"
    PURCHASE_LAPSED = "purchase_lapsed"
    PERIOD_OVER = "period_over"
    GRACE_OVER = "grace_over"
    ENDED = "ended"


_ORDER = {step: order for order, step in enumerate(Step)}


@dataclass(frozen=True, slots=True)
class Planned:
    """Something that happens at an instant unless something else happens before.

    Attributes:
        key: Names it for ever: the same step of the same period under the same terms.
    """

    at: datetime
    step: Step
    key: str


def timeline(subscription: Subscription, plan: Plan) -> tuple[Planned, ...]:
    """Everything that will happen by itself, in order; what is in the past was done or is overdue."""
    if subscription.revoked_at is not None:
        return ()
    if subscription.incomplete_until is not None:
        return (_planned(subscription, subscription.incomplete_until, Step.PURCHASE_LAPSED),)
    planned = _renewing(subscription, plan) if renews(subscription) else _running_out(subscription, plan)
    return tuple(sorted(planned, key=lambda each: (each.at, _ORDER[each.step])))


def renews(subscription: Subscription) -> bool:
    """Whether the end of the period opens another one."""
    if subscription.billing in {Billing.UNPAID, Billing.DISPUTED} or subscription.suspended_at is not None:
        return False
    return subscription.renewal is not Renewal.OFF


def next_due(planned: Sequence[Planned], done: frozenset[str]) -> Planned | None:
    """The first that was not done; None: nothing will happen by itself any more."""
    return next((each for each in planned if each.key not in done), None)


def _renewing(subscription: Subscription, plan: Plan) -> list[Planned]:
    end, term = subscription.period_end, next_terms(subscription, price_announced=True).term
    planned = [_planned(subscription, end, Step.PERIOD_OVER)]
    if not subscription.currency:
        # Paid for elsewhere: it goes on without a word.
        return planned
    planned.append(_planned(subscription, limited_from(subscription, plan), Step.GRACE_OVER))
    if subscription.open_invoice_id:
        # What is being collected was announced.
        return planned
    planned.append(_planned(subscription, end - CARD_CHECK[term], Step.CARD_CHECK))
    if subscription.billing is Billing.TRIALING:
        steps = (Step.TRIAL_FIRST_NOTICE, Step.TRIAL_LAST_NOTICE)
        notices = [_planned(subscription, end - lead, step) for lead, step in zip(TRIAL_NOTICES, steps, strict=True)]
        # A trial too short for the first gets the last as soon as it begins.
        return [*planned, *(each for each in notices if each.at > subscription.created_at or each.step is steps[-1])]
    planned.append(_planned(subscription, end - RENEWAL_NOTICE[term], Step.RENEWAL_NOTICE))
    if subscription.pending is not None and subscription.pending.why is PendingWhy.PRICE:
        planned.append(_planned(subscription, end - PRICE_NOTICE[term], Step.PRICE_NOTICE))
    return planned


def _running_out(subscription: Subscription, plan: Plan) -> list[Planned]:
    planned = []
    if subscription.renewal is Renewal.OFF and subscription.billing not in {Billing.UNPAID, Billing.DISPUTED}:
        planned.append(_planned(subscription, subscription.period_end, Step.PERIOD_OVER))
        if subscription.currency:
            notice = max(subscription.period_end - ENDING_NOTICE, subscription.period_start)
            planned.append(_planned(subscription, notice, Step.ENDING_NOTICE))
    ended_at = kept_until(subscription, plan)
    if ended_at is not None:
        planned.append(_planned(subscription, ended_at, Step.ENDED))
    return planned


def _planned(subscription: Subscription, at: datetime, step: Step) -> Planned:
    terms = next_terms(subscription, price_announced=True)
    renewal = "off" if subscription.renewal is Renewal.OFF else "on"
    key = f"{step.value}@{subscription.period_end.isoformat()}"
    if step in {Step.RENEWAL_NOTICE, Step.PRICE_NOTICE, Step.TRIAL_FIRST_NOTICE, Step.TRIAL_LAST_NOTICE}:
        # What a notice says follows from the terms: under others it has to be said again.
        key += f"/{terms.plan_id}/{terms.catalog_version}/{terms.term.value}"
    if step is Step.GRACE_OVER:
        # The grace of a charge that could not be announced begins later.
        key += f"/{at.isoformat()}"
    if step is Step.PERIOD_OVER:
        # A subscription that ran out may be turned on again and renew.
        key += f"/{renewal}"
    return Planned(at, step, key)


# ---------------------------------------------------------------- terms


@dataclass(frozen=True, slots=True)
class Terms:
    """What a period is sold as."""

    plan_id: str
    catalog_version: int
    term: Term


def next_terms(subscription: Subscription, *, price_announced: bool) -> Terms:
    """What the next period is sold as.

    Args:
        subscription: As it is.
        price_announced: Whether a new price was announced in time; if not, the old one holds once more.
    """
    pending = subscription.pending
    if pending is None or (pending.why is PendingWhy.PRICE and not price_announced):
        return Terms(subscription.plan_id, subscription.catalog_version, subscription.term)
    return Terms(pending.plan_id, pending.catalog_version, pending.term)


def price_announced_in_time(subscription: Subscription, delivered_at: datetime | None) -> bool:
    """Whether the notice of a new price came before the renewal notice had to name the amount."""
    if delivered_at is None:
        return False
    return delivered_at <= subscription.period_end - RENEWAL_NOTICE[subscription.term]


def comes_along(subscription: Subscription, sold_now: Plan) -> bool:
    """Whether a subscription moves to its plan as it is sold now, because the catalog says so.

    Only one that renews here, that nothing else waits for, and that can go on with its term and currency. A trial is
    not moved: what follows it was promised with it.
    """
    if sold_now.existing_customers is not ExistingCustomers.MOVE:
        return False
    if sold_now.catalog_version <= subscription.catalog_version or not renews(subscription):
        return False
    if subscription.billing is Billing.TRIALING or subscription.incomplete_until is not None:
        return False
    if subscription.pending is not None or subscription.open_invoice_id or subscription.revoked_at is not None:
        return False
    return sold_now.price(subscription.term, subscription.currency) is not None


def takes_effect_at_once(old: Plan, new: Plan, old_term: Term, new_term: Term, currency: str) -> bool:
    """Whether a change is an upgrade: dearer by the year, or the same for longer. All others wait for term end."""
    old_year, new_year = per_year(old, old_term, currency), per_year(new, new_term, currency)
    if new_term is not old_term:
        # From yearly to monthly would give back what the year was cheaper for.
        return new_term is Term.YEARLY and new.devices >= old.devices
    return new_year > old_year


def per_year(plan: Plan, term: Term, currency: str) -> int:
    """What a year of a plan costs by this term, in minor units; 0: it has no price."""
    return (plan.price(term, currency) or 0) * (12 // term.months)


def pending_of(terms: Terms, why: PendingWhy) -> Pending:
    """Terms as something that waits for the next period."""
    return Pending(terms.plan_id, terms.catalog_version, terms.term, why)


# ---------------------------------------------------------------- charges that fail


class Ask(Enum):
    """What a customer is asked for after a charge failed."""

    NOTHING = "nothing"
    NEW_METHOD = "new_method"
    CONFIRM = "confirm"


@dataclass(frozen=True, slots=True)
class Dunning:
    """What follows from a charge that failed.

    Attributes:
        retry_at: When it is tried again by itself; None: it is not.
        tries_left: How often after this failure, `retry_at` included.
        ask: What the customer has to do; nothing, if time may heal it.
        access_changes_at: When access becomes limited if it stays unpaid.
    """

    retry_at: datetime | None
    tries_left: int
    ask: Ask
    access_changes_at: datetime


def after_failure(subscription: Subscription, plan: Plan, kind: FailureKind, now: datetime) -> Dunning:
    """Decide about the next attempt by why the last one failed.

    A soft decline is tried again on published days, a hard one never: only another method helps. A charge that its bank
    wants confirmed waits for the customer. Of a reason that is new to us billing has asked the provider already
    (nothing is unsettled any more), so it is tried again like a soft one.
    """
    access_changes_at = limited_from(subscription, plan)
    if kind is FailureKind.HARD:
        return Dunning(None, 0, Ask.NEW_METHOD, access_changes_at)
    if kind is FailureKind.ACTION_NEEDED:
        return Dunning(None, 0, Ask.CONFIRM, access_changes_at)
    due = subscription.overdue_from or subscription.period_end
    left = [due + offset for offset in RETRIES if now + _SHORTEST_REST <= due + offset < access_changes_at]
    return Dunning(left[0] if left else None, len(left), Ask.NOTHING, access_changes_at)


# ---------------------------------------------------------------- time bought elsewhere


def converted_days(days: int, worth: int, price: int) -> int:
    """Days of one plan as days of another, by what a year of each costs; rounded down to whole days.

    Ten days of a plan at 60.00 are five of one at 120.00: `10 × 60.00 / 120.00 = 5`. Shown to the customer as such.

    Raises:
        ValueError: The plan that they become days of costs nothing, or an amount is negative.
    """
    if price <= 0 or worth < 0 or days < 0:
        raise ValueError("time is converted between plans that have prices")
    return days * worth // price
