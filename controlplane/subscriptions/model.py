"""What a subscription is, and what access follows from it at an instant. Access is derived here and stored nowhere.

    full ──period over──▶ grace (renewal is on: a payment is overdue) ──▶ limited ──▶ ended (as the catalog says)
                    └───▶ limited (renewal is off) ──▶ ended

Every step has a date that is known before, `Access.until`; without an event nothing else ever changes.
"""

import calendar
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from controlplane.catalog.model import AccessLevel, Plan, Term


class Billing(Enum):
    """Whether it is paid for."""

    NONE = "none"
    TRIALING = "trialing"
    ACTIVE = "active"
    #: A charge failed, more attempts follow.
    PAST_DUE = "past_due"
    #: Every attempt failed.
    UNPAID = "unpaid"
    DISPUTED = "disputed"


class Renewal(Enum):
    """What happens at the end of the period."""

    AUTO = "auto"
    OFF = "off"
    CHANGE_SCHEDULED = "change_scheduled"


class AccessReason(Enum):
    """Why access is what it is; stable codes that travel in entitlements."""

    PAID = "PAID"
    TRIAL = "TRIAL"
    PAYMENT_OVERDUE = "PAYMENT_OVERDUE"
    PAYMENT_FAILED = "PAYMENT_FAILED"
    PAYMENT_DISPUTED = "PAYMENT_DISPUTED"
    TRIAL_OVER = "TRIAL_OVER"
    SUBSCRIPTION_EXPIRED = "SUBSCRIPTION_EXPIRED"
    SUBSCRIPTION_SUSPENDED = "SUBSCRIPTION_SUSPENDED"
    SUBSCRIPTION_ENDED = "SUBSCRIPTION_ENDED"
    SUBSCRIPTION_REVOKED = "SUBSCRIPTION_REVOKED"
    #: Bought, but the first payment has not come yet.
    PURCHASE_INCOMPLETE = "PURCHASE_INCOMPLETE"


class PendingWhy(Enum):
    """Why other terms hold from the next period on."""

    #: The customer chose a smaller plan or another term.
    CHOSEN = "chosen"
    #: The price of the plan changes; only if that was announced in time.
    PRICE = "price"


@dataclass(frozen=True, slots=True)
class Pending:
    """Terms that hold from the next period on, unless that is undone."""

    plan_id: str
    catalog_version: int
    term: Term
    why: PendingWhy


@dataclass(frozen=True, slots=True)
class Subscription:
    """What an organisation bought. The period is half-open: it ends before `period_end`.

    Attributes:
        org_id: Whose.
        subscription_id: Its id.
        plan_id: The plan, as published in `catalog_version`.
        catalog_version: Which publication of the catalog its plan comes from.
        term: Length of one period.
        billing: Whether it is paid for.
        renewal: What happens at the end of the period.
        period_start: First instant of the period that is running, or was the last to run.
        period_end: First instant that is not paid for: renewed early, it is the end of the last period opened.
        anchor_day: Day of the month on which periods begin, 1 to 31; in shorter months their last day stands in.
        suspended_at: Since when access is limited whatever is paid; None: it is not.
        revoked_at: Since when it is over for good; None: it is not.
        revocation_epoch: Entitlements with a lower one are void.
        created_at: When it was bought.
        currency: What it is charged in; empty: it is paid for elsewhere, and renewed without an invoice.
        pending: What changes with the next period.
        open_invoice_id: Invoice of the next period that is not paid yet; empty: there is none.
        incomplete_until: Until when the first payment may come, or might have; None: it came.
        overdue_from: First instant at which a payment may be called overdue, when a charge could not be announced in
            time; None: the end of the period.
        cancelled_at: When the customer cancelled; None: they did not.
    """

    org_id: str
    subscription_id: str
    plan_id: str
    catalog_version: int
    term: Term
    billing: Billing
    renewal: Renewal
    period_start: datetime
    period_end: datetime
    anchor_day: int
    suspended_at: datetime | None
    revoked_at: datetime | None
    revocation_epoch: int
    created_at: datetime
    currency: str = ""
    pending: Pending | None = None
    open_invoice_id: str = ""
    incomplete_until: datetime | None = None
    overdue_from: datetime | None = None
    cancelled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """What a subscription allows at an instant.

    Attributes:
        level: The level in force.
        reason: Why.
        until: When the level changes next if nothing happens; None: it does not.
    """

    level: AccessLevel
    reason: AccessReason
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Period:
    """Half-open."""

    start: datetime
    end: datetime


