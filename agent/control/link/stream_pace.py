"""When a stream is opened again, and what `status` says of it: decisions, pure."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from agent.control.link.settings import StreamTimes
from agent.domain.backoff import ceiling_after

_JITTER = 0.1


class StreamState(Enum):
    """How it stands with the stream; the words are those of `buckler status`."""

    #: Not activated, or by a file.
    OFF = "off"
    #: The control plane cannot be reached at all, or the next attempt is about to be made.
    WAITING = "waiting"
    CONNECTED = "connected"
    #: Check-ins get through and streams do not: something on the way breaks them, or the server refuses them.
    UNAVAILABLE = "unavailable"
    #: The server is older than streams.
    UNSUPPORTED = "unsupported"


class Ending(Enum):
    """How a stream, or the attempt to open one, ended."""

    #: The server said goodbye.
    GOODBYE = "goodbye"
    #: It had worked and is gone.
    LOST = "lost"
    #: It never worked.
    BROKEN = "broken"
    #: The server wants it later.
    BUSY = "busy"
    #: The server does not want it from this device.
    REFUSED = "refused"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Ended:
    """An ending, and the seconds that the server asked for; 0: it asked for none."""

    ending: Ending
    asked_s: float = 0.0


def failures_after(failures: int, ended: Ended) -> int:
    """How often in a row it did not work."""
    return failures + 1 if ended.ending is Ending.BROKEN else 0


def wait_after(failures: int, ended: Ended, times: StreamTimes, draw: Callable[[float, float], float]) -> float:
    """Seconds until the next attempt.

    Args:
        failures: In a row, this one included.
        ended: How the last one ended.
        times: The settings.
        draw: A random value between two others.
    """
    match ended.ending:
        case Ending.GOODBYE:
            return draw(0.0, min(ended.asked_s or times.reconnect_within_s, times.longest_retry_s))
        case Ending.LOST:
            return draw(0.0, times.reconnect_within_s)
        case Ending.BUSY:
            return min(ended.asked_s, times.longest_retry_s) + draw(0.0, times.first_retry_s)
        case Ending.BROKEN:
            # Spread, because a fleet must not come back as one; and not at once, because among thousands some would
            # fail five times while a server starts again, and wait for more than a minute when it is there.
            ceiling = ceiling_after(failures, base_s=times.first_retry_s, ceiling_s=times.longest_retry_s)
            return draw(ceiling / 2, ceiling)
        case Ending.REFUSED:
            return times.refused_retry_s * draw(1 - _JITTER, 1 + _JITTER)
        case Ending.UNSUPPORTED:
            return times.unsupported_retry_s * draw(1 - _JITTER, 1 + _JITTER)


def state_of(
    *, enrolled: bool, reachable: bool, reached_since: bool, connected: bool, last: Ended | None
) -> StreamState:
    """What to tell.

    Args:
        enrolled: This device knows a control plane.
        reachable: The last check-in worked.
        reached_since: One has worked since streams began to fail; without that, the server itself may be away.
        connected: Frames got through in both directions.
        last: How the last stream ended; None: there was none.
    """
    if not enrolled:
        return StreamState.OFF
    if connected:
        return StreamState.CONNECTED
    if not reachable or last is None:
        return StreamState.WAITING
    match last.ending:
        case Ending.BROKEN:
            return StreamState.UNAVAILABLE if reached_since else StreamState.WAITING
        case Ending.REFUSED:
            return StreamState.UNAVAILABLE
        case Ending.UNSUPPORTED:
            return StreamState.UNSUPPORTED
        case _:
            return StreamState.WAITING
