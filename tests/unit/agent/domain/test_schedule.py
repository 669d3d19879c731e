from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from agent.domain.schedule import Schedule, next_due, sound_baseline

BERLIN = ZoneInfo("Europe/Berlin")
NOON = Schedule(time(12, 30))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("daily 12:30", Schedule(time(12, 30))),
        ("weekly sunday 03:00", Schedule(time(3, 0), weekday=6)),
        (" Weekly  MONDAY 23:59 ", Schedule(time(23, 59), weekday=0)),
        ("off", None),
    ],
)
def test_a_schedule_is_read_as_it_is_written(text: str, schedule: Schedule | None) -> None:
    assert Schedule.parse(text) == schedule
    if schedule is not None:
        assert Schedule.parse(str(schedule)) == schedule


@pytest.mark.parametrize("text", ["", "daily", "daily 24:00", "weekly 03:00", "weekly someday 03:00", "hourly 1:00"])
def test_what_is_no_schedule_says_what_one_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match="daily 12:30"):
        Schedule.parse(text)


def test_a_time_is_the_devices_own() -> None:
    assert next_due(NOON, utc("2026-01-10 00:00"), BERLIN) == utc("2026-01-10 11:30")
    assert next_due(NOON, utc("2026-07-10 00:00"), BERLIN) == utc("2026-07-10 10:30")


def test_once_a_week_is_once_a_week() -> None:
    sunday = Schedule(time(3), weekday=6)
    first = next_due(sunday, utc("2026-11-25 00:00"), BERLIN)
    assert first == utc("2026-11-29 02:00")
    assert next_due(sunday, first, BERLIN) == utc("2026-12-06 02:00")


def test_an_hour_that_summer_skips_is_the_one_after_it() -> None:
    half_past_two = Schedule(time(2, 30))
    due = next_due(half_past_two, utc("2026-03-28 12:00"), BERLIN)
    assert due.astimezone(BERLIN).isoformat() == "2026-03-29T03:30:00+02:00"


def test_an_hour_that_comes_twice_counts_once() -> None:
    half_past_two = Schedule(time(2, 30))
    first = next_due(half_past_two, utc("2026-10-24 12:00"), BERLIN)
    assert first == utc("2026-10-25 00:30")
    assert next_due(half_past_two, first, BERLIN) == utc("2026-10-26 01:30")


def test_what_was_missed_many_times_is_due_once() -> None:
    baseline, now = utc("2026-01-01 00:00"), utc("2026-02-01 00:00")
    assert next_due(NOON, baseline, BERLIN) <= now
    assert next_due(NOON, now, BERLIN) > now


def test_jitter_puts_off_and_never_repeats() -> None:
    late = next_due(NOON, utc("2026-01-10 00:00"), BERLIN, timedelta(minutes=20))
    assert late == utc("2026-01-10 11:50")
    assert next_due(NOON, late, BERLIN, timedelta(0)) == utc("2026-01-11 11:30")


def test_a_new_schedule_begins_now_and_a_clock_set_back_is_not_waited_for() -> None:
    now = utc("2026-01-10 09:00")
    assert sound_baseline(None, now) == now
    assert sound_baseline(utc("2031-01-01 00:00"), now) == now
    assert sound_baseline(utc("2026-01-09 00:00"), now) == utc("2026-01-09 00:00")
