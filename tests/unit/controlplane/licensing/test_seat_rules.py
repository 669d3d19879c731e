"""Who keeps a seat, and who may take one."""

from datetime import datetime, timedelta

import pytest

from controlplane.licensing.seat_rules import (
    ROTATION_WINDOW,
    STALE_AFTER,
    Standing,
    cools_until,
    in_order_of_keeping,
    intake_allowance,
    reclaimable,
    who_loses,
)
from tests.fakes.clock import SOME_MONDAY as NOW

DAY = timedelta(days=1)


def standing(slot_no: int, *, held: int = 100, seen: int | None = 1, pinned: bool = False) -> Standing:
    """Held and seen so many days ago."""
    last_seen = None if seen is None else NOW - seen * DAY
    return Standing(slot_no, NOW - held * DAY, last_seen, pinned)


def slots(standings: list[Standing]) -> list[int]:
    return [each.slot_no for each in standings]


def test_pinned_seats_stay_first_then_those_seen_last_then_the_older_slot() -> None:
    ranked = [
        standing(4, seen=50, pinned=True),
        standing(3, seen=1),
        standing(1, seen=2),
        standing(2, seen=2),
        standing(5, held=10, seen=None),
    ]
    assert slots(in_order_of_keeping(ranked[::-1])) == [4, 3, 1, 2, 5]


def test_after_a_downgrade_from_5_to_3_only_two_lose_the_last_in_the_order_first() -> None:
    held = [standing(1, seen=30), standing(2, seen=9, pinned=True), *(standing(n, seen=n) for n in (3, 4, 5))]
    assert slots(who_loses(held, 3)) == [1, 5]
    assert who_loses(held, 5) == []
    assert slots(who_loses(held, 0)) == [1, 5, 4, 3, 2]


def test_a_device_that_never_checked_in_counts_from_when_it_took_the_seat() -> None:
    assert standing(1, held=3, seen=None).last_sign == NOW - 3 * DAY
    assert standing(1, held=3, seen=40).last_sign == NOW - 3 * DAY


def test_only_seats_unseen_for_30_days_are_reclaimed_the_longest_unseen_first_and_never_pinned_ones() -> None:
    held = [standing(1, seen=29), standing(2, seen=30), standing(3, seen=90), standing(4, seen=99, pinned=True)]
    assert slots(reclaimable(held, NOW)) == [3, 2]
    assert reclaimable([standing(1, seen=30)], NOW - timedelta(microseconds=1)) == []
    assert STALE_AFTER == 30 * DAY


@pytest.mark.parametrize(("seats", "allowance"), [(0, 3), (1, 4), (3, 6), (5, 10), (10, 20)])
def test_each_seat_may_be_taken_once_and_as_often_again(seats: int, allowance: int) -> None:
    assert intake_allowance(seats) == allowance


def claims(count: int) -> dict[str, datetime]:
    return {f"dev_{number}": NOW - number * DAY for number in range(count)}


def test_one_device_more_than_allowed_waits_for_the_first_to_leave_the_window() -> None:
    assert cools_until(claims(3), "dev_new", 1, NOW) is None
    assert cools_until(claims(4), "dev_new", 1, NOW) == NOW - 3 * DAY + ROTATION_WINDOW
    assert cools_until(claims(6), "dev_new", 1, NOW) == NOW - 3 * DAY + ROTATION_WINDOW


def test_a_device_of_the_window_comes_back_freely() -> None:
    assert cools_until(claims(9), "dev_2", 1, NOW) is None


def test_what_is_older_than_the_window_is_forgotten() -> None:
    old = {f"dev_{number}": NOW - ROTATION_WINDOW for number in range(9)}
    assert cools_until(old, "dev_new", 1, NOW) is None
