"""End the agent and start it again."""

from collections.abc import Callable
from typing import Final

from agent.domain.commands import CommandOutcome, RemoteCommand


class RestartHandler:
    """Restarts, once the control plane knows that it will.

    Args:
        restart: Ends the agent in order, to be started again.
    """

    kind: Final = "restart"
    #: If this process has ended, that is what was asked for.
    may_repeat: Final = False

    def __init__(self, restart: Callable[[], None]) -> None:
        self._restart = restart

    async def run(self, _command: RemoteCommand) -> CommandOutcome:
        """Promise it."""
        return CommandOutcome(message="restarting", afterwards=self._end)

    async def _end(self) -> None:
        self._restart()
