"""Destroy a quarantined copy."""

from typing import Final

from agent.domain.commands import CommandOutcome, RemoteCommand
from agent.domain.ports import Quarantine


class DeleteHandler:
    """Deletes."""

    kind: Final = "delete"
    may_repeat: Final = False

    def __init__(self, quarantine: Quarantine) -> None:
        self._quarantine = quarantine

    async def run(self, command: RemoteCommand) -> CommandOutcome:
        """Delete one copy."""
        await self._quarantine.delete(command.arguments.get("quarantine_id", ""))
        return CommandOutcome()
