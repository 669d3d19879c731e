from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.catalog.model import AccessLevel
from controlplane.devices.model import (
    EVENTS_LOST_SHOWN_FOR,
    OFFLINE_AFTER,
    POLICY_APPLIED_WITHIN,
    SIGNATURES_OLD_AFTER,
    DeviceReport,
    DeviceStatus,
    HealthIssue,
    ProtectionState,
    ProtectionVerdict,
    ScanStanding,
    protection,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HEALTHY = DeviceReport(
    real_time_enabled=True,
    proven_at=NOW,
    health_issues=(),
    signatures_made_at=NOW,
    events_lost=0,
    platform=None,
    raw=b"",
    scans=ScanStanding(NOW, 14),
)


def _verdict(
    report: DeviceReport = HEALTHY,
    *,
    last_seen: datetime = NOW,
    events_lost_at: datetime | None = None,
    access: AccessLevel = AccessLevel.FULL,
) -> ProtectionVerdict:
    status = DeviceStatus(report, last_seen, events_lost_at)
    return protection(status, access=access, has_seat=True, last_seen=last_seen, now=NOW)


def _codes(verdict: ProtectionVerdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


def test_a_healthy_device_in_grace_is_protected() -> None:
    assert _verdict(access=AccessLevel.GRACE) == ProtectionVerdict(ProtectionState.PROTECTED, ())


def test_offline_begins_right_after_the_threshold() -> None:
    assert _verdict(last_seen=NOW - OFFLINE_AFTER).state is ProtectionState.PROTECTED
    verdict = _verdict(last_seen=NOW - OFFLINE_AFTER - SECOND)
    assert (verdict.state, verdict.reasons[0].message) == (
        ProtectionState.OFFLINE,
        "No contact since 2026-03-02 08:44 UTC",
    )


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (replace(HEALTHY, real_time_enabled=False), "REAL_TIME_OFF"),
        (replace(HEALTHY, proven_at=None), "REAL_TIME_UNPROVEN"),
        (replace(HEALTHY, signatures_made_at=NOW - SIGNATURES_OLD_AFTER - SECOND), "SIGNATURES_OLD"),
        (replace(HEALTHY, health_issues=(HealthIssue("root_unreadable", "m"),)), "DEGRADED"),
        (replace(HEALTHY, health_issues=(HealthIssue("protection_unproven", "m"),)), "REAL_TIME_UNPROVEN"),
        (replace(HEALTHY, scans=ScanStanding(NOW - timedelta(days=14) - SECOND, 14)), "SCAN_OVERDUE"),
        (replace(HEALTHY, health_issues=(HealthIssue("scan_overdue", "m"),)), "SCAN_OVERDUE"),
        (replace(HEALTHY, health_issues=(HealthIssue("policy_refused", "m"),)), "OUT_OF_POLICY"),
    ],
)
def test_every_trouble_of_the_device_puts_it_at_risk(report: DeviceReport, code: str) -> None:
    verdict = _verdict(report)
    assert (verdict.state, _codes(verdict)) == (ProtectionState.AT_RISK, [code])


def test_the_same_trouble_is_named_once() -> None:
    issue = HealthIssue("real_time_off", "files are not watched")
    assert _codes(_verdict(replace(HEALTHY, real_time_enabled=False, health_issues=(issue,)))) == ["REAL_TIME_OFF"]


def test_lost_events_are_shown_for_a_day() -> None:
    assert _codes(_verdict(events_lost_at=NOW - EVENTS_LOST_SHOWN_FOR)) == ["EVENTS_LOST"]
    assert _codes(_verdict(events_lost_at=NOW - EVENTS_LOST_SHOWN_FOR - SECOND)) == []


def test_a_scan_is_overdue_only_where_somebody_waits_for_it() -> None:
    long_ago = NOW - timedelta(days=400)
    assert _codes(_verdict(replace(HEALTHY, scans=ScanStanding(long_ago, 0)))) == []
    assert _codes(_verdict(replace(HEALTHY, scans=ScanStanding(NOW - timedelta(days=14), 14)))) == []


def test_an_agent_that_does_not_tell_of_scans_is_protected_as_far_as_is_known() -> None:
    verdict = _verdict(replace(HEALTHY, scans=None))
    assert (verdict.state, _codes(verdict)) == (ProtectionState.PROTECTED, ["PARTLY_UNKNOWN"])


def test_a_policy_has_an_hour_to_get_into_force() -> None:
    behind = DeviceStatus(replace(HEALTHY, policy_behind=True), NOW, None)
    for since, codes in ((NOW - POLICY_APPLIED_WITHIN, []), (NOW - POLICY_APPLIED_WITHIN - SECOND, ["OUT_OF_POLICY"])):
        status = replace(behind, policy_behind_since=since)
        verdict = protection(status, access=AccessLevel.FULL, has_seat=True, last_seen=NOW, now=NOW)
        assert _codes(verdict) == codes


def test_files_that_were_found_and_left_are_counted() -> None:
    status = DeviceStatus(HEALTHY, NOW, None, active_threats=2)
    verdict = protection(status, access=AccessLevel.FULL, has_seat=True, last_seen=NOW, now=NOW)
    assert (verdict.state, _codes(verdict)) == (ProtectionState.AT_RISK, ["ACTIVE_THREAT"])
    assert verdict.reasons[0].message.startswith("2 files")


def test_unknown_age_of_signatures_is_no_accusation() -> None:
    assert _verdict(replace(HEALTHY, signatures_made_at=None)).state is ProtectionState.PROTECTED


@pytest.mark.parametrize(
    ("access", "code"), [(AccessLevel.LIMITED, "ACCESS_LIMITED"), (AccessLevel.ENDED, "ACCESS_ENDED")]
)
def test_a_device_without_full_access_is_unprotected_even_while_offline(access: AccessLevel, code: str) -> None:
    verdict = _verdict(access=access, last_seen=NOW - timedelta(days=3))
    assert (verdict.state, _codes(verdict)) == (ProtectionState.UNPROTECTED, [code, "OFFLINE"])
