"""What a durable queue promises: what it took is handed out until somebody says it is done, whoever dies meanwhile.

Unlike a bus, whose messages are hints. What is handed out twice must do no harm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol


class QueueAwayError(Exception):
    """The queue cannot be reached, or has no room; whether it took the message is not known."""


@dataclass(frozen=True, slots=True)
class QueueLag:
    """Messages that wait, and those that are handed out and not done."""

    waiting: int = 0
    under_way: int = 0


class Taken(Protocol):
    """A message that was handed out."""

    @property
    def body(self) -> bytes:
        """As it was put in, or by whoever else can write there: untrusted."""

    @property
    def attempt(self) -> int:
        """1: handed out for the first time."""

    async def done(self) -> None:
        """It need not be handed out again."""

    async def later(self, after: timedelta) -> None:
        """Hand it out again, to anybody."""


class DurableQueue(Protocol):
    """Shared by all replicas; each message is handed out to one of them at a time."""

    async def put(self, message_id: str, body: bytes) -> None:
        """Store a message; the same id again within two minutes is the same message.

        Raises:
            QueueAwayError: It may or may not have been stored.
        """

    async def take(self, most: int) -> Sequence[Taken]:
        """Some messages; waits for a few seconds if there are none, and while the queue is away.

        Raises:
            QueueAwayError: It went away meanwhile.
        """

    async def lag(self) -> QueueLag:
        """How much waits.

        Raises:
            QueueAwayError: It cannot be asked.
        """

    async def run(self) -> None:
        """Stay connected, until cancelled."""

    @property
    def is_connected(self) -> bool:
        """Whether it can be reached now."""

    @property
    def most_bytes(self) -> int:
        """Of one message."""
