"""Whatever the claims and the clocks, these hold."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.domain.entitlement import (
    CLOCK_BACK_TOLERANCE,
    FLOOR,
    FUTURE_TOLERANCE,
    Access,
    AccessLevel,
    Claims,
    EntitlementError,
    EntitlementRefusal,
    Feature,
    accept,
    access_at,
    evaluation_time,
)

KEY = b"k" * 32
instants = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- the strategy adds the zone
spans = st.timedeltas(timedelta(0), timedelta(days=400))
levels = st.sampled_from([level for level in AccessLevel if level is not AccessLevel.UNLICENSED])
features = st.dictionaries(st.sampled_from([feature.value for feature in Feature]), levels)


@st.composite
def claims(draw: st.DrawFn) -> Claims:
    issued = draw(instants)
    expires = issued + draw(spans)
    return Claims(
        serial=draw(st.integers(0, 50)),
        org_id="org",
        subscription_id="sub",
        seat_id="seat",
        device_id=draw(st.sampled_from(["dev_a", "dev_b"])),
        device_public_key_sha256=KEY,
        plan_id="p",
        plan_name="Plan",
        catalog_version=1,
        access=draw(levels),
        access_reason="PAID",
        access_until=draw(st.none() | instants),
        paid_until=None,
        issued_at=issued,
        not_before=issued,
        refresh_after=issued,
        expires_at=expires,
        grace_until=expires + draw(spans),
        features=draw(features),
        revocation_epoch=draw(st.integers(0, 3)),
    )


@given(claims(), st.none() | claims(), instants)
def test_accepted_claims_are_never_older_than_the_trusted_ones_of_the_same_device(
    new: Claims, trusted: Claims | None, now: datetime
) -> None:
    try:
        accepted = accept(new, trusted, KEY, now)
    except EntitlementError:
        return
    assert accepted == new
    assert new.not_before <= now + FUTURE_TOLERANCE
    if trusted is not None and trusted.device_id == new.device_id:
        assert new.serial >= trusted.serial
        assert new.revocation_epoch >= trusted.revocation_epoch


@given(claims(), st.none() | claims(), instants)
def test_claims_for_another_key_are_always_refused(new: Claims, trusted: Claims | None, now: datetime) -> None:
    with pytest.raises(EntitlementError) as refused:
        accept(new, trusted, b"x" * 32, now)
    assert refused.value.refusal is EntitlementRefusal.OTHER_DEVICE


@given(claims(), instants)
def test_the_same_claims_are_accepted_again(trusted: Claims, now: datetime) -> None:
    assume(trusted.not_before <= now)
    assert accept(trusted, trusted, KEY, now) == trusted


@given(st.none() | claims(), instants)
def test_the_floor_is_always_allowed(trusted: Claims | None, now: datetime) -> None:
    access = access_at(trusted, now)
    assert all(access.allows(feature) for feature in FLOOR)


@given(claims(), instants, spans)
def test_without_a_new_statement_access_only_goes_down(trusted: Claims, now: datetime, later: timedelta) -> None:
    rank = list(AccessLevel).index
    first, second = access_at(trusted, now), access_at(trusted, now + later)
    assert rank(second.level) >= rank(first.level) or trusted.access in {AccessLevel.LIMITED, AccessLevel.ENDED}


@given(claims(), instants)
def test_a_device_without_contact_is_in_grace_until_a_date_it_was_told(trusted: Claims, now: datetime) -> None:
    access = access_at(replace(trusted, access=AccessLevel.FULL), now)
    if access.reason == "NO_CONTACT" and access.level is AccessLevel.GRACE:
        assert access.until == trusted.grace_until
        assert now < trusted.grace_until


@given(st.sampled_from(list(Feature)), levels, levels)
def test_a_feature_granted_at_a_level_is_granted_at_every_better_one(
    feature: Feature, granted: AccessLevel, level: AccessLevel
) -> None:
    rank = list(AccessLevel).index
    allowed = Access(level, "", None, {feature.value: granted}).allows(feature)
    assert allowed is (feature in FLOOR or rank(level) <= rank(granted))


@given(instants, st.none() | instants)
def test_a_clock_set_back_far_is_judged_at_the_mark_and_nothing_else_is(wall: datetime, mark: datetime | None) -> None:
    judged = evaluation_time(wall, mark)
    if mark is not None and mark - wall > CLOCK_BACK_TOLERANCE:
        assert judged == mark
    else:
        assert judged == wall
