from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.catalog.model import AccessLevel, Plan, Term
from controlplane.subscriptions.model import (
    Billing,
    Renewal,
    Subscription,
    access_at,
    add_months,
    first_period,
    renewed,
)
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.subscriptions import PLAN, SUBSCRIPTION

TICK = timedelta(microseconds=1)
#: About 30 years around the purchase.
INSTANTS = st.integers(-(10**14), 10**15).map(lambda us: SOME_MONDAY + timedelta(microseconds=us))
PLANS = st.builds(
    lambda grace, ended: replace(PLAN, grace=timedelta(days=grace), ended_after=ended),
    st.integers(0, 27),
    st.none() | st.integers(1, 3660).map(lambda days: timedelta(days=days)),
)


@st.composite
def subscriptions(draw: st.DrawFn) -> Subscription:
    start, term = draw(INSTANTS), draw(st.sampled_from(Term))
    period = first_period(start, term)
    return replace(
        SUBSCRIPTION,
        term=term,
        billing=draw(st.sampled_from(Billing)),
        renewal=draw(st.sampled_from(Renewal)),
        period_start=period.start,
        period_end=period.end,
        anchor_day=start.day,
        suspended_at=draw(st.none() | st.just(start)),
        revoked_at=draw(st.none() | st.just(start)),
    )


@given(subscriptions(), PLANS, INSTANTS, INSTANTS)
def test_without_an_event_access_never_grows(
    subscription: Subscription, plan: Plan, one: datetime, other: datetime
) -> None:
    earlier, later = min(one, other), max(one, other)
    assert access_at(subscription, plan, earlier).level.rank <= access_at(subscription, plan, later).level.rank


@given(subscriptions(), PLANS, INSTANTS)
def test_every_change_of_level_was_announced_with_its_date(
    subscription: Subscription, plan: Plan, now: datetime
) -> None:
    access = access_at(subscription, plan, now)
    if access.until is None:
        far = now + timedelta(days=365 * 40)
        assert access_at(subscription, plan, far).level is access.level
        return
    assert access.until > now
    assert access_at(subscription, plan, access.until - TICK).level is access.level
    assert access_at(subscription, plan, access.until).level.rank > access.level.rank


@given(subscriptions(), PLANS, INSTANTS)
def test_a_renewed_term_covers_now_or_follows_what_is_paid(
    subscription: Subscription, plan: Plan, now: datetime
) -> None:
    period, anchor_day = renewed(subscription, plan, now)
    after = replace(
        subscription,
        period_start=period.start,
        period_end=period.end,
        anchor_day=anchor_day,
        billing=Billing.ACTIVE,
        suspended_at=None,
        revoked_at=None,
    )
    assert period.start == max(subscription.period_end, now) or subscription.period_end <= now < period.end
    assert period.end > now
    assert access_at(after, plan, max(now, period.start)).level is AccessLevel.FULL


@given(INSTANTS, st.sampled_from(Term), st.integers(1, 60))
def test_terms_added_one_by_one_end_where_they_end_added_at_once(start: datetime, term: Term, count: int) -> None:
    end = start
    for _ in range(count):
        end = add_months(end, term.months, start.day)
    assert end == add_months(start, term.months * count, start.day)
    assert end.timetz() == start.timetz()
