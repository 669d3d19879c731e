from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.catalog.model import AccessLevel
from controlplane.devices.fleet.standing import changes_at, codes_of, condition_of, state_of
from controlplane.devices.model import DeviceStatus, ScanStanding, licence_reasons_of, protection
from tests.property.controlplane.devices.test_model import NOW, levels, statuses

moments = st.timedeltas(timedelta(0), timedelta(days=400)).map(lambda later: NOW + later)


@given(status=st.none() | statuses, access=st.none() | levels, now=moments)
def test_counters_and_verdicts_cannot_disagree(
    status: DeviceStatus | None, access: AccessLevel | None, now: datetime
) -> None:
    verdict = protection(
        status,
        access=access or AccessLevel.LIMITED,
        has_seat=access is not None,
        last_seen=status.last_seen if status else None,
        now=now,
    )
    condition = condition_of(status, now)
    assert state_of(condition, access) is verdict.state
    counted = {*codes_of(condition), *(reason.code for reason in licence_reasons_of(access))}
    assert counted == {reason.code for reason in verdict.reasons}


@given(status=st.none() | statuses, now=moments, share=st.floats(0, 1, exclude_max=True))
def test_a_condition_holds_until_it_is_due(*, status: DeviceStatus | None, now: datetime, share: float) -> None:
    due = changes_at(status, now)
    horizon = now + timedelta(days=500) if due is None else due
    assert due is None or due > now
    assert condition_of(status, now + (horizon - now) * share) == condition_of(status, now)


@given(status=statuses)
def test_a_far_future_in_a_report_does_no_harm(status: DeviceStatus) -> None:
    from dataclasses import replace

    never = datetime.max.replace(tzinfo=NOW.tzinfo)
    report = replace(status.report, signatures_made_at=never, scans=ScanStanding(never, 3_652))
    far = replace(status, report=report, expired_at=None)
    due = changes_at(far, NOW)
    assert due is not None
    assert due > NOW
