"""Schedules under every zone, season, clock change and pause."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from agent.domain.schedule import Schedule, next_due, sound_baseline

ZONES = st.sampled_from(
    [
        ZoneInfo(name)
        for name in (
            "UTC",
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
            "Africa/Cairo",
        )
    ]
)
INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2036, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- bounds are naive
SCHEDULES = st.builds(
    Schedule,
    st.builds(time, st.integers(0, 23), st.integers(0, 59)),
    st.none() | st.integers(0, 6),
)
JITTER = st.timedeltas(timedelta(0), timedelta(hours=12))


@given(SCHEDULES, INSTANTS, ZONES)
def test_the_next_time_lies_ahead_and_within_one_period(schedule: Schedule, baseline: datetime, zone: ZoneInfo) -> None:
    due = next_due(schedule, baseline, zone)
    period = timedelta(days=1 if schedule.weekday is None else 7)
    # A change between summer and winter moves a local time by at most an hour.
    assert baseline < due <= baseline + period + timedelta(hours=1)


@given(SCHEDULES, INSTANTS, ZONES)
def test_it_is_the_local_time_that_was_asked_for_unless_that_does_not_exist(
    schedule: Schedule, baseline: datetime, zone: ZoneInfo
) -> None:
    local = next_due(schedule, baseline, zone).astimezone(zone)
    wanted = local.replace(hour=schedule.at.hour, minute=schedule.at.minute, second=0, microsecond=0)
    exists = wanted.astimezone(UTC).astimezone(zone).time() == schedule.at
    assert not exists or local.time() == schedule.at
    assert schedule.weekday is None or local.weekday() == schedule.weekday


@given(SCHEDULES, INSTANTS, ZONES, st.integers(1, 40))
def test_every_day_or_week_has_exactly_one(schedule: Schedule, baseline: datetime, zone: ZoneInfo, count: int) -> None:
    times = [baseline]
    for _ in range(count):
        times.append(next_due(schedule, times[-1], zone))
    days = [at.astimezone(zone).date() for at in times[1:]]
    step = 1 if schedule.weekday is None else 7
    assert all((later - earlier).days == step for earlier, later in pairwise(days))


@given(
    SCHEDULES, INSTANTS, ZONES, JITTER, st.lists(st.timedeltas(timedelta(days=-400), timedelta(days=40)), max_size=30)
)
def test_whatever_the_clock_does_a_scan_runs_once_and_never_waits_longer_than_a_period(
    schedule: Schedule, now: datetime, zone: ZoneInfo, jitter: timedelta, steps: list[timedelta]
) -> None:
    period = timedelta(days=1 if schedule.weekday is None else 7)
    baseline: datetime | None = None
    for step in steps:
        now += step
        baseline = sound_baseline(baseline, now)
        due = next_due(schedule, baseline, zone, jitter)
        if due <= now:
            baseline = now
            assert next_due(schedule, baseline, zone, jitter) > now
        else:
            assert due - now <= period + timedelta(hours=1) + jitter
