from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.billing.attempts import FailureKind
from controlplane.catalog.model import AccessLevel, ExistingCustomers, Term
from controlplane.subscriptions.lifecycle import (
    RENEWAL_NOTICE,
    RETRIES,
    TRIAL_NOTICES,
    Ask,
    Planned,
    Step,
    after_failure,
    comes_along,
    converted_days,
    next_due,
    next_terms,
    price_announced_in_time,
    renews,
    takes_effect_at_once,
    timeline,
)
from controlplane.subscriptions.model import (
    Billing,
    Pending,
    PendingWhy,
    Renewal,
    Subscription,
    access_at,
    first_period,
    limited_from,
)
from controlplane.subscriptions.rehearsal import rehearse
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.lives import LARGE, SMALL
from tests.fakes.subscriptions import SUBSCRIPTION

DAY = timedelta(days=1)


@st.composite
def subscriptions(draw: st.DrawFn) -> Subscription:
    start, term = SOME_MONDAY + draw(st.integers(0, 1500)) * DAY, draw(st.sampled_from(Term))
    billing = draw(st.sampled_from(Billing))
    period = first_period(start, term)
    end = start + draw(st.integers(1, 90)) * DAY if billing is Billing.TRIALING else period.end
    pending = draw(
        st.none()
        | st.builds(Pending, st.just("home-5"), st.just(2), st.sampled_from(Term), st.sampled_from(PendingWhy))
    )
    return replace(
        SUBSCRIPTION,
        term=term,
        billing=billing,
        renewal=draw(st.sampled_from(Renewal)),
        period_start=start,
        period_end=end,
        created_at=start,
        anchor_day=start.day,
        currency=draw(st.sampled_from(["EUR", ""])),
        pending=pending,
    )


@given(subscriptions())
def test_a_timeline_is_in_order_and_names_every_step_once(subscription: Subscription) -> None:
    planned = timeline(subscription, SMALL)
    assert [each.at for each in planned] == sorted(each.at for each in planned)
    assert len({each.key for each in planned}) == len(planned)
    walked, done = [], frozenset[str]()
    while (due := next_due(planned, done)) is not None:
        walked.append(due)
        done |= {due.key}
    assert tuple(walked) == planned


@given(subscriptions())
def test_nothing_is_charged_before_the_end_and_never_unannounced(subscription: Subscription) -> None:
    at = {each.step: each.at for each in timeline(subscription, SMALL)}
    if not renews(subscription):
        assert Step.RENEWAL_NOTICE not in at
        return
    assert at[Step.PERIOD_OVER] == subscription.period_end
    if subscription.currency and subscription.billing is not Billing.TRIALING:
        term = next_terms(subscription, price_announced=True).term
        assert at[Step.RENEWAL_NOTICE] == subscription.period_end - RENEWAL_NOTICE[term]


@given(st.integers(1, 90))
def test_every_trial_is_announced_in_the_windows(days: int) -> None:
    trial = replace(
        SUBSCRIPTION,
        billing=Billing.TRIALING,
        renewal=Renewal.AUTO,
        currency="EUR",
        period_end=SOME_MONDAY + days * DAY,
    )
    notices = [each.at for each in timeline(trial, SMALL) if each.step.value.startswith("trial")]
    assert trial.period_end - TRIAL_NOTICES[-1] in notices
    assert (trial.period_end - TRIAL_NOTICES[0] in notices) is (days * DAY > TRIAL_NOTICES[0])


@given(subscriptions(), st.sampled_from(FailureKind), st.integers(0, 40 * 24))
def test_retries_are_published_within_the_grace_and_only_if_they_may_help(
    subscription: Subscription, kind: FailureKind, hours: int
) -> None:
    overdue = replace(subscription, billing=Billing.PAST_DUE, renewal=Renewal.AUTO)
    now = overdue.period_end + timedelta(hours=hours)
    dunning = after_failure(overdue, SMALL, kind, now)
    assert dunning.access_changes_at == limited_from(overdue, SMALL)
    if kind in {FailureKind.HARD, FailureKind.ACTION_NEEDED}:
        assert (dunning.retry_at, dunning.tries_left) == (None, 0)
        assert dunning.ask is not Ask.NOTHING
        return
    if dunning.retry_at is not None:
        assert now < dunning.retry_at < dunning.access_changes_at
        assert dunning.retry_at - overdue.period_end in RETRIES
    assert (dunning.retry_at is None) is (dunning.tries_left == 0)


