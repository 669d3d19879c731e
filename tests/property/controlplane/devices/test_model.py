from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.catalog.model import AccessLevel
from controlplane.devices.model import (
    OFFLINE_AFTER,
    PARTLY_UNKNOWN,
    DeviceReport,
    DeviceStatus,
    HealthIssue,
    ProtectionState,
    ScanStanding,
    protection,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
before = st.timedeltas(timedelta(0), timedelta(days=400)).map(lambda age: NOW - age)
issues = st.lists(
    st.builds(
        HealthIssue,
        st.sampled_from(["real_time_off", "protection_unproven", "policy_refused", "other"]),
        st.text(max_size=5),
    ),
    max_size=3,
)
reports = st.builds(
    DeviceReport,
    real_time_enabled=st.booleans(),
    proven_at=st.none() | before,
    health_issues=issues.map(tuple),
    signatures_made_at=st.none() | before,
    events_lost=st.integers(0, 2**63 - 1),
    platform=st.none(),
    raw=st.just(b""),
    scans=st.none() | st.builds(ScanStanding, before, st.integers(0, 30)),
)
statuses = st.builds(
    DeviceStatus,
    report=reports,
    last_seen=before,
    events_lost_at=st.none() | before,
    policy_behind_since=st.none() | before,
    active_threats=st.integers(0, 2),
    expired_at=st.sampled_from([None, None, NOW]),
)
levels = st.sampled_from(AccessLevel)


@given(status=st.none() | statuses, access=levels, has_seat=st.booleans())
def test_protected_means_that_there_is_no_reason_to_doubt_it(
    *, status: DeviceStatus | None, access: AccessLevel, has_seat: bool
) -> None:
    last_seen = status.last_seen if status else None
    verdict = protection(status, access=access, has_seat=has_seat, last_seen=last_seen, now=NOW)
    doubts = [reason for reason in verdict.reasons if reason.code != PARTLY_UNKNOWN]
    assert (verdict.state is ProtectionState.PROTECTED) == (not doubts)
    if verdict.state is ProtectionState.PROTECTED:
        assert status is not None
        assert has_seat
        assert access in {AccessLevel.FULL, AccessLevel.GRACE}
        assert status.report.real_time_enabled
        assert status.report.proven_at is not None
        assert not status.report.health_issues
        assert not status.active_threats
        assert NOW - status.last_seen <= OFFLINE_AFTER


@given(status=statuses, access=levels, has_seat=st.booleans())
def test_the_state_follows_the_first_kind_of_reason(
    *, status: DeviceStatus, access: AccessLevel, has_seat: bool
) -> None:
    verdict = protection(status, access=access, has_seat=has_seat, last_seen=status.last_seen, now=NOW)
    codes = [reason.code for reason in verdict.reasons]
    if status.expired_at is not None:
        assert (verdict.state, codes[0]) == (ProtectionState.EXPIRED, "EXPIRED")
    elif not has_seat or access in {AccessLevel.LIMITED, AccessLevel.ENDED}:
        assert verdict.state is ProtectionState.UNPROTECTED
        assert codes[0] in {"SEAT_LOST", "ACCESS_LIMITED", "ACCESS_ENDED"}
    elif NOW - status.last_seen > OFFLINE_AFTER:
        assert (verdict.state, codes[0]) == (ProtectionState.OFFLINE, "OFFLINE")
    elif set(codes) - {PARTLY_UNKNOWN}:
        assert verdict.state is ProtectionState.AT_RISK


@given(
    status=statuses,
    access=levels,
    has_seat=st.booleans(),
    silence=st.timedeltas(timedelta(0), timedelta(days=30)),
)
def test_silence_never_makes_a_device_look_better(
    *, status: DeviceStatus, access: AccessLevel, has_seat: bool, silence: timedelta
) -> None:
    def state(now: datetime) -> ProtectionState:
        return protection(status, access=access, has_seat=has_seat, last_seen=status.last_seen, now=now).state

    if state(NOW) is not ProtectionState.PROTECTED and NOW - status.last_seen <= OFFLINE_AFTER:
        later = state(NOW + silence)
        lost_events_forgotten = status.events_lost_at is not None
        assert later is not ProtectionState.PROTECTED or lost_events_forgotten


@given(access=levels, has_seat=st.booleans())
def test_a_device_that_was_never_seen_says_so(*, access: AccessLevel, has_seat: bool) -> None:
    verdict = protection(None, access=access, has_seat=has_seat, last_seen=None, now=NOW)
    assert verdict.state is ProtectionState.NEVER_SEEN
