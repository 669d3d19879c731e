"""Look for threats: what runs and arrives here, all of it, or one place."""

from pathlib import Path
from typing import Final

from agent.domain.commands import CommandOutcome, RemoteCommand
from agent.domain.errors import BucklerError
from agent.domain.ports import RequestedScans
from agent.domain.schedule import ScanKind

_KINDS: Final = {kind.value: kind for kind in ScanKind}


class ScanHandler:
    """Scans until everything has been looked at."""

    kind: Final = "scan"
    #: What was clean is remembered, so that beginning anew is going on.
    may_repeat: Final = True

    def __init__(self, scans: RequestedScans) -> None:
        self._scans = scans

    async def run(self, command: RemoteCommand) -> CommandOutcome:
        """Scan what was asked for, and count what was found.

        Raises:
            BucklerError: `ARGUMENT_INVALID`.
        """
        what, path = command.arguments.get("what", ""), command.arguments.get("path", "")
        if what in _KINDS:
            counts = await self._scans.scan(_KINDS[what])
        elif what == "path" and Path(path).is_absolute():
            counts = await self._scans.scan_path(path)
        else:
            raise BucklerError(
                "ARGUMENT_INVALID",
                "a scan is quick, full, or of a path that is absolute",
                next_step="ask again with one of them",
            )
        return CommandOutcome(result={name: str(count) for name, count in counts.items()})
