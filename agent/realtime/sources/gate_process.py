"""The process that holds openers (blocking mode), apart from the agent so that nothing can hang with it.

Whoever opens a watched file waits, inside the kernel, for this process. It therefore does as little as possible: it
never opens a file, asks nobody, and knows three ways out that always work: the agent's answer, a deadline, and its own
end, at which the kernel lets everybody go. While the agent is not heard of (hung, stopped, starved) nobody is held.

If it were a thread of the agent, any of the agent's own `open` or `exec` calls made under the interpreter's lock could
wait for itself for ever.

Started by `agent.realtime.sources.gate`; the two speak JSON datagrams over a socket pair, descriptors travel beside.
"""

import json
import os
import selectors
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import NamedTuple, Protocol

import agent
from agent.platform.fanotify import BUFFER_BYTES, EventMask, Group, InitFlag, MarkFlag, MarkScope, Notice
from agent.realtime.territory import Territory

#: Openers held at a time; more are let go at once, as a queue in the kernel has no bound.
MAX_HELD = 256
#: The agent speaks every second; after this long without a word nobody is held for it.
AGENT_SILENT_S = 4.0
#: Folders marked between two looks at what openers wait for.
_FOLDERS_PER_TURN = 64
#: How many generations of parents are asked whether they are the agent.
_GENERATIONS = 8
_DATAGRAM = 1 << 17
_OPENING = EventMask.OPEN_PERM | EventMask.OPEN_EXEC_PERM


class PermissionGroup(Protocol):
    """What is used of `agent.platform.fanotify.Group`; see there."""

    def fileno(self) -> int: ...  # noqa: D102
    def read(self, size_bytes: int) -> list[Notice]: ...  # noqa: D102
    def respond(self, descriptor: int, *, allow: bool) -> None: ...  # noqa: D102
    def mark(self, path: str, mask: int, scope: MarkScope, flags: MarkFlag) -> None: ...  # noqa: D102
    def mark_descriptor(self, descriptor: int, mask: int, flags: MarkFlag) -> None: ...  # noqa: D102
    def flush_inode_marks(self) -> None: ...  # noqa: D102


class GateRules(NamedTuple):
    """Who is held, and for how long.

    Attributes:
        programs: Where programs that are started are held.
        files: Where openers of files are held.
        hold_s: For how long at most.
        fail_open: What an opener gets who cannot be held for lack of room.
        agent_pid: Never held, nor are its descendants.
    """

    programs: Territory
    files: Territory
    hold_s: float
    fail_open: bool
    agent_pid: int


