"""One worker as its parent sees it: a process, a socket, at most one file at a time.

Everything happens in callbacks of the event loop; nothing here waits. Workers are started on the loop's thread and no
other: a child that dies with its parent dies with the *thread* that started it.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from typing import Protocol

from agent.scanner import protocol
from agent.scanner.protocol import Hello, ProtocolError, WorkerOrders

_RECEIVE = 64 * 1024
#: A worker gets this instead of our environment. glibc would give every freed scan context back to the kernel and
#: fault its pages in again for the next file; these thresholds keep them (in bytes; 64 MiB is enough for large packs).
_ENVIRONMENT = {
    "PATH": os.defpath,
    "LC_ALL": "C.UTF-8",
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
    "MALLOC_ARENA_MAX": "1",
}


class WorkerListener(Protocol):
    """Who is told about a worker; all calls come on the event loop's thread."""

    def ready(self, worker: "WorkerProcess", hello: Hello) -> None:
        """It has loaded its rules and is confined."""

    def answered(self, worker: "WorkerProcess", untrusted_answer: bytes) -> None:
        """It sent something while it had a file."""

    def died(self, worker: "WorkerProcess", reason: str) -> None:
        """It is gone, or must be considered so; told exactly once. `reason` is for people."""


class WorkerProcess:
    """Starts a worker at once.

    Args:
        loop: The running event loop.
        image: Descriptor of the compiled rules.
        orders: What the worker is told first.
        listener: Told what happens.

    Raises:
        OSError: The process cannot be started.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, image: int, orders: WorkerOrders, listener: WorkerListener
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._received = bytearray()
        self._greeted = False
        self._gone = False
        ours, theirs = socket.socketpair()
        try:
            command = [sys.executable, "-I", "-m", "agent.scanner.worker", str(theirs.fileno()), str(image)]
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), image),
                env=_ENVIRONMENT,
                cwd="/",
                # Ctrl-C on a terminal goes to the parent, which then ends its workers in its own time.
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)  # noqa: FBT003 -- the standard library's own signature
        self._socket = ours
        ours.send(protocol.frame(protocol.encode_orders(orders)))
        loop.add_reader(ours, self._on_readable)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def send(self, descriptor: int, size_hint: int, path: str) -> None:
        """Hand over one file. The worker gets a descriptor of its own; ours stays with the caller.

        Raises:
            OSError: It is gone.
        """
        owner = os.fstat(descriptor).st_uid
        message = protocol.frame(protocol.encode_request(size_hint, owner, path))
        if socket.send_fds(self._socket, [message], [descriptor]) != len(message):
            raise ConnectionError("the worker does not read")

    def end(self, reason: str) -> None:
        """Kill it and tell the listener, unless it is gone already."""
        if self._gone:
            return
        self._gone = True
        self._loop.remove_reader(self._socket)
        self._socket.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._listener.died(self, reason)

    def reap(self) -> bool:
        """Collect its exit status; False: it is not dead yet (a read from a dead disk cannot be killed)."""
        return self._process.poll() is not None

    def _on_readable(self) -> None:
        try:
            received = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError as error:
            self.end(f"its connection failed: {error.strerror}")
            return
        if not received:
            self.end("it ended by itself")
            return
        self._received += received
        self._deliver_frames()

    def _deliver_frames(self) -> None:
        header = protocol.FRAME_HEADER_BYTES
        while len(self._received) >= header and not self._gone:
            size = int.from_bytes(self._received[:header], "big")
            if size > protocol.MAX_ANSWER_BYTES:
                self.end("it sent too much")
                return
            if len(self._received) < header + size:
                return
            untrusted_payload = bytes(self._received[header : header + size])
            del self._received[: header + size]
            self._deliver(untrusted_payload)

    def _deliver(self, untrusted_payload: bytes) -> None:
        if self._greeted:
            self._listener.answered(self, untrusted_payload)
            return
        try:
            hello = protocol.decode_hello(untrusted_payload)
        except ProtocolError as error:
            self.end(str(error))
            return
        self._greeted = True
        self._listener.ready(self, hello)
