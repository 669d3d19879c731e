"""The process that holds openers (blocking mode), apart from the agent so that nothing can hang with it.

Whoever opens a watched file waits, inside the kernel, for this process. It therefore does as little as possible: it
never opens a file, asks nobody, and knows three ways out that always work: the agent's answer, a deadline, and its own
end, at which the kernel lets everybody go. If it were a thread of the agent, any of the agent's own `open` or `exec`
calls made under the interpreter's lock could wait for itself for ever.

Started by `agent.realtime.sources.gate`; the two speak JSON datagrams over a socket pair, descriptors travel beside.
"""

import json
import os
import selectors
import socket
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

from agent.platform.fanotify import BUFFER_BYTES, EventMask, Group, InitFlag, MarkFlag, MarkScope, Notice
from agent.realtime.territory import Territory

#: Openers held at a time; more are let go at once, as a queue in the kernel has no bound.
MAX_HELD = 256
#: Folders marked between two looks at what openers wait for.
_FOLDERS_PER_TURN = 64
#: How many generations of parents are asked whether they are the agent.
_GENERATIONS = 8
_DATAGRAM = 1 << 17
_OPENING = EventMask.OPEN_PERM | EventMask.OPEN_EXEC_PERM


class Gatekeeper:
    """Decides who waits, and lets everybody go in time.

    Args:
        channel: To the agent; `SOCK_SEQPACKET`.
        group: Permission group.
        territory: Where openers are held.
        hold_s: For how long at most.
        agent_pid: Never held, nor are its descendants.
    """

    def __init__(
        self, channel: socket.socket, group: Group, territory: Territory, *, hold_s: float, agent_pid: int
    ) -> None:
        self._channel = channel
        self._group = group
        self._territory = territory
        self._hold_s = hold_s
        self._agent_pid = agent_pid
        self._tokens = 0
        #: Token to descriptor and deadline; oldest first.
        self._held: dict[int, tuple[int, float]] = {}
        self._exempt = frozenset({agent_pid})
        #: A deadline passed: nobody is held again before the agent is heard of.
        self._agent_is_silent = False
        self._folders: list[str] = list(territory.roots)

    def serve(self) -> None:
        """Until the agent closes the channel."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            selector.register(self._group, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select(self._patience())}
                if self._group in ready:
                    self._read_openings()
                if self._channel in ready and not self._listen():
                    return
                self._let_late_ones_go()
                self._mark_some_folders()

    def _patience(self) -> float | None:
        if self._folders:
            return 0.0
        for _, deadline in self._held.values():
            return max(0.0, deadline - time.monotonic())
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
        path = os.readlink(f"/proc/self/fd/{notice.descriptor}")  # noqa: PTH115 -- a name of any bytes
        free = (
            self._agent_is_silent
            or len(self._held) >= MAX_HELD
            or not self._watched(notice, path)
            or not stat.S_ISREG(os.fstat(notice.descriptor).st_mode)
            or self._is_ours(notice.pid)
        )
        if free or not self._ask(notice, path):
            self._respond(notice.descriptor, allow=True)

    def _watched(self, notice: Notice, path: str) -> bool:
        """Openers are asked for folder by folder, so wherever they come from; programs for the whole file system."""
        if notice.mask & EventMask.OPEN_PERM:
            return not self._territory.excludes(path)
        return self._territory.covers(path)

    def _ask(self, notice: Notice, path: str) -> bool:
        self._tokens += 1
        question = json.dumps({"is": "opening", "token": self._tokens, "pid": notice.pid, "path": path}).encode()
        try:
            socket.send_fds(self._channel, [question], [notice.descriptor], socket.MSG_DONTWAIT)
        except OSError:
            return False  # the agent does not read: then nobody waits for it
        self._held[self._tokens] = (notice.descriptor, time.monotonic() + self._hold_s)
        return True

    def _respond(self, descriptor: int, *, allow: bool) -> None:
        with suppress(OSError):
            self._group.respond(descriptor, allow=allow)
        os.close(descriptor)

    def _let_late_ones_go(self) -> None:
        now = time.monotonic()
        for token, (descriptor, deadline) in list(self._held.items()):
            if deadline > now:
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
        message, descriptors, _, _ = socket.recv_fds(self._channel, _DATAGRAM, 1, socket.MSG_CMSG_CLOEXEC)
        if not message:
            return False
        self._agent_is_silent = False
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
                self._exempt = frozenset(pid for pid in pids if isinstance(pid, int)) | {self._agent_pid}
                with suppress(BlockingIOError):
                    self._channel.send(b'{"is": "pong"}', socket.MSG_DONTWAIT)
            case {"do": "folder", "path": str(path)}:
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
        self._folders = list(self._territory.roots)

    # ------------------------------------------------------------ folders

    def _mark_some_folders(self) -> None:
        """Files are held by the folder they are in; the marks spread over the trees between two answers."""
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
                self._folders.extend(path for path in _folders_in(folder) if not self._territory.excludes(path))


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
    channel.send(b'{"is": "ready"}')
    # Our own code lies in these folders: to hold an opener there could mean to hold ourselves.
    own = [*order["excluded"], sys.prefix, sys.base_prefix, os.path.dirname(os.path.dirname(json.__file__))]  # noqa: PTH120
    territory = Territory(order["roots"], own)
    Gatekeeper(channel, group, territory, hold_s=order["hold_s"], agent_pid=order["agent_pid"]).serve()


if __name__ == "__main__":
    main()
