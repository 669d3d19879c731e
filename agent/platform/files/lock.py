"""One agent per data folder, guarded by the kernel."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.domain.errors import BucklerError, ExitStatus
from agent.platform.files.whole_files import PRIVATE_MODE

#: Locks that are held in this system; only Linux tells.
_LOCKS = Path("/proc/locks")


class AgentLock:
    """An exclusive `flock` on a file; the kernel releases it when the process ends, however it ends.

    Args:
        path: The lock file; its content is the holder's process id, for messages only.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            BucklerError: `AGENT_RUNNING` when another process holds it.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise _running(self._path, holder) from error
        # On a full disk protection starts all the same, and nobody is told who has the lock.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let go of it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def holder_of(path: Path) -> int | None:
    """Which process holds a lock, as far as this user may know; None: none does, or it cannot be known."""
    # Trying the lock would answer too, and could be in the way of an agent that starts at that moment.
    try:
        pid, inode = path.read_bytes().strip(), path.stat().st_ino
        locks = _LOCKS.read_bytes()
    except OSError:
        return None
    # proc(5): number, FLOCK, ADVISORY, WRITE, pid, major:minor:inode, start, end
    held = (line.split() for line in locks.splitlines())
    is_held = any(
        fields[1:2] == [b"FLOCK"] and fields[4:5] == [pid] and fields[5].endswith(b":%d" % inode) for fields in held
    )
    return int(pid) if is_held and pid.isdigit() else None


def _running(path: Path, holder: str) -> BucklerError:
    return BucklerError(
        "AGENT_RUNNING",
        f"another buckler works on {path.parent}" + (f" (process {holder})" if holder else ""),
        next_step="stop it first, or give this one a folder of its own with --data-dir",
        exit_status=ExitStatus.ENVIRONMENT,
        facts={"data_dir": str(path.parent), "pid": holder},
    )
