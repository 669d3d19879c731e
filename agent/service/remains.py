"""What a service leaves on the disk, and when that may be destroyed.

What the vault holds exists nowhere else. A person can have it back for as long as the data folder is there, so that
folder goes only once the vault is empty, or when told that its content is not wanted.
"""

from dataclasses import dataclass
from typing import Protocol

from agent.domain.errors import BucklerError, ExitStatus


@dataclass(frozen=True, slots=True)
class Held:
    """What only the vault still has: files, and their size in bytes as they were."""

    files: int = 0
    size_bytes: int = 0


class Remains(Protocol):
    """The data folder of a service."""

    def folder(self) -> str:
        """Its path, for messages."""

    def held(self) -> Held:
        """What the vault holds, files on their way there included.

        Raises:
            BucklerError: It cannot be known, because the database is damaged for example: then nothing is destroyed.
        """

    def destroy(self) -> None:
        """Remove everything that Buckler put there; what others put there stays.

        Raises:
            BucklerError: `AGENT_RUNNING`: somebody still works on it; `REMAINS_NOT_DESTROYED`.
        """


def refuse_to_destroy(remains: Remains, *, discard_quarantine: bool) -> None:
    """Let go on only if nothing is lost that somebody may want back.

    Raises:
        BucklerError: `QUARANTINE_NOT_EMPTY`, or what `Remains.held` raises.
    """
    if discard_quarantine:
        return
    held = remains.held()
    if not held.files:
        return
    files = "one file" if held.files == 1 else f"{held.files} files"
    raise BucklerError(
        "QUARANTINE_NOT_EMPTY",
        f"the vault in {remains.folder()} holds {files} ({held.size_bytes} bytes) that exist nowhere else",
        next_step="get them back with `buckler quarantine restore ID` (`--to DIR` puts them elsewhere), "
        "or destroy them too with --discard-quarantine",
        exit_status=ExitStatus.NEGATIVE,
        facts={"files": str(held.files), "size_bytes": str(held.size_bytes)},
    )
