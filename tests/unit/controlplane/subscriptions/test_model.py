from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.catalog.model import AccessLevel, Term
from controlplane.subscriptions.model import (
    Access,
    AccessReason,
    Billing,
    Period,
    Renewal,
    access_at,
    add_months,
    first_period,
    renewed,
)
from tests.fakes.subscriptions import PERIOD, PLAN, SUBSCRIPTION

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
END = PERIOD.end
AUTO = replace(SUBSCRIPTION, renewal=Renewal.AUTO)


def test_what_is_paid_is_full_until_the_period_ends() -> None:
    assert access_at(SUBSCRIPTION, PLAN, END - TICK) == Access(AccessLevel.FULL, AccessReason.PAID, END)


def test_a_trial_says_that_it_is_one() -> None:
    trial = replace(SUBSCRIPTION, billing=Billing.TRIALING)
    assert access_at(trial, PLAN, PERIOD.start).reason is AccessReason.TRIAL
    assert access_at(trial, PLAN, END).reason is AccessReason.TRIAL_OVER


def test_without_renewal_it_is_limited_from_the_first_instant_after_the_period() -> None:
    access = access_at(SUBSCRIPTION, PLAN, END)
    assert access == Access(AccessLevel.LIMITED, AccessReason.SUBSCRIPTION_EXPIRED, END + timedelta(days=365))


def test_with_renewal_an_overdue_payment_changes_nothing_for_14_days() -> None:
    assert access_at(AUTO, PLAN, END) == Access(AccessLevel.GRACE, AccessReason.PAYMENT_OVERDUE, END + 14 * DAY)
    assert access_at(AUTO, PLAN, END + 14 * DAY - TICK).level is AccessLevel.GRACE
    after = access_at(AUTO, PLAN, END + 14 * DAY)
    assert after == Access(AccessLevel.LIMITED, AccessReason.PAYMENT_OVERDUE, END + 379 * DAY)


def test_long_expired_is_ended_when_the_catalog_says_so() -> None:
    ended = access_at(SUBSCRIPTION, PLAN, END + 365 * DAY)
    assert ended == Access(AccessLevel.ENDED, AccessReason.SUBSCRIPTION_ENDED, None)
    for_ever = replace(PLAN, ended_after=None)
    assert access_at(SUBSCRIPTION, for_ever, END + 9_999 * DAY).level is AccessLevel.LIMITED


@pytest.mark.parametrize(
    ("billing", "reason"),
    [(Billing.UNPAID, AccessReason.PAYMENT_FAILED), (Billing.DISPUTED, AccessReason.PAYMENT_DISPUTED)],
)
def test_given_up_and_disputed_payments_have_no_grace_but_keep_the_period_that_runs(
    billing: Billing, reason: AccessReason
) -> None:
    subscription = replace(AUTO, billing=billing)
    assert access_at(subscription, PLAN, END - TICK).level is AccessLevel.FULL
    assert access_at(subscription, PLAN, END).level is AccessLevel.LIMITED
    assert access_at(subscription, PLAN, END).reason is reason


def test_suspended_is_limited_whatever_is_paid() -> None:
    suspended = replace(SUBSCRIPTION, suspended_at=PERIOD.start)
    access = access_at(suspended, PLAN, PERIOD.start)
    assert (access.level, access.reason) == (AccessLevel.LIMITED, AccessReason.SUBSCRIPTION_SUSPENDED)
    assert access_at(suspended, PLAN, END + 365 * DAY).level is AccessLevel.ENDED


def test_revoked_is_ended_for_good() -> None:
    revoked = replace(SUBSCRIPTION, revoked_at=PERIOD.start)
    expected = Access(AccessLevel.ENDED, AccessReason.SUBSCRIPTION_REVOKED, None)
    assert access_at(revoked, PLAN, PERIOD.start) == expected


def at(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "months", "anchor", "expected"),
    [
        (at(2027, 1, 31), 1, 31, at(2027, 2, 28)),
        (at(2027, 2, 28), 1, 31, at(2027, 3, 31)),
        (at(2028, 1, 31), 1, 31, at(2028, 2, 29)),
        (at(2028, 2, 29), 12, 29, at(2029, 2, 28)),
        (at(2031, 2, 28), 12, 29, at(2032, 2, 29)),
        (at(2027, 12, 15), 1, 15, at(2028, 1, 15)),
        (at(2027, 4, 30), 1, 30, at(2027, 5, 30)),
    ],
)
def test_months_are_added_on_the_anchor_day(start: datetime, months: int, anchor: int, expected: datetime) -> None:
    assert add_months(start, months, anchor) == expected


def test_a_purchase_on_the_31st_keeps_its_day_through_short_months() -> None:
    period, starts = first_period(at(2027, 1, 31), Term.MONTHLY), []
    for _ in range(5):
        starts.append(period.start.day)
        period = Period(period.end, add_months(period.end, 1, 31))
    assert starts == [31, 28, 31, 30, 31]


def test_an_early_renewal_loses_no_day() -> None:
    period, anchor = renewed(SUBSCRIPTION, PLAN, PERIOD.start + DAY)
    assert (period, anchor) == (Period(END, add_months(END, 12, 2)), SUBSCRIPTION.anchor_day)


def test_an_overdue_payment_pays_for_the_days_it_was_overdue() -> None:
    period, _ = renewed(AUTO, PLAN, END + 14 * DAY - TICK)
    assert period.start == END


def test_who_comes_back_after_it_expired_starts_now_in_a_new_rhythm() -> None:
    now = END + 3 * DAY
    period, anchor = renewed(SUBSCRIPTION, PLAN, now)
    assert (period.start, anchor) == (now, now.day)
    assert renewed(AUTO, PLAN, END + 14 * DAY)[0].start == END + 14 * DAY
