"""Properties of the wait after a failure."""

from hypothesis import given
from hypothesis import strategies as st

from agent.domain.backoff import BASE_S, CEILING_S, MAX_RETRY_AFTER_S, next_delay
from tests.fakes.randomness import SeededRandomness

attempts = st.integers(min_value=-3, max_value=10**9)
seeds = st.integers(min_value=0, max_value=2**32)


@given(attempt=attempts, retry_after=st.floats(allow_nan=False), seed=seeds)
def test_a_wait_is_never_negative_nor_longer_than_an_hour_and_the_ceiling(
    attempt: int, retry_after: float, seed: int
) -> None:
    delay = next_delay(attempt, retry_after, SeededRandomness(seed))
    assert 0.0 <= delay <= MAX_RETRY_AFTER_S + CEILING_S


@given(attempt=attempts, retry_after=st.floats(min_value=0.0, max_value=MAX_RETRY_AFTER_S), seed=seeds)
def test_nobody_comes_back_before_the_server_wants(attempt: int, retry_after: float, seed: int) -> None:
    assert next_delay(attempt, retry_after, SeededRandomness(seed)) >= retry_after


@given(attempt=st.integers(min_value=1, max_value=60), seed=seeds)
def test_the_ceiling_doubles_with_every_failure_until_it_stops(attempt: int, seed: int) -> None:
    assert next_delay(attempt, 0.0, SeededRandomness(seed)) <= min(CEILING_S, BASE_S * 2 ** (attempt - 1))


@given(seed=seeds)
def test_the_jitter_is_full_a_fleet_spreads_over_the_whole_interval(seed: int) -> None:
    randomness = SeededRandomness(seed)
    delays = [next_delay(30, 0.0, randomness) for _ in range(400)]
    quarters = {int(delay / CEILING_S * 4) for delay in delays}
    assert {0, 1, 2, 3} <= quarters
