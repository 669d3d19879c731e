"""One worker as its parent sees it: a process, a socket, the files it has been handed and not answered.

Everything happens in callbacks of the event loop; nothing here waits. Workers are started on the loop's thread and no
other: a child that dies with its parent dies with the *thread* that started it.
"""

import asyncio
import socket
from typing import Protocol

from agent.scanner.workers import protocol
from agent.scanner.workers.protocol import Hello, ProtocolError
from agent.scanner.workers.starting import Birth, ProcessHandle, WorkerStarter

_RECEIVE = 64 * 1024


class WorkerListener(Protocol):
    """Who is told about a worker; all calls come on the event loop's thread."""

    def ready(self, worker: "WorkerProcess", hello: Hello) -> None:
        """It has loaded its rules and is confined."""

    def answered(self, worker: "WorkerProcess", untrusted_answer: bytes) -> None:
        """It sent something while it had a file."""

    def died(self, worker: "WorkerProcess", reason: str) -> None:
        """It is gone, or must be considered so; told exactly once. `reason` is for people."""


class WorkerProcess:
    """Starts a worker at once; what goes wrong with that is told like its death.

    Args:
        loop: The running event loop.
        starter: Makes the process.
        listener: Told what happens.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, starter: WorkerStarter, listener: WorkerListener) -> None:
        self._loop = loop
        self._listener = listener
        self._received = bytearray()
        self._greeted = False
        self._hello: Hello | None = None
        self._gone = False
        self._process: ProcessHandle | None = None
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)  # noqa: FBT003 -- the standard library's own signature
        loop.add_reader(self._socket, self._on_readable)
        birth = Birth(theirs, self._started, self.end)
        # Whoever listens learns of us before anything can go wrong.
        loop.call_soon(starter.start, birth)

    @property
    def pid(self) -> int | None:
        """Of the process; None: not known yet."""
        return self._process.pid if self._process else None

    def send(self, descriptor: int, size_hint: int, owner: int, path: str) -> None:
        """Hand over one file. The worker gets a descriptor of its own; ours stays with the caller.

        Raises:
            OSError: It is gone.
        """
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
        if self._process is not None:
            self._process.kill()
        self._listener.died(self, reason)

    def reap(self) -> bool:
        """Collect its exit status; False: it is not dead yet (a read from a dead disk cannot be killed)."""
        return self._process is None or self._process.is_gone()

    def _started(self, process: ProcessHandle) -> None:
        self._process = process
        if self._gone:
            process.kill()
        else:
            self._tell_if_ready()

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
        self._hello = hello
        self._tell_if_ready()

    def _tell_if_ready(self) -> None:
        """Its greeting and its number come on different ways."""
        if self._process is not None and self._hello is not None:
            hello, self._hello = self._hello, None
            self._listener.ready(self, hello)
