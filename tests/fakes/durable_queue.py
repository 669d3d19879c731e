"""A durable queue in memory; whoever holds it is what outlives the processes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from controlplane.runtime.bus.queue import QueueAwayError, QueueLag, Taken


@dataclass(slots=True)
class FakeTaken:
    """Implements `Taken`."""

    queue: "FakeQueue"
    message_id: str
    body: bytes
    attempt: int

    async def done(self) -> None:
        self.queue.under_way.pop(self.message_id, None)

    async def later(self, after: timedelta) -> None:
        self.queue.rests.append(after)
        self.queue.give_back(self.message_id)


@dataclass(slots=True)
class FakeQueue:
    """Implements `DurableQueue`; `away` says that it cannot be reached, `deaf` that it stores and does not say so."""

    most_bytes: int = 900_000
    away: bool = False
    deaf: bool = False
    waiting: dict[str, FakeTaken] = field(default_factory=dict)
    under_way: dict[str, FakeTaken] = field(default_factory=dict)
    rests: list[timedelta] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    @property
    def is_connected(self) -> bool:
        return not self.away

    async def put(self, message_id: str, body: bytes) -> None:
        if self.away:
            raise QueueAwayError("away")
        if message_id not in self.known:
            self.known.add(message_id)
            self.waiting[message_id] = FakeTaken(self, message_id, body, 1)
        if self.deaf:
            raise QueueAwayError("no answer")

    async def take(self, most: int) -> Sequence[Taken]:
        if self.away:
            raise QueueAwayError("away")
        await asyncio.sleep(0.005)
        taken = list(self.waiting.values())[:most]
        for each in taken:
            self.under_way[each.message_id] = self.waiting.pop(each.message_id)
        return taken

    def give_back(self, message_id: str) -> None:
        """As after a while, when its taker died."""
        taken = self.under_way.pop(message_id)
        taken.attempt += 1
        self.waiting[message_id] = taken

    async def lag(self) -> QueueLag:
        if self.away:
            raise QueueAwayError("away")
        return QueueLag(len(self.waiting), len(self.under_way))

    async def run(self) -> None:
        await asyncio.Event().wait()
