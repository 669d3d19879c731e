"""What a bus promises, and the part of that promise which every implementation shares.

A message is a hint, the rows in the database are the truth, and the check-in of each device is the guarantee: whatever
a bus loses costs a minute. So nothing here is stored, acknowledged or repeated, and publishing never waits.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

#: Hints that wait for a bus which is away; the oldest are given up first.
MAX_WAITING: Final = 10_000
#: A message carries so many hints at most: two ids of 64 characters each stay below the 8,000 bytes of a PostgreSQL
#: notification (`NOTIFY`, "Notes": the payload must be shorter than 8000 bytes).
MAX_AT_ONCE: Final = 50
#: Ids are shorter; what is longer is none of ours.
_MAX_ID_CHARACTERS: Final = 64
#: Seconds before a lost connection is tried again.
RETRY_S: Final = 2.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Hint:
    """There may be something new for a device."""

    org_id: str
    device_id: str


Listener = Callable[[Hint], None]


class Bus(Protocol):
    """Carries hints to every replica.

    A listener hears what its own process publishes at once and exactly once, whether or not the others can be reached.
    """

    def publish(self, hint: Hint) -> None:
        """Tell every replica; never waits, may be lost on the way to the others."""

    def subscribe(self, listener: Listener) -> None:
        """Have every hint told to a listener from now on, on the event loop's thread."""

    async def run(self) -> None:
        """Stay connected to the others, until cancelled."""

    @property
    def is_connected(self) -> bool:
        """Whether the others can be reached now."""

    @property
    def dropped(self) -> int:
        """Hints that were given up before the others heard them."""


class Listeners:
    """Whoever listens in this process."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def add(self, listener: Listener) -> None:
        """One more."""
        self._listeners.append(listener)

    def tell(self, hint: Hint) -> None:
        """Each of them; one that fails keeps nothing from the others."""
        for listener in self._listeners:
            try:
                listener(hint)
            # Supervision point: a hint is no reason for a call that published it to fail.
            except Exception as error:  # noqa: BLE001
                _log.error("hint_not_taken", exc_info=error)


class Waiting:
    """Hints on their way out: each once, bounded, the oldest given up first.

    Args:
        limit: How many.
    """

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self._limit = limit
        self._hints: OrderedDict[Hint, None] = OrderedDict()
        self.dropped = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._hints)

    def add(self, hint: Hint) -> None:
        """One more; what waits already need not be said twice."""
        self._hints[hint] = None
        if len(self._hints) > self._limit:
            self._hints.popitem(last=False)
            self.dropped += 1

    def take(self) -> tuple[Hint, ...]:
        """The first ones, as many as fit into a message; empty: there are none."""
        count = min(MAX_AT_ONCE, len(self._hints))
        return tuple(self._hints.popitem(last=False)[0] for _ in range(count))


def encode(hints: Sequence[Hint]) -> str:
    """As they travel."""
    return json.dumps([[hint.org_id, hint.device_id] for hint in hints], separators=(",", ":"))


def decode(untrusted: str | bytes) -> tuple[Hint, ...]:
    """What arrived; whatever is no hint of ours is passed over: others may speak on the same bus."""
    try:
        rows = json.loads(untrusted)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(rows, list):
        return ()
    return tuple(Hint(*row) for row in rows[:MAX_AT_ONCE] if _is_pair_of_ids(row))


def _is_pair_of_ids(row: object) -> bool:
    return (
        isinstance(row, list)
        and len(row) == len(Hint.__slots__)
        and all(isinstance(part, str) and 0 < len(part) <= _MAX_ID_CHARACTERS for part in row)
    )
