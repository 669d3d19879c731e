"""What a change costs, as an invoice that is not issued yet: the lines, from prices, periods and what was paid."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from controlplane.billing.calculation import Fixed, ListPrice, Prorated
from controlplane.billing.model import BilledPeriod, InvoiceDraft, Line, LineKind, LiveLine, Occasion, Sold
from controlplane.catalog.model import Plan, Term
from controlplane.subscriptions.errors import price_missing
from controlplane.subscriptions.lifecycle import Terms
from controlplane.subscriptions.model import Period, Subscription


class PurchaseKind(Enum):
    """What somebody wants, or what is due."""

    INITIAL = "initial"
    #: By itself, at the end of a period.
    RENEWAL = "renewal"
    #: One more term now, appended to what is paid.
    EARLY_RENEWAL = "early_renewal"
    #: A new period after the last one ran out.
    RETURN = "return"
    UPGRADE = "upgrade"
    #: At term end; costs nothing now.
    DOWNGRADE = "downgrade"


@dataclass(frozen=True, slots=True)
class PaidPeriod:
    """A period that runs or will run, and the lines that paid for it."""

    period: Period
    lines: Sequence[LiveLine]


def period_draft(
    subscription: Subscription, plan: Plan, term: Term, period: Period, occasion: Occasion
) -> InvoiceDraft:
    """One whole period of a plan.

    Raises:
        Refusal: PRICE_MISSING.
    """
    line = Line(
        kind=LineKind.RECURRING,
        description=f"{plan.name}, {term.value}",
        calculation=ListPrice(_price(plan, term, subscription.currency)),
        period=_billed(subscription, period),
        sold=_sold(plan, term, occasion),
    )
    return _draft(subscription, period.start, [line])


def upgrade_draft(
    subscription: Subscription, old: Plan, new: Plan, periods: Sequence[PaidPeriod], now: datetime
) -> InvoiceDraft:
    """The rest of every paid period on another plan of the same term: what is unused comes back, the rest is charged.

    Raises:
        Refusal: PRICE_MISSING.
    """
    price, lines = _price(new, subscription.term, subscription.currency), []
    for paid in periods:
        whole, left = _days(paid.period, now)
        rest = Period(max(paid.period.start, now), paid.period.end)
        lines += [_unused(live, left, whole, old.name) for live in paid.lines if live.creditable and left]
        lines.append(
            Line(
                kind=LineKind.PRORATION_CHARGE,
                description=f"{new.name} for the rest of the period",
                calculation=Prorated(price, part=left, whole=whole),
                period=_billed(subscription, rest),
                sold=_sold(new, subscription.term, Occasion.CHANGE),
            )
        )
    return _draft(subscription, now, lines)


def longer_term_draft(
    subscription: Subscription, old: Plan, new: Plan, term: Term, periods: Sequence[PaidPeriod], period: Period
) -> InvoiceDraft:
    """A longer term that begins now: what is unused comes back, the new period is charged whole.

    Raises:
        Refusal: PRICE_MISSING.
    """
    lines = []
    for paid in periods:
        whole, left = _days(paid.period, period.start)
        lines += [_unused(live, left, whole, old.name) for live in paid.lines if live.creditable and left]
    whole_period = period_draft(subscription, new, term, period, Occasion.CHANGE)
    return _draft(subscription, period.start, [*lines, *whole_period.lines])


def undo_draft(subscription: Subscription, old: Plan, changed: LiveLine, now: datetime) -> InvoiceDraft:
    """What an upgrade took from the old plan's line goes back to it; adds up to nothing."""
    assert changed.line.period is not None
    because = "the change of plan was undone"
    return _draft(
        subscription,
        now,
        [
            Line(
                kind=LineKind.PRORATION_CREDIT,
                description="Undone change of plan",
                calculation=Fixed(-changed.creditable, because),
                source=changed.ref,
            ),
            Line(
                kind=LineKind.PRORATION_CHARGE,
                description=f"{old.name} for the rest of the period, as before",
                calculation=Fixed(changed.creditable, because),
                period=changed.line.period,
                sold=_sold(old, subscription.term, Occasion.CHANGE),
            ),
        ],
    )


def seen_sha256(subscription: Subscription) -> str:
    """What a quote was made for: a change of any of it makes the quote outdated."""
    pending = subscription.pending
    facts = (
        subscription.subscription_id,
        subscription.plan_id,
        str(subscription.catalog_version),
        subscription.term.value,
        subscription.billing.value,
        subscription.renewal.value,
        subscription.period_end.isoformat(),
        subscription.open_invoice_id,
        f"{pending}",
    )
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def terms_of(plan: Plan, term: Term) -> Terms:
    """A plan for a term."""
    return Terms(plan.plan_id, plan.catalog_version, term)


def _days(period: Period, now: datetime) -> tuple[int, int]:
    """Days of a period, and how many of them are left; a day that has begun is used."""
    whole = max(1, (period.end - period.start).days)
    used = min(whole, max(0, (now - period.start).days))
    return whole, whole - used


def _unused(live: LiveLine, left: int, whole: int, plan_name: str) -> Line:
    period = live.line.period
    assert period is not None, "live lines pay for a period"
    line_whole = max(1, (period.end - period.start).days)
    # A line that pays for a part of the period is unused by its own days.
    return Line(
        kind=LineKind.PRORATION_CREDIT,
        description=f"Unused time of {plan_name}",
        calculation=Prorated(live.creditable, part=min(left, line_whole), whole=min(whole, line_whole), credit=True),
        source=live.ref,
    )


def _price(plan: Plan, term: Term, currency: str) -> int:
    price = plan.price(term, currency)
    if price is None:
        raise price_missing(plan, term, currency)
    return price


def _billed(subscription: Subscription, period: Period) -> BilledPeriod:
    return BilledPeriod(subscription.subscription_id, period.start, period.end)


def _sold(plan: Plan, term: Term, occasion: Occasion) -> Sold:
    return Sold(plan.plan_id, plan.name, plan.catalog_version, term.value, occasion)


def _draft(subscription: Subscription, due_at: datetime, lines: Sequence[Line]) -> InvoiceDraft:
    return InvoiceDraft(org_id=subscription.org_id, currency=subscription.currency, lines=tuple(lines), due_at=due_at)
