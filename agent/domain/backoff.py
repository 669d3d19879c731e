"""How long to wait after a failure: exponential back-off with full jitter, a pure function.

Full jitter (a wait drawn evenly from zero to a ceiling that doubles) spreads a fleet that lost its control plane in
the same second better than any fixed part plus jitter does. What the server asks for is a floor below which nobody
comes back; jitter goes on top of it, or the fleet would come back at once when it ends.
"""

from agent.domain.ports import Randomness

#: The first ceiling, seconds.
BASE_S = 1.0
#: Ceilings stop doubling here, seconds: an outage of days ends within minutes for everybody.
CEILING_S = 300.0
#: A server may ask for an hour of silence, not for silence for ever, seconds.
MAX_RETRY_AFTER_S = 3_600.0
#: Doublings after which any sensible base has passed any sensible ceiling; keeps 2**n a float.
_MAX_DOUBLINGS = 64


def ceiling_after(attempt: int, *, base_s: float, ceiling_s: float) -> float:
    """What no wait after so many failures in a row, 1 or more, is longer than, seconds; see `next_delay`."""
    return min(ceiling_s, base_s * 2.0 ** min(max(attempt, 1) - 1, _MAX_DOUBLINGS))


def next_delay(
    attempt: int,
    retry_after_s: float,
    randomness: Randomness,
    *,
    base_s: float = BASE_S,
    ceiling_s: float = CEILING_S,
) -> float:
    """Seconds to wait before the next attempt.

    Args:
        attempt: Failures in a row so far, 1 or more.
        retry_after_s: What the server asked for; 0: nothing.
        randomness: Draws the jitter.
        base_s: The ceiling after the first failure.
        ceiling_s: No ceiling is higher.
    """
    jitter = randomness.uniform(0.0, ceiling_after(attempt, base_s=base_s, ceiling_s=ceiling_s))
    return min(max(retry_after_s, 0.0), MAX_RETRY_AFTER_S) + jitter
