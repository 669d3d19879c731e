"""A customer's future calendar, from the decisions that will really be taken: nothing is stored, charged or sent."""

from dataclasses import dataclass, replace
from datetime import datetime

from controlplane.billing.money import Money
from controlplane.catalog.model import Plan
from controlplane.subscriptions.lifecycle import Step, next_due, next_terms, renews, timeline
from controlplane.subscriptions.model import Access, Billing, Renewal, Subscription, access_at, add_months

#: A rehearsal of a monthly subscription over many years ends here.
MAX_ENTRIES = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    """What happens on a day.

    Attributes:
        what: A `lifecycle.Step`.
        plan_name: Of the plan that it is about.
        amount: What is announced or charged; None: nothing.
        access: From then on.
    """

    at: datetime
    what: Step
    plan_name: str
    amount: Money | None
    access: Access


def rehearse(
    subscription: Subscription, plan: Plan, ahead: Plan, done: frozenset[str], now: datetime, *, until: datetime
) -> tuple[Entry, ...]:
    """Walk the timeline as if every charge succeeded.

    Args:
        subscription: As it is.
        plan: That it has.
        ahead: That it has from the next period on.
        done: Keys of what was done already.
        now: From when.
        until: How far.
    """
    entries: list[Entry] = []
    while len(entries) < MAX_ENTRIES:
        planned = [each for each in timeline(subscription, plan) if each.step is not Step.GRACE_OVER]
        due = next_due(planned, done)
        if due is None or due.at > until:
            break
        done |= {due.key}
        at = max(now, due.at)
        opens = due.step is Step.PERIOD_OVER and renews(subscription)
        amount = _amount(subscription, ahead, due.step) if renews(subscription) else None
        if opens:
            subscription, plan = _renewed(subscription), ahead
        shown = ahead if amount is not None else plan
        entries.append(Entry(at, due.step, shown.name, amount, access_at(subscription, plan, at)))
    return tuple(entries)


def _renewed(subscription: Subscription) -> Subscription:
    terms, start = next_terms(subscription, price_announced=True), subscription.period_end
    return replace(
        subscription,
        plan_id=terms.plan_id,
        catalog_version=terms.catalog_version,
        term=terms.term,
        billing=Billing.ACTIVE,
        renewal=Renewal.AUTO,
        pending=None,
        period_start=start,
        period_end=add_months(start, terms.term.months, subscription.anchor_day),
    )


_WITH_AMOUNT = frozenset(
    {
        Step.RENEWAL_NOTICE,
        Step.PRICE_NOTICE,
        Step.TRIAL_FIRST_NOTICE,
        Step.TRIAL_LAST_NOTICE,
        Step.PERIOD_OVER,
    }
)


def _amount(subscription: Subscription, ahead: Plan, step: Step) -> Money | None:
    price = ahead.price(next_terms(subscription, price_announced=True).term, subscription.currency)
    if step not in _WITH_AMOUNT or price is None:
        return None
    return Money(price, subscription.currency)
