"""Ending the processes that run a file which has just been taken (Linux; elsewhere none is found).

A process is one that was started from the file: the image in memory is that very inode (`/proc/<pid>/exe`), whatever
name the file had then and has now. Programs that only read it, an interpreter that runs it as a script for one, are not
told apart from any other reader and are left alone.

The process is held by a descriptor (`pidfd_open`) before it is looked at, so the signal goes to the process that was
looked at and never to another that got its number.
"""

import os
import select
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from agent.domain.files import FileIdentity

#: How long a process may take to end when asked to, in seconds, before it is killed; and then to be gone.
PATIENCE_S = 2.0
#: A process that starts children as quickly as they are ended is looked for this often.
_ROUNDS = 3
#: Programs of the system itself: only root can put a file there, and half the machine may run from one. A detection
#: there is first of all a reason to look at the signature.
SYSTEM_FOLDERS = ("/bin/", "/lib/", "/lib64/", "/sbin/", "/usr/")


class ProcessEnd(Enum):
    """What became of a process."""

    TERMINATED = "terminated"
    #: It did not end when asked to.
    KILLED = "killed"
    #: It is a program of the system, runs from the same image as we do, or started us.
    SPARED = "spared"
    #: The system did not let us, or it is still there after being killed.
    SURVIVED = "survived"


@dataclass(frozen=True, slots=True)
class StoppedProcess:
    """A process that ran the file, and what became of it; `name` is printable."""

    pid: int
    name: str
    end: ProcessEnd


#: Ends the processes that run a file; given the file and where it was.
StopProcesses = Callable[[FileIdentity, str], tuple[StoppedProcess, ...]]


def stop_none(identity: FileIdentity, path: str) -> tuple[StoppedProcess, ...]:
    """What is done where policy does not ask for more."""
    del identity, path
    return ()


def stop_processes(identity: FileIdentity, path: str) -> tuple[StoppedProcess, ...]:
    """End every process that was started from a file. Blocks for `PATIENCE_S` at most, twice per round.

    Args:
        identity: Which file; only device and inode count, since a running file cannot be exchanged under its process.
        path: Where it was; see `SYSTEM_FOLDERS`.
    """
    if not hasattr(os, "pidfd_open"):
        return ()
    untouchable = frozenset({1, os.getpid(), *_ancestors()})
    # Who runs from the same image as we do, an interpreter for one, has nothing else in common with us.
    spare_all = path.startswith(SYSTEM_FOLDERS) or _runs(os.getpid(), identity)
    found: dict[int, StoppedProcess] = {}
    for _ in range(_ROUNDS):
        new = [pid for pid in _running(identity) if pid not in found]
        if not new:
            break
        for pid in new:
            stopped = _stop(pid, identity, spare=spare_all or pid in untouchable)
            if stopped is not None:
                found[pid] = stopped
    return tuple(found.values())


def _running(identity: FileIdentity) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _runs(int(entry.name), identity):
            yield int(entry.name)


def _runs(pid: int, identity: FileIdentity) -> bool:
    """The link leads to the image itself, even after its last name is gone; kernel threads have none."""
    try:
        image = os.stat(f"/proc/{pid}/exe")  # noqa: PTH116 -- followed on purpose: it is the kernel's own link
    except OSError:
        return False
    return (image.st_dev, image.st_ino) == (identity.device, identity.inode)


def _stop(pid: int, identity: FileIdentity, *, spare: bool) -> StoppedProcess | None:
    """None: it had ended by itself, or turned out to be another one."""
    try:
        held = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        if not _runs(pid, identity):
            return None
        name = _name_of(pid)
        return StoppedProcess(pid, name, ProcessEnd.SPARED if spare else _end(held))
    finally:
        os.close(held)


def _end(held: int) -> ProcessEnd:
    for number, end in ((signal.SIGTERM, ProcessEnd.TERMINATED), (signal.SIGKILL, ProcessEnd.KILLED)):
        try:
            signal.pidfd_send_signal(held, number)
        except ProcessLookupError:
            return ProcessEnd.TERMINATED
        except OSError:
            return ProcessEnd.SURVIVED
        # A process descriptor is readable once the process has ended.
        if select.select([held], [], [], PATIENCE_S)[0]:
            return end
    return ProcessEnd.SURVIVED


def _name_of(pid: int) -> str:
    """At most 15 bytes that the process chose itself."""
    try:
        untrusted_name = Path(f"/proc/{pid}/comm").read_bytes().rstrip(b"\n")
    except OSError:
        return "?"
    return untrusted_name.decode("ascii", "backslashreplace").encode("unicode_escape").decode("ascii")


def _ancestors() -> Iterable[int]:
    """Who started us: ending them would end us."""
    pid = os.getppid()
    while pid > 1:
        yield pid
        try:
            # The name, in parentheses, may hold anything; the parent's number is the second field after it.
            pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return
