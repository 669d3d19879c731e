"""Give the seat back; the floor of protection stays."""

from collections.abc import Awaitable, Callable
from typing import Final

from agent.domain.commands import CommandOutcome, RemoteCommand


class DeactivateHandler:
    """Deactivates, once the control plane knows that it will: afterwards it does not listen any more.

    Args:
        deactivate: Gives the seat back, for a reason.
    """

    kind: Final = "deactivate"
    may_repeat: Final = False

    def __init__(self, deactivate: Callable[[str], Awaitable[None]]) -> None:
        self._deactivate = deactivate

    async def run(self, command: RemoteCommand) -> CommandOutcome:
        """Promise it."""
        reason = command.reason or f"asked for by {command.requester}"
        return CommandOutcome(message="giving the seat back", afterwards=lambda: self._deactivate(reason))
