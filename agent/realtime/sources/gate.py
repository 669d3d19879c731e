"""The agent's side of the gate: starts the process that holds openers, passes questions in and answers back.

If that process does not answer a ping in time, it is killed: with it the kernel lets go of everybody it holds. What
cannot be sent at once (answers, new folders) is sent in its order as soon as there is room: a verdict is never dropped.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence

from agent.domain.files import EventKind, FileEvent, FileIdentity
from agent.domain.ports import Clock
from agent.platform.files.regular_files import identity_of
from agent.realtime.refusals import blocking_unavailable
from agent.realtime.settings import BlockSettings

#: How long the process may take to be ready.
START_S = 10.0
#: How often it is asked whether it lives, and how long it may take to say so.
PING_S = 1.0
SILENT_S = 4.0
_DATAGRAM = 1 << 17


class Gate:
    """Holds openers until they are answered.

    Args:
        roots: Where programs are held.
        folders: Where openers of files are held.
        excluded: Where not.
        block: For how long, and what becomes of who cannot be held.
        own_pids: Processes that are never held.
        clock: For the time of reading.
        deliver: Receives an OPENING event per held opener.
        died: Called once, with the reason, if the process ends or had to be killed.

    Raises:
        BucklerError: `BLOCKING_UNAVAILABLE`.
    """

    def __init__(
        self,
        roots: Sequence[str],
        folders: Sequence[str],
        excluded: Sequence[str],
        *,
        block: BlockSettings,
        own_pids: Callable[[], frozenset[int]],
        clock: Clock,
        deliver: Callable[[FileEvent], None],
        died: Callable[[str], None],
    ) -> None:
        self._own_pids = own_pids
        self._clock = clock
        self._deliver = deliver
        self._died = died
        self._loop = asyncio.get_running_loop()
        #: When it was asked whether it lives and has not been heard since.
        self._asked_at: float | None = None
        self._unsent: deque[bytes] = deque()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-P", "-m", "agent.realtime.sources.gate_process", str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)  # noqa: S603 -- our own program
        order = {
            "roots": list(roots),
            "folders": list(folders),
            "excluded": list(excluded),
            "hold_s": block.budget_s,
            "fail_open": block.fail_open,
            "agent_pid": os.getpid(),
        }
        try:
            self._begin(order)
        except (OSError, ValueError) as failure:
            self._end()
            raise blocking_unavailable(str(failure)) from failure
        self._channel.settimeout(0)
        self._loop.add_reader(self._channel.fileno(), self._read)
        self._timer = self._loop.call_later(0, self._ping)

    def answer(self, token: int, *, allow: bool) -> None:
        """Let an opener go on, or refuse it; too late is no harm."""
        self._send({"do": "answer", "token": token, "allow": allow})

    def add_folder(self, path: str) -> None:
        """A folder is new below a root."""
        self._send({"do": "folder", "path": path})

    def remember_clean(self, descriptor: int, identity: FileIdentity) -> None:
        """Do not hold openers of this file until it is modified."""
        version = [identity.device, identity.inode, identity.size_bytes, identity.mtime_ns, identity.ctime_ns]
        if not self._unsent:
            self._send({"do": "remember", "version": version}, [descriptor])

    def forget_clean(self) -> None:
        """Hold openers of every file again."""
        self._send({"do": "forget"})

    def close(self) -> None:
        """Everybody who is held is let go. Safe to repeat."""
        self._timer.cancel()
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel.fileno())
            self._loop.remove_writer(self._channel.fileno())
        self._end()

    def _begin(self, order: dict[str, object]) -> None:
        self._channel.settimeout(START_S)
        self._channel.send(json.dumps(order).encode())
        reply = self._channel.recv(_DATAGRAM)
        answer = json.loads(reply or '{"is": "refused", "reason": "the gate ended at once"}')
        if answer.get("is") != "ready":
            raise OSError(answer.get("reason", "no reason given"))

    def _end(self) -> None:
        self._channel.close()
        try:
            self._process.wait(PING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        for _ in range(64):
            try:
                message, descriptors, _, _ = socket.recv_fds(self._channel, _DATAGRAM, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except OSError as failure:
                self._fail(f"the gate cannot be heard: {failure.strerror}")
                return
            if not message:
                self._fail("the gate has ended")
                return
            self._asked_at = None
            told = json.loads(message)
            if told["is"] == "opening" and descriptors:
                self._opening(told, descriptors[0])
            if self._channel.fileno() < 0:
                return

    def _opening(self, told: dict[str, object], descriptor: int) -> None:
        identity = identity_of(os.fstat(descriptor))
        path, pid, token = str(told["path"]), int(str(told["pid"])), int(str(told["token"]))
        seen = self._clock.monotonic_ns()
        self._deliver(FileEvent(identity, path, descriptor, pid, EventKind.OPENING, token, seen))

    def _ping(self) -> None:
        now = self._loop.time()
        if self._asked_at is not None and now - self._asked_at > SILENT_S:
            self._process.kill()
            self._fail("the gate did not answer and was ended")
            return
        if self._asked_at is None:
            self._asked_at = now
        self._send({"do": "ping", "pids": sorted(self._own_pids())})
        self._timer = self._loop.call_later(PING_S, self._ping)

    def _send(self, order: dict[str, object], descriptors: Sequence[int] = ()) -> None:
        if self._channel.fileno() < 0:
            return
        message = json.dumps(order).encode()
        if self._unsent:
            self._unsent.append(message)
            return
        try:
            socket.send_fds(self._channel, [message], list(descriptors))
        except BlockingIOError:
            if not descriptors:  # a clean file that is not remembered is merely asked about again
                self._unsent.append(message)
                self._loop.add_writer(self._channel.fileno(), self._send_rest)
        except OSError as failure:
            self._fail(f"the gate cannot be told: {failure.strerror}")

    def _send_rest(self) -> None:
        """It is behind, or was: whether it still lives is decided by the ping."""
        try:
            while self._unsent:
                self._channel.send(self._unsent[0])
                self._unsent.popleft()
        except BlockingIOError:
            return
        except OSError as failure:
            self._fail(f"the gate cannot be told: {failure.strerror}")
            return
        self._loop.remove_writer(self._channel.fileno())

    def _fail(self, reason: str) -> None:
        if self._channel.fileno() >= 0:
            self.close()
            self._loop.call_soon(self._died, reason)
