from datetime import timedelta

from controlplane.runtime.rate_limit import Rate, RateLimiter
from tests.fakes.clock import SOME_MONDAY as NOW

RATES = {"sign_in": Rate(burst=3, every=timedelta(seconds=10))}


def test_a_burst_passes_and_then_the_caller_is_told_how_long_to_wait() -> None:
    limiter = RateLimiter(RATES)
    assert [limiter.wait("sign_in", "a", NOW) for _ in range(3)] == [None, None, None]
    assert limiter.wait("sign_in", "a", NOW) == timedelta(seconds=10)
    assert limiter.wait("sign_in", "a", NOW + timedelta(seconds=4)) == timedelta(seconds=6)
    assert limiter.wait("sign_in", "a", NOW + timedelta(seconds=10)) is None


def test_peers_and_methods_do_not_share_a_bucket() -> None:
    limiter = RateLimiter(RATES)
    for _ in range(3):
        limiter.wait("sign_in", "a", NOW)
    assert limiter.wait("sign_in", "b", NOW) is None
    assert limiter.wait("list", "a", NOW) is None


def test_a_clock_set_back_does_not_refill_or_empty_a_bucket() -> None:
    limiter = RateLimiter(RATES)
    for _ in range(3):
        limiter.wait("sign_in", "a", NOW)
    assert limiter.wait("sign_in", "a", NOW - timedelta(days=1)) == timedelta(seconds=10)


def test_memory_is_bounded_and_the_longest_unheard_of_is_forgotten_first() -> None:
    limiter = RateLimiter({"sign_in": Rate(burst=1, every=timedelta(hours=1))}, max_peers=2)
    for peer in ("a", "b", "c"):
        limiter.wait("sign_in", peer, NOW)
    assert limiter.wait("sign_in", "b", NOW) is not None
    assert limiter.wait("sign_in", "a", NOW) is None
