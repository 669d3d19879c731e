"""The data folder on the disk; see `agent.service.remains.Remains`."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent.domain.errors import BucklerError, ExitStatus
from agent.platform.files.lock import AgentLock
from agent.service.remains import Held

#: What the agent and its commands make there. The folder may be any that a person named: only these are destroyed.
#: The lock goes last, so that nobody starts to work on what is half gone.
_OURS = (
    "vault", "agent.db*", "device.key", ".device.key.*", "scan-cache.db*", "compiled-rules", "crash-reports",
    "agent.sock", "status.sock", "agent.lock",
)  # fmt: skip


class DataFolder:
    """See the module.

    Args:
        path: The folder.
        lock: Held by whoever works on it.
        held: What its vault holds; opens the database.
    """

    def __init__(self, path: Path, lock: Path, held: Callable[[], Held]) -> None:
        self._path = path
        self._lock = lock
        self._held = held

    def folder(self) -> str:
        """Its path, for messages."""
        return str(self._path)

    def held(self) -> Held:
        """What the vault holds; a folder that was never used holds nothing."""
        return self._held() if self._path.is_dir() else Held()

    def destroy(self) -> None:
        """Remove what is ours, and the folder too if nothing else is in it.

        Raises:
            BucklerError: `REMAINS_NOT_DESTROYED`, or `AGENT_RUNNING`.
        """
        if not self._path.is_dir():
            return
        with AgentLock(self._lock):
            try:
                for pattern in _OURS:
                    for path in sorted(self._path.glob(pattern)):
                        _remove(path)
            except OSError as error:
                raise BucklerError(
                    "REMAINS_NOT_DESTROYED",
                    f"{error.filename or self._path} cannot be removed: {error.strerror}",
                    next_step="remove the obstacle and run the same command again; what is gone stays gone",
                    exit_status=ExitStatus.ENVIRONMENT,
                ) from error
        with suppress(OSError):
            self._path.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
