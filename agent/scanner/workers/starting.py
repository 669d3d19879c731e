"""How worker processes come to be: forked by a zygote where the system has what that takes, else each on its own.

A zygote is a process that has loaded the rules and everything a worker needs, and then does nothing but fork: its
children share the pages of the rules and are ready in milliseconds. It reads no hostile byte, ever.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent.scanner.workers import protocol
from agent.scanner.workers.protocol import ProtocolError, WorkerOrders

#: A worker gets this instead of our environment; what is freed is kept as `agent.platform.allocator` says.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}
#: How long a zygote whose workers are gone may take to end, in seconds.
_END_PATIENCE_S = 5.0


class ProcessHandle(Protocol):
    """A process that can be ended."""

    @property
    def pid(self) -> int:
        """Its number; another process may have it once this one is gone."""

    def kill(self) -> None:
        """End it, unless it has ended."""

    def is_gone(self) -> bool:
        """Whether nothing is left of it; a read from a dead disk cannot be killed."""


@dataclass(frozen=True, slots=True)
class Birth:
    """A worker that is being started.

    Attributes:
        channel: Its end of the connection; closed by the starter.
        started: Called once with the process.
        failed: Called instead, with a reason for people.
    """

    channel: socket.socket
    started: Callable[[ProcessHandle], None]
    failed: Callable[[str], None]


class WorkerStarter(Protocol):
    """Starts workers; all calls come and are made on the event loop's thread."""

    def start(self, birth: Birth) -> None:
        """Start one. What is called back may be called before this returns."""

    def pids(self) -> frozenset[int]:
        """Processes that this needs beside the workers."""

    def close(self) -> None:
        """Let go of them; workers have been ended before."""


def worker_starter(loop: asyncio.AbstractEventLoop, image: int, orders: WorkerOrders) -> WorkerStarter:
    """The better way this system has.

    Args:
        loop: The running event loop.
        image: Descriptor of the compiled rules.
        orders: For all workers.
    """
    if hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal"):
        return ZygoteStarter(loop, image, orders)
    return SpawningStarter(image, orders)


class SpawningStarter:
    """Starts each worker as a program of its own, which loads the rules for itself.

    Args:
        image: Descriptor of the compiled rules.
        orders: For all workers.
    """

    def __init__(self, image: int, orders: WorkerOrders) -> None:
        self._image = image
        self._orders = orders

    def start(self, birth: Birth) -> None:
        """Start one; see `WorkerStarter`."""
        with birth.channel:
            try:
                process = _run("agent.scanner.workers.worker", birth.channel, self._image, self._orders)
            except OSError as error:
                birth.failed(error.strerror or str(error))
                return
        birth.started(_Child(process))

    def pids(self) -> frozenset[int]:
        """None."""
        return frozenset()

    def close(self) -> None:
        """Nothing to let go of."""


class ZygoteStarter:
    """Has a zygote fork workers; starts it when the first is wanted, and again when it is gone.

    Args:
        loop: The running event loop.
        image: Descriptor of the compiled rules.
        orders: For all workers.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, image: int, orders: WorkerOrders) -> None:
        self._loop = loop
        self._image = image
        self._orders = orders
        self._zygote: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._births: deque[Birth] = deque()

    def start(self, birth: Birth) -> None:
        """Start one; see `WorkerStarter`. The zygote answers in the order it was asked."""
        try:
            if self._channel is None:
                self._channel = self._start_zygote()
            socket.send_fds(self._channel, [protocol.FORK], [birth.channel.fileno()])
        except OSError as error:
            birth.failed(error.strerror or str(error))
        else:
            self._births.append(birth)
        finally:
            birth.channel.close()

    def pids(self) -> frozenset[int]:
        """The zygote."""
        return frozenset({self._zygote.pid}) if self._zygote is not None else frozenset()

    def close(self) -> None:
        """Let it wait for its workers and end, so that their time is counted to us."""
        self._lose("the scanner is closing")

    def _start_zygote(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._zygote = _run("agent.scanner.workers.zygote", theirs, self._image, self._orders)
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)  # noqa: FBT003 -- the standard library's own signature
        self._loop.add_reader(ours, self._on_readable)
        return ours

    def _on_readable(self) -> None:
        assert self._channel is not None, "its reader is removed with it"
        try:
            message, descriptors, _flags, _address = socket.recv_fds(self._channel, protocol.MAX_BIRTH_BYTES, 1)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        try:
            pid = protocol.decode_birth(message)
        except ProtocolError as error:
            self._lose(str(error))
            return
        self._births.popleft().started(_Grandchild(pid, descriptors[0]))

    def _lose(self, reason: str) -> None:
        channel, self._channel = self._channel, None
        zygote, self._zygote = self._zygote, None
        if channel is not None:
            self._loop.remove_reader(channel)
            channel.close()
        if zygote is not None:
            try:
                zygote.wait(_END_PATIENCE_S)
            except subprocess.TimeoutExpired:
                zygote.kill()
                zygote.wait()
        births, self._births = self._births, deque()
        for birth in births:
            birth.failed(reason)


@dataclass(slots=True)
class _Child:
    """A process we started."""

    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def is_gone(self) -> bool:
        return self.process.poll() is not None


class _Grandchild:
    """A process that the zygote started; known by a descriptor, because its number may be given away before we ask."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor: int | None = descriptor

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def is_gone(self) -> bool:
        # Signal 0 reaches even a process that has ended, until its parent has asked for its status.
        return not self._signal(0)

    def _signal(self, number: int) -> bool:
        if self._descriptor is None:
            return False
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError:
            os.close(self._descriptor)
            self._descriptor = None
            return False
        return True


def _run(module: str, channel: socket.socket, image: int, orders: WorkerOrders) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-m", module, str(channel.fileno()), str(image), protocol.encode_orders(orders)]
    return subprocess.Popen(  # noqa: S603 -- our own interpreter and module
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(channel.fileno(), image),
        env=_ENVIRONMENT,
        cwd="/",
        # Ctrl-C on a terminal goes to the parent, which then ends its workers in its own time.
        start_new_session=True,
    )
