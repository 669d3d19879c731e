from datetime import timedelta

from controlplane.runtime.jobs import LONGEST_RETRY, next_due, retry_delay
from tests.fakes.clock import SOME_MONDAY as DUE

MINUTE = timedelta(minutes=1)


def test_a_sweep_that_ran_in_time_is_due_one_interval_later() -> None:
    assert next_due(DUE, MINUTE, DUE) == DUE + MINUTE
    assert next_due(DUE, MINUTE, DUE + timedelta(seconds=59)) == DUE + MINUTE


def test_instants_that_were_missed_are_made_up_by_one_run_and_the_rhythm_stays() -> None:
    assert next_due(DUE, MINUTE, DUE + MINUTE) == DUE + 2 * MINUTE
    assert next_due(DUE, MINUTE, DUE + timedelta(days=365, seconds=1)) == DUE + timedelta(days=365) + MINUTE


def test_retries_come_further_and_further_apart_up_to_a_limit() -> None:
    delays = [retry_delay(attempts) for attempts in range(1, 40)]
    assert delays[:3] == [timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=4)]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_RETRY
