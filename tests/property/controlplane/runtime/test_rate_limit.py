from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.runtime.rate_limit import Rate, RateLimiter
from tests.fakes.clock import SOME_MONDAY


@given(
    burst=st.integers(1, 20),
    every_ms=st.integers(1, 10_000),
    gaps_ms=st.lists(st.integers(0, 20_000), min_size=1, max_size=100),
)
def test_no_more_calls_pass_than_the_burst_and_the_refill_allow(burst: int, every_ms: int, gaps_ms: list[int]) -> None:
    limiter = RateLimiter({"m": Rate(burst=burst, every=timedelta(milliseconds=every_ms))})
    now = SOME_MONDAY
    passed = 0
    for gap in gaps_ms:
        now += timedelta(milliseconds=gap)
        passed += limiter.wait("m", "peer", now) is None
    assert passed <= burst + (now - SOME_MONDAY) / timedelta(milliseconds=every_ms) + 1e-6


@given(
    every_ms=st.integers(1, 10_000),
    gaps_ms=st.lists(st.integers(0, 5_000), min_size=1, max_size=50),
)
def test_whoever_waits_as_long_as_told_passes(every_ms: int, gaps_ms: list[int]) -> None:
    limiter = RateLimiter({"m": Rate(burst=2, every=timedelta(milliseconds=every_ms))})
    now = SOME_MONDAY
    for gap in gaps_ms:
        now += timedelta(milliseconds=gap)
        wait = limiter.wait("m", "peer", now)
        if wait is not None:
            now += wait + timedelta(milliseconds=1)
            assert limiter.wait("m", "peer", now) is None
