from datetime import timedelta

import pytest

from agent.domain.schedule import ScanKind
from agent.scanner.scheduled.agenda import Hold, ScanCounts, Unfinished, held_by, next_scan
from tests.fakes.clock import SOME_MONDAY

SCAN = Unfinished(ScanKind.FULL, SOME_MONDAY, stops=2, counts=ScanCounts(10, 1, 2, 3))
HOUR = timedelta(hours=1)


def test_what_was_begun_goes_first_then_what_has_been_due_longest() -> None:
    due = {ScanKind.QUICK: SOME_MONDAY - HOUR, ScanKind.FULL: SOME_MONDAY - 2 * HOUR}
    assert next_scan(SCAN, {}, SOME_MONDAY) is ScanKind.FULL
    assert next_scan(None, due, SOME_MONDAY) is ScanKind.FULL
    assert next_scan(None, {ScanKind.QUICK: SOME_MONDAY}, SOME_MONDAY) is ScanKind.QUICK
    assert next_scan(None, {ScanKind.QUICK: SOME_MONDAY + HOUR}, SOME_MONDAY) is None


@pytest.mark.parametrize(
    ("facts", "hold"),
    [
        ((True, False, False), None),
        ((False, True, True), Hold.NOT_ENTITLED),
        ((True, True, True), Hold.PAUSED),
        ((True, False, True), Hold.ON_BATTERY),
    ],
)
def test_the_first_reason_is_told(facts: tuple[bool, bool, bool], hold: Hold | None) -> None:
    entitled, paused, on_battery = facts
    assert held_by(entitled=entitled, paused=paused, on_battery=on_battery) is hold


def test_where_a_scan_stood_survives() -> None:
    assert Unfinished.from_setting(SCAN.to_setting()) == SCAN


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "null",
        "{",
        "[]",
        '{"kind": "other"}',
        '{"kind": "full"}',
        '{"kind": "full", "started_at": "2026-03-02", "stops": 0, "counts": 7}',
        "7",
    ],
)
def test_what_makes_no_sense_counts_as_none(text: str | None) -> None:
    assert Unfinished.from_setting(text) is None


def test_going_on_keeps_what_was_found() -> None:
    again = SCAN.going_on()
    assert (again.stops, again.counts, again.started_at) == (3, ScanCounts(infected=1), SOME_MONDAY)
    assert again.with_walk(ScanCounts(5, 2, 1, 0)).counts == ScanCounts(5, 3, 1, 0)
