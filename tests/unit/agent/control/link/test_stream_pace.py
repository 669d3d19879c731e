from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.control.link.settings import StreamTimes
from agent.control.link.stream_pace import Ended, Ending, StreamState, failures_after, state_of, wait_after
from tests.fakes.randomness import SeededRandomness

TIMES = StreamTimes()
DRAWS = st.floats(0, 1)


def wait(failures: int, ended: Ended, share: float = 1.0) -> float:
    return wait_after(failures, ended, TIMES, lambda low, high: low + (high - low) * share)


@given(st.sampled_from(Ending), st.integers(1, 10_000), st.floats(0, 1e9), DRAWS)
def test_no_server_and_no_failure_keeps_a_device_away_for_longer_than_the_settings_say(
    ending: Ending, failures: int, asked_s: float, share: float
) -> None:
    longest = {
        Ending.GOODBYE: TIMES.longest_retry_s,
        Ending.LOST: TIMES.reconnect_within_s,
        Ending.BROKEN: TIMES.longest_retry_s,
        Ending.BUSY: TIMES.longest_retry_s + TIMES.first_retry_s,
        Ending.REFUSED: TIMES.refused_retry_s * 1.1,
        Ending.UNSUPPORTED: TIMES.unsupported_retry_s * 1.1,
    }[ending]
    assert 0 <= wait(failures, Ended(ending, asked_s), share) <= longest


def test_waits_grow_from_five_seconds_to_five_minutes() -> None:
    assert [wait(failures, Ended(Ending.BROKEN)) for failures in (1, 2, 3, 7, 8)] == [5, 10, 20, 300, 300]


def test_a_fleet_comes_back_spread_over_the_time_it_was_given() -> None:
    draw = SeededRandomness().uniform
    moments = [wait_after(0, Ended(Ending.LOST), TIMES, draw) for _ in range(1_000)]
    per_second = [sum(second <= moment < second + 1 for moment in moments) for second in range(30)]
    assert sum(per_second) == 1_000
    assert max(per_second) < 100, "a thousandth of them each 30 ms, more or less"


def back_after(away_s: float, draw: Callable[[float, float], float]) -> float:
    """When one of many has a stream again, in seconds after the goodbye of a server that was away for so long."""
    moment = wait_after(0, Ended(Ending.GOODBYE, 30), TIMES, draw)
    failures = 0
    while moment < away_s:
        failures = failures_after(failures, Ended(Ending.BROKEN))
        moment += wait_after(failures, Ended(Ending.BROKEN), TIMES, draw)
    return moment


def test_nobody_of_a_large_fleet_is_kept_away_by_the_restart_of_a_server() -> None:
    draw = SeededRandomness().uniform
    for away_s, most_s in ((5, 31), (12, 35), (20, 60)):
        back = [back_after(away_s, draw) for _ in range(5_000)]
        assert max(back) <= most_s
        busiest = max(sum(second <= moment < second + 1 for moment in back) for second in range(most_s))
        assert busiest < 700, "not as one"


def test_a_server_that_is_busy_is_not_asked_before_it_said() -> None:
    assert wait(0, Ended(Ending.BUSY, 20), share=0) == 20
    assert wait(0, Ended(Ending.GOODBYE, 5)) == 5


@given(st.integers(0, 100), st.sampled_from(Ending))
def test_only_streams_that_never_worked_count_as_failures(failures: int, ending: Ending) -> None:
    assert failures_after(failures, Ended(ending)) == (failures + 1 if ending is Ending.BROKEN else 0)


@pytest.mark.parametrize(
    ("enrolled", "reachable", "connected", "last", "state"),
    [
        (False, False, False, None, StreamState.OFF),
        (True, False, False, None, StreamState.WAITING),
        (True, True, False, None, StreamState.WAITING),
        (True, True, True, Ending.LOST, StreamState.CONNECTED),
        (True, True, False, Ending.LOST, StreamState.WAITING),
        (True, True, False, Ending.BUSY, StreamState.WAITING),
        (True, True, False, Ending.BROKEN, StreamState.UNAVAILABLE),
        (True, True, False, Ending.REFUSED, StreamState.UNAVAILABLE),
        (True, True, False, Ending.UNSUPPORTED, StreamState.UNSUPPORTED),
        # If nothing gets through, nobody knows whether a stream would.
        (True, False, False, Ending.BROKEN, StreamState.WAITING),
    ],
)
def test_status_says_whether_it_is_the_stream_or_the_way_that_is_broken(
    *, enrolled: bool, reachable: bool, connected: bool, last: Ending | None, state: StreamState
) -> None:
    ended = None if last is None else Ended(last)
    told = state_of(enrolled=enrolled, reachable=reachable, reached_since=reachable, connected=connected, last=ended)
    assert told is state


def test_a_stream_is_not_blamed_before_a_check_in_has_worked_without_it() -> None:
    ended = Ended(Ending.BROKEN)
    for reached_since, state in ((False, StreamState.WAITING), (True, StreamState.UNAVAILABLE)):
        told = state_of(enrolled=True, reachable=True, reached_since=reached_since, connected=False, last=ended)
        assert told is state