class Gatekeeper:
    """Decides who waits, and lets everybody go in time.

    Args:
        channel: To the agent; `SOCK_SEQPACKET`.
        group: Permission group.
        rules: Who is held.
        monotonic: Tells the time, in seconds.
    """

    def __init__(
        self,
        channel: socket.socket,
        group: PermissionGroup,
        rules: GateRules,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel = channel
        self._group = group
        self._rules = rules
        self._monotonic = monotonic
        self._heard_at = monotonic()
        self._tokens = 0
        #: Token to descriptor and deadline; oldest first.
        self._held: dict[int, tuple[int, float]] = {}
        self._exempt = frozenset({rules.agent_pid})
        #: A deadline passed, or no word came: nobody is held again before the agent is heard of.
        self._agent_is_silent = False
        self._folders: list[str] = list(rules.files.roots)

    def serve(self) -> None:
        """Until the agent closes the channel, or ends."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            selector.register(self._group, selectors.EVENT_READ)
            while self._turn({key.fileobj for key, _ in selector.select(self._patience())}):
                pass

    def _turn(self, ready: set[object]) -> bool:
        if self._group in ready:
            self._read_openings()
        if self._channel in ready and not self._listen():
            return False
        self._let_late_ones_go()
        self.mark_some_folders()
        return True

    def _patience(self) -> float | None:
        if self._folders:
            return 0.0
        for _, deadline in self._held.values():
            return max(0.0, min(deadline, self._heard_at + AGENT_SILENT_S) - self._monotonic())
        return None

    # ------------------------------------------------------------ openers

    def _read_openings(self) -> None:
        try:
            notices = self._group.read(BUFFER_BYTES)
        except OSError:
            return  # the kernel could not open a file for us and has refused that opener by itself
        for notice in notices:
            self._opening(notice)

    def _opening(self, notice: Notice) -> None:
        if notice.descriptor < 0:
            return
        status = os.fstat(notice.descriptor)
        path = os.readlink(f"/proc/self/fd/{notice.descriptor}")  # noqa: PTH115 -- a name of any bytes
        free = (
            self._agent_is_silent
            # Nothing can be in it yet: the writer of a new file is not held; what is written is seen at its close.
            or status.st_size == 0
            or not stat.S_ISREG(status.st_mode)
            or not self._watched(notice, path)
            or self._is_ours(notice.pid)
        )
        if free:
            self._respond(notice.descriptor, allow=True)
        elif len(self._held) >= MAX_HELD or not self._ask(notice, path):
            self._respond(notice.descriptor, allow=self._rules.fail_open)

    def _watched(self, notice: Notice, path: str) -> bool:
        """Openers are asked for folder by folder, so wherever they come from; programs for the whole file system."""
        if notice.mask & EventMask.OPEN_PERM:
            return not self._rules.files.excludes(path)
        return self._rules.programs.covers(path)

    def _ask(self, notice: Notice, path: str) -> bool:
        self._tokens += 1
        question = json.dumps({"is": "opening", "token": self._tokens, "pid": notice.pid, "path": path}).encode()
        try:
            socket.send_fds(self._channel, [question], [notice.descriptor], socket.MSG_DONTWAIT)
        except OSError:
            return False  # the agent does not read fast enough
        self._held[self._tokens] = (notice.descriptor, self._monotonic() + self._rules.hold_s)
        return True

    def _respond(self, descriptor: int, *, allow: bool) -> None:
        with suppress(OSError):
            self._group.respond(descriptor, allow=allow)
        os.close(descriptor)

    def _let_late_ones_go(self) -> None:
        now = self._monotonic()
        unheard = now - self._heard_at >= AGENT_SILENT_S
        for token, (descriptor, deadline) in list(self._held.items()):
            if deadline > now and not unheard:
                return
            del self._held[token]
            self._respond(descriptor, allow=True)
            self._agent_is_silent = True

    def _is_ours(self, pid: int) -> bool:
        """Whether a process is the agent, known to it, or started by it; a restarted worker is nobody's news yet."""
        for _ in range(_GENERATIONS):
            if pid in self._exempt:
                return True
            try:
                with open(f"/proc/{pid}/stat", "rb") as stream:  # noqa: PTH123 -- /proc is never held
                    pid = int(stream.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                return False
            if pid <= 1:
                return False
        return False

    # ------------------------------------------------------------ the agent

    def _listen(self) -> bool:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._channel, _DATAGRAM, 1, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return False  # it ended with questions unread
        if not message:
            return False
        self._agent_is_silent, self._heard_at = False, self._monotonic()
        try:
            self._obey(json.loads(message), descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _obey(self, order: dict[str, object], descriptors: list[int]) -> None:
        match order:
            case {"do": "answer", "token": int(token), "allow": bool(allow)}:
                held = self._held.pop(token, None)
                if held is not None:
                    self._respond(held[0], allow=allow)
            case {"do": "ping", "pids": list(pids)}:
                self._exempt = frozenset(pid for pid in pids if isinstance(pid, int)) | {self._rules.agent_pid}
                with suppress(BlockingIOError):
                    self._channel.send(b'{"is": "pong"}', socket.MSG_DONTWAIT)
            case {"do": "folder", "path": str(path)}:
                if self._rules.files.reaches(path):
                    self._folders.append(path)
            case {"do": "remember", "version": list(version)}:
                self._remember(descriptors[0], version)
            case {"do": "forget"}:
                self._forget()

    def _remember(self, descriptor: int, version: list[object]) -> None:
        """Let the kernel allow openers of a clean file by itself, until it is modified.

        A file that was changed between its scan and this mark is no longer what the agent vouches for.
        """
        flags = MarkFlag.ADD | MarkFlag.IGNORED_MASK | MarkFlag.EVICTABLE
        with suppress(OSError):
            self._group.mark_descriptor(descriptor, _OPENING, flags)
            if _version(descriptor) != version:
                self._group.mark_descriptor(descriptor, _OPENING, MarkFlag.REMOVE | MarkFlag.IGNORED_MASK)

    def _forget(self) -> None:
        self._group.flush_inode_marks()
        self._folders = list(self._rules.files.roots)

    # ------------------------------------------------------------ folders

    def mark_some_folders(self) -> None:
        """Hold openers in a few more folders: the marks spread over the trees between two answers."""
        for _ in range(_FOLDERS_PER_TURN):
            if not self._folders:
                return
            folder = self._folders.pop()
            with suppress(OSError):
                self._group.mark(
                    folder,
                    EventMask.OPEN_PERM | EventMask.ON_CHILD,
                    MarkScope.INODE,
                    MarkFlag.ADD | MarkFlag.DONT_FOLLOW,
                )
                self._folders.extend(path for path in _folders_in(folder) if not self._rules.files.excludes(path))


def _folders_in(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield entry.path


def _version(descriptor: int) -> list[object]:
    status = os.fstat(descriptor)
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def main() -> None:
    """Take the first order, say whether it can be done, do it."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    order = json.loads(channel.recv(_DATAGRAM))
    event_flags = os.O_RDONLY | os.O_CLOEXEC | os.O_LARGEFILE | os.O_NOATIME
    try:
        group = Group(InitFlag.CLASS_CONTENT, event_flags)
        for root in order["roots"]:
            group.mark(root, EventMask.OPEN_EXEC_PERM, MarkScope.FILESYSTEM)
    except OSError as failure:
        channel.send(json.dumps({"is": "refused", "reason": failure.strerror}).encode())
        return
    # Our own code lies in these folders: to hold an opener there could mean to hold ourselves.
    own = [*order["excluded"], sys.prefix, sys.base_prefix, os.path.dirname(_folder_of(json)), _folder_of(agent)]  # noqa: PTH120
    programs, files = Territory(order["roots"], own), Territory(order["folders"], own)
    rules = GateRules(programs, files, order["hold_s"], order["fail_open"], order["agent_pid"])
    gatekeeper = Gatekeeper(channel, group, rules)
    gatekeeper.mark_some_folders()
    channel.send(b'{"is": "ready"}')
    gatekeeper.serve()


def _folder_of(package: ModuleType) -> str:
    return os.path.dirname(os.path.realpath(str(package.__file__)))  # noqa: PTH120 -- a string


if __name__ == "__main__":
    main()
