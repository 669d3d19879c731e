"""Leave a content, a rule or a place alone, for a while or for good."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from agent.domain.commands import CommandOutcome, RemoteCommand
from agent.domain.errors import BucklerError
from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.ports import Clock

#: Kind, value, reason, end; refuses what would switch protection off as a whole.
AddExclusion = Callable[[ExclusionKind, str, str, datetime | None], Awaitable[Exclusion]]
_MOST_DAYS = 3_650


class AllowHandler:
    """Adds an exclusion.

    Args:
        add: Checks and writes it.
        clock: When it ends.
    """

    kind: Final = "allow"
    #: A second exclusion of the same thing does no harm, a lost one does.
    may_repeat: Final = True

    def __init__(self, add: AddExclusion, clock: Clock) -> None:
        self._add = add
        self._clock = clock

    async def run(self, command: RemoteCommand) -> CommandOutcome:
        """Exclude one thing."""
        what, value = command.arguments.get("what", ""), command.arguments.get("value", "")
        kinds = {kind.value: kind for kind in ExclusionKind}
        if what not in kinds:
            raise _invalid(f"what is allowed is one of {', '.join(kinds)}")
        reason = f"{command.reason or 'allowed by command'} ({command.requester})"
        exclusion = await self._add(kinds[what], value, reason, self._end(command.arguments.get("days", "")))
        return CommandOutcome(result={"exclusion_id": exclusion.id})

    def _end(self, days: str) -> datetime | None:
        if not days:
            return None
        if not (days.isascii() and days.isdigit() and 0 < int(days) <= _MOST_DAYS):
            raise _invalid(f"days are 1 to {_MOST_DAYS}")
        return self._clock.now() + timedelta(days=int(days))


def _invalid(message: str) -> BucklerError:
    return BucklerError("ARGUMENT_INVALID", message, next_step="ask again with one of them")
