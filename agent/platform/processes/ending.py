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
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
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
        with ExitStack() as stack:
            held = {pid: _hold(pid, identity, stack) for pid in _running(identity) if pid not in found}
            running = {pid: descriptor for pid, descriptor in held.items() if descriptor is not None}
            if not running:
                break
            names = {pid: _name_of(pid) for pid in running}
            ends = {pid: ProcessEnd.SPARED for pid in running if spare_all or pid in untouchable}
            ends |= _end({pid: descriptor for pid, descriptor in running.items() if pid not in ends})
            found |= {pid: StoppedProcess(pid, names[pid], end) for pid, end in ends.items()}
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


def _hold(pid: int, identity: FileIdentity, stack: ExitStack) -> int | None:
    """A descriptor of the process; None: it has ended by itself, or its number belongs to another one now."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    stack.callback(os.close, descriptor)
    return descriptor if _runs(pid, identity) else None


def _end(held: dict[int, int]) -> dict[int, ProcessEnd]:
    """Ask all of them to end, then kill those that did not."""
    ends: dict[int, ProcessEnd] = {}
    for number, end in ((signal.SIGTERM, ProcessEnd.TERMINATED), (signal.SIGKILL, ProcessEnd.KILLED)):
        asked = {pid: descriptor for pid, descriptor in held.items() if pid not in ends and _signal(descriptor, number)}
        ends |= dict.fromkeys(_ended(asked), end)
    return dict.fromkeys(held, ProcessEnd.SURVIVED) | ends


def _signal(descriptor: int, number: signal.Signals) -> bool:
    """False: the system does not let us."""
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return True


def _ended(held: dict[int, int]) -> list[int]:
    """Those that end within `PATIENCE_S`; a process descriptor is readable once its process has ended."""
    waiting = {descriptor: pid for pid, descriptor in held.items()}
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    ended: list[int] = []
    deadline = time.monotonic() + PATIENCE_S
    while waiting and (left_s := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(left_s * 1000):
            poll.unregister(descriptor)
            ended.append(waiting.pop(descriptor))
    return ended


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
