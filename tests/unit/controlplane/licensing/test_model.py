from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.catalog.model import AccessLevel
from controlplane.licensing.model import (
    GRACE,
    LIFETIME,
    REFRESH_AFTER,
    Basis,
    LatestEntitlement,
    SubscriptionTerms,
    basis_of,
    may_take_new_seat,
    needs_new,
    seat_id_of,
    times_of,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)
TERMS = SubscriptionTerms(
    org_id="org_1",
    subscription_id="sub_1",
    plan_id="home-3",
    plan_name="Buckler 3 devices",
    catalog_version=1,
    seats=3,
    access=AccessLevel.FULL,
    access_reason="PAID",
    access_until=NOW + 100 * DAY,
    paid_until=NOW + 100 * DAY,
    revocation_epoch=0,
    features={"quarantine": AccessLevel.LIMITED, "blocking_mode": AccessLevel.GRACE},
)


def _basis(terms: SubscriptionTerms = TERMS, seat_id: str = "seat_1_1") -> Basis:
    return basis_of(terms, seat_id=seat_id, device_id="dev_1", device_public_key_sha256=b"k" * 32)


def test_a_statement_lasts_a_month_and_is_refreshed_twice_a_day() -> None:
    times = times_of(_basis(), NOW)
    assert (times.issued_at, times.not_before) == (NOW, NOW)
    assert times.refresh_after == NOW + REFRESH_AFTER
    assert times.expires_at == NOW + LIFETIME
    assert times.grace_until == NOW + LIFETIME + GRACE


def test_it_does_not_outlive_the_day_on_which_access_changes() -> None:
    times = times_of(_basis(replace(TERMS, access_until=NOW + DAY)), NOW)
    assert (times.expires_at, times.grace_until) == (NOW + DAY, NOW + DAY + GRACE)
    soon = times_of(_basis(replace(TERMS, access_until=NOW + timedelta(hours=1))), NOW)
    assert soon.refresh_after == soon.expires_at == NOW + timedelta(hours=1)


def test_staying_away_does_not_prolong_a_grace() -> None:
    terms = replace(TERMS, access=AccessLevel.GRACE, access_reason="PAYMENT_OVERDUE", access_until=NOW + 5 * DAY)
    times = times_of(_basis(terms), NOW)
    assert times.expires_at == times.grace_until == NOW + 5 * DAY


def test_a_device_without_a_seat_is_limited_and_told_why() -> None:
    basis = _basis(seat_id="")
    assert (basis.access, basis.access_reason, basis.access_until) == (AccessLevel.LIMITED, "SEAT_RELEASED", None)
    ended = _basis(replace(TERMS, access=AccessLevel.ENDED, access_reason="SUBSCRIPTION_REVOKED"), seat_id="")
    assert (ended.access, ended.access_reason) == (AccessLevel.ENDED, "SUBSCRIPTION_REVOKED")


@pytest.mark.parametrize(
    "changed",
    [
        replace(TERMS, access=AccessLevel.GRACE),
        replace(TERMS, access_reason="TRIAL"),
        replace(TERMS, access_until=None),
        replace(TERMS, paid_until=NOW),
        replace(TERMS, plan_id="home-5"),
        replace(TERMS, plan_name="Buckler 5 devices"),
        replace(TERMS, catalog_version=2),
        replace(TERMS, revocation_epoch=1),
        replace(TERMS, features={}),
        replace(TERMS, features={**TERMS.features, "quarantine": AccessLevel.GRACE}),
    ],
)
def test_any_change_asks_for_a_new_statement(changed: SubscriptionTerms) -> None:
    latest = LatestEntitlement(1, _basis().digest(), NOW + REFRESH_AFTER)
    assert not needs_new(latest, _basis(), NOW)
    assert needs_new(latest, _basis(changed), NOW)
    assert needs_new(latest, _basis(seat_id="seat_1_2"), NOW)


def test_more_seats_alone_change_nothing_for_a_device() -> None:
    assert _basis(replace(TERMS, seats=5)) == _basis()


def test_a_first_statement_and_one_due_for_refresh_are_made() -> None:
    latest = LatestEntitlement(1, _basis().digest(), NOW)
    assert needs_new(None, _basis(), NOW)
    assert needs_new(latest, _basis(), NOW)
    assert not needs_new(latest, _basis(), NOW - timedelta(microseconds=1))


def test_the_digest_keeps_neighbouring_fields_apart() -> None:
    one = replace(_basis(), plan_id="ab", plan_name="c")
    other = replace(_basis(), plan_id="a", plan_name="bc")
    assert one.digest() != other.digest()


def test_new_devices_are_taken_in_while_there_is_full_access_or_grace() -> None:
    assert [level for level in AccessLevel if may_take_new_seat(level)] == [AccessLevel.FULL, AccessLevel.GRACE]


def test_the_id_of_a_seat_names_its_subscription_and_slot() -> None:
    assert seat_id_of("sub_5f0c", 3) == "seat_5f0c_3"
