from datetime import timedelta

from controlplane.runtime.jobs.queue import (
    LONGEST_RETRY,
    MAX_SENTENCE,
    PARKED_AFTER,
    Failure,
    failure_of,
    next_due,
    retry_delay,
)
from controlplane.runtime.refusal import Kind, Refusal
from tests.fakes.clock import SOME_MONDAY as DUE

MINUTE = timedelta(minutes=1)


def test_a_sweep_that_ran_in_time_is_due_one_interval_later() -> None:
    assert next_due(DUE, MINUTE, DUE) == DUE + MINUTE
    assert next_due(DUE, MINUTE, DUE + timedelta(seconds=59)) == DUE + MINUTE


def test_instants_that_were_missed_are_made_up_by_one_run_and_the_rhythm_stays() -> None:
    assert next_due(DUE, MINUTE, DUE + MINUTE) == DUE + 2 * MINUTE
    assert next_due(DUE, MINUTE, DUE + timedelta(days=365, seconds=1)) == DUE + timedelta(days=365) + MINUTE


def test_retries_come_further_and_further_apart_until_a_job_is_parked() -> None:
    delays = [delay for attempts in range(1, PARKED_AFTER) if (delay := retry_delay(attempts)) is not None]
    assert delays[:3] == [timedelta(seconds=1), timedelta(seconds=4), timedelta(seconds=16)]
    assert (delays == sorted(delays), delays[-1], len(delays)) == (True, LONGEST_RETRY, PARKED_AFTER - 1)
    assert timedelta(hours=3) < sum(delays, timedelta(0)) < timedelta(hours=3.5)
    assert (retry_delay(PARKED_AFTER), retry_delay(PARKED_AFTER + 5)) == (None, None)


def test_of_a_failure_only_what_was_foreseen_is_told() -> None:
    refusal = Refusal(Kind.UNAVAILABLE, "MAIL_AWAY", "the mail server is away" * 50, "Wait")
    assert failure_of(refusal) == Failure("MAIL_AWAY", ("the mail server is away" * 50)[:MAX_SENTENCE])
    assert failure_of(TimeoutError()).code == "JOB_TIMED_OUT"
    unforeseen = failure_of(ValueError("INSERT … password_hash = 'hunter2'"))
    assert (unforeseen.code, "hunter2" in unforeseen.sentence) == ("ValueError", False)
