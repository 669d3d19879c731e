from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from agent.control.link.device_report import status_to_wire
from agent.domain.scan_age import OVERDUE_DAYS, ScanAge
from agent.domain.schedule import ScanKind, Schedule
from agent.scanner.scheduled.settings import ScheduleSettings
from controlplane.devices.reading import read_report
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.device import REPORT

earlier = st.timedeltas(timedelta(0), timedelta(days=40)).map(lambda age: SOME_MONDAY - age)
DAILY = Schedule.parse("daily 12:00")


@given(quick=st.none() | earlier, full=st.none() | earlier, counted_from=earlier, limit_days=st.integers(0, 30))
@example(quick=None, full=None, counted_from=SOME_MONDAY - timedelta(days=14), limit_days=14)
def test_device_and_control_plane_agree_on_what_is_overdue(
    quick: datetime | None, full: datetime | None, counted_from: datetime, limit_days: int
) -> None:
    age = ScanAge(quick, full, counted_from, limit_days)
    told = read_report(status_to_wire(replace(REPORT, scans=age))).scans
    assert told is not None
    assert told.is_overdue(SOME_MONDAY) == bool(age.issues(SOME_MONDAY))


def test_nobody_waits_for_scans_that_are_not_scheduled_unless_they_say_so() -> None:
    assert DAILY is not None
    scheduled = {ScanKind.QUICK: DAILY}
    assert ScheduleSettings().limit_days == 0
    assert ScheduleSettings(scheduled).limit_days == OVERDUE_DAYS
    assert ScheduleSettings(overdue_days=3).limit_days == 3
    assert ScheduleSettings(scheduled, overdue_days=0).limit_days == 0


def test_a_device_begins_to_count_with_its_first_status() -> None:
    issues = ScanAge(None, None, SOME_MONDAY, 7).issues(SOME_MONDAY + timedelta(days=7, seconds=1))
    assert [issue.code for issue in issues] == ["scan_overdue"]