def access_at(subscription: Subscription, plan: Plan, now: datetime) -> Access:
    """Derive the access of every device that holds a seat of it."""
    if subscription.revoked_at is not None:
        return Access(AccessLevel.ENDED, AccessReason.SUBSCRIPTION_REVOKED, None)
    if subscription.incomplete_until is not None:
        return Access(AccessLevel.LIMITED, AccessReason.PURCHASE_INCOMPLETE, None)
    limited_at, limited_reason = _limited_from(subscription, plan)
    ended_from = None if plan.ended_after is None else limited_at + plan.ended_after
    if ended_from is not None and now >= ended_from:
        return Access(AccessLevel.ENDED, AccessReason.SUBSCRIPTION_ENDED, None)
    if subscription.suspended_at is not None:
        return Access(AccessLevel.LIMITED, AccessReason.SUBSCRIPTION_SUSPENDED, ended_from)
    if now >= limited_at:
        return Access(AccessLevel.LIMITED, limited_reason, ended_from)
    if now >= subscription.period_end:
        return Access(AccessLevel.GRACE, AccessReason.PAYMENT_OVERDUE, limited_at)
    reason = AccessReason.TRIAL if subscription.billing is Billing.TRIALING else AccessReason.PAID
    return Access(AccessLevel.FULL, reason, subscription.period_end)


def _limited_from(subscription: Subscription, plan: Plan) -> tuple[datetime, AccessReason]:
    """When access becomes limited if nothing happens, and the reason it will carry."""
    end = subscription.period_end
    if subscription.billing is Billing.UNPAID:
        return end, AccessReason.PAYMENT_FAILED
    if subscription.billing is Billing.DISPUTED:
        return end, AccessReason.PAYMENT_DISPUTED
    if subscription.renewal is Renewal.OFF:
        trial = subscription.billing is Billing.TRIALING
        return end, AccessReason.TRIAL_OVER if trial else AccessReason.SUBSCRIPTION_EXPIRED
    return (subscription.overdue_from or end) + plan.grace, AccessReason.PAYMENT_OVERDUE


def limited_from(subscription: Subscription, plan: Plan) -> datetime:
    """When access becomes limited if nothing happens."""
    return _limited_from(subscription, plan)[0]


def kept_until(subscription: Subscription, plan: Plan) -> datetime | None:
    """Until when devices, settings and quarantine are kept; None: for ever."""
    return None if plan.ended_after is None else limited_from(subscription, plan) + plan.ended_after


def add_months(start: datetime, months: int, anchor_day: int) -> datetime:
    """The same time of day so many months later, on the anchor day or the month's last.

    With anchor day 31: 31 January, 28 February, 31 March; a yearly 29 February is 28 until the next leap year.
    """
    year, month0 = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(anchor_day, calendar.monthrange(year, month0 + 1)[1])
    return start.replace(year=year, month=month0 + 1, day=day)


def first_period(start: datetime, term: Term) -> Period:
    """The period that a purchase at `start` opens."""
    return Period(start, add_months(start, term.months, start.day))


def renewed(subscription: Subscription, plan: Plan, now: datetime) -> tuple[Period, int]:
    """The period that one more term opens, and the anchor day from then on.

    Renewed early or within its grace, the new period follows the old one without a gap: nothing paid is lost, and an
    overdue payment pays for the days it was overdue. After that a customer who comes back starts a new rhythm now.
    """
    contiguous = now < limited_from(subscription, plan)
    start = subscription.period_end if contiguous else now
    anchor_day = subscription.anchor_day if contiguous else now.day
    return Period(start, add_months(start, subscription.term.months, anchor_day)), anchor_day
