from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

import pytest

from controlplane.billing.model import Occasion, SoldBy
from controlplane.billing.money import Money
from controlplane.billing.refunds.policy import (
    Charge,
    Place,
    RefundDecision,
    best_eligibility,
    eligibility,
    read_policies,
)

PUBLISHED = read_policies(resources.files("controlplane.billing.refunds").joinpath("refund_policies.toml").read_bytes())
POLICY = PUBLISHED[-1]
BERLIN = Place("DE", ZoneInfo("Europe/Berlin"))
LONDON = Place("GB", ZoneInfo("Europe/London"))
PAID_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def charge(term: str = "yearly", occasion: Occasion = Occasion.RENEWAL, **changes: object) -> Charge:
    whole = Charge(
        term=term,
        occasion=occasion,
        sold_by=SoldBy.US,
        charged_at=PAID_AT,
        period_start=PAID_AT,
        period_end=PAID_AT + (365 if term == "yearly" else 31) * DAY,
        paid=Money(3_650, "EUR"),
        left=Money(3_650, "EUR"),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("term", "occasion", "days"),
    [
        ("yearly", Occasion.INITIAL, 60),
        ("yearly", Occasion.AFTER_TRIAL, 60),
        ("yearly", Occasion.RENEWAL, 60),
        ("yearly", Occasion.CHANGE, 60),
        ("monthly", Occasion.INITIAL, 14),
        ("monthly", Occasion.AFTER_TRIAL, 14),
    ],
)
def test_the_last_day_counts_to_its_end_where_the_customer_lives(term: str, occasion: Occasion, days: int) -> None:
    asked = charge(term, occasion)
    last_day = date(2026, 3, 2) + timedelta(days=days)
    # In summer Berlin is two hours ahead, on 16 March one.
    midnight = datetime(last_day.year, last_day.month, last_day.day, tzinfo=BERLIN.zone) + DAY
    just_in = eligibility(asked, POLICY, BERLIN, midnight.astimezone(UTC) - timedelta(microseconds=1))
    assert (just_in.decision, just_in.reason, just_in.last_day) == (RefundDecision.FULL, "WITHIN_WINDOW", last_day)
    assert just_in.amount == asked.left
    too_late = eligibility(asked, POLICY, BERLIN, midnight.astimezone(UTC))
    assert (too_late.decision, too_late.reason, too_late.amount.minor) == (RefundDecision.NO, "WINDOW_OVER", 0)
    assert last_day.isoformat() in too_late.sentence


@pytest.mark.parametrize("occasion", [Occasion.RENEWAL, Occasion.CHANGE])
def test_monthly_renewals_are_not_given_back(occasion: Occasion) -> None:
    answer = eligibility(charge("monthly", occasion), POLICY, BERLIN, PAID_AT)
    assert (answer.decision, answer.reason, answer.last_day) == (RefundDecision.NO, "NOT_COVERED", None)


@pytest.mark.parametrize("seller", [each for each in SoldBy if each is not SoldBy.US])
def test_what_others_sold_they_give_back(seller: SoldBy) -> None:
    answer = eligibility(charge(sold_by=seller), POLICY, BERLIN, PAID_AT)
    assert (answer.decision, answer.reason) == (RefundDecision.ASK_SELLER, "SOLD_BY_OTHERS")
    assert seller.value.replace("_", " ") in answer.sentence


def test_after_the_window_a_renewed_year_is_given_back_by_days_where_the_law_says_so() -> None:
    day_100 = PAID_AT + 99 * DAY
    answer = eligibility(charge(), POLICY, LONDON, day_100)
    assert (answer.decision, answer.reason) == (RefundDecision.PRO_RATA, "UNUSED_PART")
    assert answer.amount == Money(2_650, "EUR")
    assert answer.last_day == date(2027, 3, 1)
    assert eligibility(charge(), POLICY, BERLIN, day_100).decision is RefundDecision.NO
    assert eligibility(charge(occasion=Occasion.INITIAL), POLICY, LONDON, day_100).decision is RefundDecision.NO
    assert eligibility(charge(), POLICY, LONDON, PAID_AT + 364 * DAY).amount.minor == 0
    partly = eligibility(charge(left=Money(1_000, "EUR")), POLICY, LONDON, day_100)
    assert partly.amount == Money(1_000, "EUR")


def test_what_was_charged_twice_needs_no_window() -> None:
    late = PAID_AT + 800 * DAY
    answer = eligibility(charge("monthly", duplicate=True), POLICY, BERLIN, late)
    assert (answer.decision, answer.reason, answer.amount.minor) == (RefundDecision.FULL, "DUPLICATE", 3_650)


def test_nothing_left_is_nothing_given() -> None:
    answer = eligibility(charge(left=Money(0, "EUR")), POLICY, BERLIN, PAID_AT)
    assert (answer.decision, answer.reason) == (RefundDecision.NO, "NOTHING_LEFT")


def test_a_later_policy_may_only_be_kinder() -> None:
    stricter = POLICY.model_copy(update={"version": 2, "windows": []})
    answer = best_eligibility(charge(), (POLICY, stricter), 1, BERLIN, PAID_AT)
    assert (answer.decision, answer.policy_version) == (RefundDecision.FULL, 1)
    kinder = best_eligibility(charge(), (stricter, POLICY), 2, BERLIN, PAID_AT)
    assert (kinder.decision, kinder.policy_version) == (RefundDecision.FULL, 1)
    unknown = best_eligibility(charge(), (stricter, POLICY), 99, BERLIN, PAID_AT)
    assert unknown.policy_version == 1


def test_every_published_policy_has_a_version_of_its_own() -> None:
    versions = [policy.version for policy in PUBLISHED]
    assert versions == sorted(set(versions))
