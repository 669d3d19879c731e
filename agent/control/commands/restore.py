"""Bring a quarantined file back to its place."""

from typing import Final

from agent.domain.commands import CommandOutcome, RemoteCommand
from agent.domain.ports import Quarantine


class RestoreHandler:
    """Restores."""

    kind: Final = "restore"
    may_repeat: Final = False

    def __init__(self, quarantine: Quarantine) -> None:
        self._quarantine = quarantine

    async def run(self, command: RemoteCommand) -> CommandOutcome:
        """Restore one file."""
        entry_id = command.arguments.get("quarantine_id", "")
        allow = command.arguments.get("allow", "") == "yes"
        receipt = await self._quarantine.restore(entry_id, None, allow=allow)
        return CommandOutcome(result={"path": receipt.path})
