"""Who is connected to this process: admission, one stream per device, and what waits to be said on each.

What waits is a few flags, never a queue: a slow device costs no memory, and hints that come together are one.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Final

from controlplane.devices.errors import streams_full, streams_rushed, streams_stopping
from controlplane.runtime.clock import Clock
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.randomness import Randomness
from controlplane.runtime.rate_limit import Bucket, Rate, take
from controlplane.runtime.refusal import Refusal
from controlplane.storage.news import EVERYONE

if TYPE_CHECKING:
    from collections.abc import Callable

#: A side that hears nothing for so many heartbeats gives the stream up (device.proto).
SILENT_HEARTBEATS: Final = 3


class StreamEnd(Enum):
    """Why the server ends a stream."""

    OLD = "old"
    REPLACED = "replaced"
    STOPPING = "stopping"
    SILENT = "silent"


#: Within how many seconds a device opens the next stream. What ends one at a time need not be spread, what ends all at
#: once must be; the 30 seconds are those of Fleet's ADR-0011.
RECONNECT_WITHIN_S: Final = {
    StreamEnd.OLD: 5,
    StreamEnd.REPLACED: 30,
    StreamEnd.STOPPING: 30,
    StreamEnd.SILENT: 30,
}


#: Devices that hear of news for everyone at once, and seconds until the next ones: 100 a second, because each of them
#: checks in at once. Thousands that did so together would wait for each other and everybody else for them.
TOLD_AT_ONCE: Final = 20
TOLD_EVERY_S: Final = 0.2
_OPENED: Final = Rate(burst=200, every=timedelta(milliseconds=5))
_FRAMES: Final = Rate(burst=60, every=timedelta(seconds=1))


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Times and limits of streams.

    Attributes:
        heartbeat_s: Seconds between the heartbeats of a device; below the idle limits of common middleboxes (60 s).
        life_s: How long a stream stays open, in seconds; as Fleetspeak's.
        life_jitter_s: And up to so much longer.
        most: Streams of this process; a bound for its memory.
        opened: How fast they may be opened: 200 a second, as Fleet's ADR-0011 has it.
        frames: What a device may send.
        seen_every_s: Heartbeats that take the place of check-ins are noted no more often, in seconds.
        send_s: A device that takes a frame no faster than this many seconds is cut off.
        retry_within_s: Who is refused is asked to come back at a random moment within this many seconds.
    """

    heartbeat_s: float = 30.0
    life_s: float = 600.0
    life_jitter_s: float = 120.0
    most: int = 20_000
    opened: Rate = _OPENED
    frames: Rate = _FRAMES
    seen_every_s: float = 60.0
    send_s: float = 30.0
    retry_within_s: int = 30


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a stream is over; all values in seconds of one monotonic clock."""

    ends_at: float
    silence_s: float

    def end(self, now: float, heard_at: float) -> StreamEnd | None:
        """Why it is over now; None: it is not."""
        if now >= self.ends_at:
            return StreamEnd.OLD
        return StreamEnd.SILENT if now - heard_at >= self.silence_s else None

    def look_again_in(self, now: float, heard_at: float) -> float:
        """Seconds until it may be over."""
        return max(0.0, min(self.ends_at, heard_at + self.silence_s) - now)


def admission(
    settings: StreamSettings, connected: int, bucket: Bucket | None, now: datetime, share: float
) -> tuple[Bucket | None, Refusal | None]:
    """Whether one more stream may be opened.

    Args:
        settings: The limits.
        connected: Streams that are open.
        bucket: Of openings.
        now: For the bucket.
        share: 0 to 1, drawn at random: where in the time to come back this device is put.

    Returns:
        The bucket afterwards, and why not; None: it may.
    """
    retry_after_s = 1 + int(share * settings.retry_within_s)
    if connected >= settings.most:
        return bucket, streams_full(retry_after_s)
    bucket, wait = take(bucket, settings.opened, now)
    return bucket, None if wait is None else streams_rushed(retry_after_s)


class Connection:
    """One stream, as the rest of the process sees it.

    Args:
        key: Organisation and device.
    """

    __slots__ = ("ending", "hinted", "key", "relied_on", "reports_changes", "waker")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.hinted = False
        self.ending: StreamEnd | None = None
        #: The device checks in by itself when something changes.
        self.reports_changes = False
        #: It was told to check in at a slower pace: its heartbeats say that it is there.
        self.relied_on = False
        #: Called when one of these changed; None: nobody attends to it yet.
        self.waker: Callable[[], None] | None = None

    def hint(self) -> None:
        """There may be something new."""
        self.hinted = True
        self._wake()

    def end(self, why: StreamEnd) -> None:
        """Have it end."""
        self.ending = why
        self._wake()

    def _wake(self) -> None:
        if self.waker is not None:
            self.waker()


@dataclass(slots=True)
class StreamCounts:
    """What happened since the start.

    Attributes:
        hinted: Hints for a device that is connected here.
        missed: Hints for one that is not: connected to another replica, or to none.
        refused: Streams that were not admitted.
    """

    hinted: int = 0
    missed: int = 0
    refused: int = 0


class Connections:
    """The streams of this process.

    Args:
        settings: The limits.
        wall: For the rate of openings.
        randomness: Spreads those who are refused.
    """

    def __init__(self, settings: StreamSettings, wall: Clock, randomness: Randomness) -> None:
        self._settings = settings
        self._wall = wall
        self._randomness = randomness
        self._open: dict[tuple[str, str], Connection] = {}
        self._bucket: Bucket | None = None
        self._stopping = False
        #: Connections that are told one after the other, in the order in which there was news.
        self._to_tell: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._wake = asyncio.Event()
        self.counts = StreamCounts()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def open(self, principal: DevicePrincipal) -> Connection:
        """Admit a stream; an older one of the same device ends.

        Raises:
            Refusal: `STREAMS_FULL`, `STREAMS_RUSHED` or `SERVER_STOPPING`.
        """
        key = (principal.org_id, principal.device_id)
        older = self._open.get(key)
        refusal: Refusal | None = None
        if self._stopping:
            refusal = streams_stopping()
        else:
            others = len(self._open) - (older is not None)
            self._bucket, refusal = admission(self._settings, others, self._bucket, self._wall.now(), self.share())
        if refusal is not None:
            self.counts.refused += 1
            raise refusal
        if older is not None:
            older.end(StreamEnd.REPLACED)
        connection = self._open[key] = Connection(key)
        if older is not None:
            # A copy of a device shows itself by its check-ins.
            connection.hint()
        return connection

    def rely_on(self, principal: DevicePrincipal) -> bool:
        """Whether the stream of a device takes the place of its check-ins from now on."""
        connection = self._open.get((principal.org_id, principal.device_id))
        if connection is None or not connection.reports_changes:
            return False
        connection.relied_on = True
        return True

    def close(self, connection: Connection) -> None:
        """Forget a stream that has ended, unless a newer one has taken its place."""
        if self._open.get(connection.key) is connection:
            del self._open[connection.key]

    def hint(self, org_id: str, device_id: str) -> None:
        """There may be something new for a device, or for all of an organisation's: those are told at a steady pace."""
        if device_id == EVERYONE:
            self._to_tell.update(dict.fromkeys(key for key in self._open if key[0] == org_id))
            self._wake.set()
            return
        connection = self._open.get((org_id, device_id))
        if connection is None:
            self.counts.missed += 1
            return
        self.counts.hinted += 1
        connection.hint()

    def tell_some(self) -> bool:
        """Hint to the next ones of those who wait for it; whether there are more."""
        for key in list(islice(self._to_tell, TOLD_AT_ONCE)):
            del self._to_tell[key]
            if key in self._open:
                self.hint(*key)
        return bool(self._to_tell)

    async def run_forever(self) -> None:
        """Tell those who wait for it, until cancelled."""
        while True:
            self._wake.clear()
            while self.tell_some():  # noqa: ASYNC110 -- a pace, not a wait for somebody else
                await asyncio.sleep(TOLD_EVERY_S)
            await self._wake.wait()

    def stop(self) -> None:
        """End every stream and admit no more: this process ends."""
        self._stopping = True
        for connection in self._open.values():
            connection.end(StreamEnd.STOPPING)

    def share(self) -> float:
        """A random value from 0 to 1."""
        return int.from_bytes(self._randomness.token_bytes(4), "big") / (1 << 32)