@given(st.integers(0, 60))
def test_every_day_after_a_failure_has_the_access_that_was_told(day: int) -> None:
    overdue = replace(SUBSCRIPTION, billing=Billing.PAST_DUE, renewal=Renewal.AUTO)
    access = access_at(overdue, SMALL, overdue.period_end + day * DAY)
    assert access.level is (AccessLevel.GRACE if day * DAY < SMALL.grace else AccessLevel.LIMITED)


@given(st.none() | st.integers(-60, 5))
def test_a_new_price_holds_only_if_it_was_told_before_the_renewal_notice(days: int | None) -> None:
    pending = Pending("home-3", 2, Term.YEARLY, PendingWhy.PRICE)
    subscription = replace(SUBSCRIPTION, renewal=Renewal.AUTO, currency="EUR", pending=pending)
    told = None if days is None else subscription.period_end + days * DAY
    in_time = price_announced_in_time(subscription, told)
    assert in_time is (days is not None and days <= -28)
    assert next_terms(subscription, price_announced=in_time).catalog_version == (2 if in_time else 1)


def test_only_dearer_plans_and_longer_terms_begin_at_once() -> None:
    monthly, yearly = Term.MONTHLY, Term.YEARLY
    assert takes_effect_at_once(SMALL, LARGE, yearly, yearly, "EUR")
    assert takes_effect_at_once(SMALL, SMALL, monthly, yearly, "EUR")
    assert not takes_effect_at_once(LARGE, SMALL, yearly, yearly, "EUR")
    assert not takes_effect_at_once(SMALL, SMALL, yearly, monthly, "EUR")
    assert not takes_effect_at_once(LARGE, SMALL, monthly, yearly, "EUR")


@given(st.integers(0, 4000), st.integers(0, 20_000), st.integers(1, 20_000))
def test_converted_time_is_worth_at_most_what_it_was(days: int, worth: int, price: int) -> None:
    converted = converted_days(days, worth, price)
    assert converted * price <= days * worth < (converted + 1) * price


@given(subscriptions(), st.integers(0, 36))
def test_a_rehearsal_looks_ahead_only_and_ends(subscription: Subscription, months: int) -> None:
    now: datetime = subscription.period_start
    until = now + 31 * months * DAY
    entries = rehearse(subscription, SMALL, LARGE, frozenset(), now, until=until)
    assert all(now <= entry.at for entry in entries)
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)


def test_steps_of_one_instant_have_their_order() -> None:
    short = replace(
        SUBSCRIPTION, billing=Billing.TRIALING, renewal=Renewal.AUTO, currency="EUR", period_end=SOME_MONDAY + 5 * DAY
    )
    planned: tuple[Planned, ...] = timeline(short, SMALL)
    assert planned[0].step in {Step.CARD_CHECK, Step.TRIAL_LAST_NOTICE}


@given(subscriptions(), st.integers(1, 3), st.sampled_from(ExistingCustomers))
def test_only_who_renews_here_at_a_price_comes_along_and_only_forward(
    subscription: Subscription, version: int, customers: ExistingCustomers
) -> None:
    sold_now = replace(SMALL, catalog_version=version, existing_customers=customers)
    if comes_along(subscription, sold_now):
        assert customers is ExistingCustomers.MOVE
        assert version > subscription.catalog_version
        assert renews(subscription)
        assert subscription.pending is None
        assert sold_now.price(subscription.term, subscription.currency) is not None
    moved = replace(subscription, catalog_version=version)
    assert not comes_along(moved, sold_now)
