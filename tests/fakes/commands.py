"""Commands for tests of the control room, and a handler that does what the test says."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.domain.commands import CommandOutcome, RemoteCommand
from agent.domain.schedule import ScanKind
from tests.fakes.clock import SOME_MONDAY


def a_command(
    kind: str = "work",
    arguments: Mapping[str, str] | None = None,
    *,
    number: int = 1,
    expires_at: datetime | None = None,
) -> RemoteCommand:
    """A command that has a day to be begun."""
    end = expires_at or SOME_MONDAY + timedelta(days=1)
    return RemoteCommand(f"cmd_{number}", kind, arguments or {}, end, "user:usr_1", "Friday's check")


@dataclass
class Worker:
    """Port `CommandHandler`: waits until it is let go, then ends as it was told to."""

    kind: str = "work"
    may_repeat: bool = False
    error: Exception | None = None
    outcome: CommandOutcome = field(default_factory=CommandOutcome)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    begun: list[str] = field(default_factory=list)

    async def run(self, command: RemoteCommand) -> CommandOutcome:
        self.begun.append(command.id)
        await self.release.wait()
        if self.error is not None:
            raise self.error
        return self.outcome


@dataclass
class FakeRequestedScans:
    """Port `RequestedScans`: finds what the test says."""

    counts: Mapping[str, int] = field(default_factory=lambda: {"files": 3, "infected": 0, "incomplete": 0, "errors": 0})
    asked: list[ScanKind | str] = field(default_factory=list)

    async def scan(self, kind: ScanKind) -> Mapping[str, int]:
        self.asked.append(kind)
        return self.counts

    async def scan_path(self, path: str) -> Mapping[str, int]:
        self.asked.append(path)
        return self.counts
