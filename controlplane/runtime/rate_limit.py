"""Token buckets for calls that anybody on the network may make: pure, in memory, one per server process."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

#: Peers remembered at once; the one unheard of for longest is forgotten first, so memory is bounded.
MAX_PEERS = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket of `burst` calls that refills at one call per `every`."""

    burst: int
    every: timedelta


@dataclass(frozen=True, slots=True)
class Bucket:
    """Calls left at an instant."""

    tokens: float
    at: datetime


def take(bucket: Bucket | None, rate: Rate, now: datetime) -> tuple[Bucket, timedelta | None]:
    """Take one call out of a bucket.

    Returns:
        The bucket afterwards, and None if the call may go on, else how long to wait.
    """
    if bucket is None:
        bucket = Bucket(float(rate.burst), now)
    refill = max(timedelta(0), now - bucket.at) / rate.every
    tokens = min(float(rate.burst), bucket.tokens + refill)
    if tokens >= 1.0:
        return Bucket(tokens - 1.0, now), None
    return Bucket(tokens, now), (1.0 - tokens) * rate.every


class RateLimiter:
    """Buckets per (method, peer).

    Args:
        rates: The methods that are limited.
        max_peers: How many buckets are remembered.
    """

    def __init__(self, rates: Mapping[str, Rate], *, max_peers: int = MAX_PEERS) -> None:
        self._rates = rates
        self._max_peers = max_peers
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()

    def limits(self, method: str) -> bool:
        """Whether a method is limited at all."""
        return method in self._rates

    def wait(self, method: str, peer: str, now: datetime) -> timedelta | None:
        """Count one call; None if it may go on, else how long its caller should wait."""
        rate = self._rates.get(method)
        if rate is None:
            return None
        key = (method, peer)
        bucket, delay = take(self._buckets.get(key), rate, now)
        self._buckets[key] = bucket
        self._buckets.move_to_end(key)
        while len(self._buckets) > self._max_peers:
            self._buckets.popitem(last=False)
        return delay
